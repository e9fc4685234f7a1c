"""What a client says of the requests that it makes, and `requests.Session` cannot pass on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from .steps import Step


@dataclass(frozen=True, slots=True)
class Call:
    """The context of the requests that are made now."""

    operation: str = ""  # what they are for, as "Execute download"
    step: Step | None = None  # reports the outcome of the Execute
    deadline: float | None = None  # seconds for which each is repeated at most
    # Reads the answer to an Execute; returns the service's words if it says that its queue is full.
    refusal: Callable[[Any], str | None] | None = None
    # Shows that an Execute waits for a place in a queue: for how many seconds by now, and where.
    waiting: Callable[[float, str], None] | None = None


_CALL: ContextVar[Call] = ContextVar("pavics_affinity_call", default=Call())  # noqa: B039  # it is frozen


def current_call() -> Call:
    """Return the innermost context."""
    return _CALL.get()


@contextlib.contextmanager
def calling(**changes: Any) -> Iterator[None]:
    """Change the context of the requests that are made inside."""
    token = _CALL.set(replace(_CALL.get(), **changes))
    try:
        yield
    finally:
        _CALL.reset(token)


def operation(label: str) -> contextlib.AbstractContextManager[None]:
    """Label the requests that are made inside, in the words of the service's standard."""
    return calling(operation=label)


@contextlib.contextmanager
def following(step: Step) -> Iterator[Step]:
    """Have the transport report to the step the outcome of the Execute that is sent inside."""
    with calling(step=step):
        yield step

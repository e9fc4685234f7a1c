"""Read the items of a batch in a separate thread, one ahead of the chains.

An iterable that blocks or never ends does not delay the chains that have started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from .task import end_here


@dataclass(eq=False)
class Work:
    """An item, from reading it to returning its result."""

    number: int
    item: Any
    restarts: int = 0
    """How often its chain may start again on another node after it executed something."""
    unexecuted: int = 5
    """How often it may after it executed nothing."""
    attempts: int = 0
    avoid: set[str] = field(default_factory=set)
    """Nodes that were lost while it ran there."""
    waiting_since: float | None = None
    """When its node stopped answering."""
    key: str = ""
    """By which the batch's journal recognises it; empty if it is in no journal."""
    files: int = 0
    """How many attempts of its chain have a file in the journal."""
    machineid: str | None = None
    """The workflow that an earlier call began and the next attempt resumes, if any."""
    node: str | None = None
    """The node that has that workflow's files."""

    @property
    def is_resumed(self) -> bool:
        """Whether the next attempt continues what an earlier call began."""
        return self.machineid is not None

    def restart(self, *, ran: bool) -> bool:
        """Let the next attempt be a new workflow, if that is allowed; return whether it is.

        `ran` is whether the chain may have executed something.
        """
        if not ran and self.unexecuted:
            self.unexecuted -= 1
        elif self.restarts:
            self.restarts -= 1
        else:
            return False
        self.machineid = self.node = None
        return True


@dataclass(eq=False)
class Attempt:
    """A chain that was given to the executor."""

    work: Work
    machineid: str
    node: str | None
    future: Future[Any]
    withdrawn: bool = False
    """Whether it was cancelled in the executor because its node was lost."""

    def end(self) -> None:
        """Prevent it from starting, or from sending more in this process."""
        self.future.cancel()
        end_here(self.machineid)


def read_items(
    items: Iterator[Any],
    restarts: int,
    wanted: SimpleQueue[bool],
    deliver: Callable[[Work], None],
    ended: Callable[[BaseException | None], None],
) -> None:
    """Read an item for each True in `wanted`, until a False; no more once it is there.

    Calls `deliver` with each, and `ended` once, when the items are exhausted or reading them
    failed.
    """
    number = 0
    while wanted.get() and wanted.empty():
        try:
            item = next(items)
        except StopIteration:
            return ended(None)
        except BaseException as error:  # noqa: BLE001  # the caller raises it
            return ended(error)
        number += 1
        deliver(Work(number, item, restarts))
    return None

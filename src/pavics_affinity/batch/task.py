"""One chain, as it travels to where it runs, and what comes back.

Whatever runs it needs nothing but this package: a thread, another process, a worker
of a Dask cluster. To another process a result goes as bytes that were pickled here, so
that one that cannot be read again costs its own item only, and not the whole pool.
"""

from __future__ import annotations

import copy
import os
import pickle
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import (
    AffinityLost,
    BackendUnavailable,
    ChainFailed,
    ExecuteOutcomeUnknown,
    JournalError,
    JournalLocked,
    ServiceUnreachable,
    StatusLost,
    UnknownNode,
)
from ..topology import TopologySource
from ..workflow import Workflow

Chain = Callable[[Workflow, Any], Any]

_LOST = (AffinityLost, BackendUnavailable, ExecuteOutcomeUnknown, StatusLost, UnknownNode)
LOCKED_FOR = 15.0
"""Seconds for which a chain's journal is waited for that another writes still."""

_TOKEN = secrets.token_hex(8)
_LOCK = threading.Lock()
_RUNNING: dict[str, Workflow] = {}
_UNWANTED: set[str] = set()


def _here() -> str:
    return f"{_TOKEN}-{os.getpid()}"


@dataclass(frozen=True)
class Task:
    """One attempt at one item.

    Attributes
    ----------
    chain : callable
        The user's.
    item : object
        Its item.
    machineid : str
        The workflow's.
    node : str or None
        The node that was chosen.
    sources : tuple of TopologySource
        What is known of the sites.
    options : mapping
        The workflow's further options.
    patience : float
        Seconds for which a busy server is waited out.
    journal : str or None
        The workflow's journal; a file that is there is gone on with.
    keeper : str or None
        A file beside the journals, which has to be there.
    home : str
        Names the process that waits for the result.
    """

    chain: Chain
    item: Any
    machineid: str
    node: str | None
    sources: tuple[TopologySource, ...]
    options: Mapping[str, Any]
    patience: float
    journal: str | None = None
    keeper: str | None = None
    home: str = field(default_factory=_here)

    def open(self) -> Workflow:
        """Make the chain's workflow, or take up the one of its journal."""
        # Of one source that many shared, only the first would hear of a change.
        options = {**self.options, "topology": [copy.copy(source) for source in self.sources]}
        if self.journal is None:
            workflow = Workflow(self.machineid, node=self.node, **options)
        elif _holds_something(self.journal, self.keeper):
            taken = {name: options[name] for name in _RESUMED if name in options}
            workflow = _resumed(self.journal, taken)
        else:
            workflow = Workflow(self.machineid, node=self.node, journal=self.journal, **options)
        workflow.session.busy_patience = self.patience
        return workflow


_RESUMED = ("topology", "timeout", "deadline")


@dataclass
class Outcome:
    """What became of a task.

    Attributes
    ----------
    value, error : object
        What the chain returned or raised.
    ran : bool
        Whether anything may have been executed.
    lost : bool
        Whether it ended because its node did not answer.
    node : str or None
        The workflow's, as far as is known.
    machineid : str
        The workflow's.
    started, ended : float
        Seconds since the epoch, by the clock of where it ran.
    sources : tuple of TopologySource
        What the workflow learned of sites, where nothing was known.
    trace : str
        The traceback of an error, which does not travel by itself.
    """

    value: Any = None
    error: BaseException | None = None
    ran: bool = False
    lost: bool = False
    node: str | None = None
    machineid: str = ""
    started: float = 0.0
    ended: float = 0.0
    sources: tuple[TopologySource, ...] = ()
    trace: str = ""


class RemoteTraceback(Exception):
    """Where a chain failed in another process: the cause of the error that came from there."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def run(task: Task) -> Outcome | bytes:
    """Run a chain; to another process the outcome goes as bytes."""
    outcome = _run(task)
    return outcome if task.home == _here() else _packed(outcome)


def outcome_of(result: Outcome | bytes) -> Outcome:
    """Return the outcome that `run` gave here or in another process."""
    if isinstance(result, Outcome):
        return result
    outcome: Outcome = pickle.loads(result)  # noqa: S301  # our own worker made it
    if outcome.error is not None and outcome.trace:
        outcome.error.__cause__ = RemoteTraceback(outcome.trace)
    return outcome


def end_here(machineid: str) -> None:
    """Close a chain's workflow, if it runs in this process: its next request raises."""
    with _LOCK:
        workflow = _RUNNING.get(machineid)
        if workflow is None:
            _UNWANTED.add(machineid)  # it may be about to begin
    if workflow is not None:
        _refuse(workflow)


def ended_here(machineid: str) -> None:
    """Forget a chain that has ended."""
    with _LOCK:
        _UNWANTED.discard(machineid)


def running_here(machineid: str) -> Workflow | None:
    """Return a chain's workflow, if it runs in this process."""
    with _LOCK:
        return _RUNNING.get(machineid)


def _resumed(journal: str, options: Mapping[str, Any]) -> Workflow:
    """Take up a workflow; wait for a chain that was interrupted, and ends at its next request."""
    end = time.monotonic() + LOCKED_FOR
    while True:
        try:
            return Workflow.resume(journal, replay=True, **options)
        except JournalLocked:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _refuse(workflow: Workflow) -> None:
    """Have the next request raise; the answer to the last one is still read, and noted."""
    workflow.session.affinity.closed = True


def _holds_something(journal: str, keeper: str | None) -> bool:
    """Tell whether a journal was begun; raise if its directory is not the one meant."""
    if keeper is not None and not Path(keeper).is_file():
        raise JournalError(
            f"process {os.getpid()}, which is to run the chain, does not see the journal's "
            f"directory {os.fspath(Path(keeper).parent)!r}; give one that every worker sees under "
            "that name, or use threads"
        )
    try:
        return Path(journal).stat().st_size > 0
    except OSError:
        return False


def _run(task: Task) -> Outcome:
    outcome = Outcome(node=task.node, machineid=task.machineid, started=time.time())
    try:
        workflow = task.open()
    except Exception as error:  # noqa: BLE001  # it is the item's result
        return _failed(outcome, error, task)
    outcome.machineid = workflow.machineid
    with _LOCK:
        _RUNNING[task.machineid] = workflow
        unwanted = task.machineid in _UNWANTED
    if unwanted:
        _refuse(workflow)
    try:
        with workflow:
            outcome.value = task.chain(workflow, task.item)
    except Exception as error:  # noqa: BLE001  # it is the item's result
        _failed(outcome, error, task)
    finally:
        with _LOCK:
            _RUNNING.pop(task.machineid, None)
        outcome.node = workflow.node
        outcome.ran = any(step.ran for step in workflow.steps)
        outcome.ended = time.time()
        if not task.sources:
            outcome.sources = workflow.session.pin.sources
    return outcome


def _failed(outcome: Outcome, error: Exception, task: Task) -> Outcome:
    outcome.error, outcome.ended = error, time.time()
    outcome.lost = is_loss(error, task.node)
    return outcome


def is_loss(error: BaseException, node: str | None) -> bool:
    """Tell whether an error, or what caused it, says that the node did not answer.

    Parameters
    ----------
    error : BaseException
        What a chain raised.
    node : str or None
        The chain's; None where nodes are not known.
    """
    for cause in _causes(error):
        if isinstance(cause, _LOST) and getattr(cause, "node", None) in (node, None):
            return True
        if isinstance(cause, ServiceUnreachable) and node is not None and cause.node == node:
            return True
    return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _packed(outcome: Outcome) -> bytes:
    """Pickle an outcome so that it can be read where it is waited for."""
    if outcome.error is not None:
        outcome.trace = "".join(traceback.format_exception(outcome.error))
    try:
        packed = pickle.dumps(outcome)
        pickle.loads(packed)  # noqa: S301  # made one line above
    except Exception as problem:  # noqa: BLE001  # whatever the user's classes raise
        what = outcome.value if outcome.error is None else outcome.error
        said = f"{type(what).__name__}: {what}" if outcome.error is not None else repr(type(what))
        outcome.value, outcome.error = (
            None,
            ChainFailed(
                f"{said[:2000]} cannot travel between processes ({problem}); have the chain "
                "return, or raise, what pickle can hold: text, numbers, paths"
            ),
        )
        packed = pickle.dumps(outcome)
    return packed

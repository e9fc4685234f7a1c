"""One attempt at one item: a task that travels to its executor, and an outcome that returns.

A task may run in a thread, in another process or on a Dask worker, and needs only this package
there. Another process returns the outcome as pickled bytes, after a trial of reading them, so that
an outcome that cannot be read fails its own item and not the whole pool.
"""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import secrets
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
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
    message_of,
)
from ..topology import TopologySource
from ..workflow import Workflow, known_sources, stop_sending

Chain = Callable[[Workflow, Any], Any]

LOCKED_FOR = 15.0
"""Seconds to wait for the journal of an interrupted chain, which frees it at its next request."""

_LOST = (AffinityLost, BackendUnavailable, ExecuteOutcomeUnknown, StatusLost, UnknownNode)
_RESUMED = ("topology", "timeout", "deadline", "patience")

_TOKEN = secrets.token_hex(8)
_LOCK = threading.Lock()
_RUNNING: dict[str, Workflow] = {}
_UNWANTED: set[str] = set()


def _here() -> str:
    return f"{_TOKEN}-{os.getpid()}"


@dataclass(frozen=True)
class Task:
    """One attempt at one item."""

    chain: Chain
    item: Any
    machineid: str
    node: str | None
    sources: tuple[TopologySource, ...]
    options: Mapping[str, Any]
    journal: str | None = None
    """The workflow's journal; a file with lines is continued."""
    batch_journal: str | None = None
    """A file that exists if this process sees the same journal directory."""
    home: str = field(default_factory=_here)
    """The process that waits for the outcome."""

    def open(self) -> Workflow:
        """Make the chain's workflow, or resume the one of its journal."""
        # If workflows shared a source, only the first would notice that the topology changed.
        options = {**self.options, "topology": [copy.copy(source) for source in self.sources]}
        if self.journal is not None and self._is_begun(self.journal):
            kept = {name: options[name] for name in _RESUMED if name in options}
            return _resume(self.journal, kept)
        return Workflow(self.machineid, node=self.node, journal=self.journal, **options)

    def _is_begun(self, journal: str) -> bool:
        if self.batch_journal is not None and not Path(self.batch_journal).is_file():
            raise JournalError(
                f"process {os.getpid()}, which is to run the chain, does not see the journal's "
                f"directory {os.fspath(Path(self.batch_journal).parent)!r}. Use a directory that "
                "every worker sees under the same name, or use threads"
            )
        try:
            return Path(journal).stat().st_size > 0
        except OSError:
            return False


def _resume(journal: str, options: Mapping[str, Any]) -> Workflow:
    end = time.monotonic() + LOCKED_FOR
    while True:
        try:
            return Workflow.resume(journal, replay=True, **options)
        except JournalLocked:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


@dataclass
class Outcome:
    """The result of a task."""

    value: Any = None
    error: BaseException | None = None
    ran: bool = False
    """Whether anything may have been executed, if its node was lost."""
    lost: bool = False
    """Whether it ended because its node did not answer."""
    node: str | None = None
    machineid: str = ""
    started: float = 0.0
    """Seconds since the epoch, like `ended`, by the clock of the machine that ran it."""
    ended: float = 0.0
    sources: tuple[TopologySource, ...] = ()
    """The topologies that the workflow found, if none was known before."""
    trace: str = ""
    """The traceback of the error, which pickle does not include."""

    @classmethod
    def failed(cls, error: BaseException, node: str | None = None, machineid: str = "") -> Outcome:
        """Return the outcome of a chain that failed outside of the task."""
        now = time.time()
        return cls(error=error, node=node, machineid=machineid, started=now, ended=now)

    @property
    def run(self) -> dict[str, Any]:
        """Where and when it ran."""
        return {name: getattr(self, name) for name in ("machineid", "node", "started", "ended")}


class RemoteTraceback(Exception):
    """The traceback of an error in another process, set as the error's cause."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def run(task: Task) -> Outcome | bytes:
    """Run a chain; the outcome is bytes if another process waits for it."""
    outcome = _run(task)
    return outcome if task.home == _here() else _packed(outcome)


def outcome_of(result: Outcome | bytes) -> Outcome:
    """Return the outcome that `run` returned here or in another process."""
    if isinstance(result, Outcome):
        return result
    outcome: Outcome = pickle.loads(result)  # noqa: S301  # our own worker made it
    if outcome.error is not None and outcome.trace:
        outcome.error.__cause__ = RemoteTraceback(outcome.trace)
    return outcome


def _run(task: Task) -> Outcome:
    outcome = Outcome(node=task.node, machineid=task.machineid, started=time.time())
    try:
        _refuse_repetition(task)
        with task.open() as workflow, _known_here(task.machineid, workflow):
            try:
                outcome.value = task.chain(workflow, task.item)
            finally:
                outcome.machineid, outcome.node = workflow.machineid, workflow.node
                outcome.ran = any(step.ran for step in workflow.steps)
                if not task.sources:
                    outcome.sources = known_sources(workflow)
    except Exception as error:  # noqa: BLE001  # it is the item's result
        outcome.error, outcome.lost = error, is_loss(error, task.node)
    outcome.ended = time.time()
    return outcome


def _refuse_repetition(task: Task) -> None:
    """Raise if a Dask worker began this chain and died; only a journal knows what it sent.

    The scheduler remembers each chain that began, because Dask starts it again without a word.
    """
    distributed = sys.modules.get("distributed")
    if task.journal is not None or distributed is None:
        return
    try:
        distributed.get_worker()
    except ValueError:  # not a worker of Dask
        return
    begun = distributed.Event(f"pavics-affinity-{task.machineid}")
    if begun.is_set():
        raise ChainFailed(
            f"the Dask worker that ran this chain died, and Dask started the chain again on "
            f"process {os.getpid()}. It was not run again, because what it had sent may have "
            "been executed. Pass journal= to map_workflows, and the chain continues instead",
            machineid=task.machineid,
            node=task.node,
        )
    begun.set()


def is_loss(error: BaseException, node: str | None) -> bool:
    """Return whether an error, or one of its causes, shows that the chain's node did not answer."""
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
    """Pickle an outcome so that the waiting process can read it."""
    if outcome.error is not None:
        outcome.trace = "".join(traceback.format_exception(outcome.error))
    try:
        packed = pickle.dumps(outcome)
        pickle.loads(packed)  # noqa: S301  # made one line above
    except Exception as problem:  # noqa: BLE001  # whatever the user's classes raise
        if outcome.error is None:
            what = repr(type(outcome.value))
        else:
            what = f"{type(outcome.error).__name__}: {message_of(outcome.error)}"
        outcome.value = None
        outcome.error = ChainFailed(
            f"{what[:2000]} cannot travel between processes ({message_of(problem)}); have the "
            "chain return, or raise, what pickle can hold: text, numbers, paths"
        )
        packed = pickle.dumps(outcome)
    return packed


def with_advice(error: BaseException) -> BaseException:
    """Add to an error of the pool a note on what to do."""
    if isinstance(error, BrokenProcessPool):
        # All its futures share one error: each item gets a copy, with its own notes.
        error = BrokenProcessPool(*error.args).with_traceback(error.__traceback__)
        error.add_note(
            "a worker process ended abruptly: it was killed, or it cannot import the chain "
            "function. Define that in a module, not in a notebook or at the prompt, and guard a "
            "script's start with if __name__ == '__main__'"
        )
    elif isinstance(error, pickle.PicklingError | TypeError | AttributeError):
        error.add_note(
            "an item, the chain or its value could not travel to another process; use what pickle "
            "can hold: text, numbers, paths, functions of a module"
        )
    return error


# ---- the chains that run in this process ----


@contextlib.contextmanager
def _known_here(machineid: str, workflow: Workflow) -> Iterator[None]:
    with _LOCK:
        _RUNNING[machineid] = workflow
        unwanted = machineid in _UNWANTED
    if unwanted:
        stop_sending(workflow)
    try:
        yield
    finally:
        with _LOCK:
            del _RUNNING[machineid]


def running_here(machineid: str) -> Workflow | None:
    """Return a chain's workflow, if it runs in this process."""
    with _LOCK:
        return _RUNNING.get(machineid)


def end_here(machineid: str) -> None:
    """Make the next request of a chain raise, if it runs in this process."""
    with _LOCK:
        workflow = _RUNNING.get(machineid)
        if workflow is None:
            _UNWANTED.add(machineid)  # it may be about to start
    if workflow is not None:
        stop_sending(workflow)


def ended_here(machineid: str) -> None:
    """Forget a chain that has ended."""
    with _LOCK:
        _UNWANTED.discard(machineid)


class DaemonThreads(Executor):
    """The default executor: starts each call at once, in its own daemon thread.

    The batch limits how many run at a time. Unlike the threads of a
    `concurrent.futures.ThreadPoolExecutor`, these do not delay the end of an interrupted
    program.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a call, and return its future."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()

        def call() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  # as any executor does
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=call, name="pavics-affinity-chain", daemon=True).start()
        return future

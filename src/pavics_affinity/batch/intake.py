"""Read the items of a batch in a separate thread, one ahead of the chains.

An iterable that blocks or never ends does not delay the chains that have started.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from .chains import WorkflowResult
from .journal import BatchJournal, Entry
from .task import end_here


@dataclass(frozen=True)
class Restarts:
    """How often a chain may start again on another node after its node was lost."""

    declared: int
    """The caller's limit, for a chain that may have executed something."""
    unexecuted: int = 5
    """For a chain that has executed nothing."""

    def spend(self, *, ran: bool) -> Restarts | None:
        """Return what is left after one more restart; None if the chain may not restart.

        `ran` is whether the chain may have executed something.
        """
        if not ran and self.unexecuted:
            return replace(self, unexecuted=self.unexecuted - 1)
        if self.declared:
            return replace(self, declared=self.declared - 1)
        return None


@dataclass(eq=False)
class Work:
    """An item, from reading it to returning its result."""

    number: int
    item: Any
    restarts: Restarts
    entry: Entry | None = None
    """Its entry in the batch's journal, if there is a journal."""
    attempts: int = 0
    avoid: set[str] = field(default_factory=set)
    """Nodes that were lost while it ran there."""
    waiting_since: float | None = None
    """When its node stopped answering."""

    @property
    def is_resumed(self) -> bool:
        """Whether the next attempt continues what an earlier call began."""
        return self.entry is not None and self.entry.begun

    @property
    def node(self) -> str | None:
        """The node that has the files of an earlier call."""
        return None if self.entry is None else self.entry.node

    def restart(self, *, ran: bool) -> bool:
        """Let the next attempt be a new workflow, if that is allowed; return whether it is."""
        left = self.restarts.spend(ran=ran)
        if left is None:
            return False
        self.restarts = left
        if self.entry is not None:
            self.entry.machineid = self.entry.node = None
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


@dataclass
class Backlog:
    """The items that have not started."""

    next: Work | None = None
    """A new item, read ahead."""
    waiting: deque[Work] = field(default_factory=deque)
    """Items that start again or are resumed, each when its node has room."""
    requested: bool = False
    exhausted: bool = False

    @property
    def all_started(self) -> bool:
        """Whether there are no more new items."""
        return self.exhausted and self.next is None

    def take_next(self) -> Work | None:
        """Return the new item, if one was read."""
        work, self.next = self.next, None
        return work


class Intake:
    """Reads items one at a time, on request, and looks them up in the journal.

    The intake's thread calls `deliver` with each item. The second argument is the result of
    an earlier call, the error of looking it up, or None. It calls `ended` once, when the
    items are exhausted or reading them failed.
    """

    def __init__(
        self,
        items: Iterator[Any],
        journal: BatchJournal | None,
        restarts: Restarts,
        deliver: Callable[[Work, WorkflowResult | Exception | None], None],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        self._items = items
        self._journal = journal
        self._restarts = restarts
        self._deliver = deliver
        self._ended = ended
        self._wanted = threading.Semaphore(0)
        self._closed = False

    def start(self) -> None:
        """Read an item for each `request` from now on."""
        threading.Thread(target=self._run, name="pavics-affinity-items", daemon=True).start()

    def request(self) -> None:
        """Ask for one more item."""
        self._wanted.release()

    def close(self) -> None:
        """Stop reading; an iterable that blocks stays blocked in its thread."""
        self._closed = True
        self._wanted.release()

    def _run(self) -> None:
        number = 0
        while self._wanted.acquire() and not self._closed:
            try:
                item = next(self._items)
            except StopIteration:
                return self._ended(None)
            except BaseException as error:  # noqa: BLE001  # the caller raises it
                return self._ended(error)
            number += 1
            work = Work(number, item, self._restarts)
            self._deliver(work, self._recall(work))
        return None

    def _recall(self, work: Work) -> WorkflowResult | Exception | None:
        if self._journal is None:
            return None
        try:
            found = self._journal.look_up(work.number, work.item)
        except Exception as error:  # noqa: BLE001  # it costs this item only
            return error
        if isinstance(found, WorkflowResult):
            return found
        work.entry = found
        return None

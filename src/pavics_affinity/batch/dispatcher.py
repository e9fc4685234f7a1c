"""Start the chains of a batch: one thread decides, and the others report to it.

Events of other threads (an item was read, a chain ended, a lost node answers, the caller
took a result) go into the dispatcher's inbox as calls, which its thread makes. So only
that thread writes the state of a batch.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

from ..errors import UnevenLoadWarning
from ..machineid import mint_machineid
from .intake import Attempt, Work, read_items
from .journal import BatchJournal
from .recovery import LostNodes
from .reporting import End, Reporter, WorkflowResult
from .scheduler import Scheduler
from .task import Chain, Outcome, Task, ended_here, outcome_of, with_advice
from .task import run as run_task

GRACE = 2.0
"""Seconds to wait for answers that are on their way when a batch is closed."""

WINDOW = 1_000
"""Results that may wait for the caller before no more chains are started."""

_TICK = 1.0
"""Seconds after which waiting chains are looked at again."""


class Dispatcher:
    """One batch.

    If it `stops` at an error, no new items start until the caller continues.
    """

    def __init__(
        self,
        chain: Chain,
        items: Iterator[Any],
        executor: Executor,
        scheduler: Scheduler,
        journal: BatchJournal | None,
        *,
        options: Mapping[str, Any],
        restarts: int,
        stops: bool,
    ) -> None:
        self.scheduler = scheduler
        self.journal = journal
        self.reporter = Reporter()
        self._chain = chain
        self._executor = executor
        self._options = options
        self._stops = stops
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._lost = LostNodes(
            scheduler, options["patience"], options, partial(self._post, scheduler.lost.discard)
        )
        self._next: Work | None = None  # a new item, read ahead
        self._reading = False  # an item was requested, and has not come
        self._exhausted = False
        self._waiting: deque[Work] = deque()  # start again, or are resumed, when there is room
        self._attempts: set[Attempt] = set()
        self._failure: BaseException | None = None
        self._paused = False
        self._closed = False
        self._nodes_learned = False
        self._thread = threading.Thread(target=self._run, name="pavics-affinity-batch", daemon=True)
        self._reader = threading.Thread(
            target=read_items,
            args=(items, restarts, self._wanted, self._look_up, partial(self._post, self._exhaust)),
            name="pavics-affinity-items",
            daemon=True,
        )

    # ---- called by the caller's thread ----

    @property
    def started(self) -> bool:
        """Whether the caller has requested the first result."""
        return self._thread.ident is not None

    @property
    def attempts(self) -> list[Attempt]:
        """The chains that run or wait in the executor, in the order of their items."""
        running = [attempt for attempt in list(self._attempts) if not attempt.future.done()]
        return sorted(running, key=lambda attempt: attempt.work.number)

    def start(self) -> None:
        """Read the first items and start their chains."""
        self._thread.start()
        self._reader.start()

    def taken(self) -> None:
        """Note that the caller has a result."""
        self._post(self.reporter.taken)

    def proceed(self) -> None:
        """Start new items again after an error."""
        self._post(self._proceed)

    def close(self) -> None:
        """Stop sending, end the chains that run in this process, and release the journal."""
        self._end()
        self._post(_wake)
        for attempt in list(self._attempts):
            attempt.end()
        if not self.started:
            self._release()
        elif threading.current_thread() is not self._thread:
            self._thread.join(GRACE)

    # ---- the loop ----

    def _run(self) -> None:
        try:
            while not self._is_over():
                self._start_chains()
                if not self._is_over():
                    self._next_event()()
        except BaseException as unexpected:  # noqa: BLE001  # the caller raises it
            self._failure = unexpected
        finally:
            self._end()
            self._release()
        self.reporter.announce(End(self._failure))

    def _is_over(self) -> bool:
        if self._closed:
            return True
        no_new_items = self._failure is not None or (self._exhausted and self._next is None)
        return no_new_items and not self._waiting and not self._attempts

    def _next_event(self) -> Callable[[], None]:
        waits = self._waiting or self._next is not None
        try:
            return self._inbox.get(timeout=_TICK if waits else None)
        except queue.Empty:
            return _wake

    def _post(self, event: Callable[..., None], *arguments: Any) -> None:
        """Have the dispatcher's thread make a call; for all threads."""
        self._inbox.put(partial(event, *arguments))

    def _end(self) -> None:
        self._closed = True
        self._wanted.put(False)
        self._lost.close()

    def _release(self) -> None:
        if self.journal is not None:
            self.journal.close()

    # ---- called by other threads ----

    def _look_up(self, work: Work) -> None:
        """Look for an item in the journal, in the thread that read it."""
        try:
            found = None if self.journal is None else self.journal.look_up(work)
        except Exception as error:  # noqa: BLE001  # it costs this item only
            # This frame must not hold the error, which holds this frame.
            self._post(self._accept, work, error)
        else:
            self._post(self._accept, work, found)

    def _report(self, attempt: Attempt, _: Future[Any]) -> None:
        """Report the end of a chain, in the thread that saw it."""
        ended_here(attempt.machineid)
        self._post(self._land, attempt)

    # ---- events, in the dispatcher's thread ----

    def _proceed(self) -> None:
        self._paused = False

    def _accept(self, work: Work, found: WorkflowResult | Exception | None) -> None:
        """Accept an item that was read."""
        self._reading = False
        if isinstance(found, WorkflowResult):
            self.reporter.recall(found)
        elif isinstance(found, Exception):
            self._give(work, Outcome.failed(found))
        elif work.is_resumed:
            self._waiting.append(work)
        else:
            self._next = work

    def _exhaust(self, error: BaseException | None) -> None:
        """Note that there are no more items, or that reading them failed."""
        self._exhausted = True
        self._failure = self._failure or error

    def _land(self, attempt: Attempt) -> None:
        """Handle a chain that ended or was withdrawn."""
        self._attempts.discard(attempt)
        self.scheduler.end(attempt.node)
        work = attempt.work
        if attempt.withdrawn:
            work.attempts -= 1
            self._waiting.append(work)
            return
        try:
            outcome = outcome_of(attempt.future.result())
        except (KeyboardInterrupt, SystemExit) as interrupt:
            self._failure = interrupt
            return
        except BaseException as error:  # noqa: BLE001  # it is the item's result
            outcome = Outcome.failed(with_advice(error), attempt.node, attempt.machineid)
        self._learn_nodes(outcome)
        if outcome.lost and attempt.node is not None:
            self._lose(attempt.node)
        restarts = outcome.lost and work.restart(ran=outcome.ran)
        self.reporter.ended(work, outcome, restarts=restarts)
        if restarts:
            if attempt.node is not None:
                work.avoid.add(attempt.node)
            self._waiting.append(work)
        else:
            self._give(work, outcome)

    # ---- starting chains ----

    def _start_chains(self) -> None:
        self.scheduler.nodes.renew()
        outage = self._lost.outage(busy=bool(self._attempts))
        if outage is not None and self._failure is None:
            self._drop_waiting(outage)
        self._start_waiting()
        while not (self._paused or self._failure or self._closed or self._is_full()):
            place = self.scheduler.choose()
            if place is None:
                return
            if self._next is None:
                if not self._reading:
                    self._reading = True
                    self._wanted.put(True)
                return
            work, self._next = self._next, None
            self._start(work, *place)

    def _start_waiting(self) -> None:
        """Start the items that lost a node or are resumed, before new ones."""
        for work in list(self._waiting):
            place = self._place(work)
            if place is not None:
                self._waiting.remove(work)
                self._start(work, *place)
            elif (overdue := self._lost.overdue(work)) is not None:
                self._waiting.remove(work)
                self._give(work, Outcome.failed(overdue, work.node))

    def _is_full(self) -> bool:
        return self.reporter.unread >= WINDOW or len(self._waiting) >= WINDOW

    def _place(self, work: Work) -> tuple[str | None] | None:
        if work.is_resumed and work.node in self.scheduler.lost:
            work.restart(ran=True)
        if not work.is_resumed:
            return self.scheduler.choose(work.avoid)
        return (work.node,) if self.scheduler.has_room(work.node) else None

    def _start(self, work: Work, node: str | None) -> None:
        work.attempts += 1
        work.waiting_since = None
        task = self._task(work, node)
        try:
            future = self._executor.submit(run_task, task)
        except Exception as error:  # noqa: BLE001  # a pool that is shut down or broken
            self._waiting.append(work)
            self._drop_waiting(with_advice(error))
            return
        attempt = Attempt(work, task.machineid, node, future)
        self._attempts.add(attempt)
        self.scheduler.begin(node)
        self.reporter.started(attempt)
        future.add_done_callback(partial(self._report, attempt))
        if self._closed:  # meanwhile
            attempt.end()

    def _task(self, work: Work, node: str | None) -> Task:
        files: dict[str, str] = {}
        if self.journal is not None:
            files["journal"] = str(self.journal.next_file(work))
            files["batch_journal"] = str(self.journal.path)
        return Task(
            chain=self._chain,
            item=work.item,
            machineid=work.machineid or mint_machineid(),
            node=node,
            sources=self.scheduler.nodes.sources,
            options=self._options,
            **files,
        )

    def _give(self, work: Work, outcome: Outcome) -> None:
        """Give the caller an item's result, as a later call will read it from the journal."""
        if self.journal is not None and work.key:
            outcome = self.journal.end(work, outcome)
        self.reporter.give(work, outcome)
        if outcome.error is not None and self._stops:
            self._paused = True

    def _drop_waiting(self, failure: BaseException) -> None:
        """End the batch: return the items that cannot continue as errors."""
        self._failure = failure
        waiting = list(self._waiting)
        self._waiting.clear()
        for work in waiting:
            self._give(work, Outcome.failed(failure))

    # ---- nodes ----

    def _lose(self, node: str) -> None:
        if not self._lost.lose(node):
            return
        for attempt in list(self._attempts):
            if attempt.node == node:
                attempt.withdrawn = attempt.future.cancel()

    def _learn_nodes(self, outcome: Outcome) -> None:
        """Use the topology that the first chain's proxy published; warn if none did."""
        if self._nodes_learned or self.scheduler.nodes.weights:
            return
        self._nodes_learned = True
        if not self.scheduler.learn(outcome.sources):
            self.reporter.announce(
                UnevenLoadWarning(
                    f"{self.scheduler.nodes.reason}, so the proxy's hash over random machineids "
                    f"chooses the nodes, with at most {self.scheduler.in_all} chains at a time in "
                    "all. Pass topology= to have the nodes share the work evenly"
                )
            )


def _wake() -> None:
    """Wake the dispatcher's loop: something has changed."""

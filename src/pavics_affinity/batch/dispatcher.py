"""Start the chains of a batch: one thread decides, and the others report to it.

Events of other threads (an item was read, a chain ended, a lost node answers, the caller
took a result) go into the dispatcher's inbox as calls, which its thread makes. So only
that thread writes the state of a batch.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import UnevenLoadWarning
from ..machineid import mint_machineid
from .chains import WorkflowResult
from .intake import Attempt, Backlog, Intake, Restarts, Work
from .journal import BatchJournal
from .recovery import LostNodes
from .reporting import WINDOW, End, Reporter
from .scheduler import CandidateNodes, Scheduler
from .task import Chain, Outcome, Task, ended_here, outcome_of, with_advice
from .task import run as run_task

GRACE = 2.0
"""Seconds to wait for answers that are on their way when a batch is closed."""

_TICK = 1.0
"""Seconds after which waiting chains are looked at again."""


@dataclass(frozen=True)
class Plan:
    """The settings of a batch's chains."""

    chain: Chain
    options: Mapping[str, Any]
    """Options of every workflow."""
    patience: float
    """Seconds to wait for a site, or for a node with the files of an earlier call."""
    restarts: Restarts
    stops: bool
    """Whether an error keeps new items from starting until the caller continues."""


class Dispatcher:
    """One batch."""

    def __init__(
        self,
        plan: Plan,
        items: Iterator[Any],
        executor: Executor,
        nodes: CandidateNodes,
        scheduler: Scheduler,
        journal: BatchJournal | None,
    ) -> None:
        self.scheduler = scheduler
        self.reporter = Reporter(journal)
        self._plan = plan
        self._executor = executor
        self._nodes = nodes
        self._backlog = Backlog()
        self._attempts: set[Attempt] = set()
        self._failure: BaseException | None = None
        self._paused = False
        self._closed = False
        self._nodes_learned = False
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._intake = Intake(
            items,
            journal,
            plan.restarts,
            deliver=lambda work, found: self._inbox.put(partial(self._accept, work, found)),
            ended=lambda error: self._inbox.put(partial(self._exhaust, error)),
        )
        self._lost = LostNodes(
            scheduler,
            plan.patience,
            plan.options,
            found=lambda node: self._inbox.put(partial(scheduler.lost.discard, node)),
        )
        self._thread = threading.Thread(target=self._run, name="pavics-affinity-batch", daemon=True)

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
        self._intake.start()

    def taken(self) -> None:
        """Note that the caller has a result."""
        if self.reporter.taken():
            self._inbox.put(_wake)

    def proceed(self) -> None:
        """Start new items again after an error."""
        self._inbox.put(self._proceed)

    def close(self) -> None:
        """Stop sending, and end the chains that run in this process."""
        self._closed = True
        self._inbox.put(_wake)
        self._intake.close()
        self._lost.close()
        for attempt in list(self._attempts):
            attempt.end()
        if not self.started:
            self.reporter.close()

    def join(self) -> None:
        """Wait until the journal's directory is free for others."""
        if self.started and threading.current_thread() is not self._thread:
            self._thread.join(GRACE)

    # ---- the loop ----

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            while not self._is_over():
                self._start_chains()
                if not self._is_over():
                    self._next_event()()
        except BaseException as unexpected:  # noqa: BLE001  # the caller raises it
            error = unexpected
        finally:
            self._closed = True
            self._intake.close()
            self._lost.close()
            self.reporter.close()
        self.reporter.announce(End(error or self._failure))

    def _is_over(self) -> bool:
        if self._closed:
            return True
        no_new_items = self._failure is not None or self._backlog.all_started
        return no_new_items and not self._backlog.waiting and not self._attempts

    def _next_event(self) -> Callable[[], None]:
        waits = self._backlog.waiting or self._backlog.next is not None
        try:
            return self._inbox.get(timeout=_TICK if waits else None)
        except queue.Empty:
            return _wake

    # ---- events, in the dispatcher's thread ----

    def _proceed(self) -> None:
        self._paused = False

    def _accept(self, work: Work, found: WorkflowResult | Exception | None) -> None:
        """Accept an item that was read."""
        self._backlog.requested = False
        if isinstance(found, WorkflowResult):
            self.reporter.recall(found)
        elif isinstance(found, Exception):
            self._give(work, Outcome.failed(found))
        elif work.is_resumed:
            self._backlog.waiting.append(work)
        else:
            self._backlog.next = work

    def _exhaust(self, error: BaseException | None) -> None:
        """Note that there are no more items, or that reading them failed."""
        self._backlog.requested, self._backlog.exhausted = False, True
        self._failure = self._failure or error

    def _land(self, attempt: Attempt) -> None:
        """Handle a chain that ended or was withdrawn."""
        self._attempts.discard(attempt)
        self.scheduler.end(attempt.node)
        work = attempt.work
        if attempt.withdrawn:
            work.attempts -= 1
            self._backlog.waiting.append(work)
            return
        try:
            outcome = outcome_of(attempt.future.result())
        except (KeyboardInterrupt, SystemExit) as interrupt:
            self._failure = interrupt
            return
        except BaseException as error:  # noqa: BLE001  # it is the item's result
            outcome = Outcome.failed(with_advice(error), node=attempt.node, ran=True)
        outcome.machineid = outcome.machineid or attempt.machineid
        outcome.started = outcome.started or outcome.ended
        self._learn_nodes(outcome)
        if outcome.lost and attempt.node is not None:
            self._lose(attempt.node)
        restarts = outcome.lost and work.restart(ran=outcome.ran)
        self.reporter.ended(work, outcome, restarts=restarts)
        if restarts:
            if attempt.node is not None:
                work.avoid.add(attempt.node)
            self._backlog.waiting.append(work)
        else:
            self._give(work, outcome)

    # ---- starting chains ----

    def _start_chains(self) -> None:
        if self._nodes.renew():
            self.scheduler.weights = self._nodes.weights
        outage = self._lost.outage(busy=bool(self._attempts))
        if outage is not None and self._failure is None:
            self._drop_waiting(outage)
        self._start_waiting()
        while not (self._paused or self._failure or self._closed or self._is_full()):
            place = self.scheduler.choose()
            if place is None:
                return
            work = self._backlog.take_next()
            if work is None:
                self._request_item()
                return
            self._start(work, *place)

    def _request_item(self) -> None:
        if not self._backlog.requested and not self._backlog.exhausted:
            self._backlog.requested = True
            self._intake.request()

    def _start_waiting(self) -> None:
        """Start the items that lost a node or are resumed, before new ones."""
        waiting = self._backlog.waiting
        for work in list(waiting):
            place = self._place(work)
            if place is not None:
                waiting.remove(work)
                self._start(work, *place)
            elif (overdue := self._lost.overdue(work)) is not None:
                waiting.remove(work)
                self._give(work, Outcome.failed(overdue, node=work.node))

    def _is_full(self) -> bool:
        return self.reporter.is_full or len(self._backlog.waiting) >= WINDOW

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
            self._backlog.waiting.append(work)
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
        entry = work.entry
        machineid = None if entry is None else entry.machineid
        files: dict[str, str] = {}
        journal = self.reporter.journal
        if journal is not None and entry is not None:
            files = {"journal": str(journal.next_file(entry)), "batch_journal": str(journal.path)}
        return Task(
            chain=self._plan.chain,
            item=work.item,
            machineid=machineid or mint_machineid(),
            node=node,
            sources=self._nodes.sources,
            options=self._plan.options,
            **files,
        )

    def _report(self, attempt: Attempt, _: Future[Any]) -> None:
        """Report the end of a chain, in the thread that saw it."""
        ended_here(attempt.machineid)
        self._inbox.put(partial(self._land, attempt))

    def _give(self, work: Work, outcome: Outcome) -> None:
        if self.reporter.give(work, outcome) and self._plan.stops:
            self._paused = True

    # ---- nodes ----

    def _lose(self, node: str) -> None:
        if not self._lost.lose(node, self._nodes):
            return
        for attempt in list(self._attempts):
            if attempt.node == node:
                attempt.withdrawn = attempt.future.cancel()

    def _drop_waiting(self, failure: BaseException) -> None:
        """End the batch: return the items that cannot continue as errors."""
        self._failure = failure
        waiting = list(self._backlog.waiting)
        self._backlog.waiting.clear()
        for work in waiting:
            self._give(work, Outcome.failed(failure))

    def _learn_nodes(self, outcome: Outcome) -> None:
        """Use the topology that the first chain's proxy published; warn if none did."""
        if self._nodes_learned or self.scheduler.weights:
            return
        self._nodes_learned = True
        if outcome.sources and not self._nodes.sources:
            direct = self._plan.options.get("route") == "direct"
            with contextlib.suppress(Exception):
                nodes = CandidateNodes(outcome.sources, direct=direct)
                if nodes.weights:
                    self._nodes = nodes
                    self.scheduler.weights = nodes.weights
                    return
        self.reporter.announce(
            UnevenLoadWarning(
                f"{self._nodes.reason}, so the proxy's hash over random machineids chooses the "
                f"nodes, with at most {self.scheduler.in_all} chains at a time in all. Pass "
                "topology= to have the nodes share the work evenly"
            )
        )


def _wake() -> None:
    """Wake the dispatcher's loop: something has changed."""

"""Sends the chains: one thread that decides, and hears of every end.

The items are read in a thread of their own, one ahead: an iterable that blocks, or
never ends, holds up nothing that was begun.
"""

from __future__ import annotations

import contextlib
import pickle
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

from ..errors import BackendUnavailable
from ..machineid import mint_machineid
from ..record.steps import ENDED
from ..workflow import Workflow
from .chains import ChainRun, Ledger, in_words, short
from .events import Answers, Broken, End, Ended, Entry, Flight, Item, NoMore, Plan, Remark, Wake
from .health import Watch
from .nodes import Nodes
from .recovery import Keep
from .result import WorkflowResult
from .scheduler import Share
from .task import Outcome, Task, end_here, ended_here, outcome_of, running_here
from .task import run as run_task

WINDOW = 1_000
"""Results that may wait for the caller before nothing more is begun."""

LISTED = 20
"""Chains that an interrupted batch lists."""

GRACE = 2.0
"""Seconds that an interrupted batch waits for the answers to Executes on their way."""

_SOON = 1.0


class Run:
    """One batch.

    Parameters
    ----------
    plan : Plan
        How.
    items : iterable
        What for; read in a thread of its own.
    executor : Executor
        Where the chains run.
    nodes : Nodes
        Which nodes there are.
    share : Share
        How they share the work.
    keep : Keep, optional
        The journal.

    Attributes
    ----------
    ledger : Ledger
        What was begun.
    outbox : SimpleQueue
        `WorkflowResult`, `Remark`, and at last `End` or `Broken`.
    begun : bool
        Whether it was.
    """

    def __init__(
        self,
        plan: Plan,
        items: Iterable[Any],
        executor: Executor,
        nodes: Nodes,
        share: Share,
        keep: Keep | None,
    ) -> None:
        self.ledger = Ledger()
        self.outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.begun = False
        self.share = share
        self._plan = plan
        self._nodes = nodes
        self._keep = keep
        self._executor = executor
        self._sources = plan.sources
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._wanted = threading.Semaphore(0)
        self._items = iter(items)
        self._asked = False
        self._next: Entry | None = None
        self._no_more = False
        self._count = 0
        self._flights: set[Flight] = set()
        self._again: deque[Entry] = deque()
        self._given = self._taken = 0
        self._paused = False
        self._closed = False
        self._stranded: float | None = None
        self._failure: BaseException | None = None
        self._remarked = False
        self._thread = threading.Thread(
            target=self._work, name="pavics-affinity-batch", daemon=True
        )
        self._watch = Watch(plan.sources, plan.options, lambda n: self._inbox.put(Answers(n)))

    # ---- what the caller may do ----

    def begin(self) -> None:
        """Start."""
        self.begun = True
        self._thread.start()
        threading.Thread(target=self._read, name="pavics-affinity-items", daemon=True).start()

    def taken(self) -> None:
        """Hear that the caller has a result."""
        self._taken += 1
        if self._given - self._taken == WINDOW - 1:
            self._inbox.put(Wake())

    def go_on(self) -> None:
        """Go on after an error."""
        if self._paused:
            self._paused = False
            self._inbox.put(Wake())

    def close(self) -> None:
        """Send nothing more, and end the chains that run in this process."""
        self._closed = True
        self._inbox.put(Wake())
        self._wanted.release()
        self._watch.close()
        for flight in list(self._flights):
            if flight.future is not None:
                flight.future.cancel()
            end_here(flight.machineid)
        if not self.begun and self._keep is not None:
            self._keep.close()

    def join(self) -> None:
        """Wait until the journal's directory is free for others."""
        if self.begun and threading.current_thread() is not self._thread:
            self._thread.join(GRACE)

    def interrupt(self) -> str:
        """Close; say where the chains that were running can be found again."""
        flights = [f for f in list(self._flights) if f.future is None or not f.future.done()]
        flights.sort(key=lambda flight: flight.entry.number)
        workflows = {flight: running_here(flight.machineid) for flight in flights}
        self.close()
        end = time.monotonic() + GRACE
        while any(_is_sending(w) for w in workflows.values()) and time.monotonic() < end:
            time.sleep(0.05)
        if not flights:
            return "map_workflows: nothing was running"
        lines = [f"map_workflows: nothing more is sent; {len(flights)} chains were running:"]
        for flight in flights[:LISTED]:
            node = f", node={flight.node!r}" if flight.node else ""
            jobs = "".join(f", job {url}" for url in _jobs(workflows[flight]))
            lines.append(
                f"  {short(flight.entry.item)}: Workflow({flight.machineid!r}{node}){jobs}"
            )
        if len(flights) > LISTED:
            lines.append(f"  and {len(flights) - LISTED} more: see .running")
        lines.append(
            "Call map_workflows again with the same journal to go on."
            if self._keep is not None
            else "Their jobs go on at the services: wf.wps(url).attach(job) finds one again. With "
            "journal=DIRECTORY a later call takes them up by itself."
        )
        return "\n".join(lines)

    def what_goes_on(self) -> str:
        """Say what becomes of the other chains after an error."""
        return (
            f"map_workflows: nothing more is begun; {len(self._flights)} chains run on, and cost "
            "nothing. Iterate over the same results again to go on with the others, or use "
            "on_error='return'"
        )

    # ---- the thread that decides ----

    def _work(self) -> None:
        try:
            while not self._over():
                self._send()
                if self._over():
                    break
                self._handle(self._hear())
            last: Any = End() if self._failure is None else Broken(self._failure)
        except BaseException as error:  # noqa: BLE001  # the caller raises it
            last = Broken(error)
        finally:
            self._watch.close()
            if self._keep is not None:
                self._keep.close()
        self._closed = True
        self._wanted.release()
        self.outbox.put(last)

    def _over(self) -> bool:
        if self._closed:
            return True
        nothing_to_send = self._failure is not None or (self._no_more and self._next is None)
        return nothing_to_send and not self._flights and not self._again

    def _hear(self) -> Any:
        waits = self._again or self._next is not None
        try:
            return self._inbox.get(timeout=_SOON if waits else None)
        except queue.Empty:
            return Wake()

    def _handle(self, event: Any) -> None:
        match event:
            case Item():
                self._asked = False
                self._take(event.item)
            case NoMore():
                self._asked, self._no_more = False, True
                self._failure = self._failure or event.error
            case Answers():
                self.share.find(event.node)
            case Ended():
                self._land(event.flight, event.future)

    # ---- the way out ----

    def _send(self) -> None:
        if self._nodes.renew():
            self.share.know(self._nodes.weights)
        self._look_for_nodes()
        for entry in list(self._again):
            node = self._place(entry)
            if node is not None:
                self._again.remove(entry)
                self._submit(entry, *node)
            elif self._too_long(entry):
                self._again.remove(entry)
                self._give_up(entry)
        while not (self._closed or self._paused or self._failure or self._full()):
            place = self.share.choose()
            if place is None:
                return
            entry_, self._next = self._next, None
            if entry_ is None:
                self._ask_for_item()
                return
            self._submit(entry_, *place)

    def _full(self) -> bool:
        return self._given - self._taken >= WINDOW or len(self._again) >= WINDOW

    def _place(self, entry: Entry) -> tuple[str | None] | None:
        if entry.known is not None and entry.restarts and entry.known.node in self.share.lost:
            entry.restarts -= 1
            entry.known = None
        if entry.known is None:
            return self.share.choose(entry.avoid)
        return (entry.known.node,) if self.share.has_room(entry.known.node) else None

    def _submit(self, entry: Entry, node: str | None) -> None:
        entry.attempt += 1
        entry.waiting = None
        known = entry.known
        machineid = mint_machineid() if known is None else known.machineid
        journal = keeper = None
        if self._keep is not None:
            path = self._keep.journal(entry.number, fresh=known is None)
            journal, keeper = str(path), str(self._keep.path)
        task = Task(
            chain=self._plan.chain,
            item=entry.item,
            machineid=machineid,
            node=node,
            sources=self._sources,
            options=self._plan.options,
            patience=self._plan.patience,
            journal=journal,
            keeper=keeper,
        )
        flight = Flight(entry, machineid, node)
        try:
            future = self._executor.submit(run_task, task)
        except Exception as error:  # noqa: BLE001  # a pool that is shut down or broken
            self._failure = _explained(error)
            self._again.append(entry)
            self._drop_waiting()
            return
        flight.future = future
        self._flights.add(flight)
        self.share.begin(node)
        self.ledger.put(
            ChainRun(entry.number, short(entry.item), machineid, node, entry.attempt, time.time())
        )
        future.add_done_callback(partial(_tell, self._inbox, flight))

    def _take(self, item: Any) -> None:
        self._count += 1
        entry = Entry(self._count, item, self._plan.restart)
        if self._keep is None:
            self._next = entry
            return
        try:
            known = self._keep.look_up(entry.number, item)
        except Exception as error:  # noqa: BLE001  # it costs this item only
            now = time.time()
            self._give(entry, Outcome(error=error, started=now, ended=now))
            return
        if isinstance(known, WorkflowResult):
            self._recall(known)
        elif known is not None:
            entry.known = known
            self._again.append(entry)
        else:
            self._next = entry

    def _ask_for_item(self) -> None:
        if not self._asked and not self._no_more:
            self._asked = True
            self._wanted.release()

    def _read(self) -> None:
        """Read the items, one at a time, when one is wanted."""
        while True:
            self._wanted.acquire()
            if self._closed:
                return
            try:
                event: Any = Item(next(self._items))
            except StopIteration:
                event = NoMore()
            except BaseException as error:  # noqa: BLE001  # the caller raises it
                event = NoMore(error)
            self._inbox.put(event)
            if isinstance(event, NoMore):
                return

    # ---- the way back ----

    def _land(self, flight: Flight, future: Future[Any]) -> None:
        self._flights.discard(flight)
        self.share.end(flight.node)
        entry = flight.entry
        if flight.taken_back:
            # It was waiting in the executor for a node that is lost: it was not begun.
            entry.attempt -= 1
            self._again.append(entry)
            return
        try:
            outcome = outcome_of(future.result())
        except (KeyboardInterrupt, SystemExit) as interrupt:
            self._failure = interrupt
            return
        except BaseException as error:  # noqa: BLE001  # it is the item's result
            outcome = Outcome(error=_explained(error), node=flight.node, ended=time.time())
            outcome.ran = True
        outcome.machineid = outcome.machineid or flight.machineid
        outcome.started = outcome.started or outcome.ended
        self._learn(outcome)
        if outcome.lost and flight.node is not None:
            self._lose(flight.node)
        again = outcome.lost and self._may_begin_anew(entry, outcome)
        self._note(flight, outcome, again=again)
        if again:
            entry.known = None
            if flight.node is not None:
                entry.avoid.add(flight.node)
            self._again.append(entry)
        else:
            self._give(entry, outcome)

    def _may_begin_anew(self, entry: Entry, outcome: Outcome) -> bool:
        if not outcome.ran and entry.free:
            entry.free -= 1
            return True
        if entry.restarts:
            entry.restarts -= 1
            return True
        return False

    def _lose(self, node: str) -> None:
        if not self.share.lose(node):
            return
        self._watch.ask(node, self._nodes.asked_at)
        for flight in list(self._flights):
            if flight.node == node and flight.future is not None:
                flight.taken_back = flight.future.cancel()

    def _note(self, flight: Flight, outcome: Outcome, *, again: bool) -> None:
        entry, error = flight.entry, outcome.error
        state = "succeeded" if error is None else "lost" if again else "failed"
        self.ledger.end(
            entry.number,
            entry.attempt,
            machineid=outcome.machineid,
            node=outcome.node,
            started=outcome.started,
            ended=outcome.ended,
            state=state,
            error=None if error is None else in_words(error),
        )

    def _give(self, entry: Entry, outcome: Outcome) -> None:
        if self._keep is not None:
            outcome = self._keep.end(entry.number, outcome)
        error = outcome.error
        if error is not None:
            error.add_note(
                f"map_workflows: item {entry.number}, {short(entry.item)}, in workflow "
                f"{outcome.machineid!r} on node {outcome.node or 'unknown'}"
            )
            if self._plan.stops:
                self._paused = True
        self._given += 1
        self.outbox.put(
            WorkflowResult(
                item=entry.item,
                value=outcome.value,
                error=error,
                node=outcome.node,
                machineid=outcome.machineid,
                started=outcome.started,
                ended=outcome.ended,
                number=entry.number,
                attempts=max(1, entry.attempt),
            )
        )

    def _recall(self, result: WorkflowResult) -> None:
        self.ledger.put(
            ChainRun(
                result.number,
                short(result.item),
                result.machineid,
                result.node,
                1,
                result.started,
                result.ended,
                "succeeded",
                recalled=True,
            )
        )
        self._given += 1
        self.outbox.put(result)

    # ---- when nodes are not there ----

    def _learn(self, outcome: Outcome) -> None:
        """Take over the topology that a first chain's proxy published; or say that none did."""
        if self._remarked or self.share.known:
            return
        self._remarked = True
        if outcome.sources and not self._sources:
            direct = self._plan.options.get("route") == "direct"
            with contextlib.suppress(Exception):
                nodes = Nodes(outcome.sources, None, direct=direct)
                if nodes.weights:
                    self._nodes, self._sources = nodes, outcome.sources
                    self.share.know(nodes.weights)
                    self._watch.sources = self._sources
                    return
        self.outbox.put(
            Remark(
                f"{self._nodes.why_not}, so the chains' nodes are chosen by the proxy's hash over "
                f"random machineids, at most {self.share.in_all} chains at a time in all; give "
                "topology= to have the nodes share the work evenly"
            )
        )

    def _look_for_nodes(self) -> None:
        """Give up, after a long time in which no node answered."""
        if not self.share.stranded or self._flights:
            self._stranded = None
            return
        now = time.monotonic()
        self._stranded = self._stranded or now
        if now - self._stranded > self._plan.patience and self._failure is None:
            lost = ", ".join(sorted(self.share.lost))
            self._failure = BackendUnavailable(
                f"no node takes any chain for {self._plan.patience:.0f} s (lost: {lost or 'none'}; "
                "others are drained); call map_workflows again when they answer"
            )
            self._drop_waiting()

    def _too_long(self, entry: Entry) -> bool:
        """Tell whether an item has waited too long for the node that has its files."""
        if entry.known is None or entry.known.node not in self.share.lost:
            entry.waiting = None
            return False
        entry.waiting = entry.waiting or time.monotonic()
        return time.monotonic() - entry.waiting > self._plan.patience

    def _give_up(self, entry: Entry) -> None:
        node = entry.known.node if entry.known else None
        error = BackendUnavailable(
            f"node {node!r} does not answer, where an earlier call has begun this item; start it "
            "again, or declare the chain repeatable with restart=1",
            node=node,
            machineid=entry.known.machineid if entry.known else None,
        )
        self._give(entry, Outcome(error=error, node=node, ended=time.time(), started=time.time()))

    def _drop_waiting(self) -> None:
        """Give the items that were begun, and cannot go on, as errors."""
        waiting, self._again = list(self._again), deque()
        for entry in waiting:
            now = time.time()
            self._give(entry, Outcome(error=self._failure, started=now, ended=now))


def _tell(inbox: queue.SimpleQueue[Any], flight: Flight, future: Future[Any]) -> None:
    ended_here(flight.machineid)
    inbox.put(Ended(flight, future))


def _is_sending(workflow: Workflow | None) -> bool:
    return workflow is not None and any(step.state == "sending" for step in workflow.steps)


def _jobs(workflow: Workflow | None) -> list[str]:
    steps = () if workflow is None else workflow.steps
    return [step.location for step in steps if step.location and step.state not in ENDED]


def _explained(error: BaseException) -> BaseException:
    """Say what to do about an error of the pool's own."""
    if isinstance(error, BrokenProcessPool):
        # All its futures have the same one: each item is to have its own notes.
        error = BrokenProcessPool(*error.args).with_traceback(error.__traceback__)
        error.add_note(
            "a worker process ended abruptly: it was killed, or it cannot import the chain "
            "function; define that in a module, not in a notebook or at the prompt, and guard a "
            "script's start with if __name__ == '__main__'"
        )
    elif isinstance(error, pickle.PicklingError | TypeError | AttributeError):
        error.add_note(
            "an item, the chain or its value could not travel to another process; use what pickle "
            "can hold: text, numbers, paths, functions of a module"
        )
    return error

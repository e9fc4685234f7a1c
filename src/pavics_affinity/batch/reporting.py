"""Report the chains of a batch: to the caller, to the journal, and for display."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass, replace

from ..errors import AffinityWarning
from .chains import ChainRun, ChainState, WorkflowResult, describe_error, short_repr
from .intake import Attempt, Work
from .journal import BatchJournal
from .task import Outcome

KEPT = 10_000
"""Most rows of chains that are kept; the oldest are dropped first."""

WINDOW = 1_000
"""Results that may wait for the caller before no more chains are started."""


@dataclass(frozen=True)
class End:
    """The end of the results, with the error that caused it, if any."""

    error: BaseException | None = None


class Reporter:
    """Keeps the rows of the chains and the journal, and gives the results to the caller.

    The dispatcher's thread writes. The caller's thread reads, and counts what it has taken.
    """

    def __init__(self, journal: BatchJournal | None) -> None:
        self.journal = journal
        self._rows: dict[tuple[int, int], ChainRun] = {}
        self._outbox: queue.SimpleQueue[WorkflowResult | AffinityWarning | End] = (
            queue.SimpleQueue()
        )
        self._given = self._taken = 0

    # ---- for the caller's thread ----

    @property
    def chains(self) -> list[ChainRun]:
        """The chains started so far, in the order of their start."""
        return list(self._rows.copy().values())

    def receive(self, seconds: float) -> WorkflowResult | AffinityWarning | End | None:
        """Return the next message for the caller; None if there is none within this time."""
        try:
            return self._outbox.get(timeout=seconds)
        except queue.Empty:
            return None

    def taken(self) -> bool:
        """Count a result that the caller took; return whether that made room for another."""
        self._taken += 1
        return self._given - self._taken == WINDOW - 1

    # ---- for the dispatcher's thread ----

    @property
    def is_full(self) -> bool:
        """Whether as many results wait for the caller as may."""
        return self._given - self._taken >= WINDOW

    def announce(self, message: AffinityWarning | End) -> None:
        """Send the caller a warning or the end."""
        self._outbox.put(message)

    def started(self, attempt: Attempt) -> None:
        """Add the row of an attempt."""
        work, item = attempt.work, short_repr(attempt.work.item)
        where = (attempt.machineid, attempt.node)
        self._put(ChainRun(work.number, item, *where, work.attempts, started=time.time()))

    def ended(self, work: Work, outcome: Outcome, *, restarts: bool) -> None:
        """Complete the row of an attempt; `restarts` if another one follows."""
        row = self._rows.get((work.number, work.attempts))
        if row is not None:  # otherwise it was dropped
            error = None if outcome.error is None else describe_error(outcome.error)
            state: ChainState = "lost" if restarts else "failed" if error else "succeeded"
            self._put(replace(row, **outcome.run, state=state, error=error))

    def give(self, work: Work, outcome: Outcome) -> bool:
        """Give the caller an item's result; return whether it is an error."""
        if self.journal is not None and work.entry is not None:
            outcome = self.journal.end(work.entry, outcome)
        if outcome.error is not None:
            on = f" on node {outcome.node!r}" if outcome.node else ", node not known"
            outcome.error.add_note(
                f"map_workflows: item {work.number}, {short_repr(work.item)}, in workflow "
                f"{outcome.machineid!r}{on}"
            )
        self._give(
            WorkflowResult(
                item=work.item,
                value=outcome.value,
                error=outcome.error,
                number=work.number,
                attempts=max(1, work.attempts),
                **outcome.run,
            )
        )
        return outcome.error is not None

    def recall(self, result: WorkflowResult) -> None:
        """Give the caller a result that the journal already has."""
        self._put(
            ChainRun(
                number=result.number,
                item=short_repr(result.item),
                machineid=result.machineid,
                node=result.node,
                attempt=1,
                started=result.started,
                ended=result.ended,
                state="succeeded",
                recalled=True,
            )
        )
        self._give(result)

    def close(self) -> None:
        """Release the journal. May be repeated."""
        if self.journal is not None:
            self.journal.close()

    def _put(self, row: ChainRun) -> None:
        self._rows[row.number, row.attempt] = row
        if len(self._rows) > KEPT:
            del self._rows[next(iter(self._rows))]

    def _give(self, result: WorkflowResult) -> None:
        self._given += 1
        self._outbox.put(result)

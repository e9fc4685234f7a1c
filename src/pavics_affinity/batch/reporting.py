"""What a batch reports of its chains: to the ledger, to the journal and to the caller."""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..errors import AffinityWarning
from .chains import ChainRun, WorkflowResult, describe_error, short_repr
from .intake import Attempt, Work
from .journal import BatchJournal
from .task import Outcome

KEPT = 10_000
"""Rows that a ledger keeps; the oldest are dropped first."""

WINDOW = 1_000
"""Results that may wait for the caller before no more chains are started."""


class Ledger:
    """The chains started so far, in the order of their start, in bounded memory."""

    def __init__(self) -> None:
        self._rows: OrderedDict[tuple[int, int], ChainRun] = OrderedDict()
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[ChainRun]:
        with self._lock:
            return iter(list(self._rows.values()))

    def add(self, run: ChainRun) -> None:
        """Add a row."""
        with self._lock:
            self._rows[run.number, run.attempt] = run
            if len(self._rows) > KEPT:
                self._rows.popitem(last=False)

    def end(self, number: int, attempt: int, **changes: Any) -> None:
        """Complete a row, unless it was dropped."""
        with self._lock:
            known = self._rows.get((number, attempt))
            if known is not None:
                self._rows[number, attempt] = replace(known, **changes)


@dataclass(frozen=True)
class End:
    """There are no more results, because of an error if there is one."""

    error: BaseException | None = None


class Outbox:
    """Results on their way to the caller."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[WorkflowResult | AffinityWarning | End] = queue.SimpleQueue()
        self._put = 0  # written by the dispatcher only
        self._taken = 0  # written by the caller only

    @property
    def full(self) -> bool:
        """Whether no more results may be put."""
        return self._put - self._taken >= WINDOW

    def put(self, result: WorkflowResult) -> None:
        """Put a result."""
        self._put += 1
        self._queue.put(result)

    def announce(self, message: AffinityWarning | End) -> None:
        """Put what is not a result: a warning for the caller, or the end."""
        self._queue.put(message)

    def get(self, seconds: float) -> WorkflowResult | AffinityWarning | End | None:
        """Return the next message; None if there is none after this time."""
        try:
            return self._queue.get(timeout=seconds)
        except queue.Empty:
            return None

    def taken(self) -> bool:
        """Count a result that the caller has; return whether that made room for another."""
        self._taken += 1
        return self._put - self._taken == WINDOW - 1


class Reporter:
    """Keeps the ledger and the journal, and gives the caller each result.

    Attributes
    ----------
    ledger : Ledger
        The chains that were started.
    outbox : Outbox
        The results, warnings, and at last an `End`.
    journal : BatchJournal or None
        What a later call reads.
    """

    def __init__(self, journal: BatchJournal | None) -> None:
        self.ledger = Ledger()
        self.outbox = Outbox()
        self.journal = journal

    def started(self, attempt: Attempt) -> None:
        """Note the start of an attempt."""
        work = attempt.work
        self.ledger.add(
            ChainRun(
                number=work.number,
                item=short_repr(work.item),
                machineid=attempt.machineid,
                node=attempt.node,
                attempt=work.attempts,
                started=time.time(),
            )
        )

    def ended(self, work: Work, outcome: Outcome, *, restarts: bool) -> None:
        """Note the end of an attempt; `restarts` if another one follows."""
        error = outcome.error
        self.ledger.end(
            work.number,
            work.attempts,
            machineid=outcome.machineid,
            node=outcome.node,
            started=outcome.started,
            ended=outcome.ended,
            state="succeeded" if error is None else "lost" if restarts else "failed",
            error=None if error is None else describe_error(error),
        )

    def give(self, work: Work, outcome: Outcome) -> bool:
        """Give the caller an item's result; return whether it is an error."""
        if self.journal is not None and work.entry is not None:
            outcome = self.journal.end(work.entry, outcome)
        if outcome.error is not None:
            outcome.error.add_note(
                f"map_workflows: item {work.number}, {short_repr(work.item)}, in workflow "
                f"{outcome.machineid!r} on node {outcome.node or 'unknown'}"
            )
        self.outbox.put(
            WorkflowResult(
                item=work.item,
                value=outcome.value,
                error=outcome.error,
                node=outcome.node,
                machineid=outcome.machineid,
                started=outcome.started,
                ended=outcome.ended,
                number=work.number,
                attempts=max(1, work.attempts),
            )
        )
        return outcome.error is not None

    def recall(self, result: WorkflowResult) -> None:
        """Give the caller a result that the journal already has."""
        self.ledger.add(
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
        self.outbox.put(result)

    def close(self) -> None:
        """Release the journal. May be repeated."""
        if self.journal is not None:
            self.journal.close()

"""The reports of a batch: a row for each chain that was started, a result for each item."""

from __future__ import annotations

import queue
import reprlib
import time
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ..errors import AffinityWarning, message_of
from .intake import Attempt, Work
from .task import Outcome

ChainState = Literal["running", "succeeded", "failed", "lost"]

KEPT = 10_000
"""Most rows of chains that are kept; the oldest are dropped first."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


@dataclass(frozen=True, slots=True)
class ChainRun:
    """A chain that was started on a node.

    Attributes
    ----------
    number : int
        Number of the item, from 1, in the order of the items.
    item : str
        The item's repr, shortened.
    machineid : str
        The machineid of the chain's workflow.
    node : str or None
        The node that runs it; None while that is unknown.
    attempt : int
        1 for the first attempt; more after a node was lost.
    started : float
        Seconds since the epoch.
    ended : float or None
        Seconds since the epoch; None while it runs.
    state : str
        ``"running"``, ``"succeeded"``, ``"failed"``, or ``"lost"`` if its node was lost
        and the chain was started again.
    error : str or None
        Type and message of the error.
    recalled : bool
        Whether the result came from a journal and nothing was run.
    """

    number: int
    item: str
    machineid: str
    node: str | None
    attempt: int
    started: float
    ended: float | None = None
    state: ChainState = "running"
    error: str | None = None
    recalled: bool = False

    def row(self) -> dict[str, Any]:
        """Return the fields as a plain dict."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class WorkflowResult:
    """The result of one chain.

    Attributes
    ----------
    item : object
        The item.
    value : object
        The return value of the chain; None if it failed.
    error : BaseException or None
        The error that the chain raised; its notes name the item, node and machineid.
    node : str or None
        Name of the workflow's node; None if unknown.
    machineid : str
        The machineid of the workflow.
    started, ended : float
        Seconds since the epoch.
    number : int
        Number of the item, from 1, in the order of the items.
    attempts : int
        How often the chain was started; more than once after a node was lost.
    recalled : bool
        Whether the result came from the journal and nothing was run.
    """

    item: Any
    value: Any = None
    error: BaseException | None = None
    node: str | None = None
    machineid: str = ""
    started: float = 0.0
    ended: float = 0.0
    number: int = 0
    attempts: int = 1
    recalled: bool = False

    @property
    def seconds(self) -> float:
        """How long the chain took."""
        return self.ended - self.started

    def get(self) -> Any:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value

    def __repr__(self) -> str:
        on = f" on {self.node}" if self.node else ""
        if self.error is None:
            outcome = f"{short_repr(self.value)}{on}"
        else:
            outcome = f"failed{on}: {describe_error(self.error)}"
        how = "from the journal" if self.recalled else f"in {self.seconds:.1f} s"
        return f"<{type(self).__name__} {short_repr(self.item)} -> {outcome}, {how}>"


def short_repr(item: object) -> str:
    """Return an item's repr, shortened; if the repr fails, the name of its type."""
    try:
        return _SHORT.repr(item)
    except Exception:  # noqa: BLE001  # the repr is the user's, and only shown
        return f"<{type(item).__name__}>"


def describe_error(error: BaseException) -> str:
    """Return an error's type and message in one line of bounded length."""
    words = " ".join(message_of(error).split())
    return f"{type(error).__name__}: {words}"[:500] if words else type(error).__name__


@dataclass(frozen=True)
class End:
    """The end of the results, with the error that caused it, if any."""

    error: BaseException | None = None


class Reporter:
    """Keeps the rows of the chains, and gives the results to the caller.

    The dispatcher's thread writes, and the caller's thread reads.
    """

    def __init__(self) -> None:
        self.unread = 0
        """Results that wait for the caller."""
        self._rows: dict[tuple[int, int], ChainRun] = {}
        self._outbox: queue.SimpleQueue[WorkflowResult | AffinityWarning | End] = (
            queue.SimpleQueue()
        )

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

    # ---- for the dispatcher's thread ----

    def taken(self) -> None:
        """Note that the caller has a result."""
        self.unread -= 1

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

    def give(self, work: Work, outcome: Outcome) -> None:
        """Give the caller an item's result."""
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

    def _put(self, row: ChainRun) -> None:
        self._rows[row.number, row.attempt] = row
        if len(self._rows) > KEPT:
            del self._rows[next(iter(self._rows))]

    def _give(self, result: WorkflowResult) -> None:
        self.unread += 1
        self._outbox.put(result)

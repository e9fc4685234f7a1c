"""What a batch has begun: plain rows, for tables, plots and whoever looks for a chain."""

from __future__ import annotations

import reprlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

ChainState = Literal["running", "succeeded", "failed", "lost"]

KEPT = 10_000
"""How many chains are kept; the oldest are dropped first."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


@dataclass(frozen=True, slots=True)
class ChainRun:
    """One chain on one node.

    Attributes
    ----------
    number : int
        The item's, from 1, in the order of the items.
    item : str
        The item's repr, shortened.
    machineid : str
        The chain's workflow's.
    node : str or None
        Where it runs; None while that is not known.
    attempt : int
        From 1; more after a node was lost.
    started : float
        Seconds since the epoch.
    ended : float or None
        None while it runs.
    state : str
        ``"running"``, ``"succeeded"``, ``"failed"``, or ``"lost"`` with its node and
        begun anew.
    error : str or None
        The error's type and message.
    recalled : bool
        Whether a journal had it finished already.
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
        """Return it as a plain dict."""
        return asdict(self)


class Ledger:
    """The chains begun so far, in order of their start, in bounded memory."""

    def __init__(self) -> None:
        self._rows: OrderedDict[tuple[int, int], ChainRun] = OrderedDict()
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[ChainRun]:
        with self._lock:
            return iter(list(self._rows.values()))

    def put(self, run: ChainRun) -> None:
        """Add a chain, or put it in place of what was known of it."""
        with self._lock:
            self._rows[run.number, run.attempt] = run
            if len(self._rows) > KEPT:
                self._rows.popitem(last=False)

    def end(self, number: int, attempt: int, **changes: Any) -> None:
        """Note what a chain came to; one that was dropped stays so."""
        with self._lock:
            known = self._rows.get((number, attempt))
            if known is not None:
                self._rows[number, attempt] = replace(known, **changes)


def short(item: object) -> str:
    """Return an item's repr, shortened; an item whose repr fails is named by its type."""
    try:
        return _SHORT.repr(item)
    except Exception:  # noqa: BLE001  # the repr is the user's, and only shown
        return f"<{type(item).__name__}>"


def in_words(error: BaseException) -> str:
    """Return an error's type and message in one line of bounded length."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}"[:500] if words else type(error).__name__

"""The reports of a batch: a row for each chain that was started, a result for each item."""

from __future__ import annotations

import reprlib
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..errors import message_of

ChainState = Literal["running", "succeeded", "failed", "lost"]

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

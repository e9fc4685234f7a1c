"""What one chain came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .chains import in_words, short


@dataclass(frozen=True, eq=False)
class WorkflowResult:
    """What a chain came to.

    Attributes
    ----------
    item : object
        The item.
    value : object
        What the chain returned; None if it failed.
    error : BaseException or None
        What the chain raised; its notes name item, node and machineid.
    node : str or None
        Name of the workflow's node; None where it is not known.
    machineid : str
        The workflow's.
    started, ended : float
        Seconds since the epoch.
    number : int
        The item's, from 1, in the order of the items.
    attempts : int
        How often the chain was begun; more than once after a node was lost.
    recalled : bool
        Whether the journal had it, so that nothing was run.
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
        came = f"failed{on}: {in_words(self.error)}" if self.error is not None else None
        what = came or f"{short(self.value)}{on}"
        how = "from the journal" if self.recalled else f"in {self.seconds:.1f} s"
        return f"<{type(self).__name__} {short(self.item)} -> {what}, {how}>"

"""A progress bar in a notebook that leaves one line of text behind.

It is plain HTML, updated in place: unlike a widget it is still there when the notebook
is opened another day, and it needs no thread and no message from the browser, so that
Ctrl-C ends the wait as ever.
"""

from __future__ import annotations

import time
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from ..markup import card, clean, join, tag
from ..record.requests import in_units

DELAY = 1.0
"""Seconds that pass before anything is shown: what is done sooner needs no bar."""

PAUSE = 0.1
"""Seconds between two updates."""


class NotebookBar:
    """Shows how far something is, in the cell that waits for it.

    Parameters
    ----------
    what : str
        What is waited for.
    total : float or None
        Its end; None where that is not known.
    unit : str
        Of the positions: ``"%"``, ``"B"`` for bytes, or a noun.
    """

    def __init__(self, what: str, total: float | None, unit: str) -> None:
        self.what = what
        self.total = total
        self.unit = unit
        self._position = 0.0
        self._words = ""
        self._handle: Any = None
        self._begun = time.monotonic()
        self._next = self._begun + DELAY

    def __enter__(self) -> Self:
        return self

    def move(self, position: float, words: str | None) -> None:
        """Go to a position, with a few words beside it."""
        self._position = position
        self._words = self._words if words is None else words
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + PAUSE
            self._show(self._running())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._show(self._ended(error))

    def _show(self, page: str) -> None:
        shown: Any = import_module("IPython.display")
        if self._handle is None:
            self._handle = shown.display(shown.HTML(page), display_id=True)
        else:
            self._handle.update(shown.HTML(page))

    def _running(self) -> str:
        value = None if self.total is None else f"{self._position:.0f}"
        bar = tag("progress", value=value, max=f"{self.total:.0f}" if self.total else None)
        return card(join((self.what, " ", bar, " ", self._far(), " ", self._words)))

    def _ended(self, error: BaseException | None) -> str:
        spent = f"{time.monotonic() - self._begun:.1f} s"
        if error is None:
            sign = tag("span", "✓ ", class_="paf-good")
            return card(join((sign, self.what, f", {spent}")))
        sign = tag("span", "✗ ", class_="paf-bad")
        name = clean(type(error).__name__)
        return card(join((sign, self.what, f": {name} at {self._far()} after {spent}")))

    def _far(self) -> str:
        if self.unit == "B":
            of = f" of {in_units(self.total)}" if self.total else ""
            return f"{in_units(self._position)}{of}"
        if self.unit == "%":
            return f"{self._position:.0f} %"
        of = f" of {self.total:g}" if self.total is not None else ""
        return f"{self._position:g}{of} {self.unit}"

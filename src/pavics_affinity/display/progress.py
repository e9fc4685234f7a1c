"""A progress bar for notebooks, which leaves one line of text in the cell.

It is HTML that is updated. Unlike a widget, it is still there when the notebook is opened
again. It needs no thread and no message from the browser, so Ctrl-C ends the wait as usual.
"""

from __future__ import annotations

import time
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from ..markup import clean
from ..markup.cards import Card, Progress, card, styled, text
from ..markup.html import in_notebook
from ..record.requests import in_units

DELAY = 1.0
"""Seconds before the bar is shown; a shorter wait has none."""

PAUSE = 0.1
"""Seconds between two updates."""


class NotebookBar:
    """Show the progress of `what` in the cell that waits for it.

    `total` is None if it is unknown; `unit` is ``"%"``, ``"B"`` for bytes, or a noun.
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
        """Move to a position, and show a few words next to it."""
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

    def _show(self, shown_card: Card) -> None:
        page = in_notebook(shown_card)
        shown: Any = import_module("IPython.display")
        if self._handle is None:
            self._handle = shown.display(shown.HTML(page), display_id=True)
        else:
            self._handle.update(shown.HTML(page))

    def _running(self) -> Card:
        bar = Progress(None if self.total is None else self._position, self.total)
        return card(text(self.what, " ", bar, " ", self._reached(), " ", self._words))

    def _ended(self, error: BaseException | None) -> Card:
        spent = f"{time.monotonic() - self._begun:.1f} s"
        if error is None:
            return card(text(styled("✓ ", "good"), self.what, f", {spent}"))
        name = clean(type(error).__name__)
        where = f": {name} at {self._reached()} after {spent}"
        return card(text(styled("✗ ", "bad"), self.what, where))

    def _reached(self) -> str:
        if self.unit == "B":
            of = f" of {in_units(self.total)}" if self.total else ""
            return f"{in_units(self._position)}{of}"
        if self.unit == "%":
            return f"{self._position:.0f} %"
        of = f" of {self.total:g}" if self.total is not None else ""
        return f"{self._position:g}{of} {self.unit}"

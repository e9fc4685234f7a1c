"""Base of objects that show themselves as a card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cards import Card
from .html import in_notebook
from .terminal import in_terminal

if TYPE_CHECKING:
    from rich.console import RenderableType


class ShownAsCard:
    """Shows itself in a notebook and in a terminal."""

    def _card(self) -> Card:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return in_notebook(self._card())

    def __rich__(self) -> RenderableType:
        return in_terminal(self._card())

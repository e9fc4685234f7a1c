"""Base class of objects that are shown as a card."""

from __future__ import annotations

from typing import TYPE_CHECKING

# The renderers are imported when something is shown.
if TYPE_CHECKING:
    from rich.console import RenderableType

    from .cards import Card


class ShownAsCard:
    """Base class that shows an object as a card in notebooks and terminals."""

    def _card(self) -> Card:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        from .html import in_notebook

        return in_notebook(self._card())

    def __rich__(self) -> RenderableType:
        from .terminal import in_terminal

        return in_terminal(self._card())

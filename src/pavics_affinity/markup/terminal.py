"""Render a card for a terminal with rich: the same texts, tables and links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import cards

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

_STYLES = {"strong": "bold", "good": "green", "bad": "red", "busy": "yellow", "still": "dim"}
_NARROW = 12
"""Most characters of a column that is never folded."""


def in_terminal(card: cards.Card) -> RenderableType:
    """Return an object that ``rich.print`` shows as the card."""
    from rich.console import Group

    blocks: list[RenderableType] = [_text(card.title)]
    for block in card.blocks:
        match block:
            case cards.Listing(items):
                blocks += [_text(cards.text("• ", item)) for item in items]
            case cards.Table(headings, rows):
                if rows:
                    blocks.append(_table(headings, rows))
            case text:
                blocks.append(_text(text))
    return Group(*blocks)


def _text(text: cards.Text) -> Text:
    from rich.text import Text

    shown = Text()
    for part in text:
        if isinstance(part, cards.Span):
            link = f"link {part.url}" if part.url else ""
            look = _STYLES.get(part.look or "", "")
            shown.append(part.text, style=" ".join(filter(None, (look, link))))
    return shown


def _table(headings: Sequence[cards.Text], rows: Sequence[Sequence[cards.Text]]) -> Table:
    from rich import box
    from rich.table import Table

    head = [_text(heading) for heading in headings]
    lines = [[_text(cell) for cell in row] for row in rows]
    shown = Table(
        box=box.SIMPLE_HEAD if head else None,
        show_header=bool(head),
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for column in range(max(len(row) for row in [head, *lines])):
        cells = [row[column] for row in [head, *lines] if column < len(row)]
        longest = max((len(word) for cell in cells for word in cell.plain.split()), default=0)
        shown.add_column(
            head[column] if head else "",
            style="" if head or column else "bold",
            no_wrap=all(cell.cell_len <= _NARROW for cell in cells),
            overflow="fold",
            min_width=min(longest, _NARROW),
        )
    for line in lines:
        shown.add_row(*line)
    return shown

"""Cards: how notebooks and terminals show an object, as plain data.

A card has a title and blocks below it. This module cleans its texts and the renderers
escape them, so any text may be passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from . import clean, web_address

Look = Literal["strong", "code", "good", "bad", "busy", "still"]


@dataclass(frozen=True)
class Span:
    """A piece of text with one style."""

    text: str
    look: Look | None = None
    url: str | None = None
    """Makes it a link."""
    title: str | None = None
    """Shown while the mouse is over it."""


@dataclass(frozen=True)
class Progress:
    """A progress bar; without a value it only shows that something runs."""

    value: float | None
    total: float | None


Text = tuple[Span | Progress, ...]


@dataclass(frozen=True)
class Table:
    """A table; without headings, the first cell of each row is its heading.

    The last cell of a short row spans the missing ones.
    """

    headings: Sequence[Text]
    rows: Sequence[Sequence[Text]]


@dataclass(frozen=True)
class Listing:
    """A list with a bullet for each item."""

    items: Sequence[Text]


Block = Text | Table | Listing


@dataclass(frozen=True)
class Card:
    """A title, and blocks one below the other."""

    title: Text
    blocks: Sequence[Block]


# ---- texts ----


def text(*parts: object) -> Text:
    """Join parts into one text: texts, spans, or anything else as `str`."""
    found: list[Span | Progress] = []
    for part in parts:
        if isinstance(part, tuple):
            found += part
        elif isinstance(part, Span | Progress):
            found.append(part)
        else:
            found.append(Span(_cleaned(str(part))))
    return tuple(found)


def join(parts: Iterable[object], between: str = "") -> Text:
    """Join texts."""
    joined: Text = ()
    for number, part in enumerate(parts):
        joined += text(between, part) if number and between else text(part)
    return joined


def strong(words: object) -> Span:
    """Return text that stands out."""
    return Span(_cleaned(str(words)), "strong")


def code(words: object, title: str | None = None) -> Span:
    """Return a name, a URL or a value."""
    return Span(_cleaned(str(words)), "code", title=None if title is None else clean(title))


def styled(words: object, look: Look) -> Span:
    """Return text in a style."""
    return Span(_cleaned(str(words)), look)


def link(url: str, words: object | None = None) -> Span:
    """Return a link; if a browser cannot open the URL, return its text as code."""
    shown = url if words is None else words
    address = web_address(url)
    return code(shown) if address is None else Span(_cleaned(str(shown)), url=address)


def _cleaned(raw: str) -> str:
    """Clean a text, but keep a space at its start and end."""
    words = clean(raw)
    if not words:
        return " " * raw[:1].isspace()
    return f"{' ' * raw[:1].isspace()}{words}{' ' * raw[-1:].isspace()}"


# ---- blocks ----


def table(headings: Sequence[object], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table; the cells are texts or anything else as `str`."""
    return Table([text(h) for h in headings], [[text(cell) for cell in row] for row in rows])


def facts(pairs: Iterable[tuple[str, object]]) -> Table:
    """Return a table of named values, without those that are None."""
    return table((), [pair for pair in pairs if pair[1] is not None])


def listing(items: Sequence[object], most: int = 20) -> Listing:
    """Return a list; of more than `most` items, show the last ones and count the others."""
    earlier = [f"{len(items) - most:,} earlier ones"] if len(items) > most else []
    return Listing([text(item) for item in (*earlier, *items[-most:])])


def card(title: object, *blocks: Block | None) -> Card:
    """Return a card of the blocks that contain something."""
    return Card(text(title), [block for block in blocks if block and not _is_empty(block)])


def _is_empty(block: Block) -> bool:
    match block:
        case Table((), rows):
            return not rows
        case Listing(items):
            return not items
    return False

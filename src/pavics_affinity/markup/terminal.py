"""A card in a terminal: the same words, tables and links, by rich."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

from . import web_address

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

_LOOKS = {"paf-good": "green", "paf-bad": "red", "paf-busy": "yellow", "paf-still": "dim"}
_NARROW = 12
"""Characters up to which a column is not folded."""


def in_terminal(card: str) -> RenderableType:
    """Return what ``rich.print`` shows of a card.

    Parameters
    ----------
    card : str
        What `card` has made; of other HTML only the tags that it uses are understood.
    """
    from rich.console import Group

    reader = _Reader()
    reader.feed(card)
    reader.close()
    return Group(*reader.blocks)


class _Reader(HTMLParser):
    """Turns the few tags of a card into texts and tables."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[RenderableType] = []
        self._styles: list[tuple[str, str]] = []
        self._text: Text | None = None
        self._head: list[Text] = []
        self._rows: list[list[Text]] = []
        self._in_head = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        from rich.text import Text

        values = dict(attrs)
        if tag in ("p", "li", "th", "td"):
            self._text = Text("• " if tag == "li" else "")
        elif tag == "table":
            self._head, self._rows = [], []
        elif tag == "thead":
            self._in_head = True
        elif tag == "tr" and not self._in_head:
            self._rows.append([])
        if tag == "th" and not self._in_head:
            self._styles.append((tag, "bold"))
        else:
            self._styles.append((tag, _style(tag, values)))

    def handle_endtag(self, tag: str) -> None:
        while self._styles and self._styles.pop()[0] != tag:
            pass
        if tag in ("th", "td") and self._text is not None:
            if not self._rows:
                self._rows.append([])
            (self._head if self._in_head else self._rows[-1]).append(self._text)
            self._text = None
        elif tag in ("p", "li") and self._text is not None:
            self.blocks.append(self._text)
            self._text = None
        elif tag == "thead":
            self._in_head = False
        elif tag == "table" and any(self._rows):
            self.blocks.append(_table(self._head, self._rows))

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data, style=" ".join(s for _, s in self._styles if s))


def _style(tag: str, values: dict[str, str | None]) -> str:
    if tag == "strong":
        return "bold"
    if tag == "a":
        address = web_address(values.get("href") or "")
        return f"link {address}" if address else ""
    return _LOOKS.get(values.get("class") or "", "")


def _table(head: list[Text], rows: list[list[Text]]) -> Table:
    from rich import box
    from rich.table import Table

    shown = Table(
        box=box.SIMPLE_HEAD if head else None,
        show_header=bool(head),
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for column in range(max(len(row) for row in [head, *rows])):
        cells = [row[column] for row in [head, *rows] if column < len(row)]
        narrow = all(cell.cell_len <= _NARROW for cell in cells)
        longest = max((len(word) for cell in cells for word in cell.plain.split()), default=0)
        shown.add_column(
            head[column] if head else "",
            no_wrap=narrow,
            overflow="fold",
            min_width=min(longest, _NARROW),
        )
    for row in rows:
        shown.add_row(*row)
    return shown

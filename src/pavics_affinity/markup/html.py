"""Render a card as HTML for a notebook, self-contained and without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .cards import Block, Card, Listing, Progress, Span, Table, Text

_SHORT = 24
# An untrusted notebook drops the style sheet, but keeps this.
_LEFT = "text-align:left"


def in_notebook(card: Card) -> str:
    """Return the HTML of a card."""
    blocks = "".join(_block(block) for block in card.blocks)
    return f'<div class="paf"><style>{STYLE}</style>{_tag("p", to_html(card.title))}{blocks}</div>'


def to_html(text: Text) -> str:
    """Return the HTML of a text."""
    return "".join(_span(part) for part in text)


def _span(part: Span | Progress) -> str:
    if isinstance(part, Progress):
        values = {"value": part.value, "max": part.total or None}
        shown = {k: f"{v:.0f}" for k, v in values.items() if v is not None}
        return _tag("progress", "", aria_label="progress", **shown)
    words = escape(part.text)
    if part.url is not None:
        return _tag(
            "a", words, href=part.url, title=part.url, target="_blank", rel="noopener noreferrer"
        )
    if part.look in ("strong", "code"):
        return _tag(part.look, words, title=part.title)
    return words if part.look is None else _tag("span", words, class_=f"paf-{part.look}")


def _block(block: Block) -> str:
    match block:
        case Listing(items):
            return _tag("ul", "".join(_tag("li", to_html(item)) for item in items))
        case Table(headings, rows):
            return _table(headings, rows)
        case text:
            return _tag("p", to_html(text))


def _table(headings: Sequence[Text], rows: Sequence[Sequence[Text]]) -> str:
    head = ""
    if headings:
        # An empty heading names nothing: a screen reader would stop at it.
        cells = "".join(_cell("th" if _length(heading) else "td", heading) for heading in headings)
        head = _tag("thead", _tag("tr", cells))
        lines = [_row(row, len(headings)) for row in rows]
    else:
        lines = [_tag("tr", _cell("th", name) + _cell("td", value)) for name, value in rows]
    table = _tag("table", head + _tag("tbody", "".join(lines)))
    # Where it is wider than its place, the keyboard scrolls it, too.
    return _tag("div", table, class_="paf-wide", tabindex="0")


def _row(row: Sequence[Text], columns: int) -> str:
    cells = []
    for number, cell in enumerate(row, 1):
        spans = number == len(row) < columns
        cells.append(
            _cell(
                "td",
                cell,
                colspan=str(columns - len(row) + 1) if spans else None,
                class_="paf-short" if _length(cell) <= _SHORT else None,  # stays on one line
            )
        )
    return _tag("tr", "".join(cells))


def _length(text: Text) -> int:
    return sum(len(part.text) for part in text if isinstance(part, Span))


def _cell(name: str, text: Text, **attributes: str | None) -> str:
    return _tag(name, to_html(text), style=_LEFT, **attributes)


def _tag(name: str, content: str, **attributes: str | None) -> str:
    """Return an element; the content is HTML already, the attributes are escaped."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{content}</{name}>"


# A notebook's theme overrides the system's; text inherits its colour, so that it is legible
# everywhere. `.paf.paf` outweighs a notebook's own rules for tables.
_LIGHT = "--paf-good:#1a7f37;--paf-bad:#c0262d;--paf-busy:#8a5a00;--paf-link:#0b57b0"
_DARK = "--paf-good:#5fd07a;--paf-bad:#ff8a80;--paf-busy:#f0b429;--paf-link:#7cb7ff"
_DARK_THEMES = (
    "[data-jp-theme-light=false]",
    "body.vscode-dark",
    "body.vscode-high-contrast",
    "[data-theme=dark]",
)
_LIGHT_THEMES = (
    "[data-jp-theme-light=true]",
    "body.vscode-light",
    "body.vscode-high-contrast-light.vscode-high-contrast-light",  # it has the class above, too
    "[data-theme=light]",
)


def _under(themes: tuple[str, ...], colours: str) -> str:
    return f"{','.join(f'{theme} .paf' for theme in themes)}{{{colours}}}"


STYLE = "".join(
    (
        f".paf{{{_LIGHT};color:var(--jp-content-font-color1,inherit);",
        "font-family:var(--jp-content-font-family,inherit);line-height:1.4;max-width:100%}",
        f"@media (prefers-color-scheme:dark){{.paf{{{_DARK}}}}}",
        _under(_LIGHT_THEMES, _LIGHT),
        _under(_DARK_THEMES, _DARK),
        ".paf.paf p{margin:.4em 0}.paf.paf ul{margin:.2em 0;padding-left:1.5em}",
        ".paf.paf .paf-wide{overflow-x:auto;max-width:100%}",
        ".paf.paf table{border-collapse:collapse;margin:.4em 0;font-size:inherit;",
        "table-layout:auto;max-width:100%}",
        ".paf.paf th,.paf.paf td{padding:.2em .7em;text-align:left;vertical-align:top;",
        "white-space:normal;max-width:40em;overflow-wrap:anywhere;",
        "border:0;border-bottom:1px solid #8886}",
        ".paf.paf th{font-weight:600}.paf.paf th,.paf.paf .paf-short{white-space:nowrap}",
        # JupyterLab breaks code within a word, and needs one class more to be outweighed.
        ".paf.paf.paf code{background:none;color:inherit;padding:0;white-space:inherit;",
        "overflow-wrap:anywhere}",
        ".paf.paf a{color:var(--paf-link);text-decoration:underline}",
        ".paf .paf-good{color:var(--paf-good)}.paf .paf-bad{color:var(--paf-bad)}",
        ".paf .paf-busy{color:var(--paf-busy)}.paf .paf-still{opacity:.75}",
    )
)

"""Words and HTML that may hold what anybody wrote: cut, cleaned and escaped."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

LONGEST = 300
"""Characters of one text that are shown; the whole is in the object itself."""

_LONGEST_URL = 4096
_SHORT = 24
# A notebook that is not trusted yet keeps this, and loses the style sheet.
_LEFT = "text-align:left"
_TAG = re.compile("<[^>]*>")
# After "://", or after "//" where a URL without a scheme may begin.
_LOGIN = re.compile(r"((?:(?<=:)|(?<![^\s'\"<>(\[{,;=]))//)[^\s/?#]*@")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def without_login(text: str) -> str:
    """Return a text whose URLs have neither user nor password in them."""
    return _LOGIN.sub(r"\1", text)


def quoted(value: object) -> str:
    """Return a value's repr for a message; Python refuses to write very long numbers."""
    try:
        return repr(value)
    except ValueError:
        return "a number of thousands of digits"


def clean(text: object, limit: int = LONGEST) -> str:
    """Return a text as one line without anything that could steer a terminal or a reader.

    URLs lose user and password.

    Parameters
    ----------
    text : object
        Its ``str`` is taken.
    limit : int
        Characters; the rest gives way to an ellipsis.
    """
    raw = str(text)
    # White space can make a text shorter, so a little more than the limit is looked at.
    words = " ".join(without_login(raw[: 4 * limit]).split())
    seen = "".join("�" if unicodedata.category(c) in _INVISIBLE else c for c in words)
    cut = len(seen) > limit or len(raw) > 4 * limit
    return seen[: limit - 1] + "…" if cut else seen


def web_address(url: str) -> str | None:
    """Return the URL if it is http or https and may become a link; else None."""
    if len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        plain = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return url if plain and parts.username is None else None


class Html(str):
    """Text that is HTML already; every other is escaped where it joins one."""

    __slots__ = ()


def as_html(content: object, limit: int = LONGEST) -> Html:
    """Return content as HTML: as it is if it is HTML, else cleaned and escaped."""
    if isinstance(content, Html):
        return content
    text = str(content)
    words = html.escape(clean(text, limit))
    before, after = " " * text[:1].isspace(), " " * text[-1:].isspace()
    return Html(f"{before}{words}{after}" if words else before)


def join(parts: Iterable[object], between: str = "") -> Html:
    """Join HTML and texts; the texts are escaped."""
    return Html(html.escape(between).join(as_html(part) for part in parts))


def tag(name: str, *content: object, **attributes: object) -> Html:
    """Return an element.

    Parameters
    ----------
    name : str
        Of the element.
    *content
        HTML, or texts, which are escaped.
    **attributes
        A trailing ``_`` of a name is dropped, as in ``class_``; None leaves one out.
    """
    written = "".join(
        f' {key.rstrip("_")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>{join(content)}</{name}>")


def link(url: str, text: object | None = None) -> Html:
    """Return a link, or only its text in code where the URL is none for a browser."""
    shown = url if text is None else text
    address = web_address(url)
    if address is None:
        return tag("code", shown)
    return tag("a", shown, href=address, title=address, target="_blank", rel="noopener noreferrer")


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """Return a table; a cell is HTML or a text, and the last may span what is missing."""
    head = tag("thead", tag("tr", *(tag("th", heading, style=_LEFT) for heading in headings)))
    body = [tag("tr", *_cells(row, len(headings))) for row in rows]
    return tag("div", tag("table", head, tag("tbody", *body)), class_="paf-wide")


def _cells(row: Sequence[object], columns: int) -> list[Html]:
    missing = columns - len(row)
    spans: list[int | None] = [None] * len(row)
    if missing > 0 and row:
        spans[-1] = missing + 1
    return [
        tag("td", cell, colspan=span, style=_LEFT, class_="paf-short" if _is_short(cell) else None)
        for cell, span in zip(row, spans, strict=True)
    ]


def _is_short(cell: object) -> bool:
    """Tell whether a cell had better stay on one line."""
    return len(_TAG.sub("", as_html(cell))) <= _SHORT


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Return named values, those that are None left out."""
    rows = [
        tag("tr", tag("th", name, style=_LEFT), tag("td", value, style=_LEFT))
        for name, value in pairs
        if value is not None
    ]
    if not rows:
        return Html("")
    return tag(
        "div",
        tag(
            "table",
            tag("tbody", *rows),
        ),
        class_="paf-wide",
    )


def listing(items: Sequence[Any], most: int = 20) -> Html:
    """Return a list; of more than `most` items the last ones, and how many there are."""
    if not items:
        return Html("")
    shown = [tag("li", item) for item in items[-most:]]
    if len(items) > most:
        shown.insert(0, tag("li", f"{len(items) - most:,} earlier ones"))
    return tag("ul", *shown)


def card(title: object, *parts: object) -> str:
    """Return a whole that a notebook can show: self-contained, without scripts.

    Parameters
    ----------
    title : object
        HTML or a text.
    *parts
        HTML or texts, one below the other.
    """
    content = [part for part in parts if part]
    return str(tag("div", Html(f"<style>{STYLE}</style>"), tag("p", title), *content, class_="paf"))


# Colours of a theme that says what it is win over the system's; text inherits its colour, so
# that it is legible wherever it lands. `.paf.paf` outweighs a notebook's own rules for tables.
_LIGHT = "--paf-good:#1a7f37;--paf-bad:#c0262d;--paf-busy:#8a5a00;--paf-link:#0b57b0"
_DARK = "--paf-good:#5fd07a;--paf-bad:#ff8a80;--paf-busy:#f0b429;--paf-link:#7cb7ff"
_DARK_THEMES = ("[data-jp-theme-light=false]", "body.vscode-dark", "[data-theme=dark]")
_LIGHT_THEMES = ("[data-jp-theme-light=true]", "body.vscode-light", "[data-theme=light]")


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
        ".paf.paf code{background:none;color:inherit;padding:0;overflow-wrap:anywhere}",
        ".paf.paf a{color:var(--paf-link);text-decoration:underline}",
        ".paf .paf-good{color:var(--paf-good)}.paf .paf-bad{color:var(--paf-bad)}",
        ".paf .paf-busy{color:var(--paf-busy)}.paf .paf-still{opacity:.75}",
    )
)

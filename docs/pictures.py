"""Draws the manual's pictures from the code: `python docs/pictures.py` writes docs/images/*.svg.

What a picture shows of placement, steering and the pin is computed here by the library itself, so
a test notices if the two differ. The social card is a picture, too, which other sites only take
as PNG; Chromium makes it of the SVG:

    chromium --headless --window-size=1200,630 --screenshot=docs/images/social-card.png \
        docs/images/social-card.svg
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from typing import get_args, get_type_hints

from pavics_affinity.pin.policy import Hold, Turn
from pavics_affinity.placement import NginxConsistentHash, NginxHash, Placement, Rendezvous, steer
from pavics_affinity.protocol import name_key

IMAGES = Path(__file__).parent / "images"
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

# The manual tells an image by its `color-scheme` whether the page is dark; see custom.css.
STYLE = f"""
text{{font-family:{FONT};font-size:14px;fill:#3b4454}}
.head{{font-size:15px;font-weight:600}}
.small{{font-size:12.5px}}
.code{{font-family:{MONO};font-size:13px}}
.key{{font-size:12px;font-weight:600;text-anchor:middle;fill:#1d2433}}
.mid{{text-anchor:middle}}
.box{{fill:#8a94a6;fill-opacity:.12;stroke:#8a94a6}}
.on{{fill:#2f9e6e;fill-opacity:.16;stroke:#2f9e6e;stroke-width:2}}
.way{{fill:none;stroke:#5b6577;stroke-width:1.8;marker-end:url(#tip)}}
.tip{{fill:#5b6577}}
.n1{{fill:#c9dcfb}}.n2{{fill:#fbdfb5}}.n3{{fill:#c5e8d3}}.n4{{fill:#e6cff4}}
.moved{{stroke:#b3261e;stroke-width:2.5}}
@media (prefers-color-scheme:dark){{
text{{fill:#cdd4e0}}.key{{fill:#f2f4f8}}
.way{{stroke:#9aa5b8}}.tip{{fill:#9aa5b8}}
.n1{{fill:#274678}}.n2{{fill:#6b4a12}}.n3{{fill:#1f5c3e}}.n4{{fill:#5a377a}}
.moved{{stroke:#ff8a80}}
}}
"""


def svg(width: int, height: int, title: str, *parts: str) -> str:
    """Return a whole picture; the manual gives its long description as alternative text."""
    tip = (
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto"><path class="tip" d="M0 0L10 5L0 10z"/></marker></defs>'
    )
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            tip,
            *parts,
            "</svg>\n",
        )
    )


def text(x: float, y: float, words: str, look: str = "") -> str:
    """Return a line of text."""
    return f'<text x="{x:g}" y="{y:g}" class="{look}">{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, look: str = "box") -> str:
    """Return a rectangle."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" class="{look}"/>'
    )


def way(path: str) -> str:
    """Return an arrow."""
    return f'<path class="way" d="{path}"/>'


# ---- placement ----

FEW, MANY = 48, 10_000
METHODS: dict[str, Callable[[int], Placement]] = {
    "hash": lambda nodes: NginxHash(_addresses(range(1, nodes + 1))),
    "consistent": lambda nodes: NginxConsistentHash(_addresses(range(1, nodes + 1))),
    "rendezvous": lambda nodes: Rendezvous({f"node{i}": 1 for i in range(1, nodes + 1)}),
}


def _addresses(numbers: Iterable[int]) -> list[str]:
    return [f"10.0.0.{number}:8093" for number in numbers]


def _number(placed: str) -> str:
    """Return the number of a node, from its name or address."""
    return placed.removeprefix("node").removeprefix("10.0.0.").partition(":")[0]


def placement() -> str:
    """Draw which keys go to which node, and which of them one node more moves."""
    parts = [
        text(150, 24, "three nodes", "head"),
        text(468, 24, "one node more: these keys move", "head"),
    ]
    for row, (name, method) in enumerate(METHODS.items()):
        top = 40 + row * 112
        before, after = method(3), method(4)
        moved = sum(
            before.place(key) != after.place(key) for key in map("{:04x}".format, range(MANY))
        )
        parts += [
            text(8, top + 28, name, "head"),
            text(8, top + 52, f"{100 * moved / MANY:.0f} % of"),
            text(8, top + 70, f"{MANY:,} keys"),
        ]
        for number in range(FEW):
            key = f"{number:04x}"
            x, y = number % 12 * 25, top + number // 12 * 25
            was, now = _number(before.place(key)), _number(after.place(key))
            parts += _cell(150 + x, y, was) + _cell(468 + x, y, now, moved=was != now)
    return svg(776, 364, "Placement of keys on three and on four nodes", *parts)


def _cell(x: float, y: float, node: str, *, moved: bool = False) -> list[str]:
    return [
        box(x, y, 22, 22, f"n{node} moved" if moved else f"n{node}"),
        text(x + 11, y + 15.5, node, "key"),
    ]


# ---- steering ----

MACHINEID, WANTED = "e5f6", 3
SERVICES: dict[str, tuple[int, ...]] = {"malleefowl": (1, 2, 3), "flyingpigeon": (3, 1, 2)}


def steering() -> str:
    """Draw the keys that lead to one node through services that hash differently."""
    parts = [text(8, 24, f"The files of workflow {MACHINEID} are on node {WANTED}.", "head")]
    y = 44
    for service, order in SERVICES.items():
        hashed = NginxHash(_addresses(order))
        chosen = steer(hashed, MACHINEID, _addresses((WANTED,))[0])
        servers = ", ".join(f"node{number}" for number in order)
        parts += [
            box(8, y, 760, 44),
            text(20, y + 27, service, "head"),
            text(140, y + 27, f"servers {servers}", "small"),
        ]
        x, key, tried = 340, MACHINEID, 0
        while True:
            parts += [
                text(x, y + 27, key, "code"),
                *_cell(x + 9 * len(key) + 4, y + 11, _number(hashed.place(key))),
            ]
            if key == chosen:
                parts.append(text(628, y + 27, f"sent: {key}", "code"))
                break
            tried += 1
            x, key = x + 9 * len(key) + 40, f"{MACHINEID}~{tried}"
        y += 54
    parts += [
        box(8, y, 760, 44),
        text(20, y + 27, "a strict proxy", "head"),
        text(140, y + 27, "takes the name of the node", "small"),
        text(628, y + 27, f"sent: {name_key(MACHINEID, f'node{WANTED}')}", "code"),
    ]
    return svg(776, y + 54, "Steering: the keys that lead to one node", *parts)


# ---- a pin's life ----

HOLDS = {
    "free": ("The node may change.", ""),
    "pinned": ("It stays; the first document", "may name another node."),
    "firm": ("It stays.", ""),
}
NEXT = (("first Execute", "answered"), ("next Execute", "answered"))
WAYS = {
    "proxy": ("Requests go to the", "service's public URL."),
    "direct": ("Requests go to the", "node itself."),
}


def pin() -> str:
    """Draw the states of a pin, which are those of the code."""
    ways = {*get_args(get_type_hints(Turn)["via"])} - {"same"}
    parts = [text(8, 24, "hold: may the node still change?", "head")]
    for i, name in enumerate(get_args(Hold)):
        parts += _state(8 + i * 285, 40, name, HOLDS[name], on=name != "free")
    for i, lines in enumerate(NEXT):
        parts.append(way(f"M{198 + i * 285} 80H{291 + i * 285}"))
        parts += [
            text(245 + i * 285, 56 + 16 * j, line, "small mid") for j, line in enumerate(lines)
        ]
    parts += [
        text(
            8,
            142,
            "Workflow(node=...) and a resumed workflow start firm. An Execute on its way holds",
        ),
        text(8, 162, "the node, too; if it is known that nothing was sent, the pin is free again."),
        text(8, 216, "via: which way do requests take?", "head"),
    ]
    for i, name in enumerate(sorted(ways, reverse=True)):
        parts += _state(8 + i * 400, 232, name, WAYS[name], on=name == "direct")
    parts += [
        way("M198 256H406"),
        text(303, 248, "the proxy cannot be reached", "small mid"),
        way("M408 282H200"),
        text(303, 300, "the node never answered itself", "small mid"),
    ]
    return svg(776, 318, "The life of a pin", *parts)


def _state(x: float, y: float, name: str, lines: tuple[str, str], *, on: bool) -> list[str]:
    return [
        box(x, y, 190, 72, "on" if on else "box"),
        text(x + 95, y + 24, name, "head mid"),
        *(text(x + 95, y + 44 + 17 * i, line, "small mid") for i, line in enumerate(lines)),
    ]


# ---- the mark ----


def _mark(x: float, y: float, size: float) -> str:
    """Return the mark: of three nodes, the chain stays on one."""
    return (
        f'<g transform="translate({x:g} {y:g}) scale({size / 64:g})">'
        '<rect width="64" height="64" rx="14" fill="#17406d"/>'
        '<g fill="none" stroke="#9cc4f2" stroke-width="4">'
        '<rect x="38" y="9" width="16" height="12" rx="3"/>'
        '<rect x="38" y="43" width="16" height="12" rx="3"/></g>'
        '<rect x="36" y="25" width="20" height="14" rx="3" fill="#5fd07a"/>'
        '<path d="M8 24C18 24 20 30 34 30M8 40C18 40 20 34 34 34" fill="none" '
        'stroke="#fff" stroke-width="4.5" stroke-linecap="round"/></g>'
    )


def favicon() -> str:
    """Draw the favicon."""
    mark = _mark(0, 0, 64)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">{mark}</svg>\n'


def social_card() -> str:
    """Draw what other sites show beside a link to the manual."""

    def line(y: float, size: float, words: str, colour: str, weight: int = 400) -> str:
        return (
            f'<text x="90" y="{y:g}" font-family="{FONT}" font-size="{size:g}" '
            f'font-weight="{weight}" fill="{colour}">{escape(words)}</text>'
        )

    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1200 630" width="1200" height="630">'
        '<rect width="1200" height="630" fill="#0f2c4d"/>'
        + _mark(90, 90, 150)
        + line(350, 84, "pavics-affinity", "#ffffff", 700)
        + line(430, 42, "Keep a chain of WPS processes", "#d6e6f8")
        + line(484, 42, "on the machine that holds its files", "#d6e6f8")
        + line(560, 28, "OWSLib · birdy · OGC API - Processes", "#9cc4f2")
        + "</svg>\n"
    )


DRAWN: dict[str, Callable[[], str]] = {
    "placement.svg": placement,
    "steering.svg": steering,
    "pin.svg": pin,
    "favicon.svg": favicon,
    "social-card.svg": social_card,
}


if __name__ == "__main__":
    for name, draw in DRAWN.items():
        (IMAGES / name).write_text(draw(), encoding="utf-8")

"""The card of a topology: its nodes, its services, and where they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..markup.cards import Block, Card, card, code, facts, strong, table, text
from .parts import Backend, Node, Service

MOST = 50
"""Most nodes and services that are shown."""

_NODES = ("node", "host", "weight", "new workflows")
_SERVICES = ("service", "URL", "method", "on")


def as_card(
    site: str | None,
    settings: Mapping[str, str],
    nodes: Sequence[Node],
    services: Sequence[Service],
    backends: Mapping[str, Sequence[Backend]],
) -> Card:
    """Return the card for notebooks and terminals."""
    rows: list[list[object]] = [
        [n.name, n.host or "", f"{n.weight:g}", "no, drained" if n.drain else "yes"]
        for n in nodes[:MOST]
    ]
    parts: list[Block] = [facts(list(settings.items())), table(_NODES, _with_rest(rows, nodes))]
    if services:
        rows = [
            [
                s.name,
                code(s.url or (f"port {s.port}" if s.port else "")),
                s.method,
                _places(backends[s.name], len(nodes)),
            ]
            for s in services[:MOST]
        ]
        parts.append(table(_SERVICES, _with_rest(rows, services)))
    title = text(strong("Topology"), f" {site}" if site else "")
    return card(title, *parts)


def _places(backends: Sequence[Backend], nodes: int) -> str:
    places = [
        f"{b.node}{' (down)' if b.down else ' (backup)' if b.backup else ''}" for b in backends
    ]
    if len(places) == nodes and not any(" " in place for place in places):
        return "all nodes"
    return ", ".join(places)


def _with_rest(rows: list[list[object]], all_of_them: Sequence[object]) -> list[list[object]]:
    rest = len(all_of_them) - len(rows)
    return [*rows, [f"and {rest:,} more", "", "", ""]] if rest else rows

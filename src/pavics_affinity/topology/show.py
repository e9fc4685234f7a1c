"""A topology as people see it: nodes, services, and what is where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..markup.cards import Block, Card, Text, card, code, facts, strong, table, text

if TYPE_CHECKING:
    from .model import Topology
    from .parts import Service

MOST = 50
"""Nodes and services that are shown."""

_NODES = ("node", "host", "weight", "new workflows")
_SERVICES = ("service", "URL", "method", "on")


def as_card(topology: Topology) -> Card:
    """Return what a notebook and a terminal show."""
    parts: list[Block] = [facts(_facts(topology)), table(_NODES, _nodes(topology))]
    if topology.services:
        rows = [[name, code(url), method, on] for name, url, method, on in _services(topology)]
        parts.append(table(_SERVICES, rows))
    return card(_title(topology), *parts)


def _title(topology: Topology) -> Text:
    return text(strong("Topology"), f" {topology.site}" if topology.site else "")


def _facts(topology: Topology) -> list[tuple[str, str]]:
    evidence = topology.evidence or "none: nothing tells which node answered"
    return [("proxy", topology.proxy), ("header", topology.header), ("evidence", evidence)]


def _nodes(topology: Topology) -> list[list[str]]:
    rows = [
        [n.name, n.host or "", f"{n.weight:g}", "no, drained" if n.drain else "yes"]
        for n in topology.nodes[:MOST]
    ]
    return _with_rest(rows, len(topology.nodes))


def _services(topology: Topology) -> list[list[str]]:
    rows = [
        [s.name, s.url or (f"port {s.port}" if s.port else ""), s.method, _places(topology, s)]
        for s in topology.services[:MOST]
    ]
    return _with_rest(rows, len(topology.services))


def _places(topology: Topology, service: Service) -> str:
    places = [
        f"{b.node}{' (down)' if b.down else ' (backup)' if b.backup else ''}"
        for b in topology.backends(service)
    ]
    if len(places) == len(topology.nodes) and not any(" " in place for place in places):
        return "all nodes"
    return ", ".join(places)


def _with_rest(rows: list[list[str]], count: int) -> list[list[str]]:
    return [*rows, [f"and {count - len(rows):,} more", "", "", ""]] if count > len(rows) else rows

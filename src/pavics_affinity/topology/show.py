"""A topology as people see it: nodes, services, and what is where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..markup import Html, card, clean, facts, join, table, tag

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .model import Topology
    from .parts import Service

MOST = 50
"""Nodes and services that are shown."""

_NODES = ("node", "host", "weight", "new workflows")
_SERVICES = ("service", "URL", "method", "on")


def as_card(topology: Topology) -> str:
    """Return HTML for a notebook."""
    parts: list[object] = [facts(_facts(topology)), table(_NODES, _nodes(topology))]
    if topology.services:
        rows = [
            [name, tag("code", url), method, on] for name, url, method, on in _services(topology)
        ]
        parts.append(table(_SERVICES, rows))
    return card(_title(topology), *parts)


def as_rich(topology: Topology) -> RenderableType:
    """Return what ``rich.print`` shows."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    shown: list[Any] = [Text(clean(topology.site or "Topology"), style="bold")]
    shown += [Text(f"{name}: {value}") for name, value in _facts(topology)]
    for headings, rows in ((_NODES, _nodes(topology)), (_SERVICES, _services(topology))):
        if rows:
            found = Table(*headings, box=box.SIMPLE_HEAD)
            for row in rows:
                found.add_row(*(Text(clean(cell)) for cell in row))
            shown.append(found)
    return Group(*shown)


def _title(topology: Topology) -> Html:
    return join((tag("strong", "Topology"), f" {topology.site}" if topology.site else ""))


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

"""``where``: show the node and the order of backends for keys."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence

import click

from ..errors import AffinityError, PlacementUndetermined, TopologyError
from ..topology import Service, Topology
from .shared import SiteCommand, in_terminal, json_option, load_site, site_options

Placed = dict[str, tuple[str | None, list[str]]]
"""Node and addresses by service."""

_HEAD = ("key", "service", "node", "order")


@click.command(cls=SiteCommand)
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@site_options
@json_option
def command(
    keys: Sequence[str],
    topology: str | None,
    nginx: Sequence[str],
    resolve: bool,
    as_json: bool,
) -> None:
    """Show the node of each KEY, service by service.

    KEY is a machineid or a routing key; "-" reads keys from standard input, one per
    line, and writes lines of key, service, node and order, separated by tabs.

    The proxy tries the backends in this order while they refuse. The order ends where it
    cannot be predicted.
    """
    site = load_site(topology, nginx, resolve=resolve)
    if not site.services:
        raise TopologyError(
            "the site has no service, so a key has no node; add a service to the topology"
        )
    for service in site.services:
        site.placement(service)  # errors that concern every key are raised before any output
    unknown = _Unknown()
    placed = (
        (key, {service.name: _place(site, service, key, unknown) for service in site.services})
        for key in _unique(keys)
    )
    if as_json:
        _write_json(placed)
    elif "-" in keys:
        _write_lines(placed)
    else:
        _write_table(placed)
    if unknown.first is not None:
        key, error = unknown.first
        raise click.ClickException(
            f"{unknown.count} places cannot be predicted; the first is that of {key!r}: "
            f"{in_terminal(error)}"
        )


class _Unknown:
    """The number of places that cannot be predicted, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first: tuple[str, AffinityError] | None = None

    def add(self, key: str, error: AffinityError) -> None:
        self.count += 1
        self.first = self.first or (key, error)


def _unique(keys: Iterable[str]) -> Iterator[str]:
    """Yield each key once; ``-`` stands for the keys of standard input."""
    seen: set[str] = set()
    for given in keys:
        lines = (line.strip() for line in sys.stdin) if given == "-" else [given]
        for key in lines:
            # An empty line is not a key: nginx distributes requests without one in turn.
            if key not in seen and (key or given != "-"):
                seen.add(key)
                yield key


def _place(
    site: Topology, service: Service, key: str, unknown: _Unknown
) -> tuple[str | None, list[str]]:
    node: str | None = None
    order: list[str] = []
    try:
        for name, address in site.tries(service, key):
            node = node or name
            order.append(address)
    except PlacementUndetermined as end:
        if node is None:
            unknown.add(key, end)
    except AffinityError as error:
        unknown.add(key, error)
    return node, order


def _write_json(placed: Iterable[tuple[str, Placed]]) -> None:
    """Write one object key by key: memory does not grow with the number of keys."""
    before = "{"
    for key, services in placed:
        value = {name: {"order": order, "node": node} for name, (node, order) in services.items()}
        sys.stdout.write(f"{before}{json.dumps(key)}: {json.dumps(value)}")
        before = ",\n"
    sys.stdout.write("}\n" if before != "{" else "{}\n")


def _write_lines(placed: Iterable[tuple[str, Placed]]) -> None:
    for key, services in placed:
        for name, (node, order) in services.items():
            sys.stdout.write(f"{key}\t{name}\t{node or '?'}\t{' '.join(order)}\n")


def _write_table(placed: Iterable[tuple[str, Placed]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for head in _HEAD:
        table.add_column(head, overflow="fold")
    for key, services in placed:
        for name, (node, order) in services.items():
            table.add_row(key, name, node or "?", " ".join(order))
        table.add_section()
    Console(markup=False, highlight=False, emoji=False).print(table)

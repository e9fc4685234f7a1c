"""``where``: the node and the order of backends for keys."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence

import click

from ..errors import AffinityError, PlacementUndetermined, TopologyError
from ..topology import Service, Topology
from .site import SiteCommand, load_site, note_names, site_options

Placed = dict[str, tuple[str | None, list[str]]]
"""Node and addresses by service."""

HEAD = ("key", "service", "node", "order")


@click.command(cls=SiteCommand)
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@site_options
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def command(
    keys: Sequence[str],
    topology: str | None,
    nginx: Sequence[str],
    resolve: bool,
    as_json: bool,
) -> None:
    """Show on which node each KEY lands, service by service.

    KEY is a machineid or a routing key; "-" reads keys from standard input, one per
    line, and writes lines of key, service, node and order, with tabs between.

    The order is that in which the proxy tries the backends if each in turn refuses;
    it ends where that cannot be predicted.
    """
    site = load_site(topology, nginx, resolve=resolve)
    if not site.services:
        raise TopologyError("the site has no service, so that nothing decides where a key lands")
    for service in site.services:
        site.placement(service)  # what holds for every key is said once, and before all else
    note_names(site)
    unknown = Unknown()
    placed = ((key, place(site, key, unknown)) for key in all_keys(keys))
    if as_json:
        write_json(placed)
    elif "-" in keys:
        write_lines(placed)
    else:
        write_table(placed)
    unknown.tell()


class Unknown:
    """Keys whose place cannot be predicted."""

    def __init__(self) -> None:
        self.count = 0
        self.first: tuple[str, AffinityError] | None = None

    def add(self, key: str, error: AffinityError) -> None:
        """Take one more."""
        self.count += 1
        self.first = self.first or (key, error)

    def tell(self) -> None:
        """Raise if there are any."""
        if self.first is not None:
            key, error = self.first
            raise click.ClickException(
                f"the place of {self.count} could not be predicted; the first is {key!r}: {error}"
            )


def all_keys(keys: Iterable[str]) -> Iterator[str]:
    """Yield each key once; those of standard input in the place of ``-``."""
    seen: set[str] = set()
    for given in keys:
        lines = (line.strip() for line in sys.stdin) if given == "-" else [given]
        for key in lines:
            # An empty line is no key: nginx takes requests without one in turns.
            if key not in seen and (key or given != "-"):
                seen.add(key)
                yield key


def place(site: Topology, key: str, unknown: Unknown) -> Placed:
    """Place one key on all services."""
    return {service.name: _place(site, service, key, unknown) for service in site.services}


def _place(
    site: Topology, service: Service, key: str, unknown: Unknown
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


def write_json(placed: Iterable[tuple[str, Placed]]) -> None:
    """Write one object, key by key, so that a hundred thousand need no room."""
    before = "{"
    for key, services in placed:
        value = {name: {"order": order, "node": node} for name, (node, order) in services.items()}
        sys.stdout.write(f"{before}{json.dumps(key)}: {json.dumps(value)}")
        before = ",\n"
    sys.stdout.write("}\n" if before != "{" else "{}\n")


def write_lines(placed: Iterable[tuple[str, Placed]]) -> None:
    """Write a line for each key and service."""
    for key, services in placed:
        for name, (node, order) in services.items():
            sys.stdout.write(f"{key}\t{name}\t{node or '?'}\t{' '.join(order)}\n")


def write_table(placed: Iterable[tuple[str, Placed]]) -> None:
    """Write a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for head in HEAD:
        table.add_column(head, overflow="fold")
    for key, services in placed:
        for name, (node, order) in services.items():
            table.add_row(key, name, node or "?", " ".join(order))
        table.add_section()
    Console(markup=False, highlight=False, emoji=False).print(table)

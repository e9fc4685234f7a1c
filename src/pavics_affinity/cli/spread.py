"""``spread``: show the balance over nodes, and what a change would move."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ..errors import TopologyError
from ..machineid import derive_machineid
from ..topology.spread import Moves, ServiceSpread, Spread, measure_spread
from .shared import SiteCommand, json_option, load_site, site_options

if TYPE_CHECKING:
    from rich.table import Table

_BAR = 12


@click.command(cls=SiteCommand)
@site_options
@click.option(
    "--keys",
    "count",
    metavar="K",
    type=click.IntRange(min=100),
    default=10_000,
    help="Number of machineids to try; always the same ones.",
)
@json_option
def command(
    topology: str | None,
    nginx: Sequence[str],
    resolve: bool,
    count: int,
    as_json: bool,
) -> None:
    """Show how bare machineids spread over the nodes of each service.

    For each node: the share that its weight asks for, the share that the hash gives it,
    and the share of all ids that would move if the node were removed or marked down. A
    move is needless if the id's own node stays. The last lines show how many ids have the
    same node in several services. Workflows that this library steers always stay on their
    node.
    """
    site = load_site(topology, nginx, resolve=resolve)
    if not site.services:
        raise TopologyError(
            "the site has no service, so there is nothing to spread; add one to the topology"
        )
    found = measure_spread(site, [derive_machineid("spread", i) for i in range(count)])
    if as_json:
        click.echo(json.dumps(_as_object(found), indent=2))
    else:
        _show(found)


def _as_object(found: Spread) -> dict[str, Any]:
    return {
        "keys": found.keys,
        "services": {
            service.name: {
                "method": service.method,
                "nodes": {node: asdict(values) for node, values in service.nodes.items()},
                "added": asdict(service.added),
            }
            for service in found.services
        },
        "together": {
            "all": found.together,
            "pairs": [{"services": list(pair), "share": s} for pair, s in found.pairs.items()],
        },
    }


def _show(found: Spread) -> None:
    from rich.console import Console

    console = Console(markup=False, highlight=False, emoji=False)
    for service in found.services:
        console.print(_table(service, "#" if console.options.ascii_only else "█"))
        console.print(f"With one more node, {_moved(service.added)} of the ids move\n")
    console.print(f"Of {found.keys:,} ids; in brackets those that move needlessly.")
    if found.pairs:
        console.print(f"On one node in all services: {found.together:.1%}")
        for (first, second), share in found.pairs.items():
            console.print(f"  {first} and {second}: {share:.1%}")


def _table(service: ServiceSpread, mark: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"{service.name} ({service.method})", title_justify="left", box=box.SIMPLE_HEAD
    )
    table.add_column("node", overflow="fold", min_width=8)
    for head in ("expected", "share"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, width=_BAR)
    for head in ("if removed", "if down"):
        table.add_column(head, justify="right", no_wrap=True)
    most = max((node.share for node in service.nodes.values()), default=0) or 1
    for name, node in service.nodes.items():
        table.add_row(
            name,
            f"{node.expected:.1%}",
            f"{node.share:.1%}",
            mark * round(node.share / most * _BAR),
            _moved(node.removed),
            _moved(node.down),
        )
    return table


def _moved(moves: Moves | None) -> str:
    return "" if moves is None else f"{moves.moved:.1%} ({moves.needless:.1%})"

"""``mint``: fresh machineids."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from ..machineid import mint_machineid
from .site import SiteCommand, load_site, note_names, site_options


@click.command(cls=SiteCommand)
@click.option("--node", metavar="NAME", help="Mint ids that land on this node by themselves.")
@click.option(
    "--service",
    metavar="NAME",
    help="The service whose hash decides, with --node. [default: the site's first]",
)
@click.option("--count", metavar="K", type=click.IntRange(min=1), default=1, show_default=True)
@site_options
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def command(
    node: str | None,
    service: str | None,
    count: int,
    topology: str | None,
    nginx: Sequence[str],
    resolve: bool,
    as_json: bool,
) -> None:
    """Print fresh machineids, one per line.

    With --node they land there also where another tool sends them as they are.
    """
    if service is not None and node is None:
        raise click.UsageError("--service says whose hash decides, and needs --node")
    site = None
    if node is not None or topology is not None or nginx:
        site = load_site(topology, nginx, resolve=resolve)
        note_names(site)
    minted = [mint_machineid(node=node, topology=site, service=service) for _ in range(count)]
    if as_json:
        click.echo(json.dumps({"machineids": minted, "node": node, "service": service}))
    else:
        click.echo("\n".join(minted))

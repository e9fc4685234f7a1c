"""``mint``: print new machineids."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from ..errors import UnknownNode, UnknownService
from ..machineid import mint_machineid
from .shared import SiteCommand, in_terminal, json_option, load_site, site_options


@click.command(cls=SiteCommand)
@click.option("--node", metavar="NAME", help="Mint ids that the proxy's hash sends to this node.")
@click.option(
    "--service",
    metavar="NAME",
    help="With --node: the service whose hash decides. [default: the site's first]",
)
@click.option("--count", metavar="K", type=click.IntRange(min=1), default=1)
@site_options
@json_option
def command(
    node: str | None,
    service: str | None,
    count: int,
    topology: str | None,
    nginx: Sequence[str],
    resolve: bool,
    as_json: bool,
) -> None:
    """Print new machineids, one per line.

    With --node, the ids lead to that node even when another tool sends them unchanged.
    """
    if service is not None and node is None:
        raise click.UsageError("--service needs --node: it names the service whose hash decides")
    site = None
    if node is not None or topology is not None or nginx:
        site = load_site(topology, nginx, resolve=resolve)
    try:
        minted = [mint_machineid(node=node, topology=site, service=service) for _ in range(count)]
    except (UnknownNode, UnknownService) as unknown:
        raise click.UsageError(in_terminal(unknown)) from unknown
    if as_json:
        click.echo(json.dumps({"machineids": minted, "node": node, "service": service}))
    else:
        click.echo("\n".join(minted))

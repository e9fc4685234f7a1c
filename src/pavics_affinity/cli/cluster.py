"""``pavics-affinity cluster``: a site of real nodes, until Ctrl-C."""

from __future__ import annotations

import json
import threading
from typing import Literal

import click


@click.command()
@click.option("--nodes", default=3, show_default=True, help="How many nodes.")
@click.option(
    "--proxy",
    type=click.Choice(["auto", "nginx", "none"]),
    default="auto",
    show_default=True,
    help="nginx in front, or none; auto takes it where it is found.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(nodes: int, proxy: Literal["auto", "nginx", "none"], as_json: bool) -> None:
    """Keep a site of real nodes up, print its URLs, and stop at Ctrl-C."""
    from ..testing import LocalCluster

    with LocalCluster(nodes, proxy=proxy) as cluster:
        urls = {service: cluster.url(service) for service in cluster.services}
        if as_json:
            told = {"proxy": cluster.proxy and "nginx", "nodes": list(cluster.nodes)}
            click.echo(json.dumps(told | {"urls": urls, "data": cluster.sample_url}))
        else:
            for service, url in urls.items():
                click.echo(f"{service:14} {url}")
            click.echo(f"{'data':14} {cluster.sample_url}")
            click.echo(f"\n{nodes} nodes, proxy: {'nginx' if cluster.proxy else 'none'}.")
            click.echo("The topology, for Workflow(topology=...) and --topology:\n")
            click.echo(cluster.topology_toml())
            click.echo("Ctrl-C stops it.")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return

"""``cluster``: a site of real nodes, until Ctrl-C."""

from __future__ import annotations

import json
import threading
from typing import Literal

import click

from .shared import json_option, proxy_option


@click.command()
@click.option("--nodes", default=3, show_default=True, help="Number of nodes.")
@proxy_option
@json_option
def command(nodes: int, proxy: Literal["auto", "nginx", "none"], as_json: bool) -> None:
    """Start a site of real nodes, print its URLs, and stop at Ctrl-C."""
    from ..testing import LocalCluster

    with LocalCluster(nodes, proxy=proxy) as cluster:
        urls = {service: cluster.url(service) for service in cluster.services}
        if as_json:
            site = {"proxy": cluster.proxy, "nodes": list(cluster.nodes)}
            click.echo(json.dumps(site | {"urls": urls, "data": cluster.sample_url}))
        else:
            for service, url in urls.items():
                click.echo(f"{service:14} {url}")
            click.echo(f"{'data':14} {cluster.sample_url}")
            click.echo(f"\n{nodes} nodes, proxy: {cluster.proxy or 'none'}.")
            click.echo("The topology, for Workflow(topology=...) and --topology:\n")
            click.echo(cluster.topology_toml())
            click.echo("Ctrl-C stops it.")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return

"""``cluster``: run a site of real nodes until Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ..errors import AffinityError
from ..protocol import DEFAULT_EVIDENCE
from .demo import BOX_INPUTS
from .shared import json_option, nodes_option, proxy_option

if TYPE_CHECKING:
    from ..testing import LocalCluster

_MARK = "# Written by pavics-affinity cluster, which may replace it.\n"
_SCRIPT = """\
from pavics_affinity import Workflow

with Workflow({options}) as wf:
    malleefowl = wf.wps("{malleefowl}")
    flyingpigeon = wf.wps("{flyingpigeon}")

    download = malleefowl.execute("download", [("resource", "{data}")]).wait()
    [path] = download.output("output").json()  # file:///... on the node that executed it
    box = {box}
    subset = flyingpigeon.execute("subset_bbox", [("resource", path), *box]).wait()
    subset.output("output").download("subset.nc")
    print(wf.node, wf.node_known)
"""


@click.command()
@nodes_option
@proxy_option
@click.option(
    "--style",
    type=click.Choice(["plain", "strict"]),
    default="plain",
    help="plain: nginx with a hash over the header. strict: as render writes it; needs nginx.",
)
@click.option("--save", metavar="FILE", help="Write the topology to FILE, and leave it there.")
@json_option
def command(
    nodes: int,
    proxy: Literal["auto", "nginx", "none"],
    style: Literal["plain", "strict"],
    save: str | None,
    as_json: bool,
) -> None:
    """Start a site of real nodes, print a script for it, and stop at Ctrl-C.

    The script runs unchanged. Without a proxy, nothing listens at the URLs of the
    services, and the script sends its requests to the nodes.
    """
    from ..testing import LocalCluster

    if save is not None:
        _refuse_foreign(Path(save))
    strict: dict[str, Any] = {}
    if style == "strict":
        if proxy == "none":
            raise click.UsageError("--style strict needs nginx; leave out --proxy none")
        from ..proxy.render import render_proxy

        strict = {
            "proxy_style": "strict",
            "proxy_config": render_proxy,
            "evidence": DEFAULT_EVIDENCE,
        }
        proxy = "nginx"
    with LocalCluster(nodes, proxy=proxy, **strict) as cluster:
        path = Path(save or cluster.directory / "site.toml").absolute()
        _save(cluster, path)
        script = _script(cluster, path, style)
        with contextlib.suppress(KeyboardInterrupt):
            if as_json:
                click.echo(json.dumps(_as_object(cluster, script, path)))
            else:
                _show(cluster, script, path)
            threading.Event().wait()


def _refuse_foreign(path: Path) -> None:
    if path.exists() and not (path.is_file() and path.read_bytes().startswith(_MARK.encode())):
        raise click.UsageError(f"--save: {str(path)!r} already exists; give another name")


def _save(cluster: LocalCluster, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_MARK + cluster.topology_toml(), encoding="utf-8")
    except OSError as bad:
        raise AffinityError(
            f"cannot write the topology to {str(path)!r}: {bad}. "
            "Pass --save a path that can be written"
        ) from None


def _script(cluster: LocalCluster, path: Path, style: str) -> str:
    options = f"topology={str(path)!r}"
    if cluster.proxy is None:
        options += ', route="direct"'
    elif style == "strict":
        options = ""  # the proxy publishes it
    return _SCRIPT.format(
        options=options,
        malleefowl=cluster.url("malleefowl"),
        flyingpigeon=cluster.url("flyingpigeon"),
        data=cluster.sample_url,
        box=BOX_INPUTS,
    )


def _as_object(cluster: LocalCluster, script: str, path: Path) -> dict[str, Any]:
    return {
        "proxy": cluster.proxy,
        "nodes": list(cluster.nodes),
        "urls": {service: cluster.url(service) for service in cluster.services},
        "data": cluster.sample_url,
        "topology": cluster.topology_toml(),
        "topology_file": str(path),
        "script": script,
    }


def _show(cluster: LocalCluster, script: str, path: Path) -> None:
    for service in cluster.services:
        if cluster.proxy:
            click.echo(f"{service:14} {cluster.url(service)}")
        else:
            for node in cluster.nodes:
                click.echo(f"{service:14} {node}: {cluster.node_url(node, service)}")
    click.echo(f"{'data':14} {cluster.sample_url}")
    click.echo(f"{'topology':14} {path}")
    click.echo(f"\n{len(cluster.nodes)} nodes, proxy: {cluster.proxy or 'none'}. Paste this:\n")
    click.echo(script)
    if cluster.proxy is None:
        click.echo(
            "Without a proxy, nothing listens at the URLs in the script. They name the services;\n"
            'the topology has the addresses of the nodes, and route="direct" uses them.'
        )
    click.echo("Ctrl-C stops it.")

"""``demo``: run chains on a real site, pinned and with OWSLib alone."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import click

from ..errors import message_of
from ..machineid import mint_machineid
from .shared import json_option, nodes_option, proxy_option

if TYPE_CHECKING:
    from ..testing import LocalCluster

BOX = {"lon0": -100.0, "lon1": -80.0, "lat0": 35.0, "lat1": 50.0}
"""Degrees; within the sample, E1_north_america.nc."""
BOX_INPUTS = [(key, str(value)) for key, value in BOX.items()]


@click.command()
@click.option("--chains", default=12, type=click.IntRange(1, 10_000))
@nodes_option
@proxy_option
@json_option
def command(
    chains: int, nodes: int, proxy: Literal["auto", "nginx", "none"], as_json: bool
) -> None:
    """Run download, subset and fetch chains on real NetCDF, pinned and with OWSLib alone.

    The exit code is 0 only if every pinned chain succeeded.
    """
    from tqdm import tqdm

    from ..testing import LocalCluster

    with LocalCluster(nodes, proxy=proxy) as cluster, TemporaryDirectory() as scratch:
        results = {}
        runs = {"pinned": _pinned, "plain": _plain}
        if cluster.proxy:
            runs["by_hand"] = _by_hand
        with tqdm(total=len(runs) * chains, unit="chain", disable=as_json, leave=False) as bar:
            for name, run in runs.items():
                bar.set_description(name)
                results[name] = _measure(cluster, run, chains, Path(scratch), bar)
        found = {"proxy": cluster.proxy, "nodes": nodes, **results}
    if as_json:
        click.echo(json.dumps(found))
    else:
        _show(found)
    if results["pinned"]["succeeded"] != chains:
        sys.exit(1)


Chain = Callable[["LocalCluster", int, Path], str | None]


def _measure(
    cluster: LocalCluster, run: Chain, chains: int, scratch: Path, bar: Any
) -> dict[str, Any]:
    """Run the chains one after another, and count them by node."""
    nodes: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    started = time.monotonic()
    for number in range(chains):
        try:
            node = run(cluster, number, scratch / "subset.nc")
            nodes[node or "unknown"] += 1
        except Exception as error:  # noqa: BLE001  # a failed chain is what the demo counts
            failures[_shorten(error)] += 1
        (scratch / "subset.nc").unlink(missing_ok=True)
        bar.update()
    return {
        "chains": chains,
        "succeeded": chains - failures.total(),
        "by_node": dict(sorted(nodes.items())),
        "seconds": round(time.monotonic() - started, 3),
        "failures": dict(failures),
    }


def _shorten(error: Exception) -> str:
    """Describe a failure, with the same words for chains that failed in the same way."""
    text = " ".join(message_of(error).split())
    text = re.sub(r"\b(file|https?)://\S*/", ".../", text)
    text = re.sub(r"\bnode\d+\b", "the node", text)
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__


def _pinned(cluster: LocalCluster, number: int, path: Path) -> str | None:
    """Run a chain in its own workflow."""
    from ..workflow import Workflow

    topology = None if cluster.proxy else cluster.topology
    with Workflow(topology=topology, route="auto" if cluster.proxy else "direct") as workflow:
        malleefowl = workflow.wps(cluster.url("malleefowl"))
        flyingpigeon = workflow.wps(cluster.url("flyingpigeon"))
        download = malleefowl.execute("download", [("resource", cluster.sample_url)]).wait()
        [source] = download.output("output").json()
        subset = flyingpigeon.execute("subset_bbox", [("resource", source), *BOX_INPUTS]).wait()
        subset.output("output").download(path)
        _check(path)
        return _where(cluster, workflow.machineid) or workflow.node


def _plain(cluster: LocalCluster, number: int, path: Path) -> str | None:
    """Run a chain with OWSLib alone; without a proxy, each request goes to the next node."""
    _with_owslib(cluster, number, path, {})
    return None


def _by_hand(cluster: LocalCluster, number: int, path: Path) -> str | None:
    """Run a chain with OWSLib and the header, which its `retrieveData` does not send."""
    machineid = mint_machineid()
    _with_owslib(cluster, number, path, {"machineid": machineid})
    return _where(cluster, machineid)


def _with_owslib(cluster: LocalCluster, number: int, path: Path, headers: dict[str, str]) -> None:
    from owslib.wps import SYNC, WebProcessingService

    turn = iter(range(number, number + 1000))

    def service(name: str) -> Any:
        if cluster.proxy:
            url = cluster.url(name)
        else:
            url = cluster.node_url(cluster.nodes[next(turn) % len(cluster.nodes)], name)
        return WebProcessingService(url, skip_caps=True, headers=headers)

    resource = [("resource", cluster.sample_url)]
    embedded = [("output", False, None)]
    download = service("malleefowl").execute("download", resource, output=embedded, mode=SYNC)
    _ran(download)
    [source] = json.loads(download.processOutputs[0].data[0])
    inputs = [("resource", source), *BOX_INPUTS]
    asked = [("output", True, None)]
    subset = service("flyingpigeon").execute("subset_bbox", inputs, output=asked, mode=SYNC)
    _ran(subset)
    [output] = [o for o in subset.processOutputs if o.identifier == "output"]
    path.write_bytes(output.retrieveData())
    _check(path)


def _ran(execution: Any) -> None:
    if not execution.isSucceded():
        raise RuntimeError(execution.errors[0].text if execution.errors else execution.status)


def _check(path: Path) -> None:
    """Raise unless the result can be opened and contains the box."""
    import xarray

    with xarray.open_dataset(path, decode_times=False) as data:
        longitude = (data["longitude"] + 180) % 360 - 180
        for values, low, high in (
            (longitude, BOX["lon0"], BOX["lon1"]),
            (data["latitude"], BOX["lat0"], BOX["lat1"]),
        ):
            if not values.size or values.min() < low or values.max() > high:
                raise RuntimeError(f"the result does not contain the box: {values.values}")


def _where(cluster: LocalCluster, machineid: str) -> str | None:
    """Return the node that executed a workflow's processes, from the nodes' own logs."""
    nodes = {
        node
        for node in cluster.nodes
        if any(seen.identifier for seen in cluster.requests(node, machineid=machineid))
    }
    return nodes.pop() if len(nodes) == 1 else ", ".join(sorted(nodes)) or None


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    proxy = found["proxy"] or "no proxy"
    table = Table(title=f"download → subset_bbox → fetch, {found['nodes']} nodes, {proxy}")
    for heading in ("client", "chains", "succeeded", "on which nodes", "seconds"):
        table.add_column(heading, justify="right" if heading != "client" else "left")
    names = {
        "pinned": "pavics-affinity",
        "plain": "OWSLib",
        "by_hand": "OWSLib, header by hand",
    }
    names = {kind: name for kind, name in names.items() if kind in found}
    for kind, name in names.items():
        row = found[kind]
        nodes = ", ".join(f"{node}: {count}" for node, count in row["by_node"].items())
        numbers = (str(row["chains"]), str(row["succeeded"]), nodes, f"{row['seconds']:.1f}")
        table.add_row(name, *numbers)
    console = Console()
    console.print(table)
    for kind, name in names.items():
        for failure, count in found[kind]["failures"].items():
            console.print(
                f"{name}, {'once' if count == 1 else f'{count} times'}: {failure}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
    if found["plain"]["failures"]:
        console.print(
            "A chain fails if a step reaches a different node than the step before. A failed "
            "chain takes less time.",
            style="dim",
        )
    console.print("next: pavics-affinity cluster", highlight=False)

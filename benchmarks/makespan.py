"""How long a batch takes beside the ideal, how nodes share it, and what it leaves behind.

python -m benchmarks.makespan            60 chains over 3 nodes, shares of 400, 2,000 workflows
python -m benchmarks.makespan --quick    fewer chains
"""

from __future__ import annotations

import gc
import threading
import time
import warnings
from collections import Counter
from collections.abc import Mapping
from functools import partial
from statistics import median
from typing import Any

import psutil

from benchmarks.rows import Row, main, row
from pavics_affinity import Topology, Workflow, map_workflows
from pavics_affinity.errors import AffinityWarning
from pavics_affinity.testing import LocalCluster

SERVICE = "malleefowl"


def makespan(chains: int = 60, nodes: int = 3, seconds: float = 0.5) -> dict[str, Any]:
    """Run chains over nodes of one worker each: steered, and with random ids over the same hash.

    Parameters
    ----------
    chains, nodes : int
        How many.
    seconds : float
        The service time of a chain's one process.

    Returns
    -------
    dict
        ``single``: seconds that one chain takes alone, the median of five; ``ideal``:
        ``single * chains / nodes``; ``steered`` and ``random``: seconds of wall clock;
        ``steered_ratio`` and ``random_ratio``: by the ideal; ``steered_nodes`` and
        ``random_nodes``: chains by node.
    """
    with LocalCluster(nodes, proxy="nginx", workers=1, services=(SERVICE,)) as cluster:
        topology = cluster.topology
        chain = partial(nap, url=cluster.url(SERVICE), delay=seconds)
        alone = [_timed(partial(_once, chain, topology)) for _ in range(6)][1:]
        single = median(alone)
        ideal = single * chains / nodes
        found: dict[str, Any] = {"chains": chains, "nodes": nodes, "single": single, "ideal": ideal}
        at_once = 4 * nodes
        for name, options in {
            "steered": {"topology": topology, "per_node": 4},
            "random": {"topology": [], "per_node": at_once},
        }.items():
            landed: Counter[str] = Counter()
            begun = time.perf_counter()
            with warnings.catch_warnings():
                # Without a topology it says that the hash decides, as is meant here.
                warnings.simplefilter("ignore", AffinityWarning)
                for result in map_workflows(chain, range(chains), **options):
                    landed[result.value] += 1
            found[name] = time.perf_counter() - begun
            found[f"{name}_ratio"] = found[name] / ideal
            found[f"{name}_nodes"] = dict(sorted(landed.items()))
    return found


def shares(chains: int = 400, weights: tuple[int, ...] = (1, 2, 5)) -> dict[str, Any]:
    """Run light chains over nodes of unequal weight.

    Returns
    -------
    dict
        ``given`` and ``due``: per cent of the chains by node; ``furthest``: the
        greatest difference, in percentage points.
    """
    named = {f"node{number}": weight for number, weight in enumerate(weights, 1)}
    with LocalCluster(
        len(named), proxy="nginx", services=(SERVICE,), weights=named, workers=8
    ) as cluster:
        chain = partial(ask, url=f"{cluster.outputs_url(SERVICE)}/nothing")
        # Few at a time: nodes that share one machine's cores are equals once these are busy.
        results = list(map_workflows(chain, range(chains), topology=cluster.topology, per_node=5))
        landed = Counter(result.node for result in results)
        seen = Counter(
            request.node for request in cluster.requests() if request.path.endswith("/nothing")
        )
        if landed != seen:
            raise AssertionError(f"chains went to {dict(seen)}, and were said to be {dict(landed)}")
    given = {node: 100 * landed[node] / chains for node in named}
    due = {node: 100 * weight / sum(named.values()) for node, weight in named.items()}
    furthest = max(abs(given[node] - due[node]) for node in named)
    return {"chains": chains, "given": given, "due": due, "furthest": furthest}


def left_behind(workflows: int = 2_000) -> dict[str, Any]:
    """Run workflows that send one GET each, and look what stays in this process.

    Returns
    -------
    dict
        ``megabytes``: growth of the resident memory after a first 100; ``sockets`` and
        ``threads``: how many more there are than before; ``seconds``.
    """
    me = psutil.Process()
    with LocalCluster(3, proxy="nginx", services=(SERVICE,)) as cluster:
        query = "?service=WPS&request=GetCapabilities"
        chain = partial(ask, url=f"{cluster.url(SERVICE)}{query}")
        run = partial(map_workflows, chain, topology=cluster.topology)
        before = len(me.net_connections()), threading.active_count()
        _exhaust(run(items=range(100)))
        gc.collect()
        memory, begun = me.memory_info().rss, time.perf_counter()
        _exhaust(run(items=range(workflows)))
        took = time.perf_counter() - begun
        gc.collect()
        time.sleep(0.5)
        return {
            "workflows": workflows,
            "megabytes": (me.memory_info().rss - memory) / 1e6,
            "sockets": len(me.net_connections()) - before[0],
            "threads": threading.active_count() - before[1],
            "seconds": took,
        }


def rows(quick: bool) -> list[Row]:
    """Return the figures against their targets."""
    batch = makespan(18 if quick else 60)
    spread = shares(160 if quick else 400)
    kept = left_behind(300 if quick else 2_000)
    many = f"{batch['chains']} chains over {batch['nodes']} nodes of one worker"
    ideal = f"ideal, {batch['ideal']:.1f} s"
    return [
        row(
            f"{many}: wall time, steered",
            ideal,
            [batch["steered_ratio"]],
            "<=",
            1.15,
            note=_told(batch["steered_nodes"]),
        ),
        row(
            f"{many}: wall time, random ids over the same hash",
            ideal,
            [batch["random_ratio"]],
            note=_told(batch["random_nodes"]),
        ),
        row(
            f"{spread['chains']} light chains by weight 1:2:5: furthest from its share",
            "-",
            [spread["furthest"]],
            "<=",
            5,
            unit="points",
            note=", ".join(f"{node} {share:.1f} %" for node, share in spread["given"].items()),
        ),
        row(
            f"{kept['workflows']:,} workflows of one GET: growth of memory",
            "-",
            [kept["megabytes"]],
            "<=",
            50,
            unit="MB",
            note=f"{kept['sockets']} sockets and {kept['threads']} threads more than before; "
            f"{kept['seconds']:.0f} s",
        ),
    ]


def nap(wf: Workflow, item: Any, *, url: str, delay: float) -> str:
    """Sleep on the node; return its name."""
    wps = wf.wps(url, skip_caps=True)
    slept = wps.execute("sleep", [("delay", str(delay))], mode="sync")
    return str(slept.output("sleep_output").data[0]).rpartition(" ")[2]


def ask(wf: Workflow, item: Any, *, url: str) -> int:
    """Send one GET."""
    return wf.session.get(url).status_code


def _once(chain: Any, topology: Topology) -> None:
    with Workflow(topology=topology) as wf:
        chain(wf, 0)


def _timed(run: Any) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def _exhaust(results: Any) -> None:
    for _ in results:
        pass


def _told(landed: Mapping[str, int]) -> str:
    return ", ".join(f"{count} on {node}" for node, count in landed.items())


if __name__ == "__main__":
    main(rows, __doc__)

"""How long a batch takes beside the ideal, how nodes share it, and what it leaves behind.

python -m benchmarks.makespan            60 chains over 3 nodes, shares of 400, 2,000 workflows
python -m benchmarks.makespan --quick    fewer chains
"""

from __future__ import annotations

import gc
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from functools import partial
from statistics import median
from typing import Any

import psutil

from pavics_affinity import Workflow, map_workflows
from pavics_affinity.errors import AffinityWarning
from pavics_affinity.testing import LocalCluster

from .measure import seconds
from .rows import Row, main, row

SERVICE = "malleefowl"
WEIGHTS = {"node1": 1, "node2": 2, "node3": 5}


def rows(quick: bool) -> list[Row]:
    """Return the figures against their targets."""
    return [
        *makespan(18 if quick else 60),
        shares(160 if quick else 400),
        left_behind(300 if quick else 2_000),
    ]


def makespan(chains: int, nodes: int = 3, delay: float = 0.5) -> Iterator[Row]:
    """Run chains over nodes of one worker each: steered, and with random ids over the same hash."""
    with LocalCluster(nodes, proxy="nginx", workers=1, services=(SERVICE,)) as cluster:
        topology = cluster.topology
        chain = partial(nap, url=cluster.url(SERVICE), delay=delay)

        def one() -> None:
            with Workflow(topology=topology) as wf:
                chain(wf, 0)

        ideal = median([seconds(one) for _ in range(6)][1:]) * chains / nodes
        for name, limit, options in (
            ("steered", ("<=", 1.15), {"topology": topology, "per_node": 4}),
            ("random ids over the same hash", (), {"topology": [], "per_node": 4 * nodes}),
        ):
            begun = time.perf_counter()
            with warnings.catch_warnings():
                # Without a topology it says that the hash decides, as is meant here.
                warnings.simplefilter("ignore", AffinityWarning)
                results = map_workflows(chain, range(chains), **options)
                landed = Counter(result.value for result in results)
            yield row(
                f"{chains} chains over {nodes} nodes of one worker: wall time, {name}",
                f"ideal, {ideal:.1f} s",
                [(time.perf_counter() - begun) / ideal],
                *limit,
                note=", ".join(f"{count} on {node}" for node, count in sorted(landed.items())),
            )


def shares(chains: int, weights: Mapping[str, int] = WEIGHTS) -> Row:
    """Run light chains over nodes of unequal weight."""
    with LocalCluster(
        len(weights), proxy="nginx", services=(SERVICE,), weights=weights, workers=8
    ) as cluster:
        chain = partial(ask, url=f"{cluster.outputs_url(SERVICE)}/nothing")
        # Few at a time: nodes that share one machine's cores are equals once these are busy.
        results = map_workflows(chain, range(chains), topology=cluster.topology, per_node=5)
        landed = Counter(result.node for result in results)
        seen = Counter(
            request.node for request in cluster.requests() if request.path.endswith("/nothing")
        )
        if landed != seen:
            raise AssertionError(f"chains went to {dict(seen)}, and were said to be {dict(landed)}")
    given = {node: 100 * landed[node] / chains for node in weights}
    due = {node: 100 * weight / sum(weights.values()) for node, weight in weights.items()}
    return row(
        f"{chains} light chains by weight {':'.join(map(str, weights.values()))}: furthest from "
        "its share",
        "-",
        [max(abs(given[node] - due[node]) for node in weights)],
        "<=",
        5,
        unit="points",
        note=", ".join(f"{node} {share:.1f} %" for node, share in given.items()),
    )


def left_behind(workflows: int) -> Row:
    """Run workflows that send one GET each, and look what stays in this process."""
    me = psutil.Process()
    with LocalCluster(3, proxy="nginx", services=(SERVICE,)) as cluster:
        query = "?service=WPS&request=GetCapabilities"
        chain = partial(ask, url=f"{cluster.url(SERVICE)}{query}")

        def run(count: int) -> None:
            deque(map_workflows(chain, range(count), topology=cluster.topology), maxlen=0)
            gc.collect()

        sockets, threads = len(me.net_connections()), threading.active_count()
        run(100)
        memory = me.memory_info().rss
        took = seconds(lambda: run(workflows))
        time.sleep(0.5)
        return row(
            f"{workflows:,} workflows of one GET: growth of memory",
            "-",
            [(me.memory_info().rss - memory) / 1e6],
            "<=",
            50,
            unit="MB",
            note=f"{len(me.net_connections()) - sockets} sockets and "
            f"{threading.active_count() - threads} threads more than before; {took:.0f} s",
        )


def nap(wf: Workflow, item: Any, *, url: str, delay: float) -> str:
    """Sleep on the node; return its name."""
    wps = wf.wps(url, skip_caps=True)
    slept = wps.execute("sleep", [("delay", str(delay))], mode="sync")
    return str(slept.output("sleep_output").data[0]).rpartition(" ")[2]


def ask(wf: Workflow, item: Any, *, url: str) -> int:
    """Send one GET."""
    return wf.session.get(url).status_code


if __name__ == "__main__":
    main(rows, __doc__)

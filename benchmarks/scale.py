"""Three to a thousand nodes, by the library's own placement, topology and pins; no network.

``python -m benchmarks.scale`` writes benchmarks/scale.md and scale.svg; ``--quick`` prints
a smaller table.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from pavics_affinity import Node, Service, Topology
from pavics_affinity.pin import Pin
from pavics_affinity.topology.sources import FixedSource
from pavics_affinity.topology.spread import measure_spread

from .keys import machineids
from .machine import machine
from .processes import resident_bytes

HERE = Path(__file__).parent
URL = "http://proxy.example:8093/wps"
METHODS = ("hash", "hash consistent", "rendezvous")
#: Workflows open at the same time, by number of nodes.
WORKFLOWS = {3: 100_000, 10: 100_000, 30: 30_000, 100: 30_000, 300: 10_000, 1000: 10_000}
MOVED_KEYS = 4000

TEXT = """
## What grows, and why

- **Per request** nothing grows with the number of workflows: a request looks at its own pin.
  With the number of nodes its cost stays the same, too: the URL is found in a table, and the
  key that leads to the node is found once for each service.
- **Per workflow** opening costs one look at the load of each node: it grows in proportion to the
  nodes, and not with the workflows that are open. On a plain proxy some ids are drawn until one
  lands on a little used node; each draw is one hash. Steering to a node that is given needs about
  as many hashes as there are nodes. A strict proxy takes the node's name instead, at no cost.
- **Per node** a topology holds one row for each backend, and `hash consistent` 160 points for
  each unit of weight, which are sorted once: n log n.
- **Memory** is that of the open workflows, each the same, and of one topology that they share.
- **Beyond what was measured** 1,000,000 workflows over 1,000 nodes would take the figures of the
  last row a hundred times: nothing in it depends on the square of anything. Minted ids balance
  the better the more there are for each node; hashed ones come near to the mean by the square
  root of their number for each node, whatever the number of nodes.
"""


@dataclass(frozen=True)
class Size:
    """One row: what so many workflows over so many nodes come to."""

    nodes: int
    workflows: int
    minted: float
    hashed: float
    open_us: float
    request_us: float
    kilobytes: float
    topology_ms: float


def site(nodes: int, method: str = "hash", *, drained: Sequence[str] = ()) -> Topology:
    """Return a site of so many equal nodes."""
    return Topology(
        nodes=[
            Node(f"node{i}", f"10.1.{i // 250}.{i % 250 + 1}", drain=f"node{i}" in drained)
            for i in range(1, nodes + 1)
        ],
        services=[Service("flyingpigeon", url=URL, port=8093, method=method)],
        site=f"{nodes} nodes",
    )


def opened(topology: Topology, count: int) -> list[Pin]:
    """Open so many workflows' pins, each with its first request routed."""
    source = FixedSource(topology)
    pins = []
    for _ in range(count):
        pin = Pin(None, sources=[source])
        pin.add_scope(URL)
        pin.route(URL)
        pins.append(pin)
    return pins


def max_by_mean(landed: Counter[str], nodes: int) -> float:
    """Return how much the fullest node has, in units of the mean."""
    return max(landed.values()) / (landed.total() / nodes)


def measured(nodes: int, workflows: int) -> Size:
    """Open workflows, and hash as many random ids."""
    start = time.process_time()
    topology = site(nodes)
    service = topology.services[0]
    placement = topology.placement(service)
    topology_ms = (time.process_time() - start) * 1000
    for pin in opened(topology, 100):
        pin.close()
    gc.collect()
    before, start = resident_bytes(), time.process_time()
    pins = opened(topology, workflows)
    took = time.process_time() - start
    grown = resident_bytes() - before
    start = time.process_time()
    for pin in pins[:10_000]:
        pin.route(URL)
    request = (time.process_time() - start) / len(pins[:10_000])
    minted = Counter(pin.node or "" for pin in pins)
    hashed = Counter(map(placement.place, machineids(workflows)))
    for pin in pins:
        pin.close()
    return Size(
        nodes=nodes,
        workflows=workflows,
        minted=max_by_mean(minted, nodes),
        hashed=max_by_mean(hashed, nodes),
        open_us=took / workflows * 1e6,
        request_us=request * 1e6,
        kilobytes=grown / workflows / 1000,
        topology_ms=topology_ms,
    )


def moves(nodes: int, keys: Sequence[str]) -> Iterator[tuple[str, float, float, float, float]]:
    """Yield method, and the share of ids moved by a node added, removed, down, drained."""
    for method in METHODS:
        topology = site(nodes, method)
        [spread] = measure_spread(topology, keys).services
        removed = [n.removed.moved for n in spread.nodes.values() if n.removed is not None]
        down = [n.down.moved for n in spread.nodes.values() if n.down is not None]
        drained = site(nodes, method, drained=["node1"])
        service, other = topology.services[0], drained.services[0]
        places = topology.placement(service), drained.placement(other)
        changed = mean(places[0].place(key) != places[1].place(key) for key in keys)
        yield method, spread.added.moved, mean(removed), mean(down), changed


def tables(
    sizes: list[Size], moved: dict[int, list[tuple[str, float, float, float, float]]]
) -> str:
    """Return what was measured, as Markdown."""
    facts = machine()
    lines = [
        "<!-- Written by `python -m benchmarks.scale`; not edited by hand. -->",
        "",
        f"{facts['date']}, {facts['machine']}, Python {facts['Python']}, pavics-affinity "
        f"{facts['pavics-affinity']}. Times are of one processor.",
        "",
        "Balance is the fullest node's workflows by the mean: ids minted by the library beside ids "
        "that the hash alone places. All workflows are open at the same time.",
        "",
        "| nodes | workflows | minted, max/mean | hashed, max/mean | opening one | one request | "
        "memory of one | topology |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {s.nodes:,} | {s.workflows:,} | {s.minted:.4f} | {s.hashed:.3f} | {s.open_us:.0f} us | "
        f"{s.request_us:.1f} us | {s.kilobytes:.1f} KB | {s.topology_ms:.1f} ms |"
        for s in sizes
    ]
    lines += [
        "",
        "Bare ids whose node changes, in % (a running workflow of a known topology keeps its node "
        "in every case: its key is found again; and a drained node keeps all that it has):",
        "",
        "| nodes | method | one added | one removed | one marked down | one drained |",
        "|---|---|---|---|---|---|",
    ]
    for nodes, rows in moved.items():
        for method, *shares in rows:
            shown = " | ".join(f"{100 * share:.1f}" for share in shares)
            lines.append(f"| {nodes:,} | {method} | {shown} |")
    return "\n".join(lines) + "\n" + TEXT


def plot(sizes: list[Size], path: Path) -> None:
    """Draw balance and cost over the number of nodes."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "scale"
    from matplotlib import pyplot as plt

    nodes = [s.nodes for s in sizes]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    left.plot(nodes, [s.hashed for s in sizes], "s--", color="#b2182b", label="hashed")
    left.plot(nodes, [s.minted for s in sizes], "o-", color="#2166ac", label="minted")
    left.set(xscale="log", xlabel="nodes", ylabel="workflows, fullest node by mean")
    right.plot(nodes, [s.open_us for s in sizes], "^-", color="#1b7837", label="opening a workflow")
    right.plot(nodes, [s.request_us for s in sizes], "v-", color="#762a83", label="one request")
    right.set(xscale="log", yscale="log", xlabel="nodes", ylabel="microseconds")
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure, and write table and plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few workflows; prints the table")
    options = parser.parse_args()
    fewer = 50 if options.quick else 1
    # Each in a fresh process: memory that others gave back would not be counted.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as pool:
        counts = [count // fewer for count in WORKFLOWS.values()]
        sizes = list(pool.map(measured, WORKFLOWS, counts))
    keys = machineids(MOVED_KEYS // (10 if options.quick else 1), seed=3)
    moved = {
        nodes: list(moves(nodes, keys)) for nodes in ((3, 10) if options.quick else (3, 10, 100))
    }
    text = tables(sizes, moved)
    if options.quick:
        print(text)
        return
    (HERE / "scale.md").write_text(text)
    plot(sizes, HERE / "scale.svg")
    print(text)


if __name__ == "__main__":
    main()

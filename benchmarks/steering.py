"""Finding the routing key that leads to a chosen node."""

from __future__ import annotations

import random

from pavics_affinity.placement import NginxConsistentHash, NginxHash, Placement, steer

from .keys import for_each, machineids, nodes
from .measure import cpu_seconds, no_collection
from .rows import Row, main, row

LIMITS = {3: 10, 100: 100, 1000: 1000}  # nodes: microseconds
BATCHES = 20


def rows(quick: bool) -> list[Row]:
    """Measure the mean of batches of fresh ids, each to a node drawn at random."""
    found = []
    for count, limit in LIMITS.items():
        keys = machineids(2000 if count == 3 else 300 if quick else 1500)
        for kind in (NginxHash, NginxConsistentHash):
            took = _microseconds(kind(nodes(count)), keys)
            what = f"steering through {kind.__name__}, {count} nodes"
            found.append(row(what, "-", took, "<=", limit, unit="us"))
    return found


def _microseconds(placement: Placement, keys: list[str]) -> list[float]:
    wanted = random.Random(2).choices(placement.addresses, k=len(keys))
    # A placement works its shares out once, for all steering through it.
    steer(placement, "first", wanted[0])
    pairs = list(zip(keys, wanted, strict=True))
    size = len(pairs) // BATCHES
    with no_collection():
        return [
            cpu_seconds(for_each(lambda pair: steer(placement, *pair), pairs[start : start + size]))
            / size
            * 1e6
            for start in range(0, size * BATCHES, size)
        ]


if __name__ == "__main__":
    main(rows, __doc__)

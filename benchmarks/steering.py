"""Finding the routing key that leads to a chosen node, beside placing a single key.

With n nodes a search tries n keys on average, so its cost is counted in calls of `place`: at
most two for each try, where there are many. With 3 nodes, what is checked once outweighs them.
"""

from __future__ import annotations

import random

from pavics_affinity.placement import NginxConsistentHash, NginxHash, Placement, steer

from .keys import for_each, machineids, nodes
from .measure import cpu_seconds, no_collection
from .rows import Row, main, row

LIMITS = {  # nodes: what one search may cost, in calls of `place`
    NginxHash: {3: 48, 100: 250, 1000: 2000},
    NginxConsistentHash: {3: 28, 100: 250, 1000: 2000},
}
BATCHES = 20


def rows(quick: bool) -> list[Row]:
    """Measure batches of fresh ids, each to a node drawn at random."""
    found = []
    for kind, limits in LIMITS.items():
        for count, limit in limits.items():
            keys = machineids(2000 if count == 3 else 300 if quick else 1500)
            found.append(
                row(
                    f"steering through {kind.__name__}, {count} nodes",
                    "one place",
                    _by_one_place(kind(nodes(count)), keys),
                    "<=",
                    limit,
                )
            )
    return found


def _by_one_place(placement: Placement, keys: list[str]) -> list[float]:
    """Return for each batch how much longer the search takes than placing the same keys."""
    wanted = random.Random(2).choices(placement.addresses, k=len(keys))
    # A placement works its shares out once, for all steering through it.
    steer(placement, "first", wanted[0])
    size = len(keys) // BATCHES
    found = []
    with no_collection():
        for start in range(0, size * BATCHES, size):
            batch = keys[start : start + size]
            pairs = list(zip(batch, wanted[start : start + size], strict=True))
            steered = cpu_seconds(for_each(lambda pair: steer(placement, *pair), pairs))
            # One batch of single places is too short for the clock.
            placed = cpu_seconds(for_each(placement.place, batch * 10)) / 10
            found.append(steered / placed)
    return found


if __name__ == "__main__":
    main(rows, __doc__)

"""Placement and steering beside uhashring, pymemcache and the raw hash functions.

Both sides of a row take turns in this process; a figure is the median over the pairs,
its spread the quartiles. Run ``python -m benchmarks.placement [--quick] [--json]``.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median, quantiles
from typing import Any

import mmh3
from pymemcache.client.rendezvous import RendezvousHash
from uhashring import HashRing

from pavics_affinity.placement import NginxConsistentHash, NginxHash, Placement, Rendezvous, steer

NODES = (3, 10, 100, 1000)
Row = dict[str, Any]


def nodes(count: int) -> list[str]:
    return [f"10.0.{i // 250}.{i % 250 + 1}:8093" for i in range(count)]


def machineids(count: int) -> list[str]:
    rng = random.Random(1)
    return [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(count)]


@contextmanager
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def for_each(call: Callable[[Any], object], keys: Sequence[Any]) -> Callable[[], None]:
    def run() -> None:
        for key in keys:
            call(key)

    return run


def speed(
    ours: Callable[[], object], theirs: Callable[[], object], pairs: int
) -> tuple[float, list[float]]:
    """How many times faster ours is: median and quartiles over interleaved pairs."""
    ours()
    theirs()
    ratios = []
    with no_collection():
        for i in range(pairs):
            # Who goes first takes turns, too.
            if i % 2:
                other, own = seconds(theirs), seconds(ours)
            else:
                own, other = seconds(ours), seconds(theirs)
            ratios.append(other / own)
    low, _, high = quantiles(ratios, n=4)
    return median(ratios), [round(low, 2), round(high, 2)]


def at_least(
    what: str,
    against: str,
    target: float,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    pairs: int,
) -> Row:
    figure, spread = speed(ours, theirs, pairs)
    return {
        "what": what,
        "against": against,
        "target": f">= {target:g} times the speed",
        "figure": round(figure, 2),
        "spread": spread,
        "met": figure >= target,
    }


def nginx_rows(count: int, pairs: int, keys: list[str]) -> Iterator[Row]:
    names = nodes(count)
    raw = [key.encode() for key in keys]
    plain, ring = NginxHash(names), NginxConsistentHash(names)
    uhash, ketama = HashRing(names), HashRing(names, hash_fn="ketama")
    limit = for_each(zlib.crc32, raw)
    for keyed, form in ((keys, "text"), (raw, "bytes")):
        ours = for_each(plain.place, keyed)
        what = f"NginxHash.place, {form} keys, {count} nodes"
        if form == "text":
            yield at_least(what, "uhashring", 5, ours, for_each(uhash.get_node, keys), pairs)
            yield at_least(
                what, "uhashring ketama", 5, ours, for_each(ketama.get_node, keys), pairs
            )
        yield at_least(what, "zlib.crc32 alone", 0.3, ours, limit, pairs)
    ours = for_each(ring.place, keys)
    what = f"NginxConsistentHash.place, {count} nodes"
    yield at_least(what, "uhashring", 2.5, ours, for_each(uhash.get_node, keys), pairs)
    yield at_least(what, "uhashring ketama", 2.5, ours, for_each(ketama.get_node, keys), pairs)


def build_row(count: int, target: float, pairs: int) -> Row:
    names = nodes(count)
    return at_least(
        f"NginxConsistentHash, building it, {count} nodes",
        "uhashring ketama",
        target,
        lambda: NginxConsistentHash(names),
        lambda: HashRing(names, hash_fn="ketama"),
        pairs,
    )


def rendezvous_rows(
    count: int, equal: float, weighted: float, pairs: int, keys: list[str]
) -> Iterator[Row]:
    names = nodes(count)
    theirs = for_each(RendezvousHash(names, hash_function=mmh3.hash).get_node, keys)
    same = Rendezvous(dict.fromkeys(names, 1))
    classes = Rendezvous({name: 1 + i % 4 for i, name in enumerate(names)})
    yield at_least(
        f"Rendezvous.place, equal weights, {count} nodes",
        "pymemcache's with mmh3",
        equal,
        for_each(same.place, keys),
        theirs,
        pairs,
    )
    yield at_least(
        f"Rendezvous.place, four weight classes, {count} nodes",
        "pymemcache's with mmh3",
        weighted,
        for_each(classes.place, keys),
        theirs,
        pairs,
    )
    if count == 100:
        seeds = [mmh3.hash(name, 0, False) for name in names]

        def raw_hashes() -> None:
            for key in keys:
                for seed in seeds:
                    mmh3.hash(key, seed)

        yield at_least(
            f"Rendezvous.place, equal weights, {count} nodes",
            f"{count} raw mmh3.hash calls",
            0.6,
            for_each(same.place, keys),
            raw_hashes,
            pairs,
        )


def steering_row(placement: Placement, count: int, target: float, keys: list[str]) -> Row:
    wanted = random.Random(2).choices(placement.addresses, k=len(keys))
    # A placement works its shares out once, for all steering through it.
    steer(placement, "first", wanted[0])
    batches = []
    with no_collection():
        for start in range(0, len(keys), max(1, len(keys) // 10)):
            batch = list(zip(keys, wanted, strict=True))[start : start + max(1, len(keys) // 10)]
            took = seconds(for_each(lambda pair: steer(placement, *pair), batch))
            batches.append(took / len(batch) * 1e6)
    figure = sum(batches) / len(batches)
    low, _, high = quantiles(batches, n=4)
    return {
        "what": f"steering through {type(placement).__name__}, {count} nodes",
        "against": "-",
        "target": f"<= {target:g} us on average",
        "figure": round(figure, 1),
        "spread": [round(low, 1), round(high, 1)],
        "met": figure <= target,
    }


def rows(quick: bool) -> list[Row]:
    """Measure every row about placement; `quick` takes some seconds."""
    pairs = 11 if quick else 101
    keys = machineids(2000)
    found: list[Row] = []
    for count in NODES:
        found += nginx_rows(count, pairs, keys)
    found.append(build_row(10, 2, pairs))
    found.append(build_row(1000, 5, 3 if quick else 15))
    for count, equal, weighted in ((3, 1.3, 0.6), (10, 1.3, 0.6), (100, 2, 1.5), (1000, 2, 2)):
        some = keys[: max(20, 12_000 // count)]
        found += rendezvous_rows(count, equal, weighted, pairs, some)
    for count, target in ((3, 10), (100, 100), (1000, 1000)):
        many = machineids(2000 if count == 3 else 300 if quick else 1500)
        found.append(steering_row(NginxHash(nodes(count)), count, target, many))
        found.append(steering_row(NginxConsistentHash(nodes(count)), count, target, many))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pairs: some seconds")
    parser.add_argument("--json", action="store_true", help="print JSON and not a table")
    options = parser.parse_args()
    measured = rows(options.quick)
    if options.json:
        print(json.dumps(measured, indent=2))
        return
    for row in measured:
        low, high = row["spread"]
        verdict = "met" if row["met"] else "MISSED"
        print(
            f"{row['what']:52} {row['against']:26} {row['target']:24} "
            f"{row['figure']:8} ({low} to {high})  {verdict}"
        )


if __name__ == "__main__":
    main()

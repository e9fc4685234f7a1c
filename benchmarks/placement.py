"""Placement beside uhashring, pymemcache and the raw hash functions: times the speed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import mmh3
from pymemcache.client.rendezvous import RendezvousHash
from uhashring import HashRing

from pavics_affinity.placement import NginxConsistentHash, NginxHash, Rendezvous

from .keys import for_each, machineids, nodes
from .measure import cpu_seconds, in_turns, ratios
from .rows import Row, main, row

NODES = (3, 10, 100, 1000)


def at_least(
    what: str,
    against: str,
    target: float,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    pairs: int,
) -> Row:
    took = in_turns({"ours": ours, "theirs": theirs}, pairs, clock=cpu_seconds)
    return row(what, against, ratios(took["theirs"], took["ours"]), ">=", target, unit="times")


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


def rows(quick: bool) -> list[Row]:
    """Measure every row about placement; `quick` takes some seconds."""
    pairs = 5 if quick else 51
    keys = machineids(2000)
    found: list[Row] = []
    for count in NODES:
        found += nginx_rows(count, pairs, keys)
    found.append(build_row(10, 2, pairs))
    found.append(build_row(1000, 5, 3 if quick else 15))
    for count, equal, weighted in ((3, 1.3, 0.6), (10, 1.3, 0.6), (100, 2, 1.5), (1000, 2, 2)):
        some = keys[: max(20, 12_000 // count)]
        found += rendezvous_rows(count, equal, weighted, pairs, some)
    return found


if __name__ == "__main__":
    main(rows, __doc__)

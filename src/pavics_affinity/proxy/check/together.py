"""Rules on services against each other: one id lands on one node in all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ...errors import AffinityError
from ...machineid import derive_machineid
from ...placement.servers import Server
from ...topology import Backend, Service
from ...topology.placing import Placing
from ..naming import Nodes
from .findings import Findings, finding, listed
from .pools import Pool
from .site import Site

KEYS = 1000
"""Machineids that are tried; always the same ones."""


def together_findings(site: Site) -> Findings:
    """Place ids on each service, and compare."""
    pools = [pool for pool in site.services if pool.choices and site.headers_of(pool)]
    nodes = Nodes([pool.servers for pool in pools], {})
    places = {pool.name: placed for pool in pools if (placed := place(pool, nodes, site))}
    pools = [pool for pool in pools if pool.name in places]
    if len(pools) < 2:
        return
    reference = _reference(pools, places)
    for pool in pools:
        share = share_together(places[reference.name], places[pool.name])
        if share < 1 and pool is not reference:
            yield from _apart(pool, reference, share, nodes, site)


def share_together(one: Sequence[str | None], other: Sequence[str | None]) -> float:
    """Return the share of the ids that land on one node in both services."""
    rows = list(zip(one, other, strict=True))
    return sum(a == b and a is not None for a, b in rows) / len(rows)


def place(pool: Pool, nodes: Nodes, site: Site) -> list[str | None]:
    """Name the node of each id; None where nobody can tell. Empty if nothing can be told."""
    backends = [
        Backend(nodes.of(s), s.text, weight=s.weight, down=s.down, backup=s.backup)
        for s in pool.servers
    ]
    consistent = pool.hashed is not None and pool.hashed.consistent
    service = Service("service", port=80, method="hash consistent" if consistent else "hash")
    return place_on(Placing(service, backends, site.resolve))


def place_on(placing: Placing) -> list[str | None]:
    """Name the node of each id; None where nobody can tell. Empty if nothing can be told."""
    try:
        placement, names = placing.placement, placing.nodes
    except AffinityError:
        return []
    found: list[str | None] = []
    for number in range(KEYS):
        try:
            found.append(names[placement.place(derive_machineid("check", number))])
        except AffinityError:
            found.append(None)
    return found


def _reference(pools: Sequence[Pool], places: Mapping[str, Sequence[str | None]]) -> Pool:
    """Choose the service that most others agree with; the first of several."""
    counts = Counter(tuple(placed) for placed in places.values())
    most = counts.most_common(1)[0][0]
    return next(pool for pool in pools if tuple(places[pool.name]) == most)


def _apart(pool: Pool, reference: Pool, share: float, nodes: Nodes, site: Site) -> Findings:
    rule, cause, remedy = _cause(pool, reference, nodes)
    strict = site.takes_names
    yield finding(
        rule,
        "warning" if strict else "error",
        pool.method,
        f"{cause}: {share:.0%} of the ids land on one node in both. "
        + (
            "Clients that name the node in the key are not concerned; with a bare id, the"
            if strict
            else "The"
        )
        + f" other {1 - share:.0%} of the chains that cross from one service to the other do "
        "not find their files",
        remedy,
    )


def _cause(pool: Pool, reference: Pool, nodes: Nodes) -> tuple[str, str, str]:
    both = f"{pool.name!r} and {reference.name!r} ({reference.statement.where})"
    mine = [(nodes.of(s), s.weight, s.down) for s in _choices(pool)]
    theirs = [(nodes.of(s), s.weight, s.down) for s in _choices(reference)]
    consistent, other = _consistent(pool), _consistent(reference)
    if consistent and other and _names_and_weights(mine) == _names_and_weights(theirs):
        return (
            "consistent-ports",
            f"{both} hash 'consistent', where the text of each server line, port included, "
            "decides: the lines differ",
            "take 'consistent' away from all services that chains cross; with plain 'hash', order "
            "and weights alone decide",
        )
    if consistent != other:
        return (
            "services-apart",
            f"of {both} one hashes 'consistent' and the other does not",
            "write the same hash line in all services that chains cross, without 'consistent'",
        )
    if {name for name, *_ in mine} != {name for name, *_ in theirs}:
        strange = sorted({name for name, *_ in mine} ^ {name for name, *_ in theirs})
        return (
            "services-apart",
            f"{both} are on different nodes ({listed(strange)} in one only)",
            "run the services of a chain on the same nodes, and list them in the same order; mark "
            "one that must not be used 'down', in all services",
        )
    if [name for name, *_ in mine] != [name for name, *_ in theirs]:
        return (
            "order-differs",
            f"{both} list the nodes in different order",
            "write the server lines in the same order in all services: nginx hashes positions, "
            "not names",
        )
    if [weight for _, weight, _ in mine] != [weight for _, weight, _ in theirs]:
        return (
            "weights-differ",
            f"{both} give the nodes different weights",
            "write the same weights in all services",
        )
    if mine == theirs and any(down for *_, down in mine):
        return (
            "services-apart",
            f"{both} leave ids to chance: after 20 tries at servers that are down nginx gives up "
            "the hash and takes turns",
            "take servers that are down for long out of the list, in all services",
        )
    return (
        "services-apart",
        f"{both} do not mark the same nodes 'down', or their names have different addresses",
        "mark the same nodes in all services, and write addresses in place of names",
    )


def _choices(pool: Pool) -> list[Server]:
    return [line.server for line in pool.choices if line.server is not None]


def _names_and_weights(rows: Sequence[tuple[str, int, bool]]) -> Counter[tuple[str, int]]:
    return Counter((name, weight) for name, weight, _ in rows)


def _consistent(pool: Pool) -> bool:
    return pool.hashed is not None and pool.hashed.consistent

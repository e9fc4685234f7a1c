"""Rules that compare services: an id must land on the same node in all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ...errors import AffinityError
from ...topology import Service
from ...topology.placing import Placing
from ..naming import Nodes, backend_of
from ..nginx.upstreams import Upstream
from .rules import Findings, finding, listed
from .site import Site


def together_findings(site: Site) -> Findings:
    """Place ids on each service, and report services that disagree."""
    services = [each for each in site.services if each.choices and site.headers_of(each)]
    nodes = Nodes([service.servers for service in services], {})
    places = {each: placed for each in services if (placed := _place(each, nodes, site))}
    if len(places) < 2:
        return
    reference = _reference(places)
    for service, placed in places.items():
        share = share_together(places[reference], placed)
        if share < 1 and service is not reference:
            yield from _apart(service, reference, share, nodes, site)


def share_together(one: Sequence[str | None], other: Sequence[str | None]) -> float:
    """Return the share of the ids that land on the same node in both services."""
    rows = list(zip(one, other, strict=True))
    return sum(a == b and a is not None for a, b in rows) / len(rows)


def _place(service: Upstream, nodes: Nodes, site: Site) -> list[str | None]:
    backends = [backend_of(nodes.of(server), server) for server in service.servers]
    a_service = Service("service", port=80, method=service.hash_method)
    return place_on(Placing(a_service, backends, site.resolve), site)


def place_on(placing: Placing, site: Site) -> list[str | None]:
    """Return the node of each id, None for one left to chance; empty if nothing is known."""
    try:
        placement, names = placing.placement, placing.nodes
    except AffinityError:
        return []
    found: list[str | None] = []
    for machineid in site.sample:
        try:
            found.append(names[placement.place(machineid)])
        except AffinityError:
            found.append(None)
    return found


def _reference(places: Mapping[Upstream, Sequence[str | None]]) -> Upstream:
    """Return the service that most others agree with; the first one if there are several."""
    counts = Counter(tuple(placed) for placed in places.values())
    most = counts.most_common(1)[0][0]
    return next(service for service, placed in places.items() if tuple(placed) == most)


def _apart(
    service: Upstream, reference: Upstream, share: float, nodes: Nodes, site: Site
) -> Findings:
    rule, cause, remedy = _cause(service, reference, nodes)
    strict = site.takes_node_names
    yield finding(
        rule,
        service.method,
        f"{cause}: {share:.0%} of the ids land on one node in both. "
        + ("Keys that name the node are unaffected; with a bare id, the" if strict else "The")
        + f" other {1 - share:.0%} of the chains that cross from one service to the other do not "
        "find their files",
        remedy,
        severity="warning" if strict else "error",
    )


def _cause(service: Upstream, reference: Upstream, nodes: Nodes) -> tuple[str, str, str]:
    both = f"{service.name!r} and {reference.name!r} ({reference.statement.where})"
    mine, theirs = (
        [(nodes.of(s), s.weight, s.down) for line in each.choices if (s := line.server)]
        for each in (service, reference)
    )
    names, others = [name for name, *_ in mine], [name for name, *_ in theirs]
    alike = Counter(row[:2] for row in mine) == Counter(row[:2] for row in theirs)
    if service.is_consistent and reference.is_consistent and alike:
        return (
            "consistent-ports",
            f"{both} hash 'consistent', which goes by the text of each server line, port "
            "included: the lines differ",
            "remove 'consistent' from all services that chains cross; plain 'hash' goes by order "
            "and weights alone",
        )
    if service.is_consistent != reference.is_consistent:
        return (
            "services-apart",
            f"of {both} only one hashes 'consistent'",
            "write the same hash line in all services that chains cross, without 'consistent'",
        )
    if set(names) != set(others):
        return (
            "services-apart",
            f"{both} are on different nodes (only one has {listed(sorted({*names} ^ {*others}))})",
            "run the services of a chain on the same nodes, and list them in the same order; mark "
            "one that must not be used 'down', in all services",
        )
    if names != others:
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
            f"{both} leave ids to chance: after 20 tries at servers that are down, nginx gives up "
            "the hash and uses round robin",
            "remove servers that are down for long from the list, in all services",
        )
    return (
        "services-apart",
        f"{both} do not mark the same nodes 'down', or their names have different addresses",
        "mark the same nodes in all services, and write addresses instead of names",
    )

"""How many workflows of this process each node has, so that new ones go to the least used."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..errors import PlacementUndetermined
from ..machineid import mint_machineid

if TYPE_CHECKING:
    from ..topology import Service, Topology

MOST_DRAWS = 64
"""Fresh ids that are tried for one that lands where it is wanted."""

_LOCK = threading.Lock()
_OPEN: Counter[tuple[str, str]] = Counter()
# Workflows that were forgotten, not closed, leave while the collector runs, in the midst of
# anything: they wait here, and take no lock.
_LEFT: deque[tuple[str, str]] = deque()


def site_name(topology: Topology) -> str:
    """Name a site by what stays when nodes come and go."""
    if topology.site:
        return topology.site
    return "|".join(f"{s.name}={s.url or s.listen_port}" for s in topology.services)


def choose(topology: Topology, machineid: str, among: Iterable[str]) -> str | None:
    """Take the node with the fewest open workflows per weight, and count one more there.

    The machineid decides between equals, so that processes that start at the same instant do not
    all begin with the same node. None if `among` is empty.
    """
    from ..placement import Rendezvous

    weights = {name: topology.node(name).weight for name in among}
    if not weights:
        return None
    site = site_name(topology)
    with _LOCK:
        load = _load(site, weights)
        enough = _about_least(load)
        equals = {name: weights[name] for name in weights if load[name] <= enough}
        chosen = Rendezvous(equals).place(machineid)
        _OPEN[site, chosen] += 1
    return chosen


def mint(topology: Topology, service: Service, among: Iterable[str]) -> tuple[str, str] | None:
    """Mint an id that lands by itself on a little used node, and count one more there.

    Of at most `MOST_DRAWS` fresh ids it is the first that lands on the least used node, else the
    one that lands on the least used of those that were hit. Returns the id and its node; None if
    no id landed on a node that may be taken, or it cannot be predicted where ids land.
    """
    weights = {name: topology.node(name).weight for name in among}
    try:
        topology.placement(service)  # may ask for addresses, which others need not wait for
    except PlacementUndetermined:
        return None
    if not weights:
        return None
    site = site_name(topology)
    best: tuple[str, str] | None = None
    with _LOCK:
        load = _load(site, weights)
        enough = _about_least(load)
        for _ in range(MOST_DRAWS):
            machineid = mint_machineid()
            node = _lands_on(topology, service, machineid)
            if node in load and (best is None or load[node] < load[best[1]]):
                best = machineid, node
                if load[node] <= enough:
                    break
        if best is not None:
            _OPEN[site, best[1]] += 1
    return best


def mint_for(topology: Topology, service: Service, node: str) -> str | None:
    """Mint an id that lands by itself on a node; None if some tries found none."""
    for _ in range(MOST_DRAWS * 16):
        machineid = mint_machineid()
        if _lands_on(topology, service, machineid) == node:
            return machineid
    return None


def take(site: str, node: str) -> None:
    """Count one workflow more on a node of a site."""
    with _LOCK:
        _OPEN[site, node] += 1


def release(site: str, node: str) -> None:
    """Count one workflow less on a node of a site."""
    _LEFT.append((site, node))


def _load(site: str, weights: Mapping[str, float]) -> dict[str, float]:
    while _LEFT:
        key = _LEFT.popleft()
        _OPEN[key] -= 1
        if _OPEN[key] <= 0:
            del _OPEN[key]
    return {name: (_OPEN[site, name] + 1) / weight for name, weight in weights.items()}


def _about_least(load: Mapping[str, float]) -> float:
    return min(load.values()) * (1 + 1e-9)


def _lands_on(topology: Topology, service: Service, key: str) -> str | None:
    try:
        return topology.first_node(service.name, key)
    except PlacementUndetermined:
        return None

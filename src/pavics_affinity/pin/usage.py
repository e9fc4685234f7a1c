"""How many workflows of this process each node has, so that new ones go to the least used."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

from ..placement import Rendezvous
from ..topology import Topology

_LOCK = threading.Lock()
_OPEN: Counter[tuple[str, str]] = Counter()


def site_name(topology: Topology) -> str:
    """Name a site by what stays when nodes come and go."""
    if topology.site:
        return topology.site
    return "|".join(f"{s.name}={s.url or s.listen_port}" for s in topology.services)


def choose(topology: Topology, machineid: str, among: Iterable[str]) -> str | None:
    """Take the node with the fewest open workflows per weight, and count one more there.

    Parameters
    ----------
    topology : Topology
        The site.
    machineid : str
        Decides between equals, so that processes that start at the same
        instant do not all begin with the same node.
    among : iterable of str
        Names of the nodes that may be taken.

    Returns
    -------
    str or None
        None where `among` is empty.
    """
    weights = {name: topology.node(name).weight for name in among}
    if not weights:
        return None
    site = site_name(topology)
    with _LOCK:
        load = {name: (_OPEN[site, name] + 1) / weight for name, weight in weights.items()}
        least = min(load.values())
        equals = {name: weights[name] for name in weights if load[name] <= least * (1 + 1e-9)}
        chosen = Rendezvous(equals).place(machineid)
        _OPEN[site, chosen] += 1
    return chosen


def take(topology: Topology, node: str) -> None:
    """Count one workflow more on a node."""
    with _LOCK:
        _OPEN[site_name(topology), node] += 1


def release(topology: Topology, node: str) -> None:
    """Count one workflow less on a node."""
    key = (site_name(topology), node)
    with _LOCK:
        _OPEN[key] -= 1
        if _OPEN[key] <= 0:
            del _OPEN[key]

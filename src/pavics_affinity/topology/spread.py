"""Measure how keys spread over the nodes, and how many a change of the servers would move.

The shares are counted over keys and not computed from the weights, because nginx's plain hash
has only 15 bits, and a consistent hash is only as even as its points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from ..errors import PlacementUndetermined
from .model import Topology
from .parts import Backend, Service
from .placing import Placing
from .urls import join_host

MOST_NODES = 24
SAMPLE = 4
"""Of more than `MOST_NODES` nodes, only this many are tried as removed and as down."""


@dataclass(frozen=True, slots=True)
class Moves:
    """The keys that a change of a service's servers moves, as shares of all keys."""

    moved: float
    needless: float  # of them, those whose old node still accepts requests


@dataclass(frozen=True, slots=True)
class NodeSpread:
    """A node's share of a service's keys, and the keys that move without the node.

    Moves are None if that was not tried, or if no server would be left.
    """

    weight: float  # the sum of its backends' weights
    expected: float  # the share that this asks for
    share: float
    removed: Moves | None
    down: Moves | None


@dataclass(frozen=True, slots=True)
class ServiceSpread:
    """How the keys of a service spread; `added` is for a new node of weight 1 at the end."""

    name: str
    method: str
    nodes: Mapping[str, NodeSpread]
    added: Moves


@dataclass(frozen=True, slots=True)
class Spread:
    """How a number of keys spread over the nodes of a site."""

    keys: int
    services: tuple[ServiceSpread, ...]
    together: float  # the share of the keys that land on one node in all services
    pairs: Mapping[tuple[str, str], float]  # the same for each pair of services


def measure_spread(topology: Topology, keys: Sequence[str]) -> Spread:
    """Place bare machineids on a topology as it is, and as it would be after a change.

    Raises `PlacementUndetermined` if the decisions of a service's proxy cannot be predicted.
    """
    placed = {service.name: _nodes_of(topology, service, keys) for service in topology.services}
    return Spread(
        keys=len(keys),
        services=tuple(
            _of_service(topology, service, keys, placed[service.name])
            for service in topology.services
        ),
        together=_equal(*placed.values()),
        pairs={(a, b): _equal(placed[a], placed[b]) for a, b in combinations(placed, 2)},
    )


def _of_service(
    topology: Topology, service: Service, keys: Sequence[str], placed: Sequence[str | None]
) -> ServiceSpread:
    backends = topology.backends(service)
    weights: Counter[str] = Counter()
    taking: Counter[str] = Counter()
    for backend in backends:
        weight = 1 if backend.weight is None else backend.weight
        weights[backend.node] += weight  # type: ignore[assignment]  # a Counter holds floats too
        if not backend.down and not backend.backup:
            taking[backend.node] += weight  # type: ignore[assignment]  # as above
    counts = Counter(placed)
    tried = set(_some(list(weights)))

    def after(changed: Sequence[Backend], gone: str | None = None) -> Moves | None:
        if all(backend.down or backend.backup for backend in changed):
            return None
        later = _nodes_of(topology, service, keys, changed)
        moved = [(old, new) for old, new in zip(placed, later, strict=True) if old != new]
        needless = sum(old != gone and new != _NEW.node for old, new in moved)
        return Moves(len(moved) / len(keys), needless / len(keys))

    def without(node: str) -> Moves | None:
        return after([b for b in backends if b.node != node], node) if node in tried else None

    def marked_down(node: str) -> Moves | None:
        down = [replace(b, down=True) if b.node == node else b for b in backends]
        return after(down, node) if node in tried else None

    return ServiceSpread(
        name=service.name,
        method=service.method,
        nodes={
            node: NodeSpread(
                weight=weight,
                expected=taking[node] / taking.total() if taking else 0.0,
                share=counts[node] / len(keys),
                removed=without(node),
                down=marked_down(node),
            )
            for node, weight in weights.items()
        },
        added=after(
            [*backends, replace(_NEW, address=join_host("new-node.invalid", service.port or 80))]
        )
        or Moves(1.0, 0.0),
    )


# No node has this name, because names contain no blanks.
_NEW = Backend("a new node", weight=1)


def _nodes_of(
    topology: Topology,
    service: Service,
    keys: Iterable[str],
    backends: Sequence[Backend] | None = None,
) -> list[str | None]:
    """Return the node that each key lands on; None if that cannot be predicted."""
    if backends is None:
        backends = topology.backends(service)
    placing = Placing(service, backends, topology.resolve)
    place, nodes = placing.placement.place, placing.nodes
    found: list[str | None] = []
    for key in keys:
        try:
            found.append(nodes[place(key)])
        except PlacementUndetermined:
            found.append(None)
    return found


def _equal(*columns: Sequence[str | None]) -> float:
    rows = [len(set(row)) == 1 and row[0] is not None for row in zip(*columns, strict=True)]
    return sum(rows) / len(rows) if rows else 1.0


def _some(names: Sequence[str]) -> Sequence[str]:
    if len(names) <= MOST_NODES:
        return names
    return [names[i * len(names) // SAMPLE] for i in range(SAMPLE)]

"""Choose the node of the next chain, among those that take new chains."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Collection, Sequence
from math import ceil, floor

from ..errors import PlacementUndetermined, SteeringImpossible, TopologyError
from ..topology import Node, Service, Topology, TopologySource

AT_ONCE = 4
"""Chains at a time on the node of least weight, by default."""

MOST_AT_ONCE = 16
"""Chains at a time on any node, by default."""

PLAIN_AT_ONCE = 8
"""Chains at a time in total if the nodes are not known, by default."""

LOOK_AGAIN = 5.0
"""Seconds after which a proxy's published topology is read again."""


class Scheduler:
    """Counts the unfinished chains of each node, and chooses the node of the next chain.

    A node may get the next chain if it has less unfinished work than any node would have
    with one chain more: ``unfinished / weight <= min((unfinished + 1) / weight)``. Among
    these, the chain goes to the node that got the least so far, by ``(given + 1) / weight``.
    So the nodes share the work by weight while they keep up, and a slow node gets less. No
    node has more than `per_node` chains at a time, and all together no more than
    ``per_node * sum(weights) / max(weights)``, so unfinished work is shared by weight, too.
    """

    def __init__(self, nodes: CandidateNodes, per_node: int | None) -> None:
        self.nodes = nodes
        self._limit = per_node
        self._unfinished: Counter[str | None] = Counter()
        self._given: Counter[str | None] = Counter()
        self.lost: set[str] = set()
        """The nodes that do not answer."""

    @property
    def stranded(self) -> bool:
        """Whether nodes are known and all are lost."""
        return bool(self.nodes.weights) and not self._available()

    @property
    def per_node(self) -> int:
        """Chains at a time on the node of greatest weight."""
        if self._limit is not None:
            return self._limit
        weights = self.nodes.weights.values()
        if not weights:
            return PLAIN_AT_ONCE
        return max(AT_ONCE, min(MOST_AT_ONCE, ceil(AT_ONCE * max(weights) / min(weights))))

    @property
    def in_all(self) -> int:
        """Chains at a time on all nodes together."""
        if not self.nodes.weights:
            return self.per_node
        weights = self._available()
        if not weights:
            return 0
        proportion = sum(weights.values()) / max(weights.values())
        return max(len(weights), floor(self.per_node * proportion + 1e-9))

    def learn(self, sources: Sequence[TopologySource]) -> bool:
        """Use the nodes of a topology that was found, if none was known; return whether any are."""
        if sources and not self.nodes.sources:
            with contextlib.suppress(Exception):
                nodes = CandidateNodes(sources, direct=self.nodes.direct)
                if nodes.weights:
                    self.nodes = nodes
        return bool(self.nodes.weights)

    def choose(self, avoid: Collection[str] = ()) -> tuple[str | None] | None:
        """Return the node for a new chain as a tuple of one; None if the chain has to wait.

        The node in the tuple is None if no nodes are known. Nodes in `avoid` are left
        out unless there are no others.
        """
        if self._unfinished.total() >= self.in_all:
            return None
        if not self.nodes.weights:
            return (None,)
        weights = self._available()
        free = [node for node in weights if self._unfinished[node] < self.per_node]
        others = [node for node in free if node not in avoid]
        if not others and set(weights) <= set(avoid):
            others = free
        if not others:
            return None
        lightest = min((self._unfinished[node] + 1) / weights[node] for node in others)
        light = [node for node in others if self._unfinished[node] / weights[node] <= lightest]
        return (min(light, key=lambda node: (self._given[node] + 1) / weights[node]),)

    def has_room(self, node: str | None) -> bool:
        """Return whether a chain of this node may continue there now."""
        return node not in self.lost and self._unfinished[node] < self.per_node

    def begin(self, node: str | None) -> None:
        """Count a chain that starts on the node."""
        self._unfinished[node] += 1
        self._given[node] += 1

    def end(self, node: str | None) -> None:
        """Count a chain that ended on the node."""
        self._unfinished[node] -= 1

    def _available(self) -> dict[str, float]:
        weights = self.nodes.weights.items()
        return {node: weight for node, weight in weights if node not in self.lost}


class CandidateNodes:
    """The nodes that may take new chains, from the current topology of the first source.

    A node may take chains if it is not drained, offers all the services that the chain uses,
    and can be reached: through proxies that can be steered to it, or by `direct` requests. If
    no node is known, `weights` is empty and `reason` says why.
    """

    def __init__(
        self,
        sources: Sequence[TopologySource],
        services: Collection[str] | None = None,
        *,
        direct: bool,
    ) -> None:
        self.sources = tuple(sources)
        self.weights: dict[str, float] = {}
        """The nodes that take new chains, including those that do not answer."""
        self.reason = "no topology is known"
        self._services = services
        self.direct = direct
        self._looked = time.monotonic()
        if self.sources:
            topology = self.sources[0].current
            self._read(topology)
            if not self.weights and not self.reason:
                names = ", ".join(service.name for service in self._used(topology))
                raise TopologyError(
                    f"no node takes new workflows for all of: {names}. The nodes are drained, "
                    "marked down, or do not offer some of these services. Name the services that "
                    "the chain uses with services=, or correct the topology"
                )

    def renew(self) -> None:
        """Read the topology again if it has changed."""
        if not self.sources:
            return
        now = time.monotonic()
        thorough = now - self._looked > LOOK_AGAIN
        if thorough:
            self._looked = now
        if self.sources[0].renew(thorough=thorough):
            self._read(self.sources[0].current)

    @property
    def urls(self) -> list[str]:
        """URLs of the services, for checking whether a node answers."""
        if not self.sources:
            return []
        return [service.url for service in self._used(self.sources[0].current) if service.url]

    def _used(self, topology: Topology) -> list[Service]:
        if self._services is None:
            return list(topology.services)
        return [topology.service(name) for name in self._services]

    def _read(self, topology: Topology) -> None:
        services = self._used(topology)
        self.reason = "" if services else "the topology names no service"
        weights = {}
        for node in topology.nodes if services else ():
            weight = None if node.drain else self._weight(topology, services, node)
            if weight is not None:
                weights[node.name] = weight
        self.weights = weights  # whole, because other threads read it

    def _weight(self, topology: Topology, services: Sequence[Service], node: Node) -> float | None:
        """Return the node's mean weight over the services; None if it cannot run them all."""
        whole = 0.0
        for service in services:
            mine = [
                backend
                for backend in topology.backends(service)
                if backend.node == node.name and not (backend.down or backend.backup)
            ]
            if not mine or not self._is_reachable(topology, service, node):
                return None
            whole += sum(backend.weight or 1 for backend in mine)
        return whole / len(services)

    def _is_reachable(self, topology: Topology, service: Service, node: Node) -> bool:
        if self.direct:
            return True
        try:
            topology.routing_key(service, "a1b2", node.name)
        except SteeringImpossible:
            return False
        except PlacementUndetermined as unknown:
            self.reason = unknown.message
            return False
        return True

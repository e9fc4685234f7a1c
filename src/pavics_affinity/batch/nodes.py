"""Which nodes of a site take new chains, as its topology has it now."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from ..errors import PlacementUndetermined, SteeringImpossible, TopologyError
from ..topology import Backend, Node, Service, Topology, TopologySource

LOOK_AGAIN = 5.0
"""Seconds after which what a proxy publishes is looked at again."""


class Nodes:
    """The nodes that new chains may be given, by weight.

    Those are the nodes that offer all the services concerned, are not drained, and
    that the proxies can be led to.

    Parameters
    ----------
    sources : sequence of TopologySource
        What is known of sites; the first one's nodes share the work.
    services : collection of str, optional
        The services that the chains use; by default all.
    direct : bool
        Whether the nodes are asked themselves.

    Attributes
    ----------
    weights : dict of str to float
        The nodes; empty where none is known.
    why_not : str
        Why there are none.

    Raises
    ------
    UnknownService
        The topology has no service of such a name.
    TopologyError
        No node offers all the services, or all are drained.
    """

    def __init__(
        self,
        sources: Sequence[TopologySource],
        services: Collection[str] | None,
        *,
        direct: bool,
    ) -> None:
        self._source = sources[0] if sources else None
        self._services = services
        self._direct = direct
        self._looked = time.monotonic()
        self.weights: dict[str, float] = {}
        self.why_not = "no topology is known"
        if self._source is not None:
            self._read(self._source.current)
            if not self.weights and not self.why_not:
                raise TopologyError(self._nobody(self._source.current))

    def renew(self) -> bool:
        """Look whether the topology has changed; return whether it has."""
        if self._source is None:
            return False
        now = time.monotonic()
        thorough = now - self._looked > LOOK_AGAIN
        if thorough:
            self._looked = now
        if not self._source.renew(thorough=thorough):
            return False
        self._read(self._source.current)
        return True

    @property
    def asked_at(self) -> list[str]:
        """URLs at which it can be asked whether a node answers."""
        if self._source is None:
            return []
        used = self._used(self._source.current)
        return [service.url for service in used if service.url]

    def _used(self, topology: Topology) -> list[Service]:
        if self._services is None:
            return list(topology.services)
        return [topology.service(name) for name in self._services]

    def _read(self, topology: Topology) -> None:
        services = self._used(topology)
        self.weights, self.why_not = {}, ""
        if not services:
            self.why_not = "the topology names no service"
            return
        for node in topology.nodes:
            if not node.drain:
                weight = self._weight(topology, services, node)
                if weight is not None:
                    self.weights[node.name] = weight

    def _weight(self, topology: Topology, services: Sequence[Service], node: Node) -> float | None:
        """Return the node's weight, the mean over the services; None if one cannot be reached."""
        whole = 0.0
        for service in services:
            mine = [b for b in topology.backends(service) if b.node == node.name and _takes(b)]
            if not mine:
                return None
            if not self._direct:
                try:
                    topology.routing_key(service, "a1b2", node.name)
                except SteeringImpossible:
                    return None
                except PlacementUndetermined as unknown:
                    self.why_not = str(unknown)
                    return None
            whole += sum(backend.weight or 1 for backend in mine)
        return whole / len(services)

    def _nobody(self, topology: Topology) -> str:
        names = ", ".join(service.name for service in self._used(topology))
        return (
            f"no node takes new workflows for all of: {names}. Nodes are drained, marked down, or "
            "do not offer some of them; name the services that the chain uses with services=, or "
            "correct the topology"
        )


def _takes(backend: Backend) -> bool:
    return not backend.down and not backend.backup

"""Make a service's placement from its backends, and map the placement's addresses to nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from ipaddress import IPv4Address

from ..errors import PlacementUndetermined, SteeringImpossible
from ..placement import NginxConsistentHash, NginxHash, Rendezvous, nginx_placement, steer
from ..placement.servers import parse_server, peers_of
from .parts import Backend, Service

Resolve = Callable[[str], Sequence[str]]
"""Returns the addresses of a host name, without ports."""


class Placing:
    """The placement of a service whose backends have addresses and weights filled in."""

    def __init__(
        self, service: Service, backends: Sequence[Backend], resolve: Resolve | None
    ) -> None:
        self._service = service
        self._backends = backends
        self._given = resolve
        self._stand_ins: dict[str, str] = {}
        self._tried = 0

    @cached_property
    def placement(self) -> NginxHash | NginxConsistentHash | Rendezvous:
        """See `Topology.placement`."""
        if all(backend.down for backend in self._backends):
            raise PlacementUndetermined(
                f"every backend of service {self._service.name!r} is marked down: "
                "no key has a place; remove a mark"
            )
        if self._service.method == "rendezvous":
            return Rendezvous({b.node: b.weight or 1 for b in self._backends if not b.down})
        for backend in self._backends:
            if backend.address is None:
                raise PlacementUndetermined(
                    f"nginx hashes the addresses of service {self._service.name!r}, and that of "
                    f"node {backend.node!r} is not known here; give the node a host and the "
                    "service a port"
                )
        directive = "hash $key" + " consistent" * (self._service.method == "hash consistent")
        lines = [_server_line(backend) for backend in self._backends]
        return nginx_placement(directive, lines, resolve=self._resolve)

    def key(self, machineid: str, node: str) -> str:
        """Return the key that makes nginx choose a node; see `Topology.routing_key`."""
        addresses = [address for address, name in self.nodes.items() if name == node]
        if not addresses:
            raise SteeringImpossible(
                f"no address leads only to node {node!r}: another node of service "
                f"{self._service.name!r} has the same one. Give each node its own address",
                node=node,
            )
        best = max(addresses, key=self.placement.share)
        try:
            return steer(self.placement, machineid, best)
        except SteeringImpossible as error:
            error.node = node
            raise

    @cached_property
    def nodes(self) -> Mapping[str, str]:
        """Nodes by the placement's addresses."""
        return {address: node for address, (node, _) in self.rows.items()}

    @cached_property
    def evidence(self) -> Mapping[str, str]:
        """Nodes by address, as nginx prints it and as the topology writes it."""
        found = {}
        for backend in self._backends:
            if backend.address is None:
                continue
            found[backend.address.lower()] = backend.node
            for peer in peers_of(parse_server(backend.address), self._given):
                if peer.address is not None:
                    found[peer.address.lower()] = backend.node
        return found

    @cached_property
    def rows(self) -> Mapping[str, tuple[str, str]]:
        """By the placement's address, the node and the address to show; names stay names."""
        if self._service.method == "rendezvous":
            return {b.node: (b.node, b.address or b.node) for b in self._backends}
        rows = {}
        for backend in self._backends:
            if backend.address is None:
                continue
            server = parse_server(backend.address)
            for peer in peers_of(server, self._resolve):
                address = str(peer.address)
                unknown = server.host in self._stand_ins
                shown = f"{server.host}:{server.port}" if unknown else address
                rows[address] = backend.node, shown
        return rows

    def _resolve(self, name: str) -> Sequence[str]:
        # With consistent, the addresses of a name take turns at the name's points, so their
        # number does not change the node.
        if self._given is None or self._service.method == "hash consistent":
            return [self._stand_in(name)]
        try:
            found = list(self._given(name))
        except OSError:
            found = []
        return found or [self._stand_in(name)]

    def _stand_in(self, name: str) -> str:
        """Return an address that no machine has, for a name without known addresses.

        The place of a key depends on the number of addresses of each name, not on their values.
        """
        while name not in self._stand_ins:
            self._tried += 1
            address = str(IPv4Address(self._tried))
            if address not in self._literals:
                self._stand_ins[name] = address
        return self._stand_ins[name]

    @cached_property
    def _literals(self) -> frozenset[str]:
        """The hosts that are addresses, in the form that nginx prints."""
        addresses = [b.address for b in self._backends if b.address is not None]
        peers = [peer for a in addresses for peer in peers_of(parse_server(a), None)]
        return frozenset(str(peer.address).rpartition(":")[0] for peer in peers)


def _server_line(backend: Backend) -> str:
    line = backend.address or ""
    if backend.weight not in (None, 1):
        line += f" weight={int(backend.weight or 1)}"
    return line + " down" * backend.down + " backup" * backend.backup

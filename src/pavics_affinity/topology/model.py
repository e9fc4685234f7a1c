"""Topology: the nodes and services of one site, found by name, URL or key.

The module is long because it documents the public API; the other modules here do the work.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from ..brief import brief
from ..errors import (
    PlacementUndetermined,
    SteeringImpossible,
    TopologyError,
    UnknownNode,
    UnknownService,
)
from ..markup import some
from ..markup.shown import ShownAsCard
from ..placement import NginxConsistentHash, NginxHash, Rendezvous
from ..protocol import DEFAULT_HEADER, name_key
from . import toml
from .matching import Match, UrlIndex
from .parts import (
    Backend,
    Node,
    Service,
    Tls,
    check_addresses,
    check_method,
    check_unique,
    fill,
)
from .placing import Placing, Resolve
from .schema import COUNT, COUNT_OR_AUTO, EVIDENCE, FLAG, HEADER, TEXT, Rule, changed, check, one_of

if TYPE_CHECKING:
    from ..markup.cards import Card

ProxyStyle = Literal["plain", "strict"]
InFront = Literal["in front"]

_TLS = Rule(
    lambda value: value == "in front" or isinstance(value, Tls),
    '{ certificate = "...", key = "..." }, or "in front"',
)

TOPOLOGY = {
    "header": HEADER,
    "evidence": EVIDENCE.or_none(),
    "site": TEXT.or_none(),
    "proxy": one_of(ProxyStyle),
    "direct": FLAG,
    "workers": COUNT_OR_AUTO,
    "connections": COUNT,
    "tls": _TLS.or_none(),
}


@dataclass(frozen=True)
class Topology(ShownAsCard):
    """The nodes and services behind one proxy, or of one site without a proxy.

    Parameters
    ----------
    nodes : sequence of Node
        At least one; names are unique.
    services : sequence of Service
        Names are unique.
    header : str, default "machineid"
        Request header that the proxy hashes.
    evidence : str, optional
        Response header in which the proxy names the node, or its address.
    site : str, optional
        A name for people.
    proxy : {"plain", "strict"}, default "plain"
        ``"strict"`` proxies, which ``render`` writes, accept a node's name in
        the routing key.
    direct : bool, default False
        Whether the discovery document publishes the nodes' addresses.
    workers : int or "auto", default "auto"
        Worker processes of nginx.
    connections : int, default 1024
        Connections per worker.
    resolve : callable, optional
        Returns the addresses of a host name. nginx hashes over the addresses of a
        name; without this, or if it returns none, each name counts as one address.
        It is called when a placement is first needed. It is not part of the file,
        and comparisons ignore it.
    tls : Tls or "in front", optional
        For `render`: where TLS ends if URLs are https, at the proxy with this
        certificate, or in front of it. Never published.

    Raises
    ------
    TopologyError
        A value is not valid, there is no node, two nodes have the same name or address,
        two services have the same URL, a backend is on an unknown node ...
    """

    nodes: tuple[Node, ...]
    services: tuple[Service, ...] = ()
    header: str = DEFAULT_HEADER
    evidence: str | None = None
    site: str | None = None
    proxy: ProxyStyle = "plain"
    direct: bool = False
    workers: int | Literal["auto"] = "auto"
    connections: int = 1024
    resolve: Resolve | None = field(default=None, compare=False, repr=False)
    tls: Tls | InFront | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "services", tuple(self.services))
        check_unique(self.nodes, Node, "nodes")
        check_unique(self.services, Service, "services")
        check(self, TOPOLOGY)
        if not self.nodes:
            raise TopologyError(
                "a topology needs at least one node; add one, such as node1 = { host = "
                "\"10.0.0.1\" } below [nodes] of a file, or Node('node1', host='10.0.0.1')",
                key="nodes",
            )
        for service in self.services:
            check_method(service, self.backends(service))
        check_addresses(self.services, self._backends)
        _ = self._urls  # refuses two services with one URL

    # ---- reading and writing ----

    @classmethod
    @brief
    def load(cls, path: str | os.PathLike[str]) -> Topology:
        """Read a topology from a TOML file.

        Parameters
        ----------
        path : str or path
            The file; see the manual for its keys.

        Raises
        ------
        TopologyError
            The file cannot be read or is not TOML, a key is unknown or a value is not
            valid; the message names file, key and line.
        """
        return toml.load(path, cls)

    @classmethod
    @brief
    def loads(cls, text: str, *, file: str = "<string>") -> Topology:
        """Read a topology from TOML text; see `load`."""
        return toml.loads(text, file=file, kind=cls)

    def dumps(self) -> str:
        """Return the topology as TOML text; `loads` makes an equal topology from it."""
        top = {"header": self.header, **changed(self, TOPOLOGY)}
        return toml.dumps(top, self.nodes, self.services)

    def dump(self, path: str | os.PathLike[str]) -> None:
        """Write the topology to a TOML file, all or nothing."""
        toml.dump(self.dumps(), path)

    # ---- looking things up ----

    def node(self, name: str) -> Node:
        """Return the node of this name, or raise `UnknownNode`."""
        found = self._nodes.get(name)
        if found is None:
            raise UnknownNode(f"no node {name!r} here; there are: {some(self._nodes)}", node=name)
        return found

    def service(self, name: str) -> Service:
        """Return the service of this name, or raise `UnknownService`."""
        found = self._services.get(name)
        if found is None:
            raise UnknownService(f"no service {name!r} here; there are: {some(self._services)}")
        return found

    def backends(self, service: Service) -> tuple[Backend, ...]:
        """Return a service's backends with addresses and weights filled in."""
        return self._backends[service.name]

    def offers(self, service: Service, node: str | None) -> bool:
        """Return whether the service has a backend on a node."""
        return node in self._offering[service.name]

    def backend_url(self, service: Service, node: str) -> str | None:
        """Return the service's base URL on a node; None if no address is known."""
        base = self._urls.bases(service).get(node)
        return None if base is None else base + service.backend_path

    def covering(self, url: str) -> Match | None:
        """Find the service that a URL belongs to.

        Parameters
        ----------
        url : str
            A service's URL, an output or a status document, under any name in the
            topology.

        Returns
        -------
        Match or None
            The longest prefix of whole path segments wins. At the origin of a single
            service, every path belongs to it. A service without a URL is recognised by
            its port on any host: see `Match.by_port`.
        """
        return self._urls.covering(url)

    def to_node(self, url: str, node: str) -> str | None:
        """Return the URL of the same resource on a node; None if it is not known."""
        match = self.covering(url)
        return None if match is None else match.to_node(node)

    def node_of_url(self, url: str) -> str | None:
        """Return the name of the node that the URL names, by its origin or its path, if any.

        A name in the path may not be the name of a node.
        """
        return self._urls.node_of_url(url)

    def states_outputs(self, url: str) -> bool | None:
        """Return whether all services at the URL's origin say where their outputs are.

        None if no service has a URL there.
        """
        return self._urls.states_outputs(url)

    def node_of_evidence(self, value: str) -> str | None:
        """Return the name of the node that an evidence header shows.

        Parameters
        ----------
        value : str
            A node's name, or addresses in the form of nginx's ``$upstream_addr``. After
            retries there are several, and the last one answered.

        Returns
        -------
        str or None
            None for an unknown address, and for the name of the upstream, which comes last
            if all nodes failed.
        """
        last = value.rpartition(",")[2].rpartition(" : ")[2].strip()
        return last if last in self._nodes else self._by_address.get(last.lower())

    @property
    def service_hosts(self) -> frozenset[str]:
        """Hosts of the services' public URLs and aliases, and of the nodes."""
        return self._urls.hosts

    # ---- placement ----

    def placement(self, service: Service) -> NginxHash | NginxConsistentHash | Rendezvous:
        """Return the pure function that places keys on the service's backends.

        Its addresses are those that nginx prints, or the nodes' names for ``rendezvous``;
        see `placement_addresses`. A host name without known addresses is represented by an
        address in 0.0.0.0/8.

        Raises
        ------
        PlacementUndetermined
            nginx decides, and the backends' addresses are not known here; or
            all backends are down.
        """
        return self._placing(service).placement

    def placement_addresses(self, service: Service, node: str) -> tuple[str, ...]:
        """Return the addresses of a node's backends in the service's placement."""
        return tuple(a for a, name in self._placing(service).nodes.items() if name == node)

    def order(self, service: Service, key: str) -> Iterator[str]:
        """Yield node names in the order in which the service's proxy tries them.

        Parameters
        ----------
        service : Service
            The service.
        key : str
            A routing key: a machineid, alone or with a suffix.

        Raises
        ------
        PlacementUndetermined
            The order cannot be predicted from here on.
        """
        seen = set()
        for node, _ in self.tries(service, key):
            if node not in seen:
                seen.add(node)
                yield node

    def tries(self, service: Service, key: str) -> Iterator[tuple[str, str]]:
        """Yield node and address of each backend, in the order in which the proxy tries them.

        Like `order`, with addresses as nginx prints them. A host name without known
        addresses stays a name.
        """
        rows = self._placing(service).rows
        return (rows[address] for address in self._addresses(service, key))

    def routing_key(self, service: Service, machineid: str, node: str) -> str:
        """Return the routing key that makes the service's proxy choose a node.

        Parameters
        ----------
        service : Service
            The service.
        machineid : str
            The workflow's machineid, without suffix.
        node : str
            Name of the node.

        Returns
        -------
        str
            The bare machineid if it leads to the node, or if no proxy decides.

        Raises
        ------
        SteeringImpossible
            No key leads to the node: in this service it is marked down or backup, or has no
            backend.
        PlacementUndetermined
            The proxy's choice cannot be predicted.
        """
        if self.proxy == "strict":
            return name_key(machineid, self.node(node).name)
        placing = self._placing(service)
        if isinstance(placing.placement, Rendezvous):
            return machineid
        self.can_place_on(service.name, node)
        return placing.key(machineid, node)

    def first_node(self, service: str | None, key: str) -> str:
        """Return the name of the node that a key lands on, by default in the first service."""
        chosen = self._service_or_first(service)
        first = next(self.order(chosen, key), None)
        if first is None:
            raise PlacementUndetermined(
                f"key {key!r} leads to no backend of {chosen.name!r}; start one of them"
            )
        return first

    def can_place_on(self, service: str | None, node: str) -> None:
        """Raise `SteeringImpossible` if no key of the service can land on the node."""
        chosen = self._service_or_first(service)
        self.node(node)
        mine = [b for b in self.backends(chosen) if b.node == node]
        if not mine:
            raise SteeringImpossible(
                f"service {chosen.name!r} has no backend on node {node!r}; choose another node",
                node=node,
            )
        if all(b.down or b.backup for b in mine):
            raise SteeringImpossible(
                f"node {node!r} is marked down or backup in service {chosen.name!r}: "
                "no key lands there; choose another node or remove the mark",
                node=node,
            )

    def with_services(self, services: Iterable[Service]) -> Topology:
        """Return the same site with other services."""
        return replace(self, services=tuple(services))

    # ---- for display ----

    def _card(self) -> Card:
        from .show import as_card

        facts = {
            "proxy": self.proxy,
            "header": self.header,
            "evidence": self.evidence or "none: no header shows which node answered",
        }
        return as_card(self.site, facts, self.nodes, self.services, self._backends)

    # ---- private ----

    def _service_or_first(self, name: str | None) -> Service:
        if name is not None:
            return self.service(name)
        if not self.services:
            raise UnknownService("the topology has no service; add one, with the URL of its proxy")
        return self.services[0]

    def _addresses(self, service: Service, key: str) -> Iterator[str]:
        if self.proxy == "strict" and "~" in key:
            node = key.rpartition("~")[2]
            if not node.isdecimal():
                self.node(node)
                return iter(self.placement_addresses(service, node))
        return iter(self.placement(service).order(key))

    def _placing(self, service: Service) -> Placing:
        found = self._placings.get(service.name)
        if found is None:
            found = Placing(service, self.backends(service), self.resolve)
            self._placings[service.name] = found
        return found

    @cached_property
    def _nodes(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _services(self) -> Mapping[str, Service]:
        return {service.name: service for service in self.services}

    @cached_property
    def _backends(self) -> Mapping[str, tuple[Backend, ...]]:
        return {service.name: fill(service, self._nodes) for service in self.services}

    @cached_property
    def _offering(self) -> Mapping[str, frozenset[str]]:
        """The nodes of each service, as sets because each request looks them up."""
        return {name: frozenset(b.node for b in found) for name, found in self._backends.items()}

    @cached_property
    def _urls(self) -> UrlIndex:
        return UrlIndex(self.services, self._backends)

    @cached_property
    def _by_address(self) -> Mapping[str, str]:
        owners: dict[str, str] = {}
        for service in self.services:
            owners.update(self._placing(service).evidence)
        return owners

    @cached_property
    def _placings(self) -> dict[str, Placing]:
        return {}

    def __getstate__(self) -> dict[str, object]:
        # The tables are built again after unpickling.
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

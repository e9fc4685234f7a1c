"""Backend, Node, Service and Topology."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

from ..errors import (
    PlacementUndetermined,
    SteeringImpossible,
    TopologyError,
    UnknownNode,
    UnknownService,
)
from ..placement import NginxConsistentHash, NginxHash, Rendezvous, nginx_placement
from . import urls
from .urls import Origin

Method = Literal["hash", "hash consistent", "rendezvous"]
ProxyStyle = Literal["plain", "strict"]

_NODE_NAME = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)
_SERVICE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*", re.ASCII)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)


@dataclass(frozen=True, kw_only=False)
class Node:
    """One machine: it runs several services and sees only its own files.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and hyphens; a letter first.
    host : str, optional
        Host name or address. A discovered node may have none: it is reached
        through the proxy only.
    weight : int or float, default 1
        Share of the workflows, against the other nodes' weights; above 0.
        Whole numbers where nginx's hash decides.
    drain : bool, default False
        Keeps its workflows and gets no new ones.
    """

    name: str
    host: str | None = None
    weight: float = 1
    drain: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NODE_NAME.fullmatch(self.name):
            raise TopologyError(
                f"{self.name!r} is no node name: expected lower-case letters, digits and hyphens, "
                "a letter first, such as 'node1'"
            )
        _check_weight(self.weight, f"node {self.name!r}")
        if self.host is not None:
            parsed = urls.split_address(urls.join_host(self.host, 80)) if self.host else None
            if parsed is None:
                raise TopologyError(
                    f"node {self.name!r}: {self.host!r} is no host: expected a name or an address "
                    "without a port"
                )


@dataclass(frozen=True)
class Backend:
    """One service on one node.

    Parameters
    ----------
    node : str
        Name of the node.
    address : str, optional
        ``host:port``, as nginx's ``server`` line has it. By default the node's
        host and the service's port.
    weight : int or float, optional
        By default the node's.
    down, backup : bool, default False
        As on nginx's ``server`` line.
    """

    node: str
    address: str | None = None
    weight: float | None = None
    down: bool = False
    backup: bool = False

    def __post_init__(self) -> None:
        if self.weight is not None:
            _check_weight(self.weight, f"backend on node {self.node!r}")
        if self.address is not None:
            urls.split_address(self.address)


@dataclass(frozen=True)
class Outputs:
    """Where a service's outputs and status documents are.

    Parameters
    ----------
    public : str
        URL prefix that the service writes into its documents.
    backend : str
        The same place on a node: a path, below the backend's own address.
    """

    public: str
    backend: str

    def __post_init__(self) -> None:
        if urls.origin_of(self.public) is None:
            raise TopologyError(f"outputs: {self.public!r} is no http or https URL")
        if not self.backend.startswith("/"):
            raise TopologyError(
                f"outputs: {self.backend!r} is no path on the backend: expected one that "
                "starts with '/', such as '/outputs'"
            )


@dataclass(frozen=True)
class Service:
    """A WPS (or OGC API) that every node offers.

    Parameters
    ----------
    name : str
        Its name, also that of nginx's upstream.
    url : str, optional
        The public URL, the proxy's. Without it the service is recognised by
        the port that the proxy listens on.
    port : int, optional
        On each node; needed where `backends` gives no addresses and the
        nodes' addresses are to be known.
    publish : int, optional
        Port under which the proxy's container is published.
    listen : int or str, optional
        The proxy's own port, or address and port, where it is not `port`.
    path : str, optional
        Path of the backend, where it differs from the URL's.
    outputs : Outputs, optional
        Where its outputs are, if elsewhere than below the URL's origin.
    aliases : tuple of str, default ()
        Other names that the service writes into its documents: an origin, or
        a URL that stands for `url`.
    method : {"hash", "hash consistent", "rendezvous"}, default "hash"
        Who chooses the node for a key: nginx's hashes, or our own.
    backends : tuple of Backend, default ()
        Only where they differ from all nodes, in order, at `port`.
    tls : bool, default False
        The nodes themselves speak https.
    """

    name: str
    url: str | None = None
    port: int | None = None
    publish: int | None = None
    listen: int | str | None = None
    path: str | None = None
    outputs: Outputs | None = None
    aliases: tuple[str, ...] = ()
    method: Method = "hash"
    backends: tuple[Backend, ...] = ()
    tls: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "aliases", tuple(self.aliases))
        object.__setattr__(self, "backends", tuple(self.backends))
        where = f"service {self.name!r}"
        if not isinstance(self.name, str) or not _SERVICE_NAME.fullmatch(self.name):
            raise TopologyError(
                f"{self.name!r} is no service name: expected letters, digits, '-' and '_', "
                "a letter first"
            )
        if self.url is not None and urls.origin_of(self.url) is None:
            raise TopologyError(f"{where}: url {self.url!r} is no http or https URL")
        if self.url is None and self.listen is None and self.port is None:
            raise TopologyError(f"{where} has neither a url nor a port to recognise it by")
        for port in (self.port, self.publish):
            if port is not None and not 0 < port < 65536:
                raise TopologyError(f"{where}: {port} is no port: expected 1 to 65535")
        if self.method not in get_args(Method):
            raise TopologyError(
                f"{where}: unknown method {self.method!r}: expected one of "
                + ", ".join(repr(m) for m in get_args(Method))
            )
        if self.path is not None and not self.path.startswith("/"):
            raise TopologyError(f"{where}: path {self.path!r} does not start with '/'")
        for alias in self.aliases:
            if urls.origin_of(alias) is None:
                raise TopologyError(f"{where}: alias {alias!r} is no http or https URL")

    @property
    def backend_path(self) -> str:
        """Path of the service on a node."""
        if self.path is not None:
            return self.path
        return urls.urlsplit(self.url).path if self.url else ""

    @property
    def listen_port(self) -> int | None:
        """Port that the proxy listens on."""
        listen = self.port if self.listen is None else self.listen
        if isinstance(listen, str):
            return int(listen.rsplit(":", 1)[-1])
        return listen


@dataclass(frozen=True, slots=True)
class Match:
    """How a URL belongs to a service.

    Attributes
    ----------
    service : Service
        The service.
    path : str
        Path, query and fragment of the same resource on a backend.
    node : str or None
        The node, where the URL's origin is that of a backend.
    """

    service: Service
    path: str
    node: str | None = None


@dataclass(frozen=True)
class Topology:
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
        ``"strict"`` proxies, which ``render`` writes, take a node's name in
        the routing key.
    direct : bool, default False
        Whether the discovery document may tell the nodes' addresses.
    workers : int or "auto", default "auto"
        Worker processes of nginx.
    connections : int, default 1024
        Connections per worker.

    Raises
    ------
    TopologyError
        No node, two of one name, a backend on a node that is not there, a
        weight of 0 or below, a service without backends ...
    """

    nodes: tuple[Node, ...]
    services: tuple[Service, ...] = ()
    header: str = "machineid"
    evidence: str | None = None
    site: str | None = None
    proxy: ProxyStyle = "plain"
    direct: bool = False
    workers: int | Literal["auto"] = "auto"
    connections: int = 1024

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "services", tuple(self.services))
        if not self.nodes:
            raise TopologyError(
                "a topology needs at least one node; add one, such as "
                "Node('node1', host='10.0.0.1')"
            )
        _check_unique("node", (node.name for node in self.nodes))
        _check_unique("service", (service.name for service in self.services))
        for name, header in (("header", self.header), ("evidence", self.evidence)):
            if header is not None and not _HEADER_NAME.fullmatch(header):
                raise TopologyError(f"{name} = {header!r} is no name of an HTTP header")
        if self.proxy not in get_args(ProxyStyle):
            raise TopologyError(f"proxy = {self.proxy!r}: expected 'plain' or 'strict'")
        for service in self.services:
            self._check_backends(service)

    # ---- reading and writing ----

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Topology:
        """Read a topology from a TOML file.

        Parameters
        ----------
        path : str or path
            The file; see the manual for its keys.

        Raises
        ------
        TopologyError
            It cannot be read, is no TOML, has an unknown key or a value of a
            wrong type; file, key and line are in the message.
        """
        from .toml import load

        return load(path)

    @classmethod
    def loads(cls, text: str, *, file: str = "<string>") -> Topology:
        """Read a topology from TOML text; as `load`."""
        from .toml import loads

        return loads(text, file=file)

    def dumps(self) -> str:
        """Write the topology as TOML text, from which `loads` makes an equal one."""
        from .toml import dumps

        return dumps(self)

    def dump(self, path: str | os.PathLike[str]) -> None:
        """Write the topology to a TOML file, all or nothing."""
        from .toml import dump

        dump(self, path)

    # ---- looking things up ----

    def node(self, name: str) -> Node:
        """Return the node of this name, or raise `UnknownNode`."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise UnknownNode(
            f"no node {name!r} here; there are: {', '.join(n.name for n in self.nodes)}", node=name
        )

    def service(self, name: str) -> Service:
        """Return the service of this name, or raise `UnknownService`."""
        for service in self.services:
            if service.name == name:
                return service
        known = ", ".join(s.name for s in self.services) or "none"
        raise UnknownService(f"no service {name!r} here; there are: {known}")

    def backends(self, service: Service) -> tuple[Backend, ...]:
        """Return a service's backends with addresses and weights filled in."""
        return self._backends[service.name]

    def backend_url(self, service: Service, node: str) -> str | None:
        """Return the service's base URL on a node; None where no address is known."""
        base = self._node_base(service, node)
        return None if base is None else base + service.backend_path

    def covering(self, url: str) -> Match | None:
        """Find the service that a URL belongs to.

        Parameters
        ----------
        url : str
            A service's URL, an output or a status document, under any of the
            names that the topology knows.

        Returns
        -------
        Match or None
            By the longest prefix of whole path segments. A URL at the origin
            of a single service belongs to it whatever its path.
        """
        origin = urls.origin_of(url)
        if origin is None:
            return None
        found = self._by_prefix(origin, url)
        if found is not None:
            return found
        owners = self._origins.get(origin, ())
        if len(owners) == 1:
            return Match(owners[0], urls.path_and_tail(url))
        for service, node in self._node_origins.get(origin, ())[:1]:
            return Match(service, urls.path_and_tail(url), node)
        for service in self.services:
            if service.url is None and service.listen_port == origin.port:
                return Match(service, urls.path_and_tail(url))
        return None

    def to_node(self, url: str, node: str) -> str | None:
        """Return the URL of the same resource on a node; None where it is not known."""
        match = self.covering(url)
        base = None if match is None else self._node_base(match.service, node)
        return None if match is None or base is None else base + match.path

    def node_of_url(self, url: str) -> str | None:
        """Name the node whose own address the URL has; None if it has no node's."""
        origin = urls.origin_of(url)
        nodes = {node for _, node in self._node_origins.get(origin, ())} if origin else set()
        return nodes.pop() if len(nodes) == 1 else None

    def node_of_evidence(self, value: str) -> str | None:
        """Name the node that an evidence header speaks of.

        Parameters
        ----------
        value : str
            A node's name, or addresses as nginx's ``$upstream_addr`` has them:
            after a retry several, of which the last one answered.
        """
        last = re.split(r"\s*[,:]\s+|\s+:\s*|,", value.strip())[-1].strip()
        if any(node.name == last for node in self.nodes):
            return last
        return self._by_address.get(last.lower())

    @property
    def service_hosts(self) -> frozenset[str]:
        """Hosts of the services' public URLs and aliases, and of the nodes."""
        known = [*self._origins, *self._node_origins]
        return frozenset(origin.host for origin in known)

    # ---- placement ----

    def placement(self, service: Service) -> NginxHash | NginxConsistentHash | Rendezvous:
        """Return the pure function that places keys on the service's backends.

        Raises
        ------
        PlacementUndetermined
            nginx decides, and the backends' addresses are not known here.
        """
        cached = self._placements.get(service.name)
        if cached is None:
            cached = self._placements[service.name] = self._make_placement(service)
        return cached

    def order(self, service: Service, key: str) -> Iterator[str]:
        """Yield node names in the order in which the service's hash tries them."""
        placement = self.placement(service)
        if isinstance(placement, Rendezvous):
            yield from placement.order(key)
            return
        names = self._names_by_address(service)
        seen = set()
        for address in placement.order(key):
            name = names[address]
            if name not in seen:
                seen.add(name)
                yield name

    def first_node(self, service: str | None, key: str) -> str:
        """Name the node that a bare key lands on; of the first service by default."""
        return next(self.order(self._service_or_first(service), key))

    def can_place_on(self, service: str | None, node: str) -> None:
        """Raise `SteeringImpossible` if no key of the service can land on the node."""
        chosen = self._service_or_first(service)
        self.node(node)
        mine = [b for b in self.backends(chosen) if b.node == node]
        if not mine:
            raise SteeringImpossible(
                f"service {chosen.name!r} has no backend on node {node!r}", node=node
            )
        if all(b.down or b.backup for b in mine):
            raise SteeringImpossible(
                f"node {node!r} is marked down or backup in service {chosen.name!r}: "
                "no key lands there; choose another node or take the mark away",
                node=node,
            )

    def with_services(self, services: Iterable[Service]) -> Topology:
        """Return the same site with other services."""
        return replace(self, services=tuple(services))

    # ---- inside ----

    def _service_or_first(self, name: str | None) -> Service:
        if name is not None:
            return self.service(name)
        if not self.services:
            raise UnknownService("the topology has no service; add one, with the URL of its proxy")
        return self.services[0]

    def _check_backends(self, service: Service) -> None:
        where = f"service {service.name!r}"
        names = {node.name for node in self.nodes}
        for backend in service.backends:
            if backend.node not in names:
                raise UnknownNode(
                    f"{where}: no node {backend.node!r}; there are: {', '.join(sorted(names))}",
                    node=backend.node,
                )
        owners: dict[str, str] = {}
        for backend in self.backends(service):
            weight = backend.weight
            if service.method != "rendezvous" and weight is not None and int(weight) != weight:
                raise TopologyError(
                    f"{where}: nginx takes whole weights only, not {weight} "
                    f"(node {backend.node!r}); use whole numbers or method = 'rendezvous'"
                )
            if backend.address is None:
                continue
            owner = owners.setdefault(backend.address.lower(), backend.node)
            if owner != backend.node:
                raise TopologyError(
                    f"{where}: nodes {owner!r} and {backend.node!r} have one address, "
                    f"{backend.address}"
                )

    @cached_property
    def _backends(self) -> Mapping[str, tuple[Backend, ...]]:
        by_name = {node.name: node for node in self.nodes}
        filled = {}
        for service in self.services:
            given = service.backends or tuple(Backend(node.name) for node in self.nodes)
            filled[service.name] = tuple(self._fill(b, by_name[b.node], service) for b in given)
        return filled

    @staticmethod
    def _fill(backend: Backend, node: Node, service: Service) -> Backend:
        address = backend.address
        if address is None and node.host and service.port:
            address = urls.join_host(node.host, service.port)
        weight = node.weight if backend.weight is None else backend.weight
        return replace(backend, address=address, weight=weight)

    def _node_base(self, service: Service, node: str) -> str | None:
        for backend in self.backends(service):
            if backend.node == node and backend.address is not None:
                parsed = urls.split_address(backend.address)
                if parsed is not None:
                    scheme = "https" if service.tls else "http"
                    return str(Origin(scheme, *parsed))
        return None

    @cached_property
    def _prefixes(self) -> tuple[tuple[Origin, str, str, Service], ...]:
        """Origin, public prefix, path on the backend and service; longest prefix first."""
        rows: list[tuple[str, str, Service]] = []
        for service in self.services:
            if service.url is not None:
                rows.append((service.url, service.backend_path, service))
            if service.outputs is not None:
                rows.append((service.outputs.public, service.outputs.backend, service))
            for alias in service.aliases:
                rows.extend(self._alias_rows(alias, service))
        found = [
            (origin, public, backend.rstrip("/"), service)
            for public, backend, service in rows
            if (origin := urls.origin_of(public)) is not None
        ]
        return tuple(sorted(found, key=lambda row: -len(urls.urlsplit(row[1]).path.rstrip("/"))))

    @staticmethod
    def _alias_rows(alias: str, service: Service) -> Iterator[tuple[str, str, Service]]:
        bare = alias.rstrip("/")
        if urls.urlsplit(bare).path:
            yield bare, service.backend_path, service
            return
        if service.url is not None:
            yield bare + urls.urlsplit(service.url).path, service.backend_path, service
        if service.outputs is not None:
            path = urls.urlsplit(service.outputs.public).path
            yield bare + path, service.outputs.backend, service

    @cached_property
    def _origins(self) -> Mapping[Origin, tuple[Service, ...]]:
        owners: dict[Origin, dict[str, Service]] = {}
        for origin, _, _, service in self._prefixes:
            owners.setdefault(origin, {})[service.name] = service
        return {origin: tuple(services.values()) for origin, services in owners.items()}

    @cached_property
    def _node_origins(self) -> Mapping[Origin, tuple[tuple[Service, str], ...]]:
        owners: dict[Origin, list[tuple[Service, str]]] = {}
        for service in self.services:
            for backend in self.backends(service):
                base = self._node_base(service, backend.node)
                origin = urls.origin_of(base) if base else None
                if origin is not None and origin not in self._origins:
                    owners.setdefault(origin, []).append((service, backend.node))
        return {origin: tuple(pairs) for origin, pairs in owners.items()}

    def _by_prefix(self, origin: Origin, url: str) -> Match | None:
        for known, public, backend, service in self._prefixes:
            if known == origin:
                rest = urls.rest_after(url, public)
                if rest is not None:
                    path = backend + rest
                    return Match(service, path if path.startswith("/") else "/" + path)
        return None

    @cached_property
    def _by_address(self) -> Mapping[str, str]:
        owners: dict[str, str] = {}
        for service in self.services:
            for address, name in self._names_by_address(service).items():
                owners.setdefault(address.lower(), name)
        return owners

    def _names_by_address(self, service: Service) -> Mapping[str, str]:
        names = {}
        for backend in self.backends(service):
            if backend.address is not None:
                names[backend.address] = backend.node
                parsed = urls.split_address(backend.address)
                if parsed is not None:
                    names[urls.join_host(*parsed)] = backend.node
        return names

    @cached_property
    def _placements(self) -> dict[str, NginxHash | NginxConsistentHash | Rendezvous]:
        return {}

    def _make_placement(self, service: Service) -> NginxHash | NginxConsistentHash | Rendezvous:
        backends = self.backends(service)
        if service.method == "rendezvous":
            return Rendezvous({b.node: b.weight or 1 for b in backends if not b.down})
        servers = []
        for backend in backends:
            if backend.address is None:
                raise PlacementUndetermined(
                    f"nginx hashes the addresses of service {service.name!r}, and that of node "
                    f"{backend.node!r} is not known here; give the node a host and the service "
                    "a port"
                )
            line = backend.address
            if backend.weight not in (None, 1):
                line += f" weight={int(backend.weight or 1)}"
            servers.append(line + " down" * backend.down + " backup" * backend.backup)
        directive = "hash $key" + " consistent" * (service.method == "hash consistent")
        return nginx_placement(directive, servers)

    def __getstate__(self) -> dict[str, object]:
        # Derived tables are made again where the topology arrives.
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}


def _check_weight(weight: object, where: str) -> None:
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not 0 < weight < float("inf"):  # type: ignore[operator]  # checked before
        raise TopologyError(
            f"{where}: weight {weight!r} is not above 0; to keep new workflows away, "
            "set drain = true instead"
        )


def _check_unique(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise TopologyError(f"two {what}s are called {name!r}; each needs a name of its own")
        seen.add(name)

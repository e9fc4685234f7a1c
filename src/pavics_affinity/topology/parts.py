"""The parts of a topology: Node, Backend, Outputs, Service and Tls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from ..errors import TopologyError, UnknownNode
from ..markup import quoted, some
from ..placement.servers import parse_server, peers_of
from . import schema
from .schema import FLAG, PATH, PORT, WEIGHT, Rule, check, list_of, one_of, port_of
from .urls import join_host, split_address

Method = Literal["hash", "hash consistent", "rendezvous"]


@dataclass(frozen=True)
class Node:
    """One machine: it runs several services and sees only its own files.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and hyphens; a letter first.
    host : str, optional
        Host name or address. A node without one, as after discovery, can be reached only
        through the proxy.
    weight : int or float, default 1
        Share of the workflows, relative to the other nodes' weights; above 0.
        nginx's hashes need whole numbers.
    drain : bool, default False
        Whether the node only keeps its workflows and gets no new ones.

    Raises
    ------
    TopologyError
        A value is not valid; `key` names it.
    """

    name: str
    host: str | None = None
    weight: float = 1
    drain: bool = False

    def __post_init__(self) -> None:
        check(self, NODE, f"node {quoted(self.name)}")


@dataclass(frozen=True)
class Backend:
    """One service on one node.

    Parameters
    ----------
    node : str
        Name of the node.
    address : str, optional
        ``host:port``, as on nginx's ``server`` line. By default the node's
        host and the service's port.
    weight : int or float, optional
        By default the node's.
    down, backup : bool, default False
        As on nginx's ``server`` line.

    Raises
    ------
    TopologyError
        A value is not valid; `key` names it.
    """

    node: str
    address: str | None = None
    weight: float | None = None
    down: bool = False
    backup: bool = False

    def __post_init__(self) -> None:
        check(self, BACKEND, f"backend on node {quoted(self.node)}")


@dataclass(frozen=True)
class Outputs:
    """Where a service's outputs and status documents are.

    Parameters
    ----------
    public : str
        URL prefix that the service writes into its documents. ``{node}`` as a segment of
        its path stands for the name of the node: each node writes its own name, and the
        proxy sends the path to that node.
    backend : str
        The path of the same place at the backend's address.

    Raises
    ------
    TopologyError
        A value is not valid; `key` names it.
    """

    public: str
    backend: str

    def __post_init__(self) -> None:
        check(self, OUTPUTS, "outputs")

    @property
    def by_node(self) -> bool:
        """Whether output URLs name their node."""
        return schema.NODE_SEGMENT in self.public

    def of_node(self, node: str) -> str:
        """Return the URL prefix of one node's outputs."""
        return self.public.replace(schema.NODE_SEGMENT, node)


@dataclass(frozen=True)
class Service:
    """A WPS (or OGC API) that every node offers.

    Parameters
    ----------
    name : str
        Its name, also the name of nginx's upstream.
    url : str, optional
        The public URL, at the proxy. Without it, the service is recognised by the
        port that the proxy listens on.
    port : int, optional
        The port on each node. It is needed for the nodes' addresses, unless `backends`
        gives them.
    publish : int, optional
        Published port of the proxy's container.
    listen : int or str, optional
        The port, or address and port, that the proxy listens on, if it is not `port`.
    path : str, optional
        Path on the nodes, if it differs from the URL's.
    outputs : Outputs, optional
        Where its outputs are; by default, anywhere at the URL's origin.
    aliases : tuple of str, default ()
        Other names that the service writes into its documents: origins, or URLs
        that mean `url`.
    method : {"hash", "hash consistent", "rendezvous"}, default "hash"
        How the node for a key is chosen: by one of nginx's hashes, or by this package's.
    backends : tuple of Backend, default ()
        By default all nodes, in order, at `port`.
    tls : bool, default False
        Whether the nodes themselves speak https.

    Raises
    ------
    TopologyError
        A value is not valid; `key` names it.
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
        for key in ("aliases", "backends"):
            if isinstance(value := getattr(self, key), list):
                object.__setattr__(self, key, tuple(value))
        check(self, SERVICE, f"service {quoted(self.name)}")
        if self.url is None and self.listen is None and self.port is None:
            raise TopologyError(
                f"service {self.name!r} has neither a url nor a port to recognise it by; give it "
                "one"
            )

    @property
    def backend_path(self) -> str:
        """Path of the service on a node."""
        if self.path is not None:
            return self.path
        return urlsplit(self.url).path if self.url else ""

    @property
    def listen_port(self) -> int | None:
        """Port that the proxy listens on."""
        return self.port if self.listen is None else port_of(self.listen)


@dataclass(frozen=True)
class Tls:
    """The certificate with which the proxy itself ends TLS, for `render`.

    Parameters
    ----------
    certificate : str
        Absolute path of the file, as nginx sees it: the certificate, and after it those of
        the authorities between it and a root.
    key : str
        Absolute path of the private key. It can be in the certificate's file.

    Raises
    ------
    TopologyError
        A value is not valid; `key` names it.
    """

    certificate: str
    key: str

    def __post_init__(self) -> None:
        check(self, TLS, "tls")


NODE = {
    "name": schema.NODE_NAME,
    "weight": WEIGHT,
    "drain": FLAG,
    "host": schema.HOST.or_none(),
}
BACKEND = {
    "node": schema.NAME,
    "address": schema.ADDRESS.or_none(),
    "weight": WEIGHT.or_none(),
    "down": FLAG,
    "backup": FLAG,
}
OUTPUTS = {"public": schema.OUTPUTS_URL, "backend": schema.OUTPUTS_PATH}
TLS = {"certificate": schema.FILE, "key": schema.FILE}
SERVICE = {
    "name": schema.SERVICE_NAME,
    "url": schema.BASE_URL.or_none(),
    "port": PORT.or_none(),
    "publish": PORT.or_none(),
    "listen": schema.LISTEN.or_none(),
    "path": PATH.or_none(),
    "outputs": Rule(lambda value: isinstance(value, Outputs), "Outputs").or_none(),
    "aliases": schema.BASE_URLS,
    "method": one_of(Method),
    "backends": list_of(Backend),
    "tls": FLAG,
}


# ---- checks of several parts together ----


def fill(service: Service, nodes: Mapping[str, Node]) -> tuple[Backend, ...]:
    """Return a service's backends with addresses and weights filled in; check their nodes."""
    filled = []
    for backend in service.backends or [Backend(name) for name in nodes]:
        node = nodes.get(backend.node)
        if node is None:
            raise UnknownNode(
                f"service {service.name!r}: no node {backend.node!r}; there are: {some(nodes)}",
                node=backend.node,
                key=_key(service),
            )
        address = backend.address
        if address is None and node.host and service.port:
            address = join_host(node.host, service.port)
        weight = node.weight if backend.weight is None else backend.weight
        filled.append(replace(backend, address=address, weight=weight))
    return tuple(filled)


def check_unique(things: Iterable[object], kind: type, key: str) -> None:
    """Raise `TopologyError` unless all are of one kind and have different names."""
    seen: set[str] = set()
    for thing in things:
        if not isinstance(thing, Node | Service) or not isinstance(thing, kind):
            raise TopologyError(f"{key}: expected a {kind.__name__}, not {thing!r}", key=key)
        if thing.name in seen:
            raise TopologyError(
                f"two {key} are called {thing.name!r}; give each its own name", key=key
            )
        seen.add(thing.name)


def check_method(service: Service, backends: Sequence[Backend]) -> None:
    """Raise `TopologyError` for backends that the service's method does not accept."""
    where, key = f"service {service.name!r}", _key(service)
    if all(backend.backup for backend in backends):
        raise TopologyError(
            f"{where} has only backups, which nginx refuses; make one of them a regular backend",
            key=key,
        )
    for backend in backends:
        if service.method == "rendezvous":
            if backend.backup:
                raise TopologyError(
                    f"{where}: method 'rendezvous' has no backups (node {backend.node!r}); for "
                    "each key, every node but the first is one. Remove the mark",
                    key=key,
                )
        elif backend.weight is not None and int(backend.weight) != backend.weight:
            raise TopologyError(
                f"{where}: nginx takes whole weights only, not {backend.weight} "
                f"(node {backend.node!r}); use whole numbers or method = 'rendezvous'",
                node=backend.node,
                key=key if service.backends else f"nodes.{backend.node}",
            )


def check_addresses(services: Iterable[Service], backends: Mapping[str, Sequence[Backend]]) -> None:
    """Raise `TopologyError` if two nodes have the same address: a node is one machine."""
    owners: dict[str, tuple[str, str]] = {}
    for service in services:
        for backend in backends[service.name]:
            if backend.address is None:
                continue
            node, other = owners.setdefault(_printed(backend.address), (backend.node, service.name))
            if node != backend.node:
                raise TopologyError(
                    f"service {service.name!r}: {backend.address} is the address of node "
                    f"{backend.node!r}, and in service {other!r} the address of node {node!r}; "
                    "a node is one machine: correct an address, or use one name",
                    key=_key(service),
                )


def _printed(address: str) -> str:
    """Return an address as nginx prints it, however it is written."""
    parsed = split_address(address)
    text = address if parsed is None else join_host(*parsed)
    return peers_of(parse_server(text), None)[0].address or text


def _key(service: Service) -> str:
    return f"services.{service.name}.backends"

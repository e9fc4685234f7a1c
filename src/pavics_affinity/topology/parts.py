"""Node, Backend, Outputs and Service: what a topology is made of."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlsplit

from ..errors import TopologyError
from ..markup import quoted
from ..protocol import NODE_NAME_RULE, is_node_name
from .urls import check_base, is_plain_path, join_host, split_address

Method = Literal["hash", "hash consistent", "rendezvous"]

_SERVICE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*", re.ASCII)
_PATH = re.compile(r"/[^\x00-\x20?#\\\x7f\ud800-\udfff]*")


@dataclass(frozen=True)
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

    Raises
    ------
    TopologyError
        A name, host or weight of another form.
    """

    name: str
    host: str | None = None
    weight: float = 1
    drain: bool = False

    def __post_init__(self) -> None:
        if not is_node_name(self.name):
            raise TopologyError(
                f"{self.name!r} is no node name: expected {NODE_NAME_RULE}, such as 'node1'"
            )
        where = f"node {self.name!r}"
        _check_weight(self.weight, where)
        _check_flag(self.drain, where, "drain")
        if self.host is not None and not _is_host(self.host):
            raise TopologyError(
                f"{where}: {self.host!r} is no host: expected a name or an address without a port",
                key="host",
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

    Raises
    ------
    TopologyError
        An address or weight of another form.
    """

    node: str
    address: str | None = None
    weight: float | None = None
    down: bool = False
    backup: bool = False

    def __post_init__(self) -> None:
        where = f"backend on node {self.node!r}"
        if self.weight is not None:
            _check_weight(self.weight, where)
        _check_flag(self.down, where, "down")
        _check_flag(self.backup, where, "backup")
        if self.address is not None:
            split_address(self.address)


@dataclass(frozen=True)
class Outputs:
    """Where a service's outputs and status documents are.

    Parameters
    ----------
    public : str
        URL prefix that the service writes into its documents.
    backend : str
        The same place on a node: a path, below the backend's own address.

    Raises
    ------
    TopologyError
        `public` is no URL, or `backend` no path.
    """

    public: str
    backend: str

    def __post_init__(self) -> None:
        check_base(self.public, "outputs", "public")
        _check_path(self.backend, "outputs", "backend")


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

    Raises
    ------
    TopologyError
        A value of another form; `key` names it.
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
        if not isinstance(self.name, str) or not _SERVICE_NAME.fullmatch(self.name):
            raise TopologyError(
                f"{self.name!r} is no service name: expected letters, digits, '-' and '_', "
                "a letter first"
            )
        where = f"service {self.name!r}"
        object.__setattr__(self, "aliases", _as_tuple(self.aliases, str, where, "aliases"))
        object.__setattr__(self, "backends", _as_tuple(self.backends, Backend, where, "backends"))
        if self.url is not None:
            check_base(self.url, f"{where}: url", "url")
        elif self.listen is None and self.port is None:
            raise TopologyError(f"{where} has neither a url nor a port to recognise it by")
        for key, port in (("port", self.port), ("publish", self.publish)):
            if port is not None and not _is_port(port):
                raise TopologyError(
                    f"{where}: {quoted(port)} is no port: expected 1 to 65535", key=key
                )
        if self.listen is not None and not _is_port(_port_of(self.listen)):
            raise TopologyError(
                f"{where}: listen {self.listen!r}: expected a port of 1 to 65535, or an address "
                "and a port such as '127.0.0.1:8093'",
                key="listen",
            )
        if self.path is not None:
            _check_path(self.path, f"{where}: path", "path")
        if self.outputs is not None and not isinstance(self.outputs, Outputs):
            raise TopologyError(f"{where}: {self.outputs!r} is no Outputs", key="outputs")
        if self.method not in get_args(Method):
            raise TopologyError(
                f"{where}: unknown method {self.method!r}: expected one of "
                + ", ".join(repr(m) for m in get_args(Method)),
                key="method",
            )
        for alias in self.aliases:
            check_base(alias, f"{where}: alias", "aliases")
        _check_flag(self.tls, where, "tls")

    @property
    def backend_path(self) -> str:
        """Path of the service on a node."""
        if self.path is not None:
            return self.path
        return urlsplit(self.url).path if self.url else ""

    @property
    def listen_port(self) -> int | None:
        """Port that the proxy listens on."""
        return self.port if self.listen is None else _port_of(self.listen)


def _port_of(listen: int | str) -> int | None:
    if not isinstance(listen, str):
        return listen
    host, _, port = listen.rpartition(":")
    if not port.isascii() or not port.isdecimal() or len(port) > 5:
        return None
    return int(port) if host in ("", "*") or _is_host(host) else None


def _is_port(port: object) -> bool:
    return isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65536


def _is_host(host: object) -> bool:
    if not isinstance(host, str) or host.lower().startswith("unix:"):
        return False
    try:
        split_address(join_host(host, 80))
    except TopologyError:
        return False
    return True


def _check_weight(weight: object, where: str) -> None:
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not 0 < weight <= sys.float_info.max:  # type: ignore[operator]  # checked before
        raise TopologyError(
            f"{where}: weight {quoted(weight)} is not above 0, or no number to count with; "
            "to keep new workflows away, set drain = true instead",
            key="weight",
        )


def _check_flag(value: object, where: str, key: str) -> None:
    if not isinstance(value, bool):
        raise TopologyError(f"{where}: {key} {value!r}: expected true or false", key=key)


def _check_path(path: object, what: str, key: str) -> None:
    if not isinstance(path, str) or not _PATH.fullmatch(path) or not is_plain_path(path):
        raise TopologyError(
            f"{what}: {path!r} is no path on the backend: expected one that starts with '/', "
            "without query, blanks and dot segments, such as '/outputs'",
            key=key,
        )


def _as_tuple(values: object, kind: type, where: str, key: str) -> tuple[object, ...]:
    if isinstance(values, list | tuple) and all(isinstance(value, kind) for value in values):
        return tuple(values)
    raise TopologyError(f"{where}: {key} {values!r}: expected a list of {kind.__name__}", key=key)

"""Which node a ``server`` line is on, and what the node is called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from ipaddress import IPv6Address, ip_address
from itertools import count
from pathlib import PurePosixPath

from ..placement.servers import Resolve, Server, peers_of
from ..protocol import is_node_name
from ..topology import Node
from .maps import Map, node_names


class Nodes:
    """The nodes behind several services, recognised by their hosts.

    A name depends on the node's own host, so that it stays when the list changes:
    ``node1.example.org`` is ``node1`` (unless another host begins with the same
    label), 10.0.0.1 is ``node-10-0-0-1``. Where the proxy itself names nodes, in a map
    over ``$upstream_addr`` or by an upstream of each node's own, its names hold.

    Two ports of one host in one service are two backends with files of their own, as
    far as anybody can tell here: the second becomes a node ``HOST-2``. In another
    service the second port of that host is taken for the same one.

    Parameters
    ----------
    upstreams : iterable of sequences of Server
        The servers of each service, in order.
    known : mapping of str to str
        Names that the proxy has for servers, by `address_of`.
    """

    def __init__(self, upstreams: Iterable[Sequence[Server]], known: Mapping[str, str]) -> None:
        self._by_address: dict[str, str] = {}
        self._nodes: dict[str, Node] = {}
        upstreams = list(upstreams)
        hosts = {server.host.lower() for servers in upstreams for server in servers}
        labels = Counter(_short(host) for host in hosts)
        given = set(known.values())
        for servers in upstreams:
            here: set[str] = set()
            for server in servers:
                address, host = address_of(server), server.host.lower()
                name = self._by_address.get(address) or known.get(address)
                if name is None:
                    base = _short(host) if labels[_short(host)] == 1 else _long(host)
                    name = _next(base, here | given)
                here.add(name)
                self._by_address[address] = name
                if name not in self._nodes:
                    self._nodes[name] = Node(name, None if server.port is None else server.host)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes, in the order in which the files name them."""
        return tuple(self._nodes.values())

    def of(self, server: Server) -> str:
        """Name the node of a ``server`` line."""
        return self._by_address[address_of(server)]


def address_of(server: Server) -> str:
    """Give a server's address as nginx prints it, or with its name where it has one."""
    [peer] = peers_of(server, None)
    return (peer.address or f"{server.host}:{server.port}").lower()


def knows_address(server: Server, resolve: Resolve | None) -> bool:
    """Tell whether the addresses that nginx prints for a server are known."""
    return all(peer.address is not None for peer in peers_of(server, resolve))


def names_in(
    mapped: Map, servers: Iterable[Server], resolve: Resolve | None = None
) -> dict[str, str]:
    """Give the names that a map over ``$upstream_addr`` has for servers, by `address_of`."""
    found: dict[str, str] = {}
    patterns = [(pattern, name) for pattern, name in node_names(mapped) if is_node_name(name)]
    for server in servers:
        printed = [peer.address or "" for peer in peers_of(server, resolve)]
        names = [name for pattern, name in patterns if any(map(pattern.search, printed))]
        if names:
            found[address_of(server)] = names[0]
    return found


def _next(base: str, here: Set[str]) -> str:
    """Return the first of ``base``, ``base-2``, ``base-3`` ... that is not there yet."""
    numbered = (base if n == 1 else f"{base}-{n}" for n in count(1))
    return next(name for name in numbered if name not in here)


def _short(host: str) -> str:
    bare = host.strip("[]")
    try:
        address = ip_address(bare)
    except ValueError:
        # A host, of which the first label is enough; or the path of a socket.
        label = PurePosixPath(bare).stem if "/" in bare else bare.partition(".")[0]
        return _slug(label)
    return _slug(f"node-{address}")


def _long(host: str) -> str:
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return _slug(host)
    exploded = address.exploded if isinstance(address, IPv6Address) else str(address)
    return _slug(f"node-{exploded}")


def _slug(text: str) -> str:
    name = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
    return name if name[:1].isalpha() else f"node-{name}".rstrip("-")

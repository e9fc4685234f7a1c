"""Find the node of a ``server`` line, its name, and the header that shows it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import ip_address
from itertools import count
from pathlib import PurePosixPath

from ..errors import NginxConfigWarning
from ..placement.servers import Server, peers_of
from ..protocol import is_node_name
from ..topology import Backend, Node
from ..warn import warn
from .nginx.config import NginxConfig
from .nginx.maps import UPSTREAM_ADDR, Map, Maps, node_names, only_variable, shows_node
from .nginx.proxy_passes import ProxyPass

COMPONENT_PREFIX = "affinity-"
"""Prefix of upstream names in a birdhouse-deploy component; containers have the bare names."""


class Nodes:
    """The nodes behind several services, recognised by their hosts.

    `known` holds the names that the proxy itself gives to servers, by `address_of`: in a map
    over ``$upstream_addr``, or by an upstream for each node. Other names are made from the
    node's host, so that they do not change with the list: ``node1.example.org`` is ``node1``
    (unless another host begins with the same label), 10.0.0.1 is ``node-10-0-0-1``.

    Two ports of one host in one service count as two nodes, because each may have its own
    files: the second is called ``HOST-2``. The second port of that host in another service is
    that same node.
    """

    def __init__(self, upstreams: Iterable[Sequence[Server]], known: Mapping[str, str]) -> None:
        self._by_address: dict[str, str] = {}
        self._nodes: dict[str, Node] = {}
        upstreams = list(upstreams)
        hosts = {server.host.lower() for servers in upstreams for server in servers}
        slugs = {host: _short_and_long(host) for host in hosts}
        labels = Counter(short for short, _ in slugs.values())
        given = set(known.values())
        for servers in upstreams:
            here: set[str] = set()
            for server in servers:
                address, host = address_of(server), server.host.lower()
                name = self._by_address.get(address) or known.get(address)
                if name is None:
                    short, long = slugs[host]
                    name = next_free(short if labels[short] == 1 else long, here | given)
                here.add(name)
                self._by_address[address] = name
                if name not in self._nodes:
                    self._nodes[name] = Node(name, None if server.port is None else server.host)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes, in the order of the files."""
        return tuple(self._nodes.values())

    def of(self, server: Server) -> str:
        """Return the name of the node of a ``server`` line."""
        return self._by_address[address_of(server)]


def backend_of(node: str, server: Server) -> Backend:
    """Make the backend of a node from its ``server`` line."""
    weight = None if server.weight == 1 else server.weight
    return Backend(node, server.text, weight=weight, down=server.down, backup=server.backup)


def address_of(server: Server) -> str:
    """Return a server's address as nginx prints it; a host name stays a name."""
    [peer] = peers_of(server, None)
    return (peer.address or f"{server.host}:{server.port}").lower()


def names_in(mapped: Map, config: NginxConfig) -> dict[str, str]:
    """Return the names that a map over ``$upstream_addr`` gives to servers, by `address_of`."""
    found: dict[str, str] = {}
    patterns = [(pattern, name) for pattern, name in node_names(mapped) if is_node_name(name)]
    for server in config.backends:
        printed = [peer.address or "" for peer in peers_of(server, config.resolve)]
        names = [name for pattern, name in patterns if any(map(pattern.search, printed))]
        if names:
            found[address_of(server)] = names[0]
    return found


def find_evidence(
    config: NginxConfig, ways: Collection[Sequence[ProxyPass]], nodes: Nodes
) -> str | None:
    """Return the response header that shows ``$upstream_addr``, or a map over it.

    All `ways` to each service must add it, and it must identify the node. A header that names
    nodes is preferred. Warn of a header that cannot be used.
    """
    shown = [_shown_by(passed, config.maps) for several in ways for passed in several]
    usable: list[tuple[bool, str]] = []
    for header in dict.fromkeys(header for headers in shown for header in headers):
        if not all(header in headers for headers in shown) or not all(ways):
            reason = "not every location adds it; write it into the http block, with 'always'"
        elif not all(_can_read(headers[header], config, nodes) for headers in shown):
            reason = (
                "its value does not show the node: the server lines have host names, or the map "
                "does not cover them all; name each node in a map over $upstream_addr"
            )
        else:
            usable.append((shown[0][header] == UPSTREAM_ADDR, header))
            continue
        warn(
            f"the header {header} cannot be used as evidence of the node: {reason}",
            NginxConfigWarning,
        )
    return min(usable)[1] if usable else None


def _shown_by(passed: ProxyPass, maps: Maps) -> dict[str, str]:
    return {
        header: variable
        for header, line in passed.headers.items()
        if (variable := shows_node(line.args[1], maps)) is not None
    }


def _can_read(variable: str, config: NginxConfig, nodes: Nodes) -> bool:
    has_address = {
        server: all(peer.address is not None for peer in peers_of(server, config.resolve))
        for server in config.backends
    }
    if variable == UPSTREAM_ADDR:
        return all(has_address.values())
    mapped = config.maps[variable]
    named = names_in(mapped, config)
    values = {value for _, value in mapped.entries}
    return all(
        address_of(server) in named
        or nodes.of(server) in values
        or (only_variable(mapped.default) == UPSTREAM_ADDR and has_address[server])
        for server in config.backends
    )


def next_free(base: str, taken: Collection[str]) -> str:
    """Return the first of ``base``, ``base-2``, ``base-3`` ... that is still free."""
    numbered = (base if n == 1 else f"{base}-{n}" for n in count(1))
    return next(name for name in numbered if name not in taken)


def _short_and_long(host: str) -> tuple[str, str]:
    """Return two names for a node; only the long one is different for each host."""
    bare = host.strip("[]")
    try:
        address = ip_address(bare)
    except ValueError:
        # The first label of a host, or the path of a socket.
        label = PurePosixPath(bare).stem if "/" in bare else bare.partition(".")[0]
        return _slug(label), _slug(host)
    return _slug(f"node-{address}"), _slug(f"node-{address.exploded}")


def _slug(text: str) -> str:
    name = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
    return name if name[:1].isalpha() else f"node-{name}".rstrip("-")

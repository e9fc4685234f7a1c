"""Which node stands behind an address that nginx prints."""

from __future__ import annotations

import re

from ...placement.servers import parse_server, peers_of
from ...topology import Topology
from . import values

NODE_VARIABLE = "affinity_node"
"""nginx's variable for the name of the node that answered."""


def address_entries(topology: Topology) -> list[str]:
    """Return the lines of a map from ``$upstream_addr`` to the names of nodes.

    A host that is given by name is missing: nginx prints its address, which is
    not known here.
    """
    rows = {}
    for service in topology.services:
        for backend in topology.backends(service):
            for peer in peers_of(parse_server(values.address(backend, service)), None):
                if peer.address is not None:
                    rows[peer.address] = backend.node
    # After a retry several addresses stand there, and the last one answered.
    return [f'  "~(^|[ ,]){_literal(address)}$" {node};' for address, node in rows.items()]


def named_hosts(topology: Topology) -> list[str]:
    """Return the hosts that the topology has by name, and whose addresses nginx looks up."""
    hosts = []
    for service in topology.services:
        for backend in topology.backends(service):
            server = parse_server(values.address(backend, service))
            if any(peer.address is None for peer in peers_of(server, None)):
                hosts.append(server.host)
    return list(dict.fromkeys(hosts))


def _literal(address: str) -> str:
    # Without backslashes, of which nginx and its readers take off different numbers.
    return re.sub(r"[.+\[]", lambda found: f"[{found[0]}]", address)

"""Check values of a topology for nginx's files, so that nginx cannot read them as more."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...errors import TopologyError
from ...placement.servers import parse_server, peers_of
from ...protocol import DEFAULT_EVIDENCE, HEADER_RULE, is_free_header, passes_nginx
from ...topology import Backend, Service, Topology

NODE_VARIABLE = "affinity_node"
"""nginx's variable for the name of the node that answered."""

# Characters without a meaning for nginx, quoted or not, and for a regular expression after
# re.escape.
_PATH = re.compile(r"(?:/[A-Za-z0-9._~@:+=,-]+)*/?", re.ASCII)
_ADDRESS = re.compile(r"(?:unix:/)?[A-Za-z0-9._:\[\]/@+=,~-]+", re.ASCII)
_LONGEST_NAME = 63


def header_name(name: str, key: str) -> str:
    """Return a header's name, or raise if nginx drops it or HTTP gives it another meaning."""
    if not passes_nginx(name):
        raise TopologyError(
            f"{key} = {name!r}: expected {HEADER_RULE}, such as 'machineid'; nginx drops a header "
            "that has an underscore",
            key=key,
        )
    if not is_free_header(name):
        raise TopologyError(
            f"{key} = {name!r}: HTTP gives this header another meaning; choose another name, "
            "such as 'machineid'",
            key=key,
        )
    return name


def evidence_header(topology: Topology) -> str:
    """Return the name of the header in which a strict proxy names the node."""
    return header_name(topology.evidence or DEFAULT_EVIDENCE, "evidence")


def path(text: str, what: str, key: str) -> str:
    """Return a path without slash at the end, or raise if nginx would not read it unchanged."""
    if not _PATH.fullmatch(text):
        raise TopologyError(
            f"{what}: nginx's configuration cannot contain {text!r}; use letters, digits and "
            "._~@:+=,- in the path's segments, without escapes and double slashes",
            key=key,
        )
    return text.rstrip("/")


def address(backend: Backend, service: Service) -> str:
    """Return a backend's address for a ``server`` line."""
    if backend.address is None:
        raise TopologyError(
            f"service {service.name!r}: no address of node {backend.node!r} is known; give the "
            "node a host and the service a port",
            node=backend.node,
            key=f"nodes.{backend.node}.host",
        )
    if not _ADDRESS.fullmatch(backend.address):
        raise TopologyError(
            f"service {service.name!r}: nginx's configuration cannot contain "
            f"{backend.address!r}; give the node a host name or an IP address",
            node=backend.node,
            key=f"services.{service.name}.backends",
        )
    return backend.address


def listen(service: Service) -> str:
    """Return the argument of ``listen``: a port, or an address and a port."""
    if service.listen is None and service.port is None:
        raise TopologyError(
            f"service {service.name!r}: the proxy's own port is not known; give the service "
            "a port, or listen if the proxy's port differs",
            key=f"services.{service.name}.port",
        )
    host, _, port = str(service.listen or service.port).rpartition(":")
    return port if host in ("", "*") else f"{host}:{port}"


def weight(backend: Backend, service: Service) -> str:
    """Return the weight for a ``server`` line, with a space before it; empty for 1."""
    value = 1 if backend.weight is None else backend.weight
    if int(value) != value:
        raise TopologyError(
            f"service {service.name!r}: weight {value} of node {backend.node!r} is not a whole "
            "number, and nginx accepts no other; multiply all weights until they are",
            node=backend.node,
            key=f"services.{service.name}.backends",
        )
    return "" if value == 1 else f" weight={int(value)}"


def check_names(topology: Topology) -> None:
    """Raise for names that nginx cannot use or distinguish, and methods that it does not have."""
    if not topology.services:
        raise TopologyError(
            "the topology has no service, so there is nothing to render; add one such as "
            "[services.flyingpigeon] with url, port and publish",
            key="services",
        )
    seen: dict[str, str] = {}
    for name in [service.name for service in topology.services]:
        other = seen.setdefault(variable_part(name), name)
        if other != name:
            raise TopologyError(
                f"services {other!r} and {name!r} have the same name for nginx, which ignores "
                "case; rename one",
                key=f"services.{name}",
            )
    for name in (*seen.values(), *(node.name for node in topology.nodes)):
        if len(name) > _LONGEST_NAME:
            raise TopologyError(
                f"the name {name!r} is too long for nginx's tables; use at most {_LONGEST_NAME} "
                "characters"
            )
    for service in topology.services:
        if service.method == "rendezvous":
            raise TopologyError(
                f"service {service.name!r}: nginx has no method 'rendezvous'; use 'hash', "
                "or 'hash consistent' if this service's chains never use another service",
                key=f"services.{service.name}.method",
            )


def variable_part(name: str) -> str:
    """Return a name as part of an nginx variable's name."""
    return name.lower().replace("-", "_")


# ---- the nodes of addresses ----


def node_map(topology: Topology, *default: str) -> list[str]:
    """Return the lines of the map from ``$upstream_addr`` to the names of nodes.

    Host names are missing: nginx writes their addresses, which are not known here.
    """
    nodes = {found: node for node, _, found in _peers(topology) if found is not None}
    # After a retry nginx lists several addresses, and the last one answered.
    entries = (f'  "~(^|[ ,]){_literal(found)}$" {node};' for found, node in nodes.items())
    return [f"map $upstream_addr ${NODE_VARIABLE} {{", *default, *entries, "}"]


def named_hosts(topology: Topology) -> list[str]:
    """Return the hosts that the topology gives by name, so that nginx resolves them."""
    return list(dict.fromkeys(host for _, host, found in _peers(topology) if found is None))


def _peers(topology: Topology) -> Iterator[tuple[str, str, str | None]]:
    """Yield node, host and address of each backend, as nginx will write it if known."""
    for service in topology.services:
        for backend in topology.backends(service):
            server = parse_server(address(backend, service))
            for peer in peers_of(server, None):
                yield backend.node, server.host, peer.address


def _literal(text: str) -> str:
    # Without backslashes, because nginx and other readers remove different numbers of them.
    return re.sub(r"[.+\[]", lambda found: f"[{found[0]}]", text)

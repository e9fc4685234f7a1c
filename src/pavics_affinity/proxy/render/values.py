"""What a topology says, as it may stand in an nginx file: refused where it could be more."""

from __future__ import annotations

import re

from ...errors import TopologyError
from ...protocol import HEADER_RULE, is_free_header, passes_nginx
from ...topology import Backend, Service, Topology

# Nothing here means anything to nginx, quoted or not, or to a regular expression
# that re.escape has seen.
_PATH = re.compile(r"(?:/[A-Za-z0-9._~@:+=,-]+)*/?", re.ASCII)
_ADDRESS = re.compile(r"(?:unix:/)?[A-Za-z0-9._:\[\]/@+=,~-]+", re.ASCII)
_LONGEST_NAME = 63


def header_name(name: str, key: str) -> str:
    """Return a header's name, if nginx takes it and it is free for this use.

    Raises
    ------
    TopologyError
        nginx drops a header of this name, or HTTP has another meaning for it.
    """
    if not passes_nginx(name):
        raise TopologyError(
            f"{key} = {name!r}: expected {HEADER_RULE}, such as 'machineid'; nginx drops a header "
            "that has an underscore",
            key=key,
        )
    if not is_free_header(name):
        raise TopologyError(
            f"{key} = {name!r}: HTTP gives this header another meaning; choose a name of its own, "
            "such as 'machineid'",
            key=key,
        )
    return name


def path(text: str, what: str, key: str) -> str:
    """Return a path without slash at the end, if nginx can be told it as it is.

    Raises
    ------
    TopologyError
        It holds characters that nginx would decode or interpret.
    """
    if not _PATH.fullmatch(text):
        raise TopologyError(
            f"{what}: {text!r} cannot stand in nginx's configuration; use letters, digits and "
            "._~@:+=,- in the path's segments, without escapes and double slashes",
            key=key,
        )
    return text.rstrip("/")


def address(backend: Backend, service: Service) -> str:
    """Return a backend's address as a ``server`` line has it.

    Raises
    ------
    TopologyError
        It has none.
    """
    if backend.address is None:
        raise TopologyError(
            f"service {service.name!r}: no address of node {backend.node!r} is known; give the "
            "node a host and the service a port",
            node=backend.node,
            key=f"nodes.{backend.node}.host",
        )
    if not _ADDRESS.fullmatch(backend.address):
        raise TopologyError(
            f"service {service.name!r}: {backend.address!r} cannot stand in nginx's configuration",
            node=backend.node,
            key=f"services.{service.name}.backends",
        )
    return backend.address


def listen(service: Service) -> str:
    """Return what a service's ``listen`` line has: a port, or an address and a port.

    Raises
    ------
    TopologyError
        The topology does not tell.
    """
    if service.listen is None and service.port is None:
        raise TopologyError(
            f"service {service.name!r}: the proxy's own port is not known; give the service "
            "a port, or listen where the proxy's differs",
            key=f"services.{service.name}.port",
        )
    host, _, port = str(service.listen or service.port).rpartition(":")
    return port if host in ("", "*") else f"{host}:{port}"


def whole_weight(backend: Backend, service: Service) -> int:
    """Return a weight as nginx takes it.

    Raises
    ------
    TopologyError
        It is no whole number.
    """
    weight = 1 if backend.weight is None else backend.weight
    if int(weight) != weight:
        raise TopologyError(
            f"service {service.name!r}: nginx takes whole weights only, not {weight} "
            f"(node {backend.node!r})",
            node=backend.node,
            key=f"services.{service.name}.backends",
        )
    return int(weight)


def check_names(topology: Topology) -> None:
    """Refuse what nginx could not keep apart, or has no method for.

    Raises
    ------
    TopologyError
        Two services whose names differ by upper and lower case only, a name
        that is too long, a method that is not nginx's, no service at all.
    """
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
                f"services {other!r} and {name!r} have one name for nginx, which does not tell "
                "upper from lower case; rename one",
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
                "or 'hash consistent' where this service's chains never meet another service",
                key=f"services.{service.name}.method",
            )


def variable_part(name: str) -> str:
    """Return a service's name as part of an nginx variable's name."""
    return name.lower().replace("-", "_")


def quoted(text: str) -> str:
    """Return text in nginx's double quotes; it must hold no dollar where nginx expands it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

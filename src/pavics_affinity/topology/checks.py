"""What makes no sense in a topology as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import TopologyError, UnknownNode
from ..markup import quoted
from ..placement.servers import parse_server, peers_of
from ..protocol import is_header_name
from .parts import Backend, Node, Service
from .urls import join_host, split_address

if TYPE_CHECKING:
    from .model import Topology

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def check(topology: Topology) -> None:
    """Raise `TopologyError` for what is wrong; its `key` names the place.

    Two services of one URL are found where URLs are looked up.
    """
    if not topology.nodes:
        raise TopologyError(
            "a topology needs at least one node; add one, such as Node('node1', host='10.0.0.1')",
            key="nodes",
        )
    _check_unique(topology.nodes, Node, "nodes")
    _check_unique(topology.services, Service, "services")
    _check_settings(topology)
    _check_backends(topology)


def _check_settings(topology: Topology) -> None:
    if not isinstance(topology.direct, bool):
        raise TopologyError(f"direct = {topology.direct!r}: expected true or false", key="direct")
    for key, header in (("header", topology.header), ("evidence", topology.evidence)):
        missing_is_fine = header is None and key == "evidence"
        if not missing_is_fine and not is_header_name(header):
            raise TopologyError(f"{key} = {header!r} is no name of an HTTP header", key=key)
    if topology.proxy not in ("plain", "strict"):
        raise TopologyError(
            f"proxy = {topology.proxy!r}: expected 'plain' or 'strict'", key="proxy"
        )
    if topology.site is not None and (
        not isinstance(topology.site, str) or _CONTROL.search(topology.site)
    ):
        raise TopologyError(
            f"site = {topology.site!r}: expected a name without control characters", key="site"
        )
    for key, value in (("workers", topology.workers), ("connections", topology.connections)):
        number = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63
        if not number and (key, value) != ("workers", "auto"):
            expected = " or 'auto'" * (key == "workers")
            raise TopologyError(
                f"{key} = {quoted(value)}: expected a whole number above 0, below 2**63{expected}",
                key=key,
            )


def _check_backends(topology: Topology) -> None:
    names = dict.fromkeys(node.name for node in topology.nodes)
    for service in topology.services:
        for backend in service.backends:
            if backend.node not in names:
                raise UnknownNode(
                    f"service {service.name!r}: no node {backend.node!r}; there are: "
                    + some(names),
                    node=backend.node,
                    key=_backends_of(service),
                )
    owners: dict[str, tuple[str, str]] = {}
    for service in topology.services:
        _check_method(service, topology.backends(service))
        for backend in topology.backends(service):
            if backend.address is None:
                continue
            parsed = split_address(backend.address)
            address = backend.address if parsed is None else join_host(*parsed)
            # nginx writes one address in many ways: 127.0.0.02 is 127.0.0.2.
            address = peers_of(parse_server(address), None)[0].address or address
            node, other = owners.setdefault(address, (backend.node, service.name))
            if node != backend.node:
                raise TopologyError(
                    f"service {service.name!r}: {backend.address} is the address of node "
                    f"{backend.node!r}, and in service {other!r} that of node {node!r}; "
                    "a node is one machine",
                    key=_backends_of(service),
                )


def _check_method(service: Service, backends: Sequence[Backend]) -> None:
    where = f"service {service.name!r}"
    if all(backend.backup for backend in backends):
        raise TopologyError(
            f"{where} has backups only, which nginx refuses; take a mark away",
            key=_backends_of(service),
        )
    for backend in backends:
        weight = backend.weight
        if service.method == "rendezvous":
            if backend.backup:
                raise TopologyError(
                    f"{where}: method 'rendezvous' knows no backup (node {backend.node!r}); "
                    "every node but the first of a key's order is one",
                    key=_backends_of(service),
                )
        elif weight is not None and int(weight) != weight:
            raise TopologyError(
                f"{where}: nginx takes whole weights only, not {weight} "
                f"(node {backend.node!r}); use whole numbers or method = 'rendezvous'",
                node=backend.node,
                key=_backends_of(service) if service.backends else f"nodes.{backend.node}",
            )


def _backends_of(service: Service) -> str:
    return f"services.{service.name}.backends"


def _check_unique(things: Iterable[Node | Service], kind: type, key: str) -> None:
    seen: set[str] = set()
    for thing in things:
        if not isinstance(thing, kind):
            raise TopologyError(f"{key}: {thing!r} is no {kind.__name__}", key=key)
        if thing.name in seen:
            raise TopologyError(
                f"two {key} are called {thing.name!r}; each needs a name of its own", key=key
            )
        seen.add(thing.name)


def some(names: Iterable[str], most: int = 20) -> str:
    """List names for a message, not a thousand of them."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "none") + more

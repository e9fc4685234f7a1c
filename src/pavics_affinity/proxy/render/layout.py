"""The layout of a rendered proxy: ports, their paths and services, and the names of the files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from ...errors import TopologyError
from ...topology import Service, Tls, Topology
from ...topology.schema import NODE_SEGMENT
from ...topology.urls import origin_of
from . import values


class Location(NamedTuple):
    """A path prefix of the proxy, and the path on the service's backends.

    Both are whole segments without a slash at the end; empty for the root. With a `node`, it is
    the path of that node's outputs, and leads there with any key.
    """

    path: str
    backend: str
    service: Service
    node: str | None = None

    @property
    def changes_path(self) -> bool:
        """Whether the backend's path differs from the proxy's."""
        return self.path != self.backend


class ProxyPort(NamedTuple):
    """One port of the proxy: what it listens on, its services, and their locations.

    With `tls` it ends TLS. Below `node_places`, a path without a location names a node that does
    not exist.
    """

    listen: str
    services: tuple[Service, ...]
    locations: tuple[Location, ...]
    tls: bool
    node_places: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """The file of the server block, if several services share it."""
        return f"conf.d/01-listen-{re.sub('[^a-z0-9]+', '-', self.listen.lower())}.conf"

    @property
    def has_root(self) -> bool:
        """Whether a location serves every path that no other serves."""
        return any(not location.path for location in self.locations)


def proxy_files(
    topology: Topology,
    service_text: Callable[[Service], str],
    server_text: Callable[[ProxyPort], str],
) -> dict[str, str]:
    """Return a file for each service, with the server block of its port unless it is shared."""
    files = {}
    for port in proxy_ports(topology):
        for service in port.services:
            files[f"conf.d/{service.name}.conf"] = service_text(service)
        if len(port.services) == 1:
            files[f"conf.d/{port.services[0].name}.conf"] += server_text(port)
        else:
            files[port.file_name] = server_text(port)
    return files


def proxy_ports(topology: Topology) -> tuple[ProxyPort, ...]:
    """Return the proxy's ports, in the order in which services first use them."""
    by_port: dict[str, list[Service]] = {}
    for service in topology.services:
        by_port.setdefault(values.listen(service), []).append(service)
    # Outputs may have a URL at the port of another service.
    owners = {
        origin_of(service.url): values.listen(service)
        for service in reversed(topology.services)
        if service.url is not None
    }
    tables: dict[str, dict[str, Location]] = {listen: {} for listen in by_port}
    places: dict[str, dict[str, None]] = {listen: {} for listen in by_port}
    schemes: dict[str, str] = {}
    for service in topology.services:
        for url, backend, key, nodes in _prefixes(topology, service):
            listen = owners.get(origin_of(url), values.listen(service))
            if isinstance(topology.tls, Tls) and not key.endswith(".aliases"):
                _add_scheme(schemes, listen, url, key)
            before, by_node, _ = urlsplit(url).path.partition(NODE_SEGMENT)
            if by_node:
                places[listen][before.rstrip("/")] = None
            for node in nodes:
                own = urlsplit(url).path.replace(NODE_SEGMENT, node or "")
                public = values.path(own, f"service {service.name!r}", key)
                _add(tables[listen], Location(public, backend, service, node), key, listen)
    for listen, services in by_port.items():
        if len(services) == 1:
            tables[listen].setdefault("", Location("", "", services[0]))
        _check_reached(services, tables[listen], listen)
    return tuple(
        ProxyPort(
            listen,
            tuple(services),
            _needed(tables[listen]),
            tls=schemes.get(listen) == "https",
            node_places=tuple(
                place for place in places[listen] if place and place not in tables[listen]
            ),
        )
        for listen, services in by_port.items()
    )


def published_ports(topology: Topology) -> list[str]:
    """Return the lines with which docker-compose publishes the proxy's ports."""
    published: dict[int, int] = {}
    for service in topology.services:
        inside = service.listen_port or 0
        outside = service.publish or inside
        if published.setdefault(outside, inside) != inside:
            raise TopologyError(
                f"service {service.name!r}: port {outside} is published for the proxy's port "
                f"{published[outside]} already, and this service listens on {inside}; choose "
                "another port to publish",
                key=f"services.{service.name}.publish",
            )
    # YAML 1.1 reads 22:22 as a number in base 60, so the ports are quoted.
    return ["    ports:", *(f'      - "{o}:{i}"' for o, i in published.items())]


def _check_reached(services: Sequence[Service], table: dict[str, Location], listen: str) -> None:
    reached = {location.service.name for location in table.values()}
    for service in services:
        if service.name not in reached:
            raise TopologyError(
                f"service {service.name!r} shares the proxy's port {listen} with others and "
                "has no separate path there; give it a url with a path, or another port",
                key=f"services.{service.name}.url",
            )


def _prefixes(
    topology: Topology, service: Service
) -> Iterator[tuple[str, str, str, Sequence[str | None]]]:
    """Yield each public URL, the backend's path for it, the topology's key, and its nodes."""
    where = f"service {service.name!r}"
    backend = values.path(service.backend_path, f"{where}: path", f"services.{service.name}.path")
    if service.url is not None:
        yield service.url, backend, f"services.{service.name}.url", [None]
    for alias in service.aliases:
        # Without a path it is another name of the origin, which nginx does not need.
        if urlsplit(alias).path.strip("/"):
            yield alias, backend, f"services.{service.name}.aliases", [None]
    if service.outputs is not None:
        key = f"services.{service.name}.outputs"
        backend = values.path(service.outputs.backend, where, key)
        nodes = list(dict.fromkeys(each.node for each in topology.backends(service)))
        yield service.outputs.public, backend, key, nodes if service.outputs.by_node else [None]


def _add_scheme(schemes: dict[str, str], listen: str, url: str, key: str) -> None:
    scheme = urlsplit(url).scheme
    if schemes.setdefault(listen, scheme) != scheme:
        raise TopologyError(
            f"{key}: {url} is {scheme}, and another URL on the proxy's port {listen} is "
            f"{schemes[listen]}; a port speaks TLS or not: give one of them another port (listen)",
            key=key,
        )


def _add(table: dict[str, Location], new: Location, key: str, listen: str) -> None:
    old = table.setdefault(new.path, new)
    # Services often share one place for outputs, because they share the node's disk.
    shared_outputs = key.endswith(".outputs") and old.backend == new.backend
    if (old.service is not new.service or old.backend != new.backend) and not shared_outputs:
        raise TopologyError(
            f"services {old.service.name!r} and {new.service.name!r} both want path "
            f"{new.path or '/'!r} of the proxy's port {listen}; give one of them another path or "
            "port",
            key=key,
        )


def _needed(table: dict[str, Location]) -> tuple[Location, ...]:
    """Return the locations by path, without those that a shorter path serves in the same way."""
    kept: list[Location] = []
    for location in sorted(table.values(), key=lambda each: each.path):
        around = [k for k in kept if location.path.startswith(k.path + "/")]
        nearest = max(around, key=lambda each: len(each.path), default=None)
        same = nearest is not None and nearest.service is location.service and not location.node
        if same and nearest and not nearest.changes_path and not location.changes_path:
            continue
        kept.append(location)
    return tuple(kept)

"""What each of the proxy's ports serves: which path goes to which service, and as what."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...errors import TopologyError
from ...topology import Service, Topology
from ...topology.urls import origin_of
from . import values


@dataclass(frozen=True)
class Location:
    """A path prefix, by whole segments, and what the backend has in its place.

    Attributes
    ----------
    path, backend : str
        Without slash at the end; empty for the root.
    service : Service
        Whose backends answer.
    """

    path: str
    backend: str
    service: Service

    @property
    def changes_path(self) -> bool:
        """Whether the backend is asked for another path than the proxy."""
        return self.path != self.backend


@dataclass(frozen=True)
class Listener:
    """One port of the proxy's.

    Attributes
    ----------
    listen : str
        Port, or address and port.
    services : tuple of Service
        At least one.
    locations : tuple of Location
        Shortest prefix first.
    """

    listen: str
    services: tuple[Service, ...]
    locations: tuple[Location, ...]

    @property
    def file_name(self) -> str:
        """File of the server block, where several services share it."""
        return f"conf.d/01-listen-{re.sub('[^a-z0-9]+', '-', self.listen.lower())}.conf"

    @property
    def has_root(self) -> bool:
        """Whether every path belongs to a service."""
        return any(not location.path for location in self.locations)


def listeners(topology: Topology) -> tuple[Listener, ...]:
    """Return the proxy's ports, in the order in which services first use them.

    Raises
    ------
    TopologyError
        Two services want one path of one port, or a path that nginx cannot be told.
    """
    by_port: dict[str, list[Service]] = {}
    for service in topology.services:
        by_port.setdefault(values.listen(service), []).append(service)
    # Outputs may be announced below the URL of another service's port.
    owners = {
        origin_of(service.url): values.listen(service)
        for service in reversed(topology.services)
        if service.url is not None
    }
    tables: dict[str, dict[str, Location]] = {listen: {} for listen in by_port}
    for service in topology.services:
        for url, backend, key in _prefixes(service):
            listen = owners.get(origin_of(url), values.listen(service))
            public = values.path(urlsplit(url).path, f"service {service.name!r}", key)
            _add(tables[listen], Location(public, backend, service), key, listen)
    for listen, services in by_port.items():
        if len(services) == 1:
            tables[listen].setdefault("", Location("", "", services[0]))
        for service in services:
            if all(location.service is not service for location in tables[listen].values()):
                raise TopologyError(
                    f"service {service.name!r} shares the proxy's port {listen} with others and "
                    "has no path of its own there; give it a url with a path, or another port",
                    key=f"services.{service.name}.url",
                )
    return tuple(
        Listener(listen, tuple(services), _without_needless(tables[listen]))
        for listen, services in by_port.items()
    )


def _prefixes(service: Service) -> Iterator[tuple[str, str, str]]:
    """Yield public URL, the backend's path for it, and the topology's key."""
    where = f"service {service.name!r}"
    backend = values.path(service.backend_path, f"{where}: path", f"services.{service.name}.path")
    if service.url is not None:
        yield service.url, backend, f"services.{service.name}.url"
    for alias in service.aliases:
        # Without a path it is another name for the origin, of which nginx sees nothing.
        if urlsplit(alias).path.strip("/"):
            yield alias, backend, f"services.{service.name}.aliases"
    if service.outputs is not None:
        key = f"services.{service.name}.outputs"
        yield service.outputs.public, values.path(service.outputs.backend, where, key), key


def _add(table: dict[str, Location], new: Location, key: str, listen: str) -> None:
    old = table.setdefault(new.path, new)
    # One place for the outputs of several services is usual: they share the node's disk.
    shared_outputs = key.endswith(".outputs") and old.backend == new.backend
    if (old.service is not new.service or old.backend != new.backend) and not shared_outputs:
        raise TopologyError(
            f"services {old.service.name!r} and {new.service.name!r} both want path "
            f"{new.path or '/'!r} of the proxy's port {listen}; give one of them another path or "
            "port",
            key=key,
        )


def _without_needless(table: dict[str, Location]) -> tuple[Location, ...]:
    kept: list[Location] = []
    for location in sorted(table.values(), key=lambda each: each.path):
        around = [k for k in kept if location.path.startswith(k.path + "/")]
        nearest = max(around, key=lambda each: len(each.path), default=None)
        same = nearest is not None and nearest.service is location.service
        if same and nearest and not nearest.changes_path and not location.changes_path:
            continue
        kept.append(location)
    return tuple(kept)

"""Locations that each lead to one machine, because a segment of their path names the node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ...placement.servers import Server
from .config import NginxConfig
from .proxy_passes import ProxyPass
from .servers import ServerBlock
from .upstreams import Upstream

Machine = tuple[str, int | None]


@dataclass
class NodePlaces:
    """Locations whose paths differ in one segment, each leading to one machine of a service.

    `before` and `after` are the path around that segment; the keys of `passes` are its values.
    """

    server: ServerBlock
    service: Upstream
    before: str
    after: str
    passes: dict[str, list[ProxyPass]] = field(default_factory=dict)
    machines: dict[str, set[Machine]] = field(default_factory=dict)

    def missing(self) -> list[str]:
        """Return the service's servers that no location leads to, as the file writes them."""
        reached = {machine for each in self.machines.values() for machine in each}
        hosts = {host for host, port in reached if (host, port) not in _addresses(self.service)}
        return [
            server.text
            for address, server in _addresses(self.service).items()
            if address not in reached and address[0] not in hosts
        ]

    def is_by_node(self) -> bool:
        """Return whether the names are those of nodes: each for a different machine."""
        machines = [machine for each in self.machines.values() for machine in each]
        one_each = len(machines) == len(set(machines)) == len(self.machines)
        return one_each and (len(machines) > 1 or not self.missing())


def node_places(config: NginxConfig) -> list[NodePlaces]:
    """Find the locations that lead to the nodes of a service by name."""
    found: dict[object, NodePlaces] = {}
    for passed in config.proxy_passes:
        machine = machine_of(passed, config)
        service, port = _service_of(machine, config)
        if service is None or machine is None:
            continue
        for before, name, after in _splits(passed.prefix or ""):
            places = found.setdefault(
                (passed.server, service, port, before, after),
                NodePlaces(passed.server, service, before, after),
            )
            places.passes.setdefault(name, []).append(passed)
            places.machines.setdefault(name, set()).add(machine)
    return [places for places in found.values() if places.is_by_node()]


def machine_of(passed: ProxyPass, config: NginxConfig) -> Machine | None:
    """Return the machine to which a place passes all requests; None if there may be several."""
    if len(passed.targets) != 1:
        return None
    [target] = passed.targets
    upstream = config.upstreams.get(target.name) if target.port is None else None
    if upstream is None:
        return (target.name, target.port or 80) if target.is_real else None
    if config.is_service(upstream) or len(upstream.servers) != 1:
        return None
    [server] = upstream.servers
    return server.host.lower(), server.port


def _service_of(machine: Machine | None, config: NginxConfig) -> tuple[Upstream | None, int | None]:
    """Return the service that has the machine, and the port if it differs from the service's."""
    for service in config.services if machine else ():
        if machine in _addresses(service):
            return service, None
    for service in config.services if machine else ():
        if machine and machine[0] in {host for host, _ in _addresses(service)}:
            return service, machine[1]
    return None, None


def _addresses(service: Upstream) -> Mapping[Machine, Server]:
    return {(server.host.lower(), server.port): server for server in service.servers}


def _splits(prefix: str) -> Iterator[tuple[str, str, str]]:
    """Yield each segment of a path, with what is before and after it."""
    segments = prefix.strip("/").split("/")
    for index, name in enumerate(segments):
        if name:
            before, after = segments[:index], segments[index + 1 :]
            yield "/".join(["", *before, ""]), name, "/".join(["", *after])

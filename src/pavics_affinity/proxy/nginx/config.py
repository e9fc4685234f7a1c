"""An nginx configuration: the model that `check` judges and `read_nginx` reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ...placement.servers import Resolve, Server
from .maps import (
    FOREIGN_HEADERS,
    Maps,
    headers_behind,
    read_maps,
    read_sets,
    upstreams_by_node,
    variables_in,
)
from .proxy_passes import ProxyPass, Target, read_proxy_passes, read_streams
from .servers import read_servers
from .statements import NginxFiles, Statement, has_placeholder, marks_in
from .upstreams import Machine, Upstream, machine_of, read_upstreams


class NginxConfig:
    """The meaning of nginx files, read in full even where nginx would refuse them.

    `resolve` returns the addresses of a host name; without it, each name counts as one address.
    """

    def __init__(self, files: NginxFiles, resolve: Resolve | None = None) -> None:
        self.files = files
        self.statements = files.statements
        self.resolve = resolve
        maps = read_maps(self.statements)
        # What decides a variable's value does not depend on where it is set.
        self.maps: Maps = {**read_sets(self.statements), **maps}
        self.streams = read_streams(self.statements)
        self.all_upstreams = read_upstreams(self._of_http("upstream"))
        self.upstreams: dict[str, Upstream] = {}
        """By their names in lower case, as nginx compares them."""
        for upstream in self.all_upstreams:
            self.upstreams.setdefault(upstream.name.lower(), upstream)
        self.servers = read_servers(self.statements, self._of_http("server"))
        self.proxy_passes = tuple(read_proxy_passes(self.statements, self.servers, maps))

    def _of_http(self, name: str) -> list[Statement]:
        return [each for each in self.statements.named(name) if each not in self.streams.blocks]

    # ---- templates ----

    def is_template(self, file: str) -> bool:
        """Return whether something fills a file in before nginx reads it."""
        return file in self.files.templates

    @cached_property
    def is_filled_in(self) -> bool:
        """Whether a template fills directives or ports in."""
        lines = [line for server in self.servers for line in server.statement.named("listen")]
        return any(marks_in(self.statements)) or any(map(has_placeholder, lines))

    # ---- upstreams ----

    @cached_property
    def node_upstreams(self) -> frozenset[str]:
        """Names, in lower case, of the upstreams that a node's name in the key chooses."""
        maps = self.maps.values()
        return frozenset(name.lower() for each in maps for name in upstreams_by_node(each).values())

    @cached_property
    def takes_node_names(self) -> bool:
        """Whether keys may name nodes, as on a strict proxy."""
        return any(name in self.upstreams for name in self.node_upstreams)

    @cached_property
    def services(self) -> tuple[Upstream, ...]:
        """The upstreams that are services."""
        return tuple(filter(self.is_service, self.upstreams.values()))

    @cached_property
    def backends(self) -> tuple[Server, ...]:
        """The servers of all services."""
        return tuple(server for service in self.services for server in service.servers)

    def is_service(self, upstream: Upstream | None) -> bool:
        """Return whether an upstream chooses the node of a bare machineid, by a hash."""
        if upstream is None or upstream.hashed is None:
            return False
        return upstream.name.lower() not in self.node_upstreams

    def upstream_of(self, target: Target) -> Upstream | None:
        """Return the upstream that a target names; with a port, nginx takes it for a machine."""
        return self.upstreams.get(target.name) if target.port is None else None

    def headers_of(self, upstream: Upstream) -> set[str]:
        """Return the request headers in an upstream's key that a workflow could send."""
        found = (headers_behind(variable, self.maps) for variable in upstream.variables)
        return set().union(*found) - FOREIGN_HEADERS

    # ---- where requests come from ----

    @cached_property
    def node_places(self) -> list[NodePlaces]:
        """The locations that lead to the nodes of a service by name."""
        return _node_places(self)

    def upstreams_of(self, passed: ProxyPass) -> list[Upstream]:
        """Return the upstreams to which a place can pass requests."""
        found = dict.fromkeys(map(self.upstream_of, passed.targets))
        return [upstream for upstream in found if upstream is not None]

    def only_machine(self, passed: ProxyPass) -> Machine | None:
        """Return the machine to which a place passes all requests; None if there may be several."""
        if len(passed.targets) != 1:
            return None
        [target] = passed.targets
        upstream = self.upstream_of(target)
        if upstream is None:
            return (target.name, target.port or 80) if target.is_real else None
        if self.is_service(upstream) or len(upstream.servers) != 1:
            return None
        return machine_of(upstream.servers[0])

    @cached_property
    def to_services(self) -> tuple[tuple[ProxyPass, Upstream], ...]:
        """Each place that passes requests to a service, with that service."""
        return tuple(
            (passed, upstream)
            for passed in self.proxy_passes
            for upstream in self.upstreams_of(passed)
            if self.is_service(upstream)
        )

    @cached_property
    def _ways(self) -> Mapping[Upstream, list[ProxyPass]]:
        found: dict[Upstream, list[ProxyPass]] = {}
        for passed, upstream in self.to_services:
            found.setdefault(upstream, []).append(passed)
        return found

    def ways_to(self, service: Upstream) -> Sequence[ProxyPass]:
        """Return the places that pass requests to a service."""
        return self._ways.get(service, ())

    def upstreams_by_node(self, service: Upstream) -> dict[str, Upstream]:
        """Return the upstreams that a node's name chooses in the places of a service."""
        maps = {
            variable: self.maps[variable]
            for passed in self.ways_to(service)
            for variable in variables_in(passed.statement.args[0])
            if variable in self.maps
        }
        return {
            node: self.upstreams[name.lower()]
            for mapped in maps.values()
            for node, name in upstreams_by_node(mapped).items()
            if name.lower() in self.upstreams
        }


# ---- locations that each lead to one machine, because a segment of their path names the node ----


@dataclass
class NodePlaces:
    """Locations whose paths differ in one segment, each leading to one machine of a service.

    `before` and `after` are the path around that segment; the keys of `passes` are its values.
    """

    service: Upstream
    before: str
    after: str
    passes: dict[str, list[ProxyPass]] = field(default_factory=dict)
    machines: dict[str, set[Machine]] = field(default_factory=dict)

    def missing(self) -> list[str]:
        """Return the service's servers that no location leads to, as the file writes them."""
        reached = {machine for each in self.machines.values() for machine in each}
        hosts = {machine[0] for machine in reached - self.service.machines.keys()}
        return [
            line.statement.args[0]
            for machine, line in self.service.machines.items()
            if machine not in reached and machine[0] not in hosts
        ]

    def is_by_node(self) -> bool:
        """Return whether the names are those of nodes: each for a different machine."""
        machines = [machine for each in self.machines.values() for machine in each]
        one_each = len(machines) == len(set(machines)) == len(self.machines)
        return one_each and (len(machines) > 1 or not self.missing())


def _node_places(config: NginxConfig) -> list[NodePlaces]:
    found: dict[object, NodePlaces] = {}
    for passed in config.proxy_passes:
        machine = config.only_machine(passed)
        service, port = (None, None) if machine is None else _service_of(machine, config)
        if service is None or machine is None:
            continue
        for before, name, after in _splits(passed.prefix or ""):
            places = found.setdefault(
                (passed.server, service, port, before, after),
                NodePlaces(service, before, after),
            )
            places.passes.setdefault(name, []).append(passed)
            places.machines.setdefault(name, set()).add(machine)
    return [places for places in found.values() if places.is_by_node()]


def _service_of(machine: Machine, config: NginxConfig) -> tuple[Upstream | None, int | None]:
    """Return the service that has the machine, and the port if it differs from the service's."""
    for service in config.services:
        if machine in service.machines:
            return service, None
    for service in config.services:
        if any(host == machine[0] for host, _ in service.machines):
            return service, machine[1]
    return None, None


def _splits(prefix: str) -> Iterator[tuple[str, str, str]]:
    """Yield each segment of a path, with what is before and after it."""
    segments = prefix.strip("/").split("/")
    for index, name in enumerate(segments):
        if name:
            before, after = segments[:index], segments[index + 1 :]
            yield "/".join(["", *before, ""]), name, "/".join(["", *after])

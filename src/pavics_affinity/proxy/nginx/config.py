"""An nginx configuration: the model that `check` judges and `read_nginx` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from ...placement.servers import Resolve
from .maps import (
    FOREIGN_HEADERS,
    Maps,
    headers_behind,
    read_maps,
    read_sets,
    upstreams_by_node,
    variables_in,
)
from .proxy_passes import ProxyPass, read_proxy_passes
from .servers import read_servers
from .statements import NginxFiles, Statement, has_placeholder, marks_in
from .streams import read_streams
from .upstreams import Upstream, read_upstreams


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
        """The upstreams that choose a node for a bare machineid, by a hash that decides."""
        return tuple(
            upstream
            for name, upstream in self.upstreams.items()
            if upstream.hashed is not None and name not in self.node_upstreams
        )

    @cached_property
    def _services(self) -> frozenset[Upstream]:
        return frozenset(self.services)

    def is_service(self, upstream: Upstream | None) -> bool:
        """Return whether an upstream is one of the services."""
        return upstream in self._services

    def headers_of(self, upstream: Upstream) -> set[str]:
        """Return the request headers in an upstream's key that a workflow could send."""
        found = (headers_behind(variable, self.maps) for variable in upstream.variables)
        return set().union(*found) - FOREIGN_HEADERS

    # ---- where requests come from ----

    def upstreams_of(self, passed: ProxyPass) -> list[Upstream]:
        """Return the upstreams to which a place can pass requests."""
        names = dict.fromkeys(target.name for target in passed.targets if target.port is None)
        return [self.upstreams[name] for name in names if name in self.upstreams]

    @cached_property
    def to_services(self) -> tuple[tuple[ProxyPass, Upstream], ...]:
        """Each place that passes requests to a service, with that service."""
        return tuple(
            (passed, upstream)
            for passed in self.proxy_passes
            for upstream in self.upstreams_of(passed)
            if upstream in self._services
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

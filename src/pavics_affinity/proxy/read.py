"""read_nginx: a topology from the nginx files of a site."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from ..errors import NginxConfigError, UnknownService
from ..placement.servers import Resolve, Server
from ..topology import Backend, Outputs, Service, Topology
from ..topology.urls import origin_of
from .evidence import find_evidence
from .hashed import common_header
from .naming import Nodes, address_of, names_in
from .nginx.maps import only_variable, pools_by_node, read_maps
from .nginx.statements import Statement, StrPath, marks_in, read_statements
from .nginx.upstreams import Route, Upstream, pool_of, read_routes, read_upstreams


def read_nginx(
    *paths: StrPath, urls: Mapping[str, str] | None = None, resolve: Resolve | None = None
) -> Topology:
    """Read a topology from nginx files.

    Each ``upstream`` with a ``hash`` of a request header is a service, its ``server``
    lines are backends, and hosts are nodes: one host is one node in all services. Order,
    weights and marks are kept. An ``add_header`` of ``$upstream_addr``, or of a map over
    it, is the evidence, if every service has it. A proxy that takes a node's name in the
    key, as ours do, is recognised.

    Parameters
    ----------
    *paths : str or path
        Files, directories or patterns; includes are followed. Snippets will do: a file
        of ``conf.d`` need not stand in an ``http`` block.
    urls : mapping of str to str, optional
        The services' public URLs, by the names of their upstreams. Without one a
        service at a location of its own has the URL that ``server_name`` gives, if it
        is a full name; else it is recognised by the port that the proxy listens on.
    resolve : callable, optional
        Name of a host to the list of its addresses, for ``server`` lines with names;
        see `Topology`.

    Returns
    -------
    Topology

    Raises
    ------
    NginxConfigError
        A file that is not there or does not parse, no ``hash``, a ``hash`` that no
        client can steer or that something else overrides (``sticky``, a later method), a
        template, an upstream without servers ...; with file and line.
    UnknownService
        `urls` names an upstream that is not there.
    TopologyError
        A URL of `urls` is none.
    MissingExtra
        crossplane is not installed.

    Warns
    -----
    AffinityWarning
        An evidence header that cannot be used, or a directive beside a hash that is not
        known here.
    """
    if not paths:
        raise NginxConfigError("no nginx file given; expected nginx.conf or the files in conf.d")
    statements = read_statements(paths)
    mark = next(marks_in(statements), None)
    if mark is not None:
        raise mark.error(
            f"'{mark.name}' stands for whole directives in a template; read the file that nginx "
            "gets ('nginx -T' prints it)"
        )
    site = _Site(statements, resolve)
    if not site.hashed:
        raise _without_hash(site.upstreams.values(), paths)
    return Topology(
        nodes=site.nodes.nodes,
        services=tuple(site.services(urls or {})),
        header=common_header(site.hashed, site.maps),
        evidence=find_evidence(site.routes, site.maps, site.servers, site.nodes, resolve),
        proxy="strict" if site.is_strict() else "plain",
        resolve=resolve,
    )


class _Site:
    """What the files say, before it is a topology."""

    def __init__(self, statements: Sequence[Statement], resolve: Resolve | None) -> None:
        self.resolve = resolve
        self.maps = read_maps(statements)
        self.upstreams = read_upstreams(statements)
        self.hashed = [each for each in self.upstreams.values() if each.hashed is not None]
        self.routes: dict[str, list[Route]] = {upstream.name: [] for upstream in self.hashed}
        self.pools: dict[str, dict[str, Upstream]] = {}
        for route in read_routes(statements):
            self._take(route)
        self.servers = [server for upstream in self.hashed for server in upstream.servers]
        self.nodes = Nodes([each.servers for each in self.hashed], self._known_names())

    def services(self, urls: Mapping[str, str]) -> list[Service]:
        """Make the services."""
        names = _service_names(upstream.name for upstream in self.hashed)
        strange = [name for name in urls if name not in {*names, *names.values()}]
        if strange:
            raise UnknownService(
                f"urls names {strange[0]!r}, and the files have: {', '.join(names)}"
            )
        return [
            self._service(upstream, name, urls.get(upstream.name, urls.get(name)))
            for upstream in self.hashed
            if (name := names[upstream.name])
        ]

    def is_strict(self) -> bool:
        """Tell whether each service takes the name of each of its nodes in the key."""
        for upstream in self.hashed:
            addresses: dict[str, set[str]] = {}
            for server in upstream.servers:
                addresses.setdefault(self.nodes.of(server), set()).add(address_of(server))
            pools = self.pools.get(upstream.name, {})
            for node, mine in addresses.items():
                if node not in pools or not mine.issuperset(map(address_of, pools[node].servers)):
                    return False
        return True

    def _take(self, route: Route) -> None:
        variable = only_variable(route.upstream)
        if variable is None:
            name: str | None = route.upstream
        else:
            name = pool_of(variable, self.maps, self.upstreams)
        if name is None or name not in self.routes:
            return
        self.routes[name].append(route)
        if variable is not None:
            chosen = pools_by_node(self.maps[variable]).items()
            self.pools[name] = {
                node: self.upstreams[pool] for node, pool in chosen if pool in self.upstreams
            }

    def _known_names(self) -> dict[str, str]:
        known: dict[str, str] = {}
        for mapped in self.maps.values():
            if only_variable(mapped.source) == "upstream_addr":
                known.update(names_in(mapped, self.servers, self.resolve))
        for pools in self.pools.values():
            for node, pool in pools.items():
                known.update((address_of(server), node) for server in pool.servers)
        return known

    def _service(self, upstream: Upstream, name: str, url: str | None) -> Service:
        routes = self.routes[upstream.name]
        route = _route_of(routes, url)
        if url is None and route is not None and route.prefix not in (None, "/"):
            base = route.listener.base_url()
            url = None if base is None else base + str(route.prefix).rstrip("/")
        ports = {server.port for server in upstream.servers}
        port = ports.pop() if len(ports) == 1 else None
        if url is None and route is None and port is None:
            raise upstream.statement.error(
                f"no server passes requests to upstream {upstream.name!r}, so that nothing tells "
                f"its URL; give the file that does, or urls={{{upstream.name!r}: 'http://...'}}"
            )
        path = None
        if route is not None and route.uri is not None:
            path = route.backend_path(urlsplit(url).path if url else str(route.prefix or "/"))
        return Service(
            name=name,
            url=url,
            port=port,
            listen=None if route is None else route.listener.listen_for(url),
            path=path,
            outputs=_outputs(routes, route, url),
            method="hash consistent" if upstream.hashed and upstream.hashed.consistent else "hash",
            backends=tuple(self._backend(server) for server in upstream.servers),
            tls=route is not None and route.tls,
        )

    def _backend(self, server: Server) -> Backend:
        return Backend(
            node=self.nodes.of(server),
            address=server.text,
            weight=None if server.weight == 1 else server.weight,
            down=server.down,
            backup=server.backup,
        )


def _route_of(routes: Sequence[Route], url: str | None) -> Route | None:
    """Choose the location that a service's URL comes in by; without one, the first."""
    if url is None:
        return next((route for route in routes if route.prefix is not None), None) or (
            routes[0] if routes else None
        )
    path, origin = urlsplit(url).path or "/", origin_of(url)
    fitting = [route for route in routes if path.startswith(route.prefix or "/")]
    return max(
        fitting or routes,
        key=lambda route: (
            len(route.prefix or ""),
            origin is not None and route.listener.has_port(origin.port),
        ),
        default=None,
    )


def _outputs(routes: Sequence[Route], chosen: Route | None, url: str | None) -> Outputs | None:
    """Take another location of the same service as that of its outputs."""
    origin = origin_of(url) if url is not None else None
    if chosen is None or origin is None:
        return None
    others = [
        route
        for route in routes
        if route.listener == chosen.listener
        and route.prefix not in (None, "/", chosen.prefix)
        and not str(route.prefix).startswith("/.")
    ]
    if not others:
        return None
    best = max(others, key=lambda route: "output" in str(route.prefix))
    prefix = str(best.prefix)
    return Outputs(str(origin) + prefix, best.backend_path(prefix))


def _service_names(upstreams: Iterable[str]) -> dict[str, str]:
    """Give each upstream a name that a service can have."""
    names: dict[str, str] = {}
    for upstream in upstreams:
        base = re.sub("[^A-Za-z0-9_-]+", "-", upstream).strip("-")
        base = base if base[:1].isalpha() and base.isascii() else f"service-{base}".rstrip("-")
        name, number = base, 1
        while name in names.values():
            number += 1
            name = f"{base}-{number}"
        names[upstream] = name
    return names


def _without_hash(upstreams: Iterable[Upstream], paths: Sequence[StrPath]) -> NginxConfigError:
    remedy = "add 'hash $http_machineid;' to the upstream of each WPS"
    first = next(iter(upstreams), None)
    if first is None:
        files = ", ".join(str(path) for path in paths)
        return NginxConfigError(
            f"no upstream in {files}; give the files that hold the upstream blocks, and {remedy}"
        )
    return first.statement.error(
        f"no upstream has a hash, so that requests of one workflow go to all nodes in turn; "
        f"{remedy}, {first.name!r} for one"
    )

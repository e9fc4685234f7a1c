"""read_nginx: read a topology from the nginx files of a site.

One module, because each part adds to the same topology.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ..brief import brief
from ..errors import NginxConfigError, NginxConfigWarning, TopologyError, UnknownService
from ..placement.servers import Resolve
from ..protocol import is_node_name
from ..topology import Outputs, Service, Tls, Topology
from ..topology.model import InFront
from ..topology.schema import NODE_SEGMENT
from ..topology.urls import Origin, origin_of
from ..warn import warn
from .naming import Nodes, address_of, backend_of, find_evidence, names_in, next_free
from .nginx.config import NginxConfig
from .nginx.maps import UPSTREAM_ADDR, only_variable
from .nginx.proxy_passes import ProxyPass
from .nginx.servers import OUTPUTS
from .nginx.statements import NginxFiles, StrPath, find_nginx_files, marks_in, read_files
from .nginx.trees import Tree
from .nginx.upstreams import Upstream, machine_of

_HASH = "hash $http_machineid;"


@brief
def read_nginx(
    *paths: StrPath, urls: Mapping[str, str] | None = None, resolve: Resolve | None = None
) -> Topology:
    """Read a topology from nginx files.

    Each ``upstream`` with a ``hash`` of a request header becomes a service, its ``server``
    lines become backends, and their hosts become nodes: a host is the same node in all
    services. Order, weights and marks are kept. An ``add_header`` of ``$upstream_addr``, or
    of a map over it, becomes the evidence if every service adds it. The names of nodes in the
    key, as the strict `render` writes them, and in paths of outputs are recognised.

    Parameters
    ----------
    *paths : str or path
        Files, directories or patterns; includes are followed. Snippets are enough: a file
        in ``conf.d`` does not need an ``http`` block.
    urls : mapping of str to str, optional
        The services' public URLs, by the names of their upstreams. A service without one
        gets the URL of its location, rewrites included, if ``server_name`` is a full name;
        otherwise it is recognised by the port that the proxy listens on.
    resolve : callable, optional
        Returns the addresses of a host name, for ``server`` lines with names; see
        `Topology`.

    Returns
    -------
    Topology

    Raises
    ------
    NginxConfigError
        A file does not exist or does not parse; there is no ``hash``; no client can steer
        it; something else overrides it (``sticky``, a later method); the file is a template;
        an upstream has no servers ... The message names file and line.
    UnknownService
        `urls` names an upstream that does not exist.
    TopologyError
        `urls` holds something that is not a URL.
    MissingExtra
        crossplane is not installed.

    Warns
    -----
    NginxConfigWarning
        An evidence header cannot be used, or an upstream with a hash has an unknown directive.
    """
    files = _read_strictly(paths)
    config = NginxConfig(files, resolve)
    _refuse_what_nginx_refuses(config)
    if not config.services:
        raise _without_hash(config.all_upstreams, paths)
    for service in config.services:
        for line in service.of_other_modules:
            warn(
                f"{line.where}: '{line.name}' in upstream {service.name!r} is not known; if it "
                "chooses servers, the topology read from this file is wrong",
                NginxConfigWarning,
            )
    site = _Reading(config)
    services = site.services(urls or {})
    return Topology(
        nodes=site.nodes.nodes,
        services=tuple(services),
        header=_common_header(config),
        evidence=find_evidence(config, site.ways.values(), site.nodes),
        proxy="strict" if site.is_strict() else "plain",
        resolve=resolve,
        tls=_tls(services, site),
    )


# ---- raise what the lenient reader only notes ----


def _read_strictly(paths: Sequence[StrPath]) -> NginxFiles:
    if not paths:
        raise NginxConfigError("no nginx file given; expected nginx.conf or the files in conf.d")
    named: list[str] = []
    for path in paths:
        found = find_nginx_files(path)
        if not found:
            raise NginxConfigError(
                f"directory {str(path)!r} has no nginx.conf and no *.conf, also not in its conf.d "
                "and config/proxy; give the directory that holds them",
                file=str(path),
            )
        named += found
    files = read_files(named, Tree(Path(path) for path in paths if Path(path).is_dir()))
    for error in files.errors:
        raise error
    for mark in marks_in(files.statements):
        raise mark.error(
            f"'{mark.name}' stands for whole directives in a template; read the file that nginx "
            "reads ('nginx -T' prints it)"
        )
    return files


def _refuse_what_nginx_refuses(config: NginxConfig) -> None:
    for upstream in config.all_upstreams:
        for refusal in upstream.refusals:
            raise refusal.error()
        if upstream.statement.named("hash"):
            _check_that_the_hash_decides(upstream)
        if not upstream.lines:
            raise upstream.statement.error(
                f"the servers of upstream {upstream.name!r} are not in the files; add a line for "
                "each node, such as 'server 10.0.0.1:8093;'"
            )
        for line in upstream.lines:
            if line.server is not None and line.server.at_run_time == "service":
                raise line.statement.error(
                    f"'{line.statement.text};': nginx asks DNS for the servers while it runs, and "
                    "the answer is not known here; list the servers"
                )
    for server in config.servers:
        for refusal in server.refusals:
            raise refusal.error()


def _check_that_the_hash_decides(upstream: Upstream) -> None:
    name = upstream.name
    if (sticky := upstream.sticky) is not None:
        raise sticky.error(
            f"'{sticky.text};' in upstream {name!r} decides before the hash: a client that keeps "
            "cookies stays on its node, whatever key it sends; remove the line"
        )
    if (balancer := upstream.balancer) is not None:
        raise balancer.error(
            f"{balancer.name} chooses the servers of upstream {name!r}, and the hash does not; "
            "remove one of them"
        )
    if upstream.method.name != "hash":
        raise upstream.method.error(
            f"'{upstream.method.text};' comes after the hash in upstream {name!r}, and the last "
            "method decides; remove it"
        )


def _without_hash(upstreams: Iterable[Upstream], paths: Sequence[StrPath]) -> NginxConfigError:
    remedy = f"add '{_HASH}' to the upstream of each WPS"
    first = next(iter(upstreams), None)
    if first is None:
        files = ", ".join(str(path) for path in paths)
        return NginxConfigError(
            f"no upstream in {files}; give the files that hold the upstream blocks, and {remedy}"
        )
    return first.statement.error(
        f"no upstream has a hash, so nginx gives the requests of one workflow to all nodes in "
        f"turn; {remedy}, for example to {first.name!r}"
    )


# ---- the header ----


def _common_header(config: NginxConfig) -> str:
    """Return the header that all services hash."""
    first, *others = config.services
    header = _hashed_header(first, config)
    for upstream in others:
        other = _hashed_header(upstream, config)
        if other != header:
            raise upstream.method.error(
                f"upstream {upstream.name!r} hashes the header {other}, and {first.name!r} "
                f"({first.method.where}) hashes {header}; a workflow sends one header: write the "
                "same hash in both"
            )
    return header


def _hashed_header(upstream: Upstream, config: NginxConfig) -> str:
    headers = config.headers_of(upstream)
    if len(headers) != 1:
        what = f"several headers ({', '.join(sorted(headers))})" if headers else "no header"
        raise upstream.method.error(
            f"upstream {upstream.name!r} hashes {upstream.key!r}, in which there is {what} that a "
            f"workflow could send; write '{_HASH}'"
        )
    if upstream.hashed is not None and len(upstream.hashed.parts) != 1:
        raise upstream.method.error(
            f"upstream {upstream.name!r} hashes {upstream.key!r}, which holds more than the "
            "machineid: requests of one workflow go to several nodes, and no client can steer "
            f"them; write '{_HASH}'"
        )
    return headers.pop()


# ---- nodes and services ----


class _Reading:
    """Makes the parts of a topology from a configuration."""

    def __init__(self, config: NginxConfig) -> None:
        self.config = config
        self.ways = {
            service.name: [each for each in config.ways_to(service) if each.kind == "proxy"]
            for service in config.services
        }
        self.by_node = {
            service.name: config.upstreams_by_node(service) for service in config.services
        }
        self.places = [each for each in config.node_places if all(map(is_node_name, each.passes))]
        self.nodes = Nodes([each.servers for each in config.services], self._known_names())

    def services(self, urls: Mapping[str, str]) -> list[Service]:
        """Make the services."""
        names = _service_names(upstream.name for upstream in self.config.services)
        unknown = [name for name in urls if name not in {*names, *names.values()}]
        if unknown:
            raise UnknownService(
                f"urls names the upstream {unknown[0]!r}, which is not in the files; they have: "
                f"{', '.join(names)}"
            )
        return [
            self._service(upstream, name, urls.get(upstream.name, urls.get(name)))
            for upstream in self.config.services
            if (name := names[upstream.name])
        ]

    def is_strict(self) -> bool:
        """Return whether each service accepts the name of each of its nodes in the key."""
        for upstream in self.config.services:
            addresses: dict[str, set[str]] = {}
            for server in upstream.servers:
                addresses.setdefault(self.nodes.of(server), set()).add(address_of(server))
            pools = self.by_node[upstream.name]
            for node, mine in addresses.items():
                if node not in pools or not mine.issuperset(map(address_of, pools[node].servers)):
                    return False
        return True

    def _known_names(self) -> dict[str, str]:
        known = {
            address_of(server): name
            for places in self.places
            for server in places.service.servers
            for name, machines in places.machines.items()
            if machine_of(server) in machines
        }
        for mapped in self.config.maps.values():
            if only_variable(mapped.source) == UPSTREAM_ADDR:
                known.update(names_in(mapped, self.config))
        for by_node in self.by_node.values():
            for node, upstream in by_node.items():
                known.update((address_of(server), node) for server in upstream.servers)
        return known

    def _service(self, upstream: Upstream, name: str, url: str | None) -> Service:
        ways = self.ways[upstream.name]
        way = _way_of(ways, url)
        if url is None and way is not None and way.prefix not in (None, "/"):
            base = way.server.base_url()
            url = None if base is None else base + str(way.prefix).rstrip("/")
        ports = {server.port for server in upstream.servers}
        port = ports.pop() if len(ports) == 1 else None
        if url is None and way is None and port is None:
            raise upstream.method.error(
                f"no server passes requests to upstream {upstream.name!r}, so its URL is not "
                f"known; give the file that does, or urls={{{upstream.name!r}: 'http://...'}}"
            )
        path = None
        if way is not None:
            asked = urlsplit(url).path if url else str(way.prefix or "/")
            path = way.backend_path(asked)
            path = None if path == asked else path
        outputs, origin = None, origin_of(url) if url is not None else None
        if origin is not None:
            outputs = self._outputs_by_node(upstream, origin) or _outputs(ways, way, origin)
        return Service(
            name=name,
            url=url,
            port=port,
            listen=None if way is None else way.server.listen_for(url),
            path=path,
            outputs=outputs,
            method=upstream.hash_method,
            backends=tuple(backend_of(self.nodes.of(each), each) for each in upstream.servers),
            tls=way is not None and way.tls,
        )

    def _outputs_by_node(self, upstream: Upstream, origin: Origin) -> Outputs | None:
        """Return the outputs of a service whose nodes each have their own location."""
        nodes = {self.nodes.of(server) for server in upstream.servers}
        for places in self.places:
            prefix = f"{places.before}{NODE_SEGMENT}{places.after}"
            backends = {
                passed.backend_path(passed.prefix or "").rstrip("/")
                for several in places.passes.values()
                for passed in several
            }
            # A rewritten path is not known, and seems to differ.
            alike = places.service is upstream and nodes == set(places.passes)
            if alike and len(backends) == 1 and prefix.count("/") > 1:
                return Outputs(f"{origin}{prefix}", backends.pop() or "/")
        return None


def _way_of(ways: Sequence[ProxyPass], url: str | None) -> ProxyPass | None:
    """Return the place that passes on requests for a service's URL; by default the first."""
    if url is None:
        # A site often has the same locations on two ports, and redirects to https.
        return min(
            ways,
            key=lambda way: (
                way.prefix is None,
                OUTPUTS.search(str(way.prefix)) is not None,
                not way.server.tls,
            ),
            default=None,
        )
    path, origin = urlsplit(url).path or "/", origin_of(url)
    fitting = [way for way in ways if path.startswith(way.prefix or "/")]
    return max(
        fitting or ways,
        key=lambda way: (
            len(way.prefix or ""),
            origin is not None and origin.port in way.server.ports,
        ),
        default=None,
    )


def _outputs(ways: Sequence[ProxyPass], chosen: ProxyPass | None, origin: Origin) -> Outputs | None:
    """Return the outputs of a service, if another location leads to it, too."""
    others = [
        way
        for way in ways
        if chosen is not None
        and way.server is chosen.server
        and way.prefix not in (None, "/")
        and str(way.prefix).rstrip("/") != str(chosen.prefix).rstrip("/")
        and not str(way.prefix).startswith("/.")
    ]
    if not others:
        return None
    best = max(others, key=lambda way: OUTPUTS.search(str(way.prefix)) is not None)
    prefix = str(best.prefix)
    return Outputs(f"{origin}{prefix}", best.backend_path(prefix))


def _tls(services: Sequence[Service], site: _Reading) -> Tls | InFront | None:
    """Return where TLS ends, if a service's URL is https: here or in front."""
    if not any((service.url or "").startswith("https:") for service in services):
        return None
    ways = [way for several in site.ways.values() for way in several if way.server.tls]
    if not ways:
        return "in front"
    names = ("ssl_certificate", "ssl_certificate_key")
    pairs = {tuple(_setting_of(way, name) for name in names) for way in ways}
    try:
        [(certificate, key)] = pairs
        return Tls(certificate, key)
    except (TopologyError, ValueError):
        return None  # several, or none that a topology can name; render asks for it


def _setting_of(way: ProxyPass, name: str) -> str:
    line = way.setting(name)
    return line.args[0] if line is not None and line.args else ""


def _service_names(upstreams: Iterable[str]) -> dict[str, str]:
    """Return a valid service name for each upstream."""
    names: dict[str, str] = {}
    for upstream in upstreams:
        base = re.sub("[^A-Za-z0-9_-]+", "-", upstream).strip("-")
        base = base if base[:1].isalpha() and base.isascii() else f"service-{base}".rstrip("-")
        names[upstream] = next_free(base, names.values())
    return names

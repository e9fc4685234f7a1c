"""The cluster as a site: addresses, URLs, topology, and the proxy's configuration files.

It is long because the topology and the files must say the same.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import TopologyError, UnknownNode, UnknownService
from ..topology import Backend, Node, Outputs, Service, Topology
from .control import ClusterError
from .nodes import ClusterNode
from .options import ClusterOptions, Files, ProxyConfig, Upstream
from .ports import AddressBlock

# Ports on each node in the deployment's manual; the proxy publishes port + 50000.
_MANUAL_PORTS = {"malleefowl": 8091, "flyingpigeon": 8093}
_FIRST_FREE_PORT = 8094
_PUBLISHED = 50_000
_ONE_PORT = 58_080
_PROXY_HOST, _FIRST_NODE_HOST = 1, 11

TWITCHER = "twitcher"
"""Name of Twitcher's port among those of the services."""

_TWITCHER_PORT = 8_000  # as in birdhouse-deploy
# Like birdhouse-deploy's, it sends only /twitcher/ to Twitcher. It does not log, because the
# proxy behind it does.
_SERVER_IN_FRONT = """\
server {{
  listen {public};
  access_log off;
  client_max_body_size 1g;
  location /twitcher/ {{ proxy_pass http://{twitcher}/; proxy_set_header Host $http_host; }}
  location / {{ proxy_pass http://{proxy}; proxy_set_header Host $http_host; }}
}}
"""

_HASH = re.compile(r"hash\s+(?:\$http_(\w+)|\"\$http_(\w+)\")(\s+consistent)?\s*;")


class ClusterSite:
    """The nodes and services of a cluster, and the proxy in front of them.

    `published` holds the proxy's ports by service, `front` the place of the Twitcher in front of
    the proxy, `upstreams` and `proxy_config` the current configuration of the proxy.
    """

    def __init__(self, options: ClusterOptions, addresses: AddressBlock, directory: Path) -> None:
        self._options = options
        self._addresses = addresses
        self._directory = directory
        self._weights = dict(options.weights or {})
        self._unlisted: set[str] = set()
        self.nodes: dict[str, ClusterNode] = {}
        self.upstreams: dict[str, Upstream] = {}
        self.proxy_config: ProxyConfig | None = options.proxy_config
        self.proxy_host = addresses.host(_PROXY_HOST)
        self.front: ClusterNode | None = None
        self._choose_ports()
        for _ in range(options.nodes):
            self.add_node(listed=True)
        # Set after the nodes are added, because an upstream that lists its servers is complete.
        for name in options.services:
            self.upstreams[name] = Upstream(options.directive)
        self.upstreams |= options.upstreams or {}
        self.check()

    def _choose_ports(self) -> None:
        options, addresses = self._options, self._addresses
        hosts = [addresses.host(_FIRST_NODE_HOST + number) for number in range(options.nodes)]
        free = _FIRST_FREE_PORT
        self._ports: dict[str, int] = {}
        self.published: dict[str, int] = {}
        for service in options.services:
            wanted = _MANUAL_PORTS.get(service)
            if wanted is None:
                wanted, free = free, free + 1
            self._ports[service] = addresses.port(hosts, wanted)
            if options.layout == "ports":
                self.published[service] = addresses.port([self.proxy_host], wanted + _PUBLISHED)
        if options.layout == "paths":
            port = addresses.port([self.proxy_host], _ONE_PORT)
            self.published = dict.fromkeys(options.services, port)
        self._listens = self.published
        if options.front == "twitcher":
            port = addresses.port([self.proxy_host])
            self._listens = dict.fromkeys(options.services, port)
            ports = {TWITCHER: addresses.port([self.proxy_host], _TWITCHER_PORT)}
            self.front = ClusterNode("front", self.proxy_host, ports, self._directory / "front")
            self.front.disk.mkdir()
        elif options.front == "twitcher-per-node":
            self._ports[TWITCHER] = addresses.port(hosts, _TWITCHER_PORT)

    @property
    def proxy_ports(self) -> set[int]:
        """The ports that nginx listens on."""
        return {*self.published.values(), *self._listens.values()}

    # ---- nodes and services by name ----

    def add_node(self, *, listed: bool) -> ClusterNode:
        """Add a node with an address and a disk, at the end of every upstream or in none."""
        number = len(self.nodes) + 1
        name, host = f"node{number}", self._addresses.host(_FIRST_NODE_HOST + number - 1)
        ports = dict(self._ports)
        if not self._addresses.distinct:
            ports = {service: self._addresses.port([host]) for service in ports}
        disk = self._directory / name
        (disk / "cache").mkdir(parents=True)
        node = self.nodes[name] = ClusterNode(name, host, ports, disk)
        if not listed:
            self._unlisted.add(name)
            return node
        for service, upstream in self.upstreams.items():
            if upstream.servers is not None:
                servers = (*upstream.servers, name)
                self.upstreams[service] = dataclasses.replace(upstream, servers=servers)
        return node

    def node(self, name: str) -> ClusterNode:
        """Return a node by its name."""
        if name not in self.nodes:
            raise UnknownNode(f"node {name!r} is unknown; the nodes are {', '.join(self.nodes)}")
        return self.nodes[name]

    def check_service(self, name: str) -> None:
        """Raise UnknownService unless a service has this name."""
        if name not in self.published:
            known = ", ".join(self.published)
            raise UnknownService(f"service {name!r} is unknown; the services are {known}")

    def check(self) -> None:
        """Raise UnknownNode if an upstream, a weight or a drain names an unknown node."""
        for name in (*self._weights, *self._options.drain, *self._listed()):
            self.node(name)

    # ---- URLs ----

    def behind_twitcher(self, node: ClusterNode) -> dict[str, str]:
        """Return the URLs that a Twitcher knows, to which it appends ``/wps``."""
        if node is not self.front:
            return {name: f"http://{node.address(name)}" for name in self.published}
        paths = {name: self._prefixes(name)[0].rstrip("/") for name in self.published}
        return {name: f"http://{self._listen(name)}{path}" for name, path in paths.items()}

    def url(self, service: str) -> str:
        """Return the public URL of a service."""
        return f"{self._origin(service)}{self._prefixes(service)[0]}wps"

    def outputs_url(self, service: str) -> str:
        """Return the public URL prefix of a service's outputs, which may contain ``{node}``."""
        prefix = f"{self._origin(service)}{self._prefixes(service)[1]}".rstrip("/")
        return f"{prefix}/{{node}}" if self._options.outputs == "by-node" else prefix

    def service_of(self, port: int, uri: str) -> str | None:
        """Return the service for the proxy's port and a request's URI."""
        by_port = self._options.layout == "ports"
        for name, published in self.published.items():
            if port in {published, self._listens[name]} and (
                by_port or uri.startswith(self._prefixes(name))
            ):
                return name
        return None

    def nodes_by_address(self) -> dict[str, str]:
        """Return the nodes' names by ``host:port``."""
        nodes = self.nodes.values()
        return {node.address(service): node.name for node in nodes for service in node.ports}

    def _origin(self, service: str) -> str:
        self.check_service(service)
        return f"http://{self.proxy_host}:{self.published[service]}"

    def _listen(self, service: str) -> str:
        return f"{self.proxy_host}:{self._listens[service]}"

    def _prefixes(self, service: str) -> tuple[str, str]:
        if self._options.layout == "ports":
            return "/", "/outputs/"
        return f"/twitcher/ows/proxy/{service}/", f"/wpsoutputs/{service}/"

    # ---- the topology ----

    def topology(self) -> Topology:
        """Return the topology that an operator would write; see `LocalCluster.topology`."""
        listed = self._listed()
        methods = {name: _hash(upstream, name) for name, upstream in self.upstreams.items()}
        if self._options.front == "twitcher-per-node" and any(c for _, c in methods.values()):
            raise TopologyError(
                "no topology describes 'consistent' with front='twitcher-per-node': it hashes "
                "addresses, and those of Twitcher and of the outputs differ; leave out 'consistent'"
            )
        headers = {header for header, _ in methods.values()}
        if len(headers) > 1:
            raise TopologyError(
                f"the upstreams hash several headers, {', '.join(sorted(headers))}, but a topology "
                "has only one; give all services the same directive"
            )
        return Topology(
            nodes=tuple(
                Node(
                    name,
                    host=node.host,
                    weight=self._weights.get(name, 1),
                    drain=name in self._options.drain,
                )
                for name, node in self.nodes.items()
                if name in listed
            ),
            services=tuple(
                Service(
                    name,
                    url=self.url(name),
                    path="/wps" if self._options.layout == "paths" else None,
                    port=self.nodes["node1"].ports[name],
                    publish=self.published[name],
                    listen=self._listen(name),
                    outputs=Outputs(self.outputs_url(name), "/outputs"),
                    method="hash consistent" if consistent else "hash",
                    backends=self._backends(name, listed),
                )
                for name, (_, consistent) in methods.items()
            ),
            header=headers.pop(),
            evidence=self._options.evidence,
            proxy=self._options.proxy_style,
        )

    def _listed(self) -> set[str]:
        return {e.split()[0] for service in self.published for e in self._entries(service)}

    def _entries(self, service: str) -> tuple[str, ...]:
        servers = self.upstreams[service].servers
        if servers is not None:
            return servers
        return tuple(
            f"{name} weight={self._weights[name]}" if name in self._weights else name
            for name in self.nodes
            if name not in self._unlisted
        )

    def _backends(self, service: str, listed: set[str]) -> tuple[Backend, ...]:
        """Return the service's backends; none if they follow from the nodes."""
        upstream, entries = self.upstreams[service], self._entries(service)
        distinct = self._addresses.distinct
        if upstream.servers is None and distinct and {e.split()[0] for e in entries} == listed:
            return ()
        backends = []
        for entry in entries:
            name, *parameters = f"{entry} {upstream.parameters}".split()
            weight = [int(word[7:]) for word in parameters if word.startswith("weight=")]
            backends.append(
                Backend(
                    name,
                    address=None if distinct else self.node(name).address(service),
                    weight=weight[0] if weight else 1,
                    down="down" in parameters,
                    backup="backup" in parameters,
                )
            )
        return tuple(backends)

    # ---- the proxy's files ----

    def proxy_files(self) -> Files:
        """Return the proxy's configuration files, by relative path."""
        config: Any = self.proxy_config
        if callable(config):
            config = config(self.topology())
        if isinstance(config, str | Path):
            config = _read_proxy_files(Path(config))
        files = dict(self._own_proxy_files() if config is None else config)
        if self.front is not None:
            name, port = next(iter(self.published.items()))
            files["conf.d/front.conf"] = _SERVER_IN_FRONT.format(
                public=f"{self.proxy_host}:{port}",
                twitcher=self.front.address(TWITCHER),
                proxy=self._listen(name),
            )
        return files

    def _own_proxy_files(self) -> dict[str, str]:
        files = {}
        header = ""
        if evidence := self._options.evidence:
            # The last address, because nginx lists all that it tried.
            addresses = self.nodes_by_address().items()
            lines = [f'"~{re.escape(address)}$" {name};' for address, name in addresses]
            block = _block("map $upstream_addr $local_cluster_node", lines)
            files["conf.d/00-evidence.conf"] = block
            header = f"add_header {evidence} $local_cluster_node always;"
        servers: dict[str, list[str]] = {}
        for name, upstream in self.upstreams.items():
            files[f"conf.d/{name}.conf"] = self._upstream_block(name, upstream)
            service, outputs = self._prefixes(name)
            targets = {service: f"{name}/", outputs: f"{name}/outputs/"}
            if self._options.layout == "ports":
                targets = {"/": name}
            if self._options.front == "twitcher-per-node":
                # Outputs bypass Twitcher, which accepts only requests to services.
                files[f"conf.d/{name}.conf"] += self._upstream_block(name, upstream, by=TWITCHER)
                targets[service] = f"{name}-{TWITCHER}{service.removeprefix('/twitcher')}"
            if self._options.outputs == "by-node":
                for node in self.nodes.values():
                    targets[f"{outputs}{node.name}/"] = f"{node.address(name)}/outputs/"
            lines = servers.setdefault(self._listen(name), [header])
            lines += [upstream.server, *(_location(upstream, *each) for each in targets.items())]
        for (listen, lines), name in zip(servers.items(), self.upstreams, strict=False):
            # With one port for all, the first service's file has the server block.
            files[f"conf.d/{name}.conf"] += _block("server", [f"listen {listen};", *lines])
        return files

    def _upstream_block(self, name: str, upstream: Upstream, by: str | None = None) -> str:
        lines = [upstream.directive, upstream.upstream]
        for entry in self._entries(name):
            node, *parameters = entry.split()
            address = self.node(node).address(by or name)
            words = ["server", address, *parameters, *upstream.parameters.split()]
            lines.append(f"{' '.join(words)};")
        return _block(f"upstream {name}-{by}" if by else f"upstream {name}", lines)


def _location(upstream: Upstream, path: str, target: str) -> str:
    words = [f"proxy_pass http://{target};", upstream.location]
    return f"location {path} {{ {' '.join(word for word in words if word)} }}"


def _block(head: str, lines: Iterable[str]) -> str:
    return "\n".join([f"{head} {{", *(f"  {line}" for line in lines if line), "}", ""])


def _hash(upstream: Upstream, service: str) -> tuple[str, bool]:
    """Return the header that an upstream hashes, and whether consistently."""
    found = _HASH.fullmatch(upstream.directive.strip())
    if found is None:
        raise TopologyError(
            f"no topology describes the upstream of {service!r}: {upstream.directive!r} is not a "
            "hash of a header; expected 'hash $http_machineid;' or the same with 'consistent'"
        )
    return (found[1] or found[2]).replace("_", "-"), bool(found[3])


def _read_proxy_files(directory: Path) -> dict[str, str]:
    for root in (directory, directory / "config" / "proxy"):
        if (root / "nginx.conf").is_file() or (root / "conf.d").is_dir():
            return {
                str(path.relative_to(root)): path.read_text(encoding="utf-8")
                for path in sorted(root.rglob("*.conf"))
            }
    raise ClusterError(
        f"{str(directory)!r} contains neither nginx.conf nor conf.d, and neither does its "
        "config/proxy; give a directory with nginx's files"
    )

"""The cluster as a site: names, addresses, and what an operator would write of them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import TopologyError, UnknownNode, UnknownService
from ..topology import Backend, Node, Outputs, Service, Topology
from .control import ClusterError
from .nodes import NodeState
from .upstream import Upstream, server_block

Files = Mapping[str, str]
ProxyConfig = str | Path | Files | Callable[[Topology], "str | Path | Files"]

_HASH = re.compile(r"hash\s+(?:\$http_(\w+)|\"\$http_(\w+)\")(\s+consistent)?\s*;")


@dataclass
class Site:
    """Nodes and services, and the proxy in front of them.

    Attributes
    ----------
    proxy_host : str
        The proxy's address.
    published : dict of str to int
        The proxy's port by service.
    layout : {"ports", "paths"}
        Whether services have ports of their own, or paths.
    upstreams : dict of str to Upstream
        By service.
    weights : dict of str to int
        By node, where it is not 1.
    drain : frozenset of str
        Nodes that take no new workflows.
    evidence : str or None
        Response header in which the proxy names the node.
    style : {"plain", "strict"}
        What the topology says of the proxy.
    proxy_config : path, mapping, callable or None
        The proxy's files, where they are not the cluster's own.
    distinct_hosts : bool
        Whether nodes have addresses of their own.
    nodes : dict of str to NodeState
        By name, in order.
    unlisted : set of str
        Nodes that are in no upstream unless it names them.
    """

    proxy_host: str
    published: dict[str, int]
    layout: Literal["ports", "paths"]
    upstreams: dict[str, Upstream]
    weights: dict[str, int]
    drain: frozenset[str]
    evidence: str | None
    style: Literal["plain", "strict"]
    proxy_config: ProxyConfig | None
    distinct_hosts: bool
    nodes: dict[str, NodeState] = field(default_factory=dict)
    unlisted: set[str] = field(default_factory=set)

    def node(self, name: str) -> NodeState:
        """Return a node by its name."""
        if name not in self.nodes:
            raise UnknownNode(f"no node is called {name!r}; there are {', '.join(self.nodes)}")
        return self.nodes[name]

    def check_service(self, name: str) -> None:
        """Raise UnknownService if no service has this name."""
        if name not in self.published:
            known = ", ".join(self.published)
            raise UnknownService(f"no service is called {name!r}; there are {known}")

    def url(self, service: str) -> str:
        """Return the public URL of a service."""
        return f"{self._origin(service)}{self._prefixes(service)[0]}wps"

    def outputs_url(self, service: str) -> str:
        """Return the public URL prefix of a service's outputs."""
        return f"{self._origin(service)}{self._prefixes(service)[1]}".rstrip("/")

    def service_of(self, port: int, uri: str) -> str | None:
        """Tell the service from the proxy's port and a request's URI."""
        for name, published in self.published.items():
            if port == published and (
                self.layout == "ports" or uri.startswith(self._prefixes(name))
            ):
                return name
        return None

    def nodes_by_address(self) -> dict[str, str]:
        """Return the nodes' names by ``host:port``."""
        return {
            node.address(service): node.name
            for node in self.nodes.values()
            for service in node.ports
        }

    def topology(self) -> Topology:
        """Return what an operator would write.

        Raises
        ------
        TopologyError
            An upstream's directive is no hash of a header, or two hash
            different ones.
        """
        listed = {
            entry.split()[0] for service in self.published for entry in self._entries(service)
        }
        methods = {name: _hash(upstream, name) for name, upstream in self.upstreams.items()}
        headers = {header for header, _ in methods.values()}
        if len(headers) > 1:
            raise TopologyError(f"the services' upstreams hash several headers: {sorted(headers)}")
        return Topology(
            nodes=tuple(
                Node(
                    name,
                    host=node.host,
                    weight=self.weights.get(name, 1),
                    drain=name in self.drain,
                )
                for name, node in self.nodes.items()
                if name in listed
            ),
            services=tuple(
                Service(
                    name,
                    url=self.url(name),
                    path="/wps" if self.layout == "paths" else None,
                    port=next(iter(self.nodes.values())).ports[name],
                    publish=self.published[name],
                    listen=self._listen(name),
                    outputs=Outputs(self.outputs_url(name), "/outputs"),
                    method="hash consistent" if consistent else "hash",
                    backends=self._backends(name, listed),
                )
                for name, (_, consistent) in methods.items()
            ),
            header=headers.pop(),
            evidence=self.evidence,
            proxy=self.style,
        )

    def proxy_files(self) -> Files:
        """Return the proxy's configuration files, by relative path."""
        config = self.proxy_config
        if config is None:
            return self._own_proxy_files()
        if callable(config):
            config = config(self.topology())
        if isinstance(config, Mapping):
            return config
        return _read_proxy_files(Path(config))

    def add(self, node: NodeState, *, listed: bool) -> None:
        """Add a node, at the end of every upstream or in none.

        Parameters
        ----------
        node : NodeState
            The node.
        listed : bool
            Whether the upstreams get it.
        """
        self.nodes[node.name] = node
        if not listed:
            self.unlisted.add(node.name)
            return
        for service, upstream in self.upstreams.items():
            if upstream.servers is not None:
                servers = (*upstream.servers, node.name)
                self.upstreams[service] = dataclasses.replace(upstream, servers=servers)

    def check(self) -> None:
        """Raise UnknownNode if an upstream, a weight or a drain names a node that is none."""
        entries = [entry for service in self.published for entry in self._entries(service)]
        for name in (*self.weights, *self.drain, *(entry.split()[0] for entry in entries)):
            self.node(name)

    def _entries(self, service: str) -> tuple[str, ...]:
        servers = self.upstreams[service].servers
        if servers is not None:
            return servers
        return tuple(
            f"{name} weight={self.weights[name]}" if name in self.weights else name
            for name in self.nodes
            if name not in self.unlisted
        )

    def _backends(self, service: str, listed: set[str]) -> tuple[Backend, ...]:
        entries = self._entries(service)
        unlike_others = {entry.split()[0] for entry in entries} != listed
        if self.upstreams[service].servers is None and self.distinct_hosts and not unlike_others:
            return ()
        backends = []
        for entry in entries:
            name, *parameters = f"{entry} {self.upstreams[service].parameters}".split()
            weight = [int(word[7:]) for word in parameters if word.startswith("weight=")]
            backends.append(
                Backend(
                    name,
                    address=None if self.distinct_hosts else self.node(name).address(service),
                    weight=weight[0] if weight else 1,
                    down="down" in parameters,
                    backup="backup" in parameters,
                )
            )
        return tuple(backends)

    def _own_proxy_files(self) -> dict[str, str]:
        files = {}
        headers = ""
        if self.evidence:
            # The last address: after a retry nginx lists all that it tried.
            lines = [
                f'  "~{re.escape(address)}$" {name};'
                for address, name in self.nodes_by_address().items()
            ]
            lines = ["map $upstream_addr $local_cluster_node {", *lines, "}", ""]
            files["conf.d/00-evidence.conf"] = "\n".join(lines)
            headers = f"add_header {self.evidence} $local_cluster_node always;"
        servers: dict[str, list[str]] = {}
        for name, upstream in self.upstreams.items():
            whole = dataclasses.replace(upstream, servers=self._entries(name))
            addresses = {node.name: node.address(name) for node in self.nodes.values()}
            files[f"conf.d/{name}.conf"] = whole.block(name, addresses)
            if self.layout == "ports":
                locations = [whole.location_line("/", name)]
            else:
                service, outputs = self._prefixes(name)
                locations = [
                    whole.location_line(service, f"{name}/"),
                    whole.location_line(outputs, f"{name}/outputs/"),
                ]
            lines = servers.setdefault(self._listen(name), [headers])
            lines += [upstream.server, *locations]
        for (listen, lines), name in zip(servers.items(), self.upstreams, strict=False):
            # With one port for all, the first service's file has the server.
            files[f"conf.d/{name}.conf"] += server_block(listen, lines)
        return files

    def _origin(self, service: str) -> str:
        self.check_service(service)
        return f"http://{self._listen(service)}"

    def _listen(self, service: str) -> str:
        return f"{self.proxy_host}:{self.published[service]}"

    def _prefixes(self, service: str) -> tuple[str, str]:
        if self.layout == "ports":
            return "/", "/outputs/"
        return f"/twitcher/ows/proxy/{service}/", f"/wpsoutputs/{service}/"


def _hash(upstream: Upstream, service: str) -> tuple[str, bool]:
    found = _HASH.fullmatch(upstream.directive.strip())
    if found is None:
        raise TopologyError(
            f"no topology describes the upstream of {service!r}: {upstream.directive!r} is no hash "
            "of a header; expected 'hash $http_machineid;' or the same with 'consistent'"
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
        f"{directory} holds neither nginx.conf nor conf.d, nor does its config/proxy"
    )

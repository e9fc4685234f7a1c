"""Rules that compare the files with a topology, from which clients know the services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...topology import Backend, Service, Topology
from ...topology.placing import Placing
from ...topology.toml import line_of
from ..naming import COMPONENT_PREFIX, address_of, backend_of
from ..nginx.maps import upstreams_by_node
from ..nginx.upstreams import Upstream
from .compose import Container
from .paths import path_findings
from .ports import promised_tls
from .rules import Finding, Findings, Spot, finding, listed
from .site import Site
from .together import place_on, share_together

_UNKNOWN = "?"


class Agreement:
    """The files compared with a topology, read from `file`.

    `proxies` are the proxies in the compose files.
    """

    def __init__(
        self, site: Site, topology: Topology, file: str, proxies: Sequence[Container]
    ) -> None:
        self.site = site
        self.topology = topology
        self.file = file
        self.proxies = proxies
        self.text = Path(file).read_text(encoding="utf-8")
        self.upstreams = {each.name: self._upstream_of(each) for each in topology.services}

    def _upstream_of(self, service: Service) -> Upstream | None:
        for name in (service.name.lower(), COMPONENT_PREFIX + service.name.lower()):
            if name in self.site.upstreams and name not in self.site.node_upstreams:
                return self.site.upstreams[name]
        fitting = {
            upstream
            for passed, upstream in self.site.to_services
            if service.listen_port in passed.server.ports
        }
        return fitting.pop() if len(fitting) == 1 else None

    def findings(self) -> Findings:
        """Check everything that clients rely on."""
        yield from self._header()
        yield from self._style()
        for service in self.topology.services:
            upstream = self.upstreams[service.name]
            if upstream is None:
                yield self._missing(service)
                continue
            yield from self._names(service, upstream)
            yield from self._method(service, upstream)
            yield from self._servers(service, upstream)
            yield from self._evidence(upstream)
            yield from self._listen(service, upstream)
            yield from self._publish(service)
        yield from path_findings(self.site, self.topology, self.upstreams)
        yield from self._extra()

    def _at(self, *path: str) -> Spot:
        return Spot(self.file, line_of(self.text, path) or 1)

    # ---- the whole site ----

    def _header(self) -> Findings:
        site, header = self.site, self.topology.header
        wanted = header.lower().replace("_", "-")
        for upstream in site.services:
            headers = site.headers_of(upstream)
            if headers and wanted not in headers:
                yield finding(
                    "topology-header",
                    upstream.method,
                    f"clients send {header}, as the topology says, and upstream {upstream.name!r} "
                    f"hashes {listed(sorted(headers))}: its key is empty, and nginx gives each "
                    "request to the next node",
                    f"write 'hash $http_{wanted.replace('-', '_')};', or header = "
                    f'"{sorted(headers)[0]}" into the topology',
                )
        if "_" in header:
            yield finding(
                "header-underscore",
                self._at("header"),
                f"clients send the header {header}, and nginx drops headers with an underscore "
                "unless 'underscores_in_headers on' is set: the key is empty, and each request "
                "goes to the next node",
                f'write header = "{wanted}" into the topology',
                severity="error",
            )

    def _style(self) -> Findings:
        if self.topology.proxy == "strict" and not self.site.takes_node_names:
            yield finding(
                "topology-style",
                self._at("proxy"),
                'the topology says proxy = "strict", and no node\'s name chooses an upstream in '
                "the files: clients send keys such as 'a1b2~node2', which this proxy hashes like "
                "any other text, so that requests go to any node",
                'write proxy = "plain" into the topology, or write the files with '
                "'pavics-affinity render'",
            )
        elif self.topology.proxy == "plain" and self.site.takes_node_names:
            yield finding(
                "topology-style",
                self._at("proxy"),
                'the topology says proxy = "plain", and this proxy accepts the names of nodes: '
                "clients steer by numbers, which lead to other nodes when the servers change",
                'write proxy = "strict" into the topology',
                severity="note",
            )

    def _missing(self, service: Service) -> Finding:
        return finding(
            "topology-missing",
            self._at("services", service.name),
            f"service {service.name!r} of the topology has no upstream of this name in the files, "
            f"and none behind port {service.listen_port}: requests of clients that read the "
            "topology fail",
            f"write an upstream {service.name!r}, or give the files that have it",
        )

    def _extra(self) -> Findings:
        known = set(self.upstreams.values())
        for upstream in self.site.services:
            if upstream not in known:
                yield finding(
                    "topology-extra",
                    upstream.statement,
                    f"upstream {upstream.name!r} is not a service of the topology: only the plain "
                    "header keeps workflows on their node there",
                    f"add [services.{upstream.name}] to the topology",
                )

    # ---- one service ----

    def _names(self, service: Service, upstream: Upstream) -> Findings:
        if self.topology.proxy != "strict" or not self.site.takes_node_names:
            return
        accepted = {
            node
            for mapped in self.site.maps.values()
            if mapped.default.lower() == upstream.name.lower()
            for node in upstreams_by_node(mapped)
        }
        missing = [b.node for b in self.topology.backends(service) if b.node not in accepted]
        if missing:
            yield finding(
                "topology-style",
                upstream.statement,
                f"keys that name {listed(dict.fromkeys(missing))} lead to no upstream of "
                f"{upstream.name!r}: workflows of these nodes are refused, or run on another node",
                "write the files again with 'pavics-affinity render'",
            )

    def _method(self, service: Service, upstream: Upstream) -> Findings:
        if upstream.hashed is None:
            return  # another rule reports it
        method = upstream.hash_method
        if method != service.method:
            yield finding(
                "topology-method",
                upstream.method,
                f"the topology says method = {service.method!r} for {service.name!r}, and this is "
                f"{method!r}: clients predict other nodes than nginx chooses",
                f'write method = "{method}" into the topology, or the other hash line here',
            )

    def _servers(self, service: Service, upstream: Upstream) -> Findings:
        if upstream.hashed is None or not upstream.servers:
            return
        wanted = self.topology.backends(service)
        placing = Placing(service, wanted, self.site.resolve)
        nodes: Mapping[str, str] = placing.evidence
        mine = [
            backend_of(nodes.get(s.text.lower()) or nodes.get(address_of(s)) or _UNKNOWN, s)
            for s in upstream.servers
        ]
        if _rows(mine) == _rows(wanted):
            return
        unknown = [backend.address for backend in mine if backend.node == _UNKNOWN]
        alike = [row[1:] for row in _rows(mine)] == [row[1:] for row in _rows(wanted)]
        if unknown and alike and not upstream.is_consistent:
            yield finding(
                "topology-servers",
                upstream.method,
                f"the topology does not have {listed(unknown)} for {service.name!r}. Number, order "
                "and weights of the servers agree, so the hash agrees if these are the same "
                "machines",
                "write the same addresses in both, if clients can reach them",
                severity="note",
            )
            return
        one = place_on(placing, self.site)
        other = place_on(Placing(service, mine, self.site.resolve), self.site)
        share = share_together(one, other) if one and other else 0.0
        if share == 1:
            return  # the order does not matter, as with consistent
        yield finding(
            "topology-servers",
            upstream.method,
            f"{_difference(mine, wanted, unknown)}: clients that read the topology predict the "
            f"right node for {share:.0%} of the ids, and steer the others to a wrong one",
            f"write the servers of {service.name!r} in the order and with the weights of the "
            "topology ('pavics-affinity render' does), or change the topology",
        )

    def _evidence(self, upstream: Upstream) -> Findings:
        promised = self.topology.evidence
        for passed in self.site.ways_to(upstream):
            if promised is not None and promised.lower() not in map(str.lower, passed.headers):
                yield finding(
                    "topology-evidence",
                    passed.statement,
                    f"the topology promises the header {promised} on every answer, and answers "
                    f"from {upstream.name!r} do not have it: clients cannot prove the node, and "
                    "stop with AffinityLost where other answers of the service have it",
                    f"write 'add_header {promised} ...' here, or remove evidence from the topology",
                )

    def _listen(self, service: Service, upstream: Upstream) -> Findings:
        ways = self.site.ways_to(upstream)
        ports = {port for passed in ways for port in passed.server.ports}
        if service.listen_port is not None and ports and service.listen_port not in ports:
            yield finding(
                "topology-listen",
                ways[0].server.statement,
                f"the topology says that the proxy listens on {service.listen_port} for "
                f"{service.name!r}, and it listens on {listed(sorted(ports))}",
                f"write 'listen {service.listen_port};', or listen = {min(ports)} into the "
                "topology",
            )

        yield from promised_tls(service, ways, self.topology)

    def _publish(self, service: Service) -> Findings:
        ports = [
            port
            for proxy in self.proxies
            for port in proxy.ports
            if port.target == service.listen_port
        ]
        if service.publish is None or not ports:
            return
        if service.publish not in {port.published for port in ports}:
            yield finding(
                "topology-listen",
                ports[0].spot,
                f"the topology says that {service.name!r} is published as {service.publish}, and "
                f"the compose file publishes {listed(port.published for port in ports)}: users get "
                "no connection at the service's URL",
                f"write '{service.publish}:{service.listen_port}' here, or publish = "
                f"{ports[0].published} into the topology",
            )


def _rows(backends: Sequence[Backend]) -> list[tuple[str, float, bool, bool]]:
    return [(b.node, b.weight or 1, b.down, b.backup) for b in backends]


def _difference(
    mine: Sequence[Backend], wanted: Sequence[Backend], unknown: Sequence[str | None]
) -> str:
    if unknown:
        return f"the topology does not have {listed(unknown)}"
    missing = {b.node for b in wanted} - {b.node for b in mine}
    if missing:
        return f"servers of the topology are missing here ({listed(sorted(missing))})"
    if [b.node for b in mine] != [b.node for b in wanted]:
        return "the topology has the servers in another order"
    return "the topology has other weights or marks"

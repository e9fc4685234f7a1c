"""Rules on the files against a topology, by which clients go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...topology import Backend, Service, Topology
from ...topology.lines import Lines
from ...topology.placing import Placing
from ..naming import address_of
from ..nginx.maps import pools_by_node
from ..nginx.passings import Passing
from .compose import Container
from .findings import Finding, Findings, Spot, finding, listed
from .paths import path_findings
from .pools import Pool
from .site import Site
from .together import place_on, share_together

_UNKNOWN = "?"


class Agreement:
    """A topology, and the files that are held against it.

    Parameters
    ----------
    site : Site
        The files.
    topology : Topology
        What clients go by.
    file : str
        The topology's file.
    proxies : sequence of Container
        The proxy in the compose files.
    """

    def __init__(
        self, site: Site, topology: Topology, file: str, proxies: Sequence[Container]
    ) -> None:
        self.site = site
        self.topology = topology
        self.file = file
        self.proxies = proxies
        self.lines = Lines(Path(file).read_text(encoding="utf-8"))
        self.pools = {service.name: self._pool_of(service) for service in topology.services}

    def findings(self) -> Findings:
        """Check all that clients rely on."""
        yield from self._header()
        yield from self._style()
        for service in self.topology.services:
            pool = self.pools[service.name]
            if pool is None:
                yield self._missing(service)
                continue
            yield from self._names(service, pool)
            yield from self._method(service, pool)
            yield from self._servers(service, pool)
            yield from self._evidence(pool)
            yield from self._listen(service, pool)
            yield from self._publish(service)
        yield from path_findings(self.site, self.topology, self.pools)
        yield from self._extra()

    def _at(self, *path: str) -> Spot:
        return Spot(self.file, self.lines.of(path) or 1)

    def _pool_of(self, service: Service) -> Pool | None:
        named = self.site.pools.get(service.name.lower())
        if named is not None and named.name.lower() not in self.site.node_pools:
            return named
        fitting = [
            pool
            for passing, pool in self.site.to_services
            if service.listen_port in _ports(self.site, passing)
        ]
        return fitting[0] if len(set(map(id, fitting))) == 1 else None

    # ---- what holds for the whole site ----

    def _header(self) -> Findings:
        site, header = self.site, self.topology.header
        wanted = header.lower().replace("_", "-")
        for pool in site.services:
            headers = site.headers_of(pool)
            if headers and wanted not in headers:
                yield finding(
                    "topology-header",
                    "error",
                    pool.method,
                    f"clients send {header}, as the topology says, and upstream {pool.name!r} "
                    f"hashes {listed(sorted(headers))}: it gets an empty key, for which nginx "
                    "gives each request to the next node",
                    f"write 'hash $http_{wanted.replace('-', '_')};', or header = "
                    f'"{sorted(headers)[0]}" into the topology',
                )
        if "_" in header:
            yield finding(
                "header-underscore",
                "error",
                self._at("header"),
                f"clients send the header {header}, and nginx drops headers with an underscore "
                "unless 'underscores_in_headers on' tells it otherwise: the key is empty, and each "
                "request goes to the next node",
                f'write header = "{wanted}" into the topology',
            )

    def _style(self) -> Findings:
        if self.topology.proxy == "strict" and not self.site.takes_names:
            yield finding(
                "topology-style",
                "error",
                self._at("proxy"),
                'the topology says proxy = "strict", and no upstream in the files is chosen by a '
                "node's name: clients send keys such as 'a1b2~node2', which this proxy hashes like "
                "any other text, so that they land on any node",
                'write proxy = "plain" into the topology, or write the files with '
                "'pavics-affinity render'",
            )
        elif self.topology.proxy == "plain" and self.site.takes_names:
            yield finding(
                "topology-style",
                "note",
                self._at("proxy"),
                'the topology says proxy = "plain", and this proxy takes the names of nodes: '
                "clients steer by numbers, which a change of the servers can lead astray",
                'write proxy = "strict" into the topology',
            )

    def _missing(self, service: Service) -> Finding:
        return finding(
            "topology-missing",
            "error",
            self._at("services", service.name),
            f"service {service.name!r} of the topology has no upstream of this name in the files, "
            f"and none behind port {service.listen_port}: clients that read the topology ask for "
            "it in vain",
            f"write an upstream {service.name!r}, or give the files that have it",
        )

    def _extra(self) -> Findings:
        known = {id(pool) for pool in self.pools.values()}
        for pool in self.site.services:
            if id(pool) not in known:
                yield finding(
                    "topology-extra",
                    "note",
                    pool.statement,
                    f"upstream {pool.name!r} is no service of the topology: workflows do not keep "
                    "their node there by anything but the plain header",
                    f"add [services.{pool.name}] to the topology",
                )

    # ---- one service ----

    def _names(self, service: Service, pool: Pool) -> Findings:
        if self.topology.proxy != "strict" or not self.site.takes_names:
            return
        taken = {
            node
            for mapped in self.site.maps.values()
            if mapped.default.lower() == pool.name.lower()
            for node in pools_by_node(mapped)
        }
        missing = [b.node for b in self.topology.backends(service) if b.node not in taken]
        if missing:
            yield finding(
                "topology-style",
                "error",
                pool.statement,
                f"keys that name {listed(dict.fromkeys(missing))} lead to no upstream of "
                f"{pool.name!r}: workflows of these nodes are refused, or land on another node",
                "write the files again with 'pavics-affinity render'",
            )

    def _method(self, service: Service, pool: Pool) -> Findings:
        if pool.hashed is None:
            return  # a finding of its own
        method = "hash consistent" if pool.hashed.consistent else "hash"
        if method != service.method:
            yield finding(
                "topology-method",
                "error",
                pool.method,
                f"the topology says method = {service.method!r} for {service.name!r}, and this is "
                f"{method!r}: clients predict other nodes than nginx chooses",
                f'write method = "{method}" into the topology, or the other hash line here',
            )

    def _servers(self, service: Service, pool: Pool) -> Findings:
        if pool.hashed is None or not pool.servers:
            return
        wanted = self.topology.backends(service)
        nodes = self._nodes_by_address(service)
        known = [nodes.get(s.text.lower()) or nodes.get(address_of(s)) for s in pool.servers]
        mine = [
            Backend(node or _UNKNOWN, s.text, weight=s.weight, down=s.down, backup=s.backup)
            for node, s in zip(known, pool.servers, strict=True)
        ]
        if _rows(mine) == _rows(wanted):
            return
        strange = [backend.address for backend in mine if backend.node == _UNKNOWN]
        alike = [row[1:] for row in _rows(mine)] == [row[1:] for row in _rows(wanted)]
        if strange and alike and not pool.hashed.consistent:
            yield finding(
                "topology-servers",
                "note",
                pool.method,
                f"the topology does not have {listed(strange)} for {service.name!r}; number, order "
                "and weights of the servers agree, which is what the hash goes by, if these are "
                "the same machines",
                "write the same addresses in both, if clients can reach them",
            )
            return
        one = place_on(Placing(service, wanted, self.site.resolve))
        other = place_on(Placing(service, mine, self.site.resolve))
        share = share_together(one, other) if one and other else 0.0
        if share == 1:
            return  # an order that does not matter, as under consistent
        yield finding(
            "topology-servers",
            "error",
            pool.method,
            f"{_difference(mine, wanted, strange)}: clients that read the topology predict the "
            f"right node for {share:.0%} of the ids, and steer the others to a wrong one",
            f"write the servers of {service.name!r} in the order and with the weights of the "
            "topology ('pavics-affinity render' does), or the topology after the files",
        )

    def _nodes_by_address(self, service: Service) -> Mapping[str, str]:
        placing = Placing(service, self.topology.backends(service), self.site.resolve)
        return placing.evidence

    def _evidence(self, pool: Pool) -> Findings:
        passings = [passing for passing, to in self.site.to_services if to is pool]
        promised = self.topology.evidence
        for passing in passings:
            shown = {
                line.args[0].lower(): line.args[0]
                for line in passing.settings("add_header")
                if len(line.args) > 1
            }
            if promised is not None and promised.lower() not in shown:
                yield finding(
                    "topology-evidence",
                    "error",
                    passing,
                    f"the topology promises the header {promised} on every answer, and answers "
                    f"from {pool.name!r} do not have it: clients take every one for that of "
                    "another node, and stop with AffinityLost",
                    f"write 'add_header {promised} ...' here, or take evidence out of the topology",
                )

    def _listen(self, service: Service, pool: Pool) -> Findings:
        passings = [passing for passing, to in self.site.to_services if to is pool]
        ports = {port for passing in passings for port in _ports(self.site, passing)}
        if service.listen_port is not None and ports and service.listen_port not in ports:
            yield finding(
                "topology-listen",
                "error",
                passings[0].server,
                f"the topology says that the proxy listens on {service.listen_port} for "
                f"{service.name!r}, and it listens on {listed(sorted(ports))}",
                f"write 'listen {service.listen_port};', or listen = {min(ports)} into the "
                "topology",
            )

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
                "error",
                ports[0].spot,
                f"the topology says that {service.name!r} is published as {service.publish}, and "
                f"the compose file publishes {listed(port.published for port in ports)}: users get "
                "no connection at the service's URL",
                f"write '{service.publish}:{service.listen_port}' here, or publish = "
                f"{ports[0].published} into the topology",
            )


def _ports(site: Site, passing: Passing) -> list[int]:
    return [
        port
        for front in site.fronts
        if front.statement is passing.server
        for _, _, port in front.listens
    ]


def _rows(backends: Sequence[Backend]) -> list[tuple[str, float, bool, bool]]:
    return [(b.node, b.weight or 1, b.down, b.backup) for b in backends]


def _difference(
    mine: Sequence[Backend], wanted: Sequence[Backend], strange: Sequence[str | None]
) -> str:
    if strange:
        return f"the topology does not have {listed(strange)}"
    missing = {b.node for b in wanted} - {b.node for b in mine}
    if missing:
        return f"servers of the topology are missing here ({listed(sorted(missing))})"
    if [b.node for b in mine] != [b.node for b in wanted]:
        return "the topology has the servers in another order"
    return "the topology has other weights or marks"

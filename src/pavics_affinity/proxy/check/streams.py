"""Rules on the ``stream`` part: connections are balanced before any header is seen."""

from __future__ import annotations

from ...placement.servers import peers_of
from ..nginx.passings import Target
from ..nginx.statements import Statement
from .choices import OF_THE_SERVICE, sources_of
from .findings import Finding, Findings, Severity, finding, listed
from .pools import Pool
from .site import Site, usable_listens
from .unjudged import is_unknown, not_filled_in

_REMEDY = (
    "balance in the http part, by 'hash $http_machineid;'; a stream proxy in front of it passes "
    "all connections to one server"
)


def stream_findings(site: Site) -> Findings:
    """Find TCP connections that can go to several machines."""
    tcp = site.tcp
    used: set[str] = set()
    for server, line, targets, unknown in tcp.passings():
        if _is_udp(server):
            used |= {target.host.lower() for target in targets}
            continue
        for target in targets:
            used.add(target.host.lower())
            pool = tcp.pools.get(target.host.lower())
            if pool is None and target.port is not None:
                yield from _several_addresses(line, target, site)
        yield from _chosen(line, targets, site)
        if unknown:
            yield _not_judged(line, unknown, site)
    for name, pool in tcp.pools.items():
        udp = name in used and not any(
            name == target.host.lower()
            for server, _, targets, _ in tcp.passings()
            if not _is_udp(server)
            for target in targets
        )
        if not udp and (pool.chooses(site.resolve) or pool.balancer):
            yield _balanced(pool, site)


def _is_udp(server: Statement) -> bool:
    listens = list(server.named("listen"))
    return bool(listens) and all("udp" in line.args for line in listens)


def _severity(site: Site, hosts: set[str], ports: set[int | None]) -> Severity:
    """Tell whether the connections are those of workflows, as far as the files show."""
    http = {port for _, _, _, port in usable_listens(site.fronts)}
    return "error" if not site.services or hosts & site.hosts or ports & http else "warning"


def _balanced(pool: Pool, site: Site) -> Finding:
    hosts = {server.host.lower() for server in pool.servers}
    severity = _severity(site, hosts, {server.port for server in pool.servers})
    by = f"'{pool.method.text};'" if pool.methods or pool.strange else "turns"
    by = f"'{pool.strange[-1].text};'" if pool.strange else by
    return finding(
        "stream",
        severity,
        pool.statement,
        f"stream upstream {pool.name!r} deals TCP connections out to {_count(pool)}, by {by}: no "
        "header is seen there, and no machineid decides. " + _consequence(severity),
        _REMEDY,
    )


def _count(pool: Pool) -> str:
    return f"{len(pool.choices)} servers" if len(pool.choices) > 1 else "several servers"


def _consequence(severity: Severity) -> str:
    if severity == "warning":
        return "If workflows come in here, their steps can run on several of them, and break"
    return (
        "The steps of a chain can run on several of them; it holds only if each of them is a proxy "
        "that hashes the machineid, over the same nodes"
    )


def _several_addresses(line: Statement, target: Target, site: Site) -> Findings:
    found = _addresses(target, site)
    if len(found) > 1:
        yield finding(
            "stream",
            _severity(site, {target.host.lower()}, {target.port}),
            line,
            f"{target.host} has {len(found)} addresses ({listed(sorted(found))}), and nginx deals "
            "TCP connections out to them: no header is seen there, and no machineid decides. "
            + _consequence("error"),
            _REMEDY,
        )


def _addresses(target: Target, site: Site) -> set[str]:
    server = target.as_server()
    return set() if server is None else {str(p.address) for p in peers_of(server, site.resolve)}


def _chosen(line: Statement, targets: tuple[Target, ...], site: Site) -> Findings:
    deciders = {
        name
        for target in targets
        for decider in target.deciders
        for name in sources_of(decider, site.tcp.maps, site.header)
        if name not in OF_THE_SERVICE
    }
    if len({(each.host.lower(), each.port) for each in targets}) > 1 and deciders:
        yield finding(
            "stream",
            "error",
            line,
            f"'{line.text};': {listed(f'${name}' for name in sorted(deciders))} deals TCP "
            f"connections out to {listed(dict.fromkeys(each.host for each in targets))}: no header "
            "is seen there, and no machineid decides. " + _consequence("error"),
            _REMEDY,
        )


def _not_judged(line: Statement, unknown: frozenset[str], site: Site) -> Finding:
    if not is_unknown(unknown, line.file, site):
        return not_filled_in(line)
    return finding(
        "not-judged",
        "warning" if site.services else "error",
        line,
        f"'{line.text};' leads where {listed(sorted(unknown))} says, which is not known here: "
        "whether TCP connections go to several machines was not checked",
        "write the server, or a map whose values are all in the files; --ignore not-judged, if you "
        "know that it is one machine",
    )

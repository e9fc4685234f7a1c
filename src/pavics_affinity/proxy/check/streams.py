"""Rules on the ``stream`` part, which balances connections before nginx sees any header."""

from __future__ import annotations

from ...placement.servers import peers_of
from ..nginx.maps import sources_of
from ..nginx.proxy_passes import StreamPass, Target
from ..nginx.statements import Statement
from ..nginx.upstreams import Upstream
from .rules import Finding, Findings, Severity, finding, listed
from .site import OF_THE_SERVICE, Site
from .unjudged import target_not_known

_REMEDY = (
    "balance in the http part, by 'hash $http_machineid;'; a stream proxy in front of it passes "
    "all connections to one server"
)
_NO_HEADER = "nginx sees no header there, so no machineid decides"
_BREAK = (
    "The steps of a chain can run on several of them; it holds only if each of them is a proxy "
    "that hashes the machineid, over the same nodes"
)
_MAY_BREAK = "If workflows come in here, their steps can run on several of them, and break"
_WRITE_IT = (
    "write the server, or a map whose values are all in the files; --ignore not-judged, if you "
    "know that it is one machine"
)


def stream_findings(site: Site) -> Findings:
    """Report TCP connections that can go to several machines."""
    streams = site.streams
    names = [(_is_udp(each.server), t.name) for each in streams.proxy_passes for t in each.targets]
    only_udp = {name for udp, name in names if udp} - {name for udp, name in names if not udp}
    for passed in streams.proxy_passes:
        if _is_udp(passed.server):
            continue
        for target in passed.targets:
            if target.name not in streams.upstreams and target.port is not None:
                yield from _several_addresses(passed.statement, target, site)
        yield from _chosen(passed, site)
        if passed.unknown:
            what = "TCP connections go to several machines"
            yield target_not_known(passed.statement, passed.unknown, what, _WRITE_IT, site)
    for name, upstream in streams.upstreams.items():
        if name not in only_udp and (upstream.chooses(site.resolve) or upstream.balancer):
            yield _balanced(upstream, site)


def _is_udp(server: Statement) -> bool:
    listens = server.named("listen")
    return bool(listens) and all("udp" in line.args for line in listens)


def _severity(site: Site, hosts: set[str], ports: set[int | None]) -> Severity:
    """Return "error" if, as far as the files show, workflows use these connections."""
    http = {listen.port for _, listen in site.listens}
    return "error" if not site.services or hosts & site.hosts or ports & http else "warning"


def _balanced(upstream: Upstream, site: Site) -> Finding:
    hosts = {server.host.lower() for server in upstream.servers}
    severity = _severity(site, hosts, {server.port for server in upstream.servers})
    others = upstream.of_other_modules
    by = others[-1] if others else upstream.method if upstream.methods else None
    how = "in turn" if by is None else f"by '{by.text};'"
    count = len(upstream.choices)
    return finding(
        "stream",
        upstream.statement,
        f"stream upstream {upstream.name!r} distributes TCP connections to "
        f"{count if count > 1 else 'several'} servers, {how}: {_NO_HEADER}. "
        + (_MAY_BREAK if severity == "warning" else _BREAK),
        _REMEDY,
        severity=severity,
    )


def _several_addresses(line: Statement, target: Target, site: Site) -> Findings:
    server = target.server
    found = set() if server is None else {str(p.address) for p in peers_of(server, site.resolve)}
    if len(found) > 1:
        yield finding(
            "stream",
            line,
            f"{target.host} has {len(found)} addresses ({listed(sorted(found))}), and nginx "
            f"distributes TCP connections to them: {_NO_HEADER}. {_BREAK}",
            _REMEDY,
            severity=_severity(site, {target.name}, {target.port}),
        )


def _chosen(passed: StreamPass, site: Site) -> Findings:
    deciders = {
        name
        for target in passed.targets
        for decider in target.deciders
        for name in sources_of(decider, site.streams.maps, site.header)
        if name not in OF_THE_SERVICE
    }
    if len({(each.name, each.port) for each in passed.targets}) > 1 and deciders:
        yield finding(
            "stream",
            passed.statement,
            f"'{passed.statement.text};': {listed(f'${name}' for name in sorted(deciders))} "
            "distributes TCP connections to "
            f"{listed(dict.fromkeys(each.host for each in passed.targets))}: {_NO_HEADER}. "
            f"{_BREAK}",
            _REMEDY,
        )

"""Rules on ``server`` lines, and on values that a template fills in."""

from __future__ import annotations

from collections import Counter

from ...placement.servers import Server, peers_of
from ..nginx.proxy_passes import ProxyPass, Target
from ..nginx.statements import Statement, has_placeholder, marks_in, walk
from ..nginx.upstreams import Machine, Refusal, ServerLine, Upstream, machine_of
from .rules import Finding, Findings, finding, listed
from .site import Site
from .unjudged import CHECK_THE_RESULT, not_filled_in

_EACH_MACHINE = "write an upstream with 'hash $http_machineid;' and a server line for each machine"
_ITS_ADDRESS = "write one server line for each machine, with its address"


def server_findings(site: Site) -> Findings:
    """Check each ``server`` and ``listen`` line."""
    for upstream in site.upstreams.values():
        for line in upstream.lines:
            if line.refusal is not None:
                yield _unusable(line.refusal, site)
        yield from _twice(upstream)
        if upstream.hashed is not None:
            yield from _ports(upstream, site)
            yield from _names(upstream, site)
    yield from _listens(site)
    yield from _marks(site)
    yield from _passed_to_names(site)
    yield from _shared(site)


def refused(refusal: Refusal) -> Finding:
    """Make the finding for a line that nginx refuses."""
    return finding(
        "refused",
        refusal.statement,
        f"{refusal.reason}: nginx does not start with this file, and on a reload it silently "
        "keeps the old configuration",
        refusal.remedy,
    )


def _unusable(refusal: Refusal, site: Site) -> Finding:
    if has_placeholder(refusal.statement):
        return _placeholder(refusal.statement, site)
    if refusal.has_no_host:
        return finding("server-without-host", refusal.statement, refusal.reason, refusal.remedy)
    return refused(refusal)


def _placeholder(line: Statement, site: Site) -> Finding:
    if site.is_template(line.file):
        return not_filled_in(line)
    return finding(
        "placeholder",
        line,
        f"'{line.text};': nginx replaces no variables here, and never those of the environment. "
        "It refuses the file ('host not found')",
        "write the value; or make the file a template that envsubst fills in; or let "
        "'pavics-affinity render' write it from a topology",
    )


def _listens(site: Site) -> Findings:
    for server in site.servers:
        refusals = {refusal.statement: refusal for refusal in server.refusals}
        for line in server.statement.named("listen"):
            if has_placeholder(line):
                yield _placeholder(line, site)
            elif line in refusals:
                yield refused(refusals[line])


def _marks(site: Site) -> Findings:
    """Report placeholders for whole directives, once for each file."""
    by_file: dict[str, list[Statement]] = {}
    # The other includes are resolved.
    includes = (line for line in walk(site.statements) if line.name == "include")
    for mark in [*marks_in(site.statements), *includes]:
        by_file.setdefault(mark.file, []).append(mark)
    for marks in by_file.values():
        names = listed(dict.fromkeys(f"'{mark.text}'" for mark in marks))
        if site.is_template(marks[0].file):
            yield finding(
                "placeholder",
                marks[0],
                f"{names}: the directives that the template puts there were not checked; the "
                "rest was",
                CHECK_THE_RESULT,
                severity="note",
            )
        else:
            yield finding(
                "placeholder",
                marks[0],
                f"{names}: nginx knows no variables that stand for directives or files, and never "
                "those of the environment. It refuses the file",
                "write the directives; or name the file NAME.template and let envsubst fill it in",
            )


# ---- names for several machines ----


def _passed_to_names(site: Site) -> Findings:
    """Find names that are not upstreams and stand for several machines."""
    seen: set[str] = set()
    for passed in site.proxy_passes:
        for target in passed.targets:
            if site.upstream_of(target) or target.name in seen or not target.is_real:
                continue
            server = target.server
            if server is not None:
                seen.add(target.name)
                yield from _of_a_name(passed, target, server, site)


def _of_a_name(passed: ProxyPass, target: Target, server: Server, site: Site) -> Findings:
    peers = peers_of(server, site.resolve)
    addresses = sorted({str(peer.address) for peer in peers})
    text = passed.statement.text
    if len(addresses) > 1:
        yield finding(
            "several-addresses",
            passed.statement,
            f"'{text};': {target.host} has {len(addresses)} addresses ({listed(addresses)}), and "
            "nginx gives each request to the next one, even within one workflow. If these are "
            "several machines, chains break",
            _EACH_MACHINE,
        )
    elif target.variable and peers[0].address is None and passed.setting("resolver"):
        yield finding(
            "changing-addresses",
            passed.statement,
            f"'{text};': nginx looks up {target.host} while it runs, and gives requests to all "
            "the addresses that DNS returns. If these are several machines with their own files, "
            "chains break",
            _EACH_MACHINE,
        )


def _names(upstream: Upstream, site: Site) -> Findings:
    for line in upstream.lines:
        server = line.server
        if server is None:
            continue
        if server.at_run_time is not None:
            ids = "ids" if upstream.is_consistent else f"all ids of {upstream.name!r}"
            yield finding(
                "changing-addresses",
                line.statement,
                f"nginx looks up {server.host} while it runs: when DNS returns other addresses, "
                f"{ids} can move to another node in the middle of a chain",
                "write the nodes' addresses, and reload nginx when they change",
            )
            continue
        found = {peer.address for peer in peers_of(server, site.resolve)}
        if len(found) > 1:
            yield _several(upstream, line, server, sorted(map(str, found)))
        elif found == {None} and len(upstream.choices) == 1:
            yield finding(
                "several-addresses",
                line.statement,
                f"{server.host} is the only server of {upstream.name!r}, and the number of its "
                "addresses is not known here. If it has several, like a scaled service of "
                "docker-compose, nginx makes a server of each, in the order in which DNS returns "
                "them at start. When that order changes, ids move and chains break",
                f"{_ITS_ADDRESS}; --resolve looks the name up on this machine",
                severity="warning",
            )


def _several(upstream: Upstream, line: ServerLine, server: Server, addresses: list[str]) -> Finding:
    effect = (
        ": with 'consistent', nginx gives each request to the next one, even within one workflow. "
        "If these are several machines, chains break"
        if upstream.is_consistent
        else ", and nginx makes a server of each, in the order in which DNS returns them at "
        "start. If that order changes, or differs between services, ids move and chains that "
        "cross services break"
    )
    return finding(
        "several-addresses",
        line.statement,
        f"{server.host} has {len(addresses)} addresses ({listed(addresses)}){effect}",
        _ITS_ADDRESS,
        severity="error" if upstream.is_consistent else "warning",
    )


# ---- server lines ----


def _twice(upstream: Upstream) -> Findings:
    seen: dict[Machine, ServerLine] = {}
    for line in upstream.lines:
        if line.server is None or upstream.is_template:
            continue
        first = seen.setdefault(machine_of(line.server), line)
        if first is not line:
            yield finding(
                "server-twice",
                line.statement,
                f"{line.server.text} is already in upstream {upstream.name!r}, in line "
                f"{first.statement.line}: it gets two shares of the workflows. If another node "
                "was meant, that node gets none",
                "write 'weight=2' if two shares are meant, else the other node's address",
            )


def _ports(upstream: Upstream, site: Site) -> Findings:
    lines = [(line, line.server) for line in upstream.lines if line.server is not None]
    ports = Counter(server.port for _, server in lines)
    hosts = Counter(server.host.lower() for _, server in lines)
    if len(ports) < 2 or max(hosts.values()) > 1 or lines[0][1].port is None:
        return
    usual, times = ports.most_common(1)[0]
    if times < 2:
        return
    # A node on the proxy's machine may have to listen on another port.
    own = {(listen.address, listen.port) for _, listen in site.listens}
    for line, server in lines:
        if server.port not in (usual, None) and (server.host, server.port) not in own:
            yield finding(
                "ports-differ",
                line.statement,
                f"'{line.statement.text};' has port {server.port}, and the other servers of "
                f"{upstream.name!r} have {usual}: if another service answers there, this node's "
                "workflows get its answers",
                f"write {server.host}:{usual}, unless this node is different",
            )


def _shared(site: Site) -> Findings:
    """Report a server that two services share although their other servers differ."""
    users: dict[Machine, list[Upstream]] = {}
    for service in site.services:
        mine = service.machines
        others = dict.fromkeys(each for machine in mine for each in users.get(machine, ()))
        for other in others:
            theirs = other.machines
            both = mine.keys() & theirs.keys()
            if both == mine.keys() or both == theirs.keys():
                continue
            for machine in sorted(both, key=str):
                yield finding(
                    "shared-server",
                    mine[machine].statement,
                    f"'{mine[machine].statement.text};' is also a server of {other.name!r} "
                    f"({theirs[machine].statement.where}), and their other servers differ: some "
                    "workflows get answers of the wrong service",
                    f"find out which of {service.name!r} and {other.name!r} listens there",
                )
        for machine in mine:
            users.setdefault(machine, []).append(service)

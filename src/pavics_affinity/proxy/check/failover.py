"""Rules on what nginx does when a node is down, busy or slow."""

from __future__ import annotations

from ..nginx.proxy_passes import ProxyPass
from ..nginx.servers import place_of
from ..nginx.upstreams import METHODS, ServerLine, Upstream
from .rules import Findings, finding, listed
from .site import Site, once

_LASTING_ERROR = "only both together make it a plain 502 that lasts as long as the node is down"


def failover_findings(site: Site) -> Findings:
    """Report settings by which a workflow can leave its node."""
    for service in site.services:
        yield from _keepalive(service)
        if len(service.choices) < 2:
            continue
        # After some failures nginx skips a server.
        counting = [line for line in service.choices if line.number("max_fails") != "0"]
        if counting:
            yield from _max_fails(service, counting)
            yield from _zone(service, site)
        yield from _max_conns(service)
    for rule in (_next_upstream, _error_page, _mirror):
        yield from once(site, rule)


def _max_fails(service: Upstream, counting: list[ServerLine]) -> Findings:
    yield finding(
        "max-fails",
        counting[0].statement,
        f"in upstream {service.name!r}, {len(counting)} of {len(service.choices)} server lines "
        "have no 'max_fails=0' (the default is 1): when a node refuses one connection or times "
        "out once, nginx gives all its workflows to other nodes for fail_timeout (10 s). A chain "
        "that runs at that time does not find its files",
        "write 'max_fails=0' on every server line, and 'proxy_next_upstream off;' beside it: "
        + _LASTING_ERROR,
    )


def _zone(service: Upstream, site: Site) -> Findings:
    workers = next(iter(site.statements.named("worker_processes")[-1:]), None)
    if workers is None or not workers.args or workers.args[0] == "1" or service.first("zone"):
        return
    yield finding(
        "no-zone",
        service.statement,
        f"upstream {service.name!r} has no zone, and nginx runs {workers.args[0]} workers "
        f"({workers.where}): each counts failures separately. After one failure, the worker that "
        "saw it sends a workflow to another node, and the others send it to its own node",
        f"write 'zone {service.name} 64k;' into the upstream; with 'max_fails=0' on every server "
        "line nginx counts no failures at all",
    )


def _max_conns(service: Upstream) -> Findings:
    for line in service.choices:
        limit = line.number("max_conns")
        if limit not in (None, "0"):
            yield finding(
                "max-conns",
                line.statement,
                f"'max_conns={limit}': while so many requests are open on "
                f"{line.statement.args[0]}, nginx sends its workflows to other nodes, which do "
                "not have their files. One busy hour is enough",
                "remove max_conns; let the service itself queue or refuse (PyWPS: "
                "parallelprocesses, maxprocesses)",
            )


def _next_upstream(passed: ProxyPass, service: Upstream, _: Site) -> Findings:
    if len(service.choices) < 2:
        return
    tries = passed.own_setting("next_upstream_tries")
    setting = passed.own_setting("next_upstream")
    if (setting is not None and setting.args == ("off",)) or (
        tries is not None and tries.args == ("1",)
    ):
        return
    name = f"{passed.kind}_next_upstream"
    found = f"'{name} {' '.join(setting.args)}'" if setting else f"{name} is at its default"
    execute = (
        "a POST that had arrived is sent again, too: an Execute runs twice"
        if setting is not None and "non_idempotent" in setting.args
        else "a GET that timed out is sent again, too: an Execute by GET runs twice"
    )
    yield finding(
        "next-upstream",
        setting or passed.statement,
        f"{found} where requests go to {service.name!r}: a request that a node refuses, even a "
        f"POST, is sent to another node. And {execute}. The answer comes from a node without the "
        "user's files, and the user does not notice",
        f"write '{name} off;' into the http or server block, and 'max_fails=0' on every server "
        f"line: {_LASTING_ERROR}",
    )


def _error_page(passed: ProxyPass, _: Upstream, site: Site) -> Findings:
    """Find ``error_page 502 = @other`` if the other location passes requests to nodes."""
    for page in passed.settings("error_page"):
        codes = [word for word in page.args[:-1] if word in ("500", "502", "503", "504", "404")]
        target = site.location_of(page.args[-1], passed.server) if page.args else None
        if not codes or target is None or target is passed.location:
            continue
        others = [each for each in site.passed_in(passed.server, target) if each.targets]
        if others:
            yield finding(
                "error-page",
                page,
                f"'error_page {' '.join(page.args)}': requests that {passed.place} answers with "
                f"{listed(codes)} are sent again from {place_of(target)} "
                f"({others[0].statement.where}), to any node there: a workflow whose node is down "
                "continues elsewhere, without its files",
                "remove the error_page, or let it show a text and ask no other node",
            )


def _mirror(passed: ProxyPass, service: Upstream, site: Site) -> Findings:
    for line in passed.settings("mirror"):
        target = site.location_of(line.args[0], passed.server) if line.args else None
        if target is None or line.args == ("off",):
            continue
        others = site.passed_in(passed.server, target)[:1]
        if others and others[0].targets:
            yield finding(
                "mirror",
                line,
                f"'{line.text};': requests to {service.name!r} are sent a second time, to "
                f"{place_of(target)} ({others[0].statement.where}). If a WPS answers there, an "
                "Execute runs twice, and the files and status of the second run are never used",
                "remove the mirror, or mirror only locations without an Execute",
            )


def _keepalive(service: Upstream) -> Findings:
    keepalive = service.first("keepalive")
    if keepalive is None:
        return
    lines = [each for each in service.statement.block if each.name in ("keepalive", *METHODS)]
    if lines.index(keepalive) < lines.index(service.method):
        yield finding(
            "keepalive-before-hash",
            keepalive,
            f"'keepalive' stands before '{service.method.name}' in upstream {service.name!r}, "
            "which replaces it: connections to nodes are not kept, and 'nginx -t' only warns "
            "('load balancing method redefined'). The hash works; each request takes longer by a "
            "connection",
            "move 'keepalive' below 'hash'",
        )

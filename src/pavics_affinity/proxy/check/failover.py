"""Rules on what nginx does when a node is down, busy or slow."""

from __future__ import annotations

from ..nginx.passings import Passing, place_of
from ..nginx.upstreams import METHODS
from .choices import location_of
from .findings import Findings, finding, listed
from .pools import Pool, ServerLine
from .site import Site, once


def failover_findings(site: Site) -> Findings:
    """Check the services for ways in which a workflow leaves its node."""
    for pool in site.services:
        yield from _keepalive(pool)
        if len(pool.choices) < 2:
            continue
        counting = [line for line in pool.choices if _counts(line)]
        if counting:
            yield from _max_fails(pool, counting)
            yield from _zone(pool, site)
        yield from _max_conns(pool)
    for rule in (_next_upstream, _error_page, _mirror, _keepalive_used):
        yield from once(site, rule)


def _counts(line: ServerLine) -> bool:
    """Tell whether nginx takes the server for failed, after failures."""
    return not any(
        name == "max_fails" and value.strip("0") == ""
        for name, _, value in (word.partition("=") for word in line.statement.args[1:])
    )


def _max_fails(pool: Pool, counting: list[ServerLine]) -> Findings:
    yield finding(
        "max-fails",
        "warning",
        counting[0].statement,
        f"in upstream {pool.name!r}, {len(counting)} of {len(pool.choices)} server lines have no "
        "'max_fails=0' (the default is 1): when a node refuses one connection or times out once, "
        "nginx gives all its workflows to other nodes for fail_timeout (10 s), and back again. A "
        "chain that is running then does not find its files",
        "write 'max_fails=0' on every server line, and 'proxy_next_upstream off;' beside it: only "
        "both together make it a plain 502 that lasts as long as the node is down",
    )


def _zone(pool: Pool, site: Site) -> Findings:
    workers = site.workers
    if workers is None or not workers.args or workers.args[0] == "1" or pool.first("zone"):
        return
    yield finding(
        "no-zone",
        "warning",
        pool.statement,
        f"upstream {pool.name!r} has no zone, and nginx runs {workers.args[0]} workers "
        f"({workers.where}): each counts failures for itself. After one, the worker that saw it "
        "sends a workflow to another node, and the others send it to its own: its requests "
        "alternate, by the worker that takes them",
        f"write 'zone {pool.name} 64k;' into the upstream; with 'max_fails=0' on every server line "
        "nothing is counted at all",
    )


def _max_conns(pool: Pool) -> Findings:
    for line in pool.choices:
        limits = [word for word in line.statement.args[1:] if word.startswith("max_conns=")]
        if limits and limits[-1].partition("=")[2].strip("0"):
            yield finding(
                "max-conns",
                "warning",
                line.statement,
                f"'{limits[-1]}': while so many requests are open on {line.statement.args[0]}, "
                "nginx sends its workflows to other nodes, which do not have their files. One "
                "busy hour is enough",
                "take max_conns away; let the service itself queue or refuse (PyWPS: "
                "parallelprocesses, maxprocesses)",
            )


def _next_upstream(passing: Passing, pool: Pool, _: Site) -> Findings:
    if len(pool.choices) < 2:
        return
    tries = passing.own_setting("next_upstream_tries")
    setting = passing.own_setting("next_upstream")
    if (setting is not None and setting.args == ("off",)) or (
        tries is not None and tries.args == ("1",)
    ):
        return
    name = f"{passing.kind}_next_upstream"
    found = f"'{name} {' '.join(setting.args)}'" if setting else f"{name} is at its default"
    execute = (
        ", POSTs that had arrived included: an Execute runs twice"
        if setting is not None and "non_idempotent" in setting.args
        else "; a GET that timed out, too: an Execute by GET runs twice"
    )
    yield finding(
        "next-upstream",
        "warning",
        setting or passing.statement,
        f"{found} where requests go to {pool.name!r}: one that a node refuses is sent to another, "
        f"a POST as well{execute}. The user gets an answer of a node without their files, and no "
        "word of the change",
        f"write '{name} off;' into the http or server block, and 'max_fails=0' on every server "
        "line: only both together make it a plain 502 that lasts as long as the node is down",
    )


def _error_page(passing: Passing, _: Pool, site: Site) -> Findings:
    """Find ``error_page 502 = @other``, where the other location passes to nodes."""
    for page in passing.settings("error_page"):
        codes = [word for word in page.args[:-1] if word in ("500", "502", "503", "504", "404")]
        target = location_of(page.args[-1], passing.server, site) if page.args else None
        if not codes or target is None or target is passing.location:
            continue
        for other in site.passings_in(passing.server, target):
            if other.targets:
                yield finding(
                    "error-page",
                    "warning",
                    page,
                    f"'error_page {' '.join(page.args)}': what {passing.place} answers with "
                    f"{listed(codes)} is asked again in {place_of(target)} "
                    f"({other.statement.where}), of whichever node is there: a workflow whose node "
                    "is down goes on elsewhere, without its files",
                    "take the error_page away, or let it show a text and ask no other node",
                )
                break


def _mirror(passing: Passing, pool: Pool, site: Site) -> Findings:
    for line in passing.settings("mirror"):
        target = location_of(line.args[0], passing.server, site) if line.args else None
        if target is None or line.args == ("off",):
            continue
        for other in site.passings_in(passing.server, target)[:1]:
            if other.targets:
                yield finding(
                    "mirror",
                    "warning",
                    line,
                    f"'{line.text};': what goes to {pool.name!r} is sent a second time, to "
                    f"{place_of(target)} ({other.statement.where}), an Execute too: it runs twice, "
                    "if a WPS answers there, and the second run's files and status are never "
                    "asked for",
                    "take the mirror away, or mirror locations without an Execute only",
                )
                break


def _keepalive(pool: Pool) -> Findings:
    keepalive = pool.first("keepalive")
    if keepalive is None:
        return
    names = [id(each) for each in pool.statement.block if each.name in ("keepalive", *METHODS)]
    if names.index(id(keepalive)) < names.index(id(pool.method)):
        yield finding(
            "keepalive-before-hash",
            "note",
            keepalive,
            f"'keepalive' stands before '{pool.method.name}' in upstream {pool.name!r}, which "
            "replaces it: no connection to a node is kept, and 'nginx -t' only warns ('load "
            "balancing method redefined'). The hash holds; each request is slower by a connection",
            "move 'keepalive' below 'hash'",
        )


def _keepalive_used(passing: Passing, pool: Pool, _: Site) -> Findings:
    keepalive = pool.first("keepalive")
    if keepalive is None or passing.kind != "proxy":
        return
    version = passing.setting("proxy_http_version")
    headers = {
        line.args[0].lower(): line for line in passing.settings("proxy_set_header") if line.args
    }
    connection = headers.get("connection")
    old = version is None or version.args == ("1.0",)
    closes = connection is None or connection.args[1:] == ("close",)
    if old or closes:
        missing = ["'proxy_http_version 1.1;'"] * old + [
            "'proxy_set_header Connection \"\";'"
        ] * closes
        yield finding(
            "keepalive-unused",
            "note",
            passing.statement,
            f"upstream {pool.name!r} has keepalive, and here {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing: most versions of nginx then close "
            "each connection to a node after one request",
            f"write {' and '.join(missing)} into the server block",
        )

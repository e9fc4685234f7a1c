"""The rule on directives and values that ``check`` does not know, and so does not accept."""

from __future__ import annotations

import re
from collections.abc import Set

from ..nginx.statements import PLACEHOLDER, Statement, walk
from ..nginx.upstreams import Upstream
from .rules import Finding, Findings, Severity, finding, listed
from .site import Site

_LUA_ASKS = re.compile(r"location\.capture|ngx\.exec|resty[./]|socket|require", re.IGNORECASE)
_PROGRAMS = re.compile(r"content_by_lua(?:_block|_file)?|js_content|perl|lua_\w*pass")
_FILLED_IN = re.compile(r"\$\{?[A-Z][A-Z0-9_]*\}?$|\{\{|\{%|<%")
_IGNORE = "--ignore not-judged, if you know that a machineid always leads to one node"
CHECK_THE_RESULT = "check the file that the template makes ('nginx -T' prints it)"
_NOT_CHECKED = "Whether the steps of a chain stay on one node was not checked"


def unjudged_findings(site: Site) -> Findings:
    """Report what decides where requests go but is not known here."""
    for name, upstream in site.upstreams.items():
        if name not in site.node_upstreams:
            yield from _method(upstream, site)
    yield from _targets(site)
    for server in site.servers:
        yield from _programs(server.statement, site)


def _method(upstream: Upstream, site: Site) -> Findings:
    if not upstream.chooses(site.resolve) and upstream.balancer is None:
        return
    others = upstream.of_other_modules
    if others:
        line = upstream.balancer or others[-1]
        what = (
            f"a program ({line.name}) chooses the server of each request"
            if upstream.balancer is not None
            else f"check does not know the directive '{line.text};', which may choose the server"
        )
        certain = upstream.hashed is None or upstream.balancer is not None
        yield finding(
            "not-judged",
            line,
            f"upstream {upstream.name!r}: {what}. {_NOT_CHECKED}",
            f"write 'hash $http_machineid;' instead; {_IGNORE}",
            severity="error" if certain else "warning",
        )
    elif upstream.incomplete and not upstream.methods:
        mark = upstream.incomplete[0]
        yield finding(
            "not-judged",
            mark,
            f"upstream {upstream.name!r} has no hash here, and {mark.name!r} may fill one in. "
            f"{_NOT_CHECKED}",
            CHECK_THE_RESULT,
        )


def _severity(site: Site) -> Severity:
    """Return the severity, which depends on whether any request certainly reaches a hash."""
    return "warning" if site.to_services else "error"


def _targets(site: Site) -> Findings:
    for passed in site.proxy_passes:
        unresolved = [target for target in passed.targets if PLACEHOLDER.search(target.host)]
        if all(target.name in site.upstreams for target in unresolved):
            continue
        yield target_not_known(
            passed.statement,
            passed.unknown,
            "the machineid decides",
            f"write the upstream's name, or a map whose values are all in the files; {_IGNORE}",
            site,
            passed.place,
        )


def target_not_known(
    line: Statement, unknown: Set[str], what: str, remedy: str, site: Site, place: str = ""
) -> Finding:
    """Report a target that depends on something unknown, so that `what` was not checked."""
    if not is_unknown(unknown, line, site):
        return not_filled_in(line)
    return finding(
        "not-judged",
        line,
        f"'{line.text};'{place and f' in {place}'}: the target depends on "
        f"{listed(sorted(unknown))}, which is not known here. Whether {what} was not checked",
        remedy,
        severity=_severity(site),
    )


def is_unknown(unknown: Set[str], line: Statement, site: Site) -> bool:
    """Return whether something in a line stays unknown even if its file is a template."""
    filled_in = all(map(_FILLED_IN.match, unknown))
    return bool(unknown) and not (filled_in and site.is_template(line.file))


def not_filled_in(statement: Statement) -> Finding:
    """Report that a template fills in later where requests go."""
    return finding(
        "placeholder",
        statement,
        f"'{statement.text};' was not checked: the template is filled in before nginx reads it",
        CHECK_THE_RESULT,
        severity="note",
    )


def _programs(block: Statement, site: Site) -> Findings:
    for line in walk(block.block):
        if not _PROGRAMS.fullmatch(line.name):
            continue
        if line.name in ("content_by_lua", "content_by_lua_block") and not _LUA_ASKS.search(
            " ".join(line.args)
        ):
            continue  # it answers itself
        yield finding(
            "not-judged",
            line,
            f"'{line.name}' answers by a program, which check does not read: whether it passes "
            "requests to nodes, and to which, was not checked",
            f"pass requests by proxy_pass; {_IGNORE}",
            severity=_severity(site),
        )

"""The rule on what ``check`` does not understand, and so does not pass."""

from __future__ import annotations

import re
from collections.abc import Set

from ..nginx.passings import UNRESOLVED, Passing
from ..nginx.statements import Statement
from .findings import Finding, Findings, Severity, finding, listed
from .pools import Pool
from .site import Site

_LUA_ASKS = re.compile(r"location\.capture|ngx\.exec|resty[./]|socket|require", re.IGNORECASE)
_PROGRAMS = re.compile(r"content_by_lua(?:_block|_file)?|js_content|perl|lua_\w*pass")
_FILLED_IN = re.compile(r"\$\{?[A-Z][A-Z0-9_]*\}?$|\{\{|\{%|<%")
_IGNORE = "--ignore not-judged, if you know that a machineid always leads to one node"


def unjudged_findings(site: Site) -> Findings:
    """Name what decides where requests go, and is not known here."""
    for pool in site.pools.values():
        if pool.name.lower() not in site.node_pools:
            yield from _method(pool, site)
    yield from _targets(site)
    for front in site.fronts:
        yield from _programs(front.statement, site)


def _method(pool: Pool, site: Site) -> Findings:
    if not pool.chooses(site.resolve) and pool.balancer is None:
        return
    if pool.strange:
        line = next(
            (e for e in pool.strange if e.name.startswith("balancer_by_")), pool.strange[-1]
        )
        what = (
            f"a program ({line.name}) chooses the server of each request"
            if pool.balancer is not None
            else f"'{line.text};' is no directive that check knows, and may be what chooses"
        )
        certain = pool.hashed is None or pool.balancer is not None
        yield finding(
            "not-judged",
            "error" if certain else "warning",
            line,
            f"upstream {pool.name!r}: {what}. Whether the steps of a chain stay on one node was "
            "not checked",
            f"write 'hash $http_machineid;' instead; {_IGNORE}",
        )
    elif pool.incomplete and not pool.methods:
        mark = pool.incomplete[0]
        yield finding(
            "not-judged",
            "error",
            mark,
            f"upstream {pool.name!r} has no hash here, and {mark.name!r} may fill one in. Whether "
            "the steps of a chain stay on one node was not checked",
            "check the file that the template makes ('nginx -T' prints it)",
        )


def _severity(site: Site) -> Severity:
    """Tell how grave it is, which depends on whether anything leads to a hash for certain."""
    return "warning" if site.to_services else "error"


def _targets(site: Site) -> Findings:
    for passing in site.passings:
        if _leads_to_pools(passing, site):
            continue
        if not is_unknown(passing.unknown, passing.file, site):
            yield not_filled_in(passing.statement)
        else:
            yield finding(
                "not-judged",
                _severity(site),
                passing.statement,
                f"'{passing.statement.text};' in {passing.place} leads where "
                f"{listed(sorted(passing.unknown))} says, which is not known here: whether the "
                "machineid decides was not checked",
                f"write the upstream's name, or a map whose values are all in the files; {_IGNORE}",
            )


def _leads_to_pools(passing: Passing, site: Site) -> bool:
    unresolved = [each for each in passing.targets if UNRESOLVED.search(each.host)]
    return all(each.host.lower() in site.pools for each in unresolved)


def is_unknown(unknown: Set[str], file: str, site: Site) -> bool:
    """Tell whether something would not be known even if a template were filled in."""
    filled_in = all(map(_FILLED_IN.match, unknown))
    return bool(unknown) and not (filled_in and site.fills_in(file))


def not_filled_in(statement: Statement) -> Finding:
    """Say that where requests go is filled in later."""
    return finding(
        "placeholder",
        "note",
        statement,
        f"'{statement.text};' was not checked: the template is filled in before nginx reads it",
        "check the file that it makes ('nginx -T' prints it)",
    )


def _programs(block: Statement, site: Site) -> Findings:
    for line in block.block:
        yield from _programs(line, site)
        if not _PROGRAMS.fullmatch(line.name):
            continue
        if line.name in ("content_by_lua", "content_by_lua_block") and not _LUA_ASKS.search(
            " ".join(line.args)
        ):
            continue  # it answers by itself
        yield finding(
            "not-judged",
            _severity(site),
            line,
            f"'{line.name}' answers by a program, which check does not read: whether it passes "
            "requests to nodes, and to which, was not checked",
            f"pass requests by proxy_pass; {_IGNORE}",
        )

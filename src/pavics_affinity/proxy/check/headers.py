"""Rules on headers: the id's way to the services, and the node's name on the way back."""

from __future__ import annotations

from ..nginx.maps import Maps, headers_behind, only_variable
from ..nginx.passings import Passing
from ..nginx.statements import Statement
from .findings import Finding, Findings, finding
from .pools import Pool
from .site import Site, once


def header_findings(site: Site) -> Findings:
    """Check what is added, replaced and cleared on the way."""
    if not site.services:
        return
    for passing in site.passings:
        yield from _not_cleared(passing, site)
    for rule in (_evidence, _cors):
        yield from once(site, rule)


def _not_cleared(passing: Passing, site: Site) -> Findings:
    header = site.header
    variable_of = header.replace("-", "_")
    remedy = f"take the line away, or write 'proxy_set_header {header} $http_{variable_of};'"
    for line in passing.settings("proxy_set_header"):
        if len(line.args) != 2 or line.args[0].lower().replace("_", "-") != header:
            continue
        variable = only_variable(line.args[1])
        if variable is not None and header in headers_behind(variable, site.maps):
            continue
        what = f"{'replaces' if line.args[1] else 'clears'} the header {header}"
        yield _not_passed(line, f"'proxy_set_header {header}' {what}", passing, remedy)
    off = passing.own_setting("pass_request_headers")
    if off is not None and off.args == ("off",):
        yield _not_passed(
            off,
            f"'{off.name} off' keeps all headers back",
            passing,
            f"take the line away, or add 'proxy_set_header {header} $http_{variable_of};'",
        )


def _not_passed(line: Statement, what: str, passing: Passing, remedy: str) -> Finding:
    return finding(
        "header-not-passed",
        "warning",
        line,
        f"{what} in {passing.place}: this proxy still hashes it, but if another proxy (Twitcher, "
        "a second nginx) or the service behind needs the id to find files, it gets none",
        remedy,
    )


def _evidence(passing: Passing, pool: Pool, site: Site) -> Findings:
    maps = site.maps
    shown = [line for line in passing.settings("add_header") if _shows_node(line, maps)]
    if not shown:
        outer = [
            line
            for level in passing.levels
            for line in level
            if line.name == "add_header" and _shows_node(line, maps)
        ]
        lost = (
            f" ('{outer[0].name} {outer[0].args[0]}' in {outer[0].where} does not count here: a "
            "block with an add_header of its own inherits none)"
            if outer
            else ""
        )
        yield finding(
            "no-evidence",
            "warning" if outer else "note",
            passing.statement,
            f"answers from {pool.name!r} do not tell their node{lost}: a client cannot see that a "
            "chain has left its node, and gets a wrong answer or 'file not found' in place of a "
            "clear error",
            "write 'add_header X-Pavics-Node $upstream_addr always;' beside it, or a map from "
            "$upstream_addr to names, which shows no addresses",
        )
    elif not any("always" in line.args[2:] for line in shown):
        yield finding(
            "evidence-not-always",
            "note",
            shown[0],
            f"'add_header {shown[0].args[0]}' without 'always' stands on successful answers only: "
            "of a 404, or of a 502, nobody can tell the node",
            "write 'always' at its end",
        )


def _shows_node(line: Statement, maps: Maps) -> bool:
    variable = only_variable(line.args[1]) if len(line.args) > 1 else None
    if variable is None:
        return False
    return variable == "upstream_addr" or (
        variable in maps and only_variable(maps[variable].source) == "upstream_addr"
    )


def _cors(passing: Passing, _: Pool, site: Site) -> Findings:
    for line in passing.settings("add_header"):
        if len(line.args) < 2 or line.args[0].lower() != "access-control-allow-headers":
            continue
        allowed = {name.strip().lower() for name in line.args[1].split(",")}
        if "$" in line.args[1] or "*" in allowed or site.header in allowed:
            continue
        yield finding(
            "cors",
            "warning",
            line,
            f"Access-Control-Allow-Headers does not name {site.header}: pages in a browser that "
            "come from another origin may not send it, and their requests fail before they reach "
            "nginx",
            f"add {site.header} to the list",
        )

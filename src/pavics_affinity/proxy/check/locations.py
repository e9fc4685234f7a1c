"""Rules on locations: whether requests go by the hash, and what becomes of the answers."""

from __future__ import annotations

import re

from ..maps import Maps, headers_behind, only_variable
from ..statements import Statement
from .findings import Finding, Findings, finding
from .passing import Passing, Target, locations_in, path_of, place_of
from .site import Pool, Site, once

_OUTPUTS = re.compile(r"output|status|result", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9_\[]", re.ASCII)
_FROM_DISK = ("root", "alias")
_SHORT = 60.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(r"(\d+)(ms|[smhd]?)", re.ASCII)
_SIZE = re.compile(r"(\d+)([kKmMgG]?)", re.ASCII)
_SIZES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SMALL = 10 * 1024**2


def location_findings(site: Site) -> Findings:
    """Check where requests come in, and where they go."""
    if not site.services:
        return
    for passing in site.passings:
        yield from _bypass(passing, site)
        yield from _header(passing, site)
    yield from _unused(site)
    yield from _from_disk(site)
    for rule in (_evidence, _cache, _cors, _read_timeout, _body_size):
        yield from once(site, rule)


# ---- ways round the hash ----


def _bypass(passing: Passing, site: Site) -> Findings:
    for target in passing.targets:
        found = _past_the_hash(target, passing, site)
        if found is not None:
            yield found
            return


def _past_the_hash(target: Target, passing: Passing, site: Site) -> Finding | None:
    text = " ".join([passing.statement.name, *passing.statement.args])
    outputs = _OUTPUTS.search(path_of(passing.location)) is not None
    pool = site.pools.get(target.host.lower())
    if pool is not None and target.port is not None and pool in site.services:
        what = (
            "nginx then asks DNS for a machine of that name, and the hash is passed by"
            if target.variable
            else f'nginx refuses the file (\'upstream "{pool.name}" may not have port '
            f"{target.port}')"
        )
        return finding(
            "bypass",
            "error",
            passing.statement,
            f"'{text};' gives the upstream {pool.name!r} a port, so that it is none: {what}",
            f"write the upstream's name alone: '{passing.kind}_pass http://{pool.name};'",
        )
    if target.of_node or (pool is not None and pool in site.services):
        return None
    if pool is None:
        if not _HOST.match(target.host):
            return None
        hosts = [(target.host.lower(), 80 if target.port is None else target.port)]
    elif len(pool.choices) == 1:
        hosts = [(server.host.lower(), server.port or 80) for server in pool.servers]
    else:
        return None  # an upstream without hash is a finding of its own
    of_service = next((site.addresses[each] for each in hosts if each in site.addresses), None)
    one = "one node" if pool is None else f"the one server of {pool.name!r}"
    if of_service is not None:
        return finding(
            "outputs-bypass" if outputs else "bypass",
            "error",
            passing.statement,
            f"'{text};' in {passing.place} goes to {one}, past the hash of {of_service.name!r}: "
            + (
                "outputs and status documents of workflows on other nodes are not found there"
                if outputs
                else "every workflow that comes in here runs on it, whatever its machineid, and "
                "does not find the files that it wrote through the upstream"
            ),
            f"write '{passing.kind}_pass http://{of_service.name};'",
        )
    if outputs:
        ours = any(host in site.hosts for host, _ in hosts)
        return finding(
            "outputs-bypass",
            "error" if ours else "warning",
            passing.statement,
            f"'{text};' in {passing.place} goes to {one}, past the hash: "
            + (
                "outputs and status documents of workflows on other nodes are not found there"
                if ours
                else "unless that machine sees the outputs of all nodes, users get 'not found' for "
                "outputs and status documents"
            ),
            "pass it to an upstream with the same hash and the nodes in the same order as the "
            "service's own",
        )
    return None


def _unused(site: Site) -> Findings:
    if not site.passings:
        return  # snippets: the server blocks are elsewhere
    unknown = any(not passing.targets for passing in site.passings)
    used = {pool.name for _, pool in site.to_services}
    named = {t.host.lower() for passing in site.passings for t in passing.targets}
    for pool in site.services:
        if pool.name not in used and pool.name.lower() not in named and not unknown:
            yield finding(
                "unused-upstream",
                "warning",
                pool.statement,
                f"no location passes requests to upstream {pool.name!r}: its hash decides nothing, "
                "and users of the service are sent elsewhere, or nowhere",
                f"write 'proxy_pass http://{pool.name};' into the location of the service, or take "
                "the upstream away",
            )


def _from_disk(site: Site) -> Findings:
    """Find outputs that nginx serves from its own disk."""
    fronts = {id(passing.server): passing.server for passing, _ in site.to_services}
    for server in fronts.values():
        for location in locations_in(server.block):
            inner = [line for line in location.block if line.name in _FROM_DISK]
            if not inner or not _OUTPUTS.search(path_of(location)):
                continue
            if any(line.name.endswith("_pass") or line.name == "return" for line in location.block):
                continue
            yield finding(
                "outputs-bypass",
                "warning",
                inner[0],
                f"{place_of(location)} serves '{inner[0].name} {' '.join(inner[0].args)}' from the "
                "proxy's own disk: unless all nodes write to that very disk, users get 'not found' "
                "for outputs and status documents",
                "pass it to the service's upstream; of a disk that all nodes share, all is well",
            )


# ---- headers ----


def _header(passing: Passing, site: Site) -> Findings:
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


# ---- answers ----


def _cache(passing: Passing, pool: Pool, _: Site) -> Findings:
    cache = passing.own_setting("cache")
    if cache is None or cache.args in ((), ("off",)):
        return
    yield finding(
        "cache",
        "warning",
        cache,
        f"'{cache.name} {' '.join(cache.args)}' answers for {pool.name!r} without asking a node: "
        "a status document stays as it was, an Execute by GET is not run, and one workflow gets "
        "what another was told",
        f"write '{cache.name} off;' where requests go to services",
    )


def _read_timeout(passing: Passing, pool: Pool, _: Site) -> Findings:
    if passing.kind != "proxy":
        return
    setting = passing.setting("proxy_read_timeout")
    seconds = _SHORT if setting is None else _seconds(setting.args)
    if seconds is None or seconds > _SHORT:
        return
    found = "proxy_read_timeout is at its default" if setting is None else "proxy_read_timeout is"
    yield finding(
        "read-timeout",
        "warning",
        setting or passing.statement,
        f"{found} ({seconds:g} s) where requests go to {pool.name!r}: a synchronous process that "
        "runs longer is cut off with a 504, though the node goes on computing",
        "write 'proxy_read_timeout 3600s;' into the server block, or as long as processes may run",
    )


def _body_size(passing: Passing, pool: Pool, _: Site) -> Findings:
    setting = passing.setting("client_max_body_size")
    size = 1024**2 if setting is None else _bytes(setting.args)
    if size is None or size == 0 or size >= _SMALL:
        return
    found = (
        "client_max_body_size is at its default" if setting is None else "client_max_body_size is"
    )
    yield finding(
        "body-size",
        "warning",
        setting or passing.statement,
        f"{found} ({size / 1024**2:g} MB) where requests go to {pool.name!r}: an Execute with more "
        "inline data, such as a polygon or a table, is refused with a 413",
        "write 'client_max_body_size 1g;' into the server block, or what the services take",
    )


def _seconds(args: tuple[str, ...]) -> float | None:
    text = "".join(args)
    parts = _TIME.findall(text)
    if not parts or "".join(a + b for a, b in parts) != text:
        return None
    return sum(int(number) * _UNITS[unit or "s"] for number, unit in parts)


def _bytes(args: tuple[str, ...]) -> int | None:
    found = _SIZE.fullmatch(args[0]) if len(args) == 1 else None
    return None if found is None else int(found[1]) * _SIZES[found[2].lower()]

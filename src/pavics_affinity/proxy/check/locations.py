"""Rules on locations: whether requests go by the hash, and what becomes of the answers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..nginx.passings import Passing, Target, locations_in, path_of, place_of
from ..nginx.statements import Statement
from .choices import location_of, site_choices
from .findings import Finding, Findings, finding
from .pools import Pool
from .site import Site, once

_OUTPUTS = re.compile(r"output|status|result", re.IGNORECASE)
_ANY_PATH = re.compile(r"\$(request_uri|uri)\b|^https?://[^/]+\$\{?\d")
_FROM_DISK = ("root", "alias")
_SHORT = 60.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(r"(\d{1,15})(ms|[smhd]?)", re.ASCII)
_SIZE = re.compile(r"(\d{1,15})([kKmMgG]?)", re.ASCII)
_SIZES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SMALL = 10 * 1024**2


def location_findings(site: Site) -> Findings:
    """Check where requests come in, and where they go."""
    if not site.services:
        return
    chosen = {id(choice.passing) for choice in site_choices(site) if choice.deciders}
    mirrors = {id(location) for location in mirrors_of(site)}
    for passing in site.passings:
        if id(passing) not in chosen and id(passing.location) not in mirrors:
            yield from _bypass(passing, site)
    yield from _unused(site)
    yield from _from_disk(site)
    for front in site.fronts:
        yield from _redirects(front.statement)
    for rule in (_cache, _read_timeout, _body_size):
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
    several = len(passing.targets) > 1
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
        if not target.is_real:
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
                else f"every workflow that {'is sent there' if several else 'comes in here'} runs "
                "on it, whatever its machineid, and "
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


def mirrors_of(site: Site) -> Iterator[Statement]:
    """Yield the locations whose answers are thrown away."""
    for passing in site.passings:
        for line in passing.settings("mirror"):
            location = location_of(line.args[0], passing.server, site) if line.args else None
            if location is not None:
                yield location


def _unused(site: Site) -> Findings:
    if not site.passings:
        return  # snippets: the server blocks are elsewhere
    unknown = any(passing.unknown for passing in site.passings)
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


def _redirects(block: Statement) -> Findings:
    """Find redirects of any path: those from http to https, most of all."""
    for line in block.block:
        yield from _redirects(line)
        by_return = line.name == "return" and line.args[:1] in (("301",), ("302",), ("303",))
        by_rewrite = line.name == "rewrite" and line.args[-1:] in (("permanent",), ("redirect",))
        target = line.args[1] if len(line.args) > 1 else ""
        if (by_return or by_rewrite) and _ANY_PATH.search(target):
            code = line.args[0] if by_return else line.args[-1]
            yield finding(
                "redirect",
                "warning",
                line,
                f"'{line.name} ... {code}' of every path: clients follow it with a GET, so that an "
                "Execute sent by POST arrives as a GET without its document, and fails",
                f"write 'return 308 {target};', which keeps the method and the document",
            )

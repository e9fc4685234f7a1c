"""Rules on locations: whether requests go through the hash, and what happens to the answers."""

from __future__ import annotations

import re
from itertools import islice

from ..nginx.config import NodePlaces
from ..nginx.maps import headers_behind, only_variable, shows_node
from ..nginx.proxy_passes import ProxyPass, Target
from ..nginx.servers import OUTPUTS, ServerBlock, locations_in, path_of, place_of
from ..nginx.statements import Statement, walk
from ..nginx.upstreams import Upstream
from .rules import Finding, Findings, finding, listed
from .site import Site, once

_ANY_PATH = re.compile(r"\$(request_uri|uri)\b|^https?://[^/]+\$\{?\d")
_FROM_DISK = ("root", "alias")
_SHORT = 60.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(r"(\d{1,15})(ms|[smhd]?)", re.ASCII)
_SIZE = re.compile(r"(\d{1,15})([kKmMgG]?)", re.ASCII)
_SIZES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SMALL = 10 * 1024**2


def location_findings(site: Site) -> Findings:
    """Check where requests come in, where they go, and which headers they get."""
    if not site.services:
        return
    chosen = {choice.passed for choice in site.choices if choice.deciders}
    by_node = {
        passed for places in site.node_places for each in places.passes.values() for passed in each
    }
    for passed in site.proxy_passes:
        if passed not in {*chosen, *by_node} and passed.location not in site.mirrors:
            found = (each for target in passed.targets for each in _bypass(target, passed, site))
            yield from islice(found, 1)
        yield from _header_not_passed(passed, site)
    for places in site.node_places:
        yield from _without_place(places)
    yield from _unused(site)
    yield from _from_disk(site)
    for server in site.servers:
        yield from _redirects(server.statement)
    for rule in (_evidence, _cache, _read_timeout, _body_size):
        yield from once(site, rule)


# ---- requests that bypass the hash ----


def _bypass(target: Target, passed: ProxyPass, site: Site) -> Findings:
    upstream = site.upstreams.get(target.name)
    if upstream is not None and target.port is not None and site.is_service(upstream):
        yield _with_a_port(target, upstream, passed)
    elif target.of_node or site.is_service(upstream):
        return
    elif upstream is None and target.is_real:
        machines = [(target.name, 80 if target.port is None else target.port)]
        yield from _past_the_hash(passed, machines, "one node", site)
    # Another rule reports an upstream of several servers without a hash.
    elif upstream is not None and len(upstream.choices) == 1:
        machines = [(server.host.lower(), server.port or 80) for server in upstream.servers]
        yield from _past_the_hash(passed, machines, f"the one server of {upstream.name!r}", site)


def _with_a_port(target: Target, upstream: Upstream, passed: ProxyPass) -> Finding:
    effect = (
        "nginx then asks DNS for a machine of that name, and requests bypass the hash"
        if target.variable
        else f'nginx refuses the file (\'upstream "{upstream.name}" may not have port '
        f"{target.port}')"
    )
    return finding(
        "bypass",
        passed.statement,
        f"'{_whole(passed)};' gives the upstream {upstream.name!r} a port, so nginx does not read "
        f"it as an upstream: {effect}",
        f"write the upstream's name alone: '{passed.kind}_pass http://{upstream.name};'",
    )


def _past_the_hash(
    passed: ProxyPass, machines: list[tuple[str, int]], where: str, site: Site
) -> Findings:
    outputs = OUTPUTS.search(path_of(passed.location)) is not None
    what = f"'{_whole(passed)};' in {passed.place} goes to {where} and bypasses the hash"
    missing = "outputs and status documents of workflows on other nodes are not found there"
    service = next((site.by_machine[each] for each in machines if each in site.by_machine), None)
    if service is not None:
        comes_in = "is sent there" if len(passed.targets) > 1 else "comes in here"
        effect = (
            missing
            if outputs
            else f"every workflow that {comes_in} runs on it, whatever its machineid, and does not "
            "find the files that it wrote through the upstream"
        )
        yield finding(
            "outputs-bypass" if outputs else "bypass",
            passed.statement,
            f"{what} of {service.name!r}: {effect}",
            f"write '{passed.kind}_pass http://{service.name};'",
        )
    elif outputs:
        ours = any(host in site.hosts for host, _ in machines)
        yield finding(
            "outputs-bypass",
            passed.statement,
            f"{what}: {missing}"
            if ours
            else f"{what}: unless that machine has the outputs of all nodes, users get 'not found' "
            "for outputs and status documents",
            "pass it to an upstream with the same hash and the nodes in the same order as in the "
            "service's own upstream",
            severity="error" if ours else "warning",
        )


def _without_place(places: NodePlaces) -> Findings:
    """Report nodes that have no location although the others have one."""
    missing = places.missing()
    if missing:
        first = next(iter(places.passes.values()))[0]
        yield finding(
            "outputs-bypass",
            first.statement,
            f"{first.place} and {len(places.passes) - 1} more lead to one node each, and none to "
            f"{listed(missing)} of {places.service.name!r}: outputs and status documents whose URL "
            "names that node are not found",
            f"write 'location {places.before}NAME{places.after}/ {{ proxy_pass "
            f"http://{missing[0]}/...; }}', with the name that the node writes into its URLs",
            severity="warning",
        )


def _whole(passed: ProxyPass) -> str:
    return " ".join([passed.statement.name, *passed.statement.args])


def _unused(site: Site) -> Findings:
    if not site.proxy_passes or any(passed.unknown for passed in site.proxy_passes):
        return  # snippets, whose server blocks are elsewhere; or targets that are not known
    named = {target.name for passed in site.proxy_passes for target in passed.targets}
    for service in site.services:
        if not site.ways_to(service) and service.name.lower() not in named:
            yield finding(
                "unused-upstream",
                service.statement,
                f"no location passes requests to upstream {service.name!r}: its hash decides "
                "nothing, and requests of the service go elsewhere, or fail",
                f"write 'proxy_pass http://{service.name};' into the location of the service, or "
                "remove the upstream",
            )


def _from_disk(site: Site) -> Findings:
    """Report outputs that nginx serves from its own disk, even if another server has a hash."""
    for server in site.servers:
        for location in locations_in(server.statement.block):
            inner = [line for line in location.block if line.name in _FROM_DISK]
            if not inner or not OUTPUTS.search(path_of(location)):
                continue
            if any(line.name.endswith("_pass") or line.name == "return" for line in location.block):
                continue
            if _is_node(server, site) or _hashed_below(location, server, site):
                continue
            yield finding(
                "outputs-bypass",
                inner[0],
                f"{place_of(location)} serves '{inner[0].name} {' '.join(inner[0].args)}' from the "
                "proxy's own disk: unless all nodes write to this disk, users get 'not found' for "
                "outputs and status documents",
                "pass it to the service's upstream; if all nodes share the disk, ignore this",
                severity="warning",
            )


def _is_node(server: ServerBlock, site: Site) -> bool:
    """Return whether a server is, or can be, one of the nodes that the hash chooses."""
    ports = set() if server in site.serving else {port for _, port in site.by_machine}
    return any(
        (listen.address, listen.port) in site.by_machine
        or (listen.address is None and listen.port in ports)
        for listen in server.listens
    )


def _hashed_below(location: Statement, server: ServerBlock, site: Site) -> bool:
    """Return whether each service has its own location below this one."""
    path = path_of(location).rstrip("/") + "/"
    below = {
        service
        for passed, service in site.to_services
        if passed.server is server and (passed.prefix or "").startswith(path)
    }
    return below >= set(site.services)


# ---- headers: the id to the services, and the node's name back ----


def _header_not_passed(passed: ProxyPass, site: Site) -> Findings:
    header = site.header
    keep = f"'proxy_set_header {header} {site.variable};'"
    for line in passed.settings("proxy_set_header"):
        if len(line.args) != 2 or line.args[0].lower().replace("_", "-") != header:
            continue
        variable = only_variable(line.args[1])
        if variable is not None and header in headers_behind(variable, site.maps):
            continue
        does = "replaces" if line.args[1] else "clears"
        what = f"'proxy_set_header {header}' {does} the header {header}"
        yield _not_passed(line, what, passed, f"remove the line, or write {keep}")
    off = passed.own_setting("pass_request_headers")
    if off is not None and off.args == ("off",):
        what = f"'{off.name} off' passes no headers on"
        yield _not_passed(off, what, passed, f"remove the line, or add {keep}")


def _not_passed(line: Statement, what: str, passed: ProxyPass, remedy: str) -> Finding:
    return finding(
        "header-not-passed",
        line,
        f"{what} in {passed.place}: this proxy still hashes the id, but another proxy (Twitcher, a "
        "second nginx) or the service behind it does not get the id, if it needs the id to find "
        "files",
        remedy,
    )


def _evidence(passed: ProxyPass, service: Upstream, site: Site) -> Findings:
    shown = [line for line in passed.settings("add_header") if _shows_node(line, site)]
    if not shown:
        added = (line for level in passed.levels for line in level.named("add_header"))
        outer = [line for line in added if _shows_node(line, site)]
        lost = (
            f" ('{outer[0].name} {outer[0].args[0]}' in {outer[0].where} is not added here: a "
            "block with its own add_header inherits none)"
            if outer
            else ""
        )
        yield finding(
            "no-evidence",
            passed.statement,
            f"answers from {service.name!r} do not show their node{lost}: if a chain leaves its "
            "node, the client cannot see it, and gets a wrong answer or 'file not found' instead "
            "of a clear error",
            "write 'add_header X-Pavics-Node $upstream_addr always;' beside it, or a map from "
            "$upstream_addr to names, which shows no addresses",
            severity="warning" if outer else "note",
        )
    elif not any("always" in line.args[2:] for line in shown):
        yield finding(
            "evidence-not-always",
            shown[0],
            f"'add_header {shown[0].args[0]}' without 'always' is added to successful answers "
            "only: a 404 or a 502 does not show its node",
            "write 'always' at its end",
        )


def _shows_node(line: Statement, site: Site) -> bool:
    return len(line.args) > 1 and shows_node(line.args[1], site.maps) is not None


# ---- answers ----


def _cache(passed: ProxyPass, service: Upstream, _: Site) -> Findings:
    cache = passed.own_setting("cache")
    if cache is None or cache.args in ((), ("off",)):
        return
    yield finding(
        "cache",
        cache,
        f"'{cache.name} {' '.join(cache.args)}' answers for {service.name!r} without asking a "
        "node: a status document never changes, an Execute by GET is not run, and one workflow "
        "gets the answer to another",
        f"write '{cache.name} off;' where requests go to services",
    )


def _read_timeout(passed: ProxyPass, service: Upstream, _: Site) -> Findings:
    if passed.kind != "proxy":
        return
    setting = passed.setting("proxy_read_timeout")
    seconds = _SHORT if setting is None else _seconds(setting.args)
    if seconds is None or seconds > _SHORT:
        return
    found = "proxy_read_timeout is at its default" if setting is None else "proxy_read_timeout is"
    yield finding(
        "read-timeout",
        setting or passed.statement,
        f"{found} ({seconds:g} s) where requests go to {service.name!r}: a synchronous process "
        "that runs longer is cut off with a 504, although the node continues to compute",
        "write 'proxy_read_timeout 3600s;' into the server block, or as long as processes may run",
    )


def _body_size(passed: ProxyPass, service: Upstream, _: Site) -> Findings:
    setting = passed.setting("client_max_body_size")
    size = 1024**2 if setting is None else _bytes(setting.args)
    if size is None or size == 0 or size >= _SMALL:
        return
    found = (
        "client_max_body_size is at its default" if setting is None else "client_max_body_size is"
    )
    yield finding(
        "body-size",
        setting or passed.statement,
        f"{found} ({size / 1024**2:g} MB) where requests go to {service.name!r}: an Execute with "
        "more inline data, such as a polygon or a table, is refused with a 413",
        "write 'client_max_body_size 1g;' into the server block, or what the services accept",
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
    """Report redirects that apply to any path, usually from http to https."""
    for line in walk(block.block):
        by_return = line.name == "return" and line.args[:1] in (("301",), ("302",), ("303",))
        by_rewrite = line.name == "rewrite" and line.args[-1:] in (("permanent",), ("redirect",))
        target = line.args[1] if len(line.args) > 1 else ""
        if (by_return or by_rewrite) and _ANY_PATH.search(target):
            code = line.args[0] if by_return else line.args[-1]
            yield finding(
                "redirect",
                line,
                f"'{line.name} ... {code}' of every path: clients follow it with a GET, so an "
                "Execute sent by POST arrives as a GET without its document, and fails",
                f"write 'return 308 {target};', which keeps the method and the document",
            )

"""Rules on the key that nginx hashes: whether clients can send it."""

from __future__ import annotations

from collections.abc import Iterator

from ..nginx.maps import (
    FOREIGN_HEADERS,
    Map,
    Maps,
    headers_behind,
    headers_in,
    only_variable,
    reachable,
    variables_behind,
    variables_in,
)
from ..nginx.upstreams import Upstream
from ..nginx.values import is_known
from .rules import Findings, Severity, finding, listed
from .site import OF_THE_SERVICE, Site

_LINKS = ("arg_", "cookie_")
_NEXT_IN_TURN = "an empty key, with which nginx gives each request to the next node"


def key_findings(site: Site) -> Findings:
    """Check the key of each service."""
    for service in site.services:
        if site.headers_of(service):
            yield from _header(service, site)
            yield from _composite(service, site)
            yield from _links(service, site)
        else:
            yield from _without_header(service, site)


# ---- keys without a header ----


def _without_header(service: Upstream, site: Site) -> Findings:
    what = f"upstream {service.name!r} hashes {service.key!r}"
    remedy = f"write 'hash {site.variable};'"
    sources = set().union(*map(site.sources, service.variables))
    programs = _from_programs(sources, site)
    if programs:
        yield finding(
            "not-judged",
            service.method,
            f"{what}, and the source of {listed(programs)} is not known here. Whether the "
            "machineid decides was not checked",
            remedy,
        )
        return
    looked_up = _looked_up(service, site.maps) - FOREIGN_HEADERS
    is_mapped = looked_up and all(name.startswith("http_") for name in sources)
    effect = (
        f"which a map makes from {listed(looked_up)}: ids keep their nodes, but a client can "
        "neither predict nor choose the node"
        if is_mapped
        else "which contains no header that a workflow sends: its machineid decides nothing, and "
        "its steps run on the node that the other value chooses"
    )
    severity: Severity = "note" if is_mapped else "error"
    yield finding(
        "hash-other-variable", service.method, f"{what}, {effect}", remedy, severity=severity
    )


def _from_programs(sources: set[str], site: Site) -> list[str]:
    captured = {name for mapped in site.maps.values() for name in mapped.captures}
    unknown = {name for name in sources if not is_known(name)} - captured
    return sorted(f"${name}" for name in unknown if not name.isdecimal())


def _looked_up(service: Upstream, maps: Maps) -> set[str]:
    """Return the headers that maps look up for the key without passing on their values."""

    def onwards(name: str) -> list[str]:
        if name not in maps:
            return []
        passed_on = [v for value in maps[name].values if (v := only_variable(value)) is not None]
        return variables_in(maps[name].source) + passed_on

    return headers_in(reachable(service.variables, onwards))


# ---- keys with a header ----


def _header(service: Upstream, site: Site) -> Findings:
    headers = site.headers_of(service)
    if site.header not in headers:
        yield finding(
            "hash-other-variable",
            service.method,
            f"upstream {service.name!r} hashes the header {listed(sorted(headers))}, and other "
            f"services hash {site.header}: a workflow sends one of them, and every service without "
            f"it sees {_NEXT_IN_TURN}",
            f"write 'hash {site.variable};' in all upstreams",
        )
    yield from _something_first(service, site)
    if site.header_is_published:
        return
    raw = _raw_header(service, site)
    if site.header in headers and site.header != "machineid" and "_" not in raw:
        yield finding(
            "hash-other-variable",
            service.method,
            f"upstream {service.name!r} hashes the header {site.header}: from clients that send "
            f"machineid, as the manual says, nginx gets {_NEXT_IN_TURN}",
            "write 'hash $http_machineid;', or tell every user to set the header "
            "(Workflow(header=...), header = in the topology)",
            severity="warning",
        )
    if "_" in raw and not _underscores_allowed(service, site):
        yield finding(
            "header-underscore",
            service.method,
            f"'$http_{raw}' is the header {raw.replace('_', '-')}. If clients send {raw}, with "
            "the underscore, as the variable suggests, nginx drops the header silently. It then "
            f"sees {_NEXT_IN_TURN}",
            "use a header without underscore ('hash $http_machineid;'); or write "
            "'underscores_in_headers on;' into the http block of every proxy on the way",
        )


def _something_first(service: Upstream, site: Site) -> Findings:
    """Report maps that look up something else before the machineid on the way to the key."""
    own = {site.header.replace("-", "_"), "machineid"}
    allowed = OF_THE_SERVICE | {prefix + name for prefix in _LINKS for name in own}
    for mapped in _before_the_header(service, site):
        sources = set().union(*map(site.sources, variables_in(mapped.source)))
        foreign = sources - allowed - mapped.captures
        if foreign and len(mapped.values) > 1:
            yield finding(
                "hash-other-variable",
                service.method,
                f"upstream {service.name!r} hashes {service.key!r}, for which "
                f"{listed(f'${each}' for each in sorted(foreign))} is looked up before the "
                f"machineid ({mapped.statement.where}): for some of its values another value is "
                "hashed, and a workflow is on two nodes",
                f"look up the machineid first: 'map {site.variable} $key {{ default "
                f"{site.variable}; ... }}'",
            )


def _before_the_header(service: Upstream, site: Site) -> Iterator[Map]:
    """Yield the maps on the way to the key, up to those that look the machineid up."""

    def is_before(name: str) -> bool:
        looked_up = variables_in(site.maps[name].source) if name in site.maps else ()
        by_the_id = any(site.header in headers_behind(each, site.maps) for each in looked_up)
        return name in site.maps and not by_the_id

    def onwards(name: str) -> list[str]:
        values = site.maps[name].values if is_before(name) else ()
        return [variable for value in values for variable in variables_in(value)]

    names = reachable(service.variables, onwards)
    return (site.maps[name] for name in names if is_before(name))


def _raw_header(service: Upstream, site: Site) -> str:
    """Return the header's name as in the variable."""
    names = (
        name.removeprefix("http_")
        for variable in service.variables
        for name in sorted(variables_behind(variable, site.maps))
        if name.startswith("http_")
    )
    return next((raw for raw in names if raw.replace("_", "-") not in FOREIGN_HEADERS), "")


def _underscores_allowed(service: Upstream, site: Site) -> bool:
    ways = site.ways_to(service)
    settings = [passed.setting("underscores_in_headers") for passed in ways]
    if not ways:
        settings = [next(iter(site.statements.named("underscores_in_headers")[-1:]), None)]
    return all(setting is not None and setting.args[:1] == ("on",) for setting in settings)


def _composite(service: Upstream, site: Site) -> Findings:
    if service.hashed is None or len(service.hashed.parts) < 2:
        return
    others = [
        f"${variable}"
        for variable in service.variables
        if site.header not in headers_behind(variable, site.maps)
    ]
    effect = (
        f"requests of one workflow with different values of {listed(others)} go to different "
        "nodes, and no client can steer them"
        if others
        else "ids keep their nodes, but clients that predict the node from the machineid predict "
        "another one"
    )
    yield finding(
        "composite-key",
        service.method,
        f"upstream {service.name!r} hashes {service.key!r}: {effect}",
        f"write 'hash {site.variable};'",
        severity="error" if others else "note",
    )


def _links(service: Upstream, site: Site) -> Findings:
    reached = {
        name for variable in service.variables for name in variables_behind(variable, site.maps)
    }
    if not any(name.startswith(_LINKS) for name in reached):
        yield finding(
            "header-only",
            service.method,
            f"upstream {service.name!r} takes the id from the header alone: a browser, wget, or a "
            "service that fetches a reference does not send it, and nginx gives each of its "
            "requests to the next node",
            "let the key fall back to the query and a cookie: 'map $http_machineid $key { default "
            "$http_machineid; \"\" $arg_machineid; }' and 'hash $key;'; or use the strict style of "
            "'pavics-affinity render'",
        )

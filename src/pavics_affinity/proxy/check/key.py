"""Rules on the key: what nginx hashes, and whether clients can send it."""

from __future__ import annotations

from collections.abc import Iterator

from ..hashed import FOREIGN_HEADERS
from ..nginx.maps import Map, Maps, headers_behind, only_variable, variables_behind, variables_in
from ..nginx.values import is_known
from .choices import OF_THE_SERVICE, sources_of
from .findings import Findings, finding, listed
from .pools import Pool, key_text
from .site import Site

_LINKS = ("arg_", "cookie_")


def key_findings(site: Site) -> Findings:
    """Check the key of each service."""
    for pool in site.services:
        if site.headers_of(pool):
            yield from _header(pool, site)
            yield from _composite(pool, site)
            yield from _links(pool, site)
        else:
            yield from _without_header(pool, site)


def _without_header(pool: Pool, site: Site) -> Findings:
    text = _text(pool)
    remedy = f"write 'hash {_variable(site.header)};'"
    programs = _from_programs(pool, site)
    if programs:
        yield finding(
            "not-judged",
            "error",
            pool.method,
            f"upstream {pool.name!r} hashes {text!r}, and where {listed(programs)} comes from is "
            "not known here. Whether the machineid decides was not checked",
            remedy,
        )
        return
    sources = _looked_up(pool, site.maps) - FOREIGN_HEADERS
    if sources and not _others(pool, site):
        yield finding(
            "hash-other-variable",
            "note",
            pool.method,
            f"upstream {pool.name!r} hashes {text!r}, which a map makes from {listed(sources)}: "
            "ids keep their nodes, but no client can tell which, nor choose one",
            remedy,
        )
        return
    yield finding(
        "hash-other-variable",
        "error",
        pool.method,
        f"upstream {pool.name!r} hashes {text!r}, in which there is no header that a workflow "
        "sends: its machineid decides nothing, and its steps run wherever the other value leads",
        remedy,
    )


def _sources(pool: Pool, site: Site) -> set[str]:
    """Name the variables that the key is made from in the end, and that are not the machineid."""
    parts = pool.hashed.parts if pool.hashed is not None else ()
    found = (sources_of(part.text, site.maps, site.header) for part in parts if part.is_variable)
    return set().union(*found)


def _from_programs(pool: Pool, site: Site) -> list[str]:
    captured = {name for mapped in site.maps.values() for name in mapped.captures}
    unknown = {name for name in _sources(pool, site) if not is_known(name)} - captured
    return sorted(f"${name}" for name in unknown if not name.isdecimal())


def _others(pool: Pool, site: Site) -> set[str]:
    """Name the variables in the key's maps that are no header of a workflow."""
    return {name for name in _sources(pool, site) if not name.startswith("http_")}


def _header(pool: Pool, site: Site) -> Findings:
    headers = site.headers_of(pool)
    if site.header not in headers:
        yield finding(
            "hash-other-variable",
            "error",
            pool.method,
            f"upstream {pool.name!r} hashes the header {listed(sorted(headers))}, and other "
            f"services hash {site.header}: a workflow sends one of them, and every service "
            "without it gets an empty key, for which nginx gives each request to the next node",
            f"write 'hash {_variable(site.header)};' in all upstreams",
        )
    yield from _something_first(pool, site)
    if site.header_is_told:
        return
    raw = _raw_header(pool, site)
    if site.header in headers and site.header != "machineid" and "_" not in raw:
        yield finding(
            "hash-other-variable",
            "warning",
            pool.method,
            f"upstream {pool.name!r} hashes the header {site.header}: clients that send "
            "machineid, as the manual has it, get an empty key, for which nginx gives each request "
            "to the next node",
            "write 'hash $http_machineid;', or tell every user (Workflow(header=...), header = in "
            "the topology)",
        )
    if "_" in raw and not _underscores_allowed(pool, site):
        yield finding(
            "header-underscore",
            "warning",
            pool.method,
            f"'$http_{raw}' is the header {raw.replace('_', '-')}. Clients that send {raw}, with "
            "the underscore, as the variable suggests: nginx drops their header without a word, "
            "the key is empty, and each request goes to the next node",
            "name the header without underscore ('hash $http_machineid;'); or write "
            "'underscores_in_headers on;' into the http block of every proxy on the way",
        )


def _something_first(pool: Pool, site: Site) -> Findings:
    """Find a map on the way to the key that looks at something else before the machineid."""
    own = {site.header.replace("-", "_"), "machineid"}
    allowed = OF_THE_SERVICE | {prefix + name for prefix in _LINKS for name in own}
    for mapped in _before_the_header(pool, site):
        sources = (sources_of(each, site.maps, site.header) for each in variables_in(mapped.source))
        foreign = set().union(*sources) - allowed - mapped.captures
        if foreign and len({mapped.default, *(value for _, value in mapped.entries)}) > 1:
            yield finding(
                "hash-other-variable",
                "error",
                pool.method,
                f"upstream {pool.name!r} hashes {_text(pool)!r}, for which "
                f"{listed(f'${each}' for each in sorted(foreign))} is looked at before the "
                f"machineid ({mapped.statement.where}): where that says so, another value is "
                "hashed, and a workflow is on two nodes",
                f"look up the machineid first: 'map {_variable(site.header)} $key {{ default "
                f"{_variable(site.header)}; ... }}'",
            )


def _before_the_header(pool: Pool, site: Site) -> Iterator[Map]:
    """Yield the maps on the way to the key, up to those that look the machineid up."""
    waiting = [part.text for part in (pool.hashed.parts if pool.hashed else ()) if part.is_variable]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        mapped = site.maps.get(name)
        if name in seen or mapped is None:
            continue
        seen.add(name)
        looked_up = variables_in(mapped.source)
        if not any(site.header in headers_behind(each, site.maps) for each in looked_up):
            yield mapped
            values = [mapped.default, *(value for _, value in mapped.entries)]
            waiting += [v for value in values for v in variables_in(value)]


def _raw_header(pool: Pool, site: Site) -> str:
    """Return the header's name as the variable has it."""
    names = (
        name.removeprefix("http_")
        for part in (pool.hashed.parts if pool.hashed else ())
        if part.is_variable
        for name in sorted(variables_behind(part.text, site.maps))
        if name.startswith("http_")
    )
    return next((raw for raw in names if raw.replace("_", "-") not in FOREIGN_HEADERS), "")


def _underscores_allowed(pool: Pool, site: Site) -> bool:
    passings = [passing for passing, to in site.to_services if to is pool]
    places = [passing.setting("underscores_in_headers") for passing in passings]
    if not passings:
        found = [s for s in site.statements if s.name == "underscores_in_headers"]
        places = [found[-1]] if found else [None]
    return all(place is not None and place.args[:1] == ("on",) for place in places)


def _composite(pool: Pool, site: Site) -> Findings:
    parts = pool.hashed.parts if pool.hashed is not None else ()
    if len(parts) < 2:
        return
    others = [
        f"${part.text}"
        for part in parts
        if part.is_variable and site.header not in headers_behind(part.text, site.maps)
    ]
    if others:
        yield finding(
            "composite-key",
            "error",
            pool.method,
            f"upstream {pool.name!r} hashes {_text(pool)!r}: requests of one workflow in which "
            f"{listed(others)} differs go to different nodes, and no client can steer them",
            f"write 'hash {_variable(site.header)};'",
        )
    else:
        yield finding(
            "composite-key",
            "note",
            pool.method,
            f"upstream {pool.name!r} hashes {_text(pool)!r}: ids keep their nodes, but clients "
            "that predict the node from the machineid predict another one",
            f"write 'hash {_variable(site.header)};'",
        )


def _links(pool: Pool, site: Site) -> Findings:
    parts = pool.hashed.parts if pool.hashed is not None else ()
    reached = {
        name
        for part in parts
        if part.is_variable
        for name in variables_behind(part.text, site.maps)
    }
    if not any(name.startswith(_LINKS) for name in reached):
        yield finding(
            "header-only",
            "note",
            pool.method,
            f"upstream {pool.name!r} takes the id from the header alone: a browser, wget, or a "
            "service that fetches a reference sends none, and gets each file from the node that "
            "comes next in turn",
            "let the key fall back to the query and a cookie: 'map $http_machineid $key { default "
            "$http_machineid; \"\" $arg_machineid; }' and 'hash $key;'; or use the strict style of "
            "'pavics-affinity render'",
        )


def _looked_up(pool: Pool, maps: Maps) -> set[str]:
    """Name the headers that maps look up on the way to the key, without handing them on."""
    waiting = [part.text for part in (pool.hashed.parts if pool.hashed else ()) if part.is_variable]
    found: set[str] = set()
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name.startswith("http_"):
            found.add(name.removeprefix("http_").replace("_", "-"))
        if name in maps:
            waiting += variables_in(maps[name].source)
            values = [maps[name].default, *(value for _, value in maps[name].entries)]
            waiting += [inner for value in values if (inner := only_variable(value)) is not None]
    return found


def _variable(header: str) -> str:
    return "$http_" + header.replace("-", "_")


def _text(pool: Pool) -> str:
    return "" if pool.hashed is None else key_text(pool.hashed)

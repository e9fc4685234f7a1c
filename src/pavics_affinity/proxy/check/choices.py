"""Rules on what chooses between upstreams: split_clients, maps, and conditions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..nginx.maps import Maps, headers_behind, variables_in
from ..nginx.passings import Passing, Target, locations_in, path_of
from ..nginx.statements import Statement
from .findings import Finding, Findings, finding, listed
from .paths import location_for
from .pools import Pool
from .site import Site

# These say which service is asked for, or stay as they are for all requests to it.
OF_THE_SERVICE = frozenset(
    {
        "host", "http_host", "server_name", "server_port", "server_addr", "scheme", "https",
        "uri", "document_uri", "request_uri", "request_filename", "arg_service", "http_upgrade",
        "http_connection", "ssl_server_name", "ssl_preread_server_name", "hostname", "protocol",
        "ssl_preread_alpn_protocols", "ssl_preread_protocol", "upstream_addr",
    }
)  # fmt: skip
_CAPTURE = re.compile(r"\d+")
_NAMED_CAPTURE = re.compile(r"\(\?P?<(\w+)>")


@dataclass(frozen=True)
class Choice:
    """The ways that a request can go from one place, and what decides among them.

    Attributes
    ----------
    passing : Passing
        The place.
    targets : tuple of Target
        The ways.
    deciders : tuple of str
        Variables that decide and are not the machineid, sorted.
    """

    passing: Passing
    targets: tuple[Target, ...]
    deciders: tuple[str, ...]


def choice_findings(site: Site) -> Findings:
    """Find requests of one workflow that go several ways."""
    for choice in site_choices(site):
        found = _judged(choice, site)
        if found is not None:
            yield found


def site_choices(site: Site) -> Iterator[Choice]:
    """Yield the places from which requests go several ways."""
    told: set[int] = set()
    for passing in site.passings:
        ways = list(_ways(passing, site))
        if id(passing) in told or not ways:
            continue
        told |= {id(each) for each, _ in ways if each.location is passing.location}
        targets = dict.fromkeys(target for each, _ in ways for target in each.targets)
        real = [each for each in targets if each.is_real and not each.of_node]
        if len({_destination(each) for each in real}) < 2:
            continue
        deciders = {name for each in real for name in each.deciders}
        deciders |= {name for _, condition in ways for name in condition}
        yield Choice(passing, tuple(real), tuple(sorted(foreign(deciders, passing, site))))


def foreign(deciders: Iterable[str], passing: Passing, site: Site) -> set[str]:
    """Name the variables that are neither the machineid nor of the service asked for."""
    captured = set(_captured(passing))
    return {
        name
        for decider in deciders
        for name in sources_of(decider, site.maps, site.header)
        if name not in OF_THE_SERVICE and name not in captured and not _CAPTURE.fullmatch(name)
    }


def sources_of(variable: str, maps: Maps, header: str) -> set[str]:
    """Name what a variable is looked up by in the end; nothing where that is the machineid."""
    seen: set[str] = set()
    found: set[str] = set()
    waiting = [variable]
    while waiting:
        name = waiting.pop()
        if name in seen or header in headers_behind(name, maps):
            continue
        seen.add(name)
        if name not in maps:
            found.add(name)
            continue
        values = [maps[name].default, *(value for _, value in maps[name].entries)]
        captures = maps[name].captures
        waiting += variables_in(maps[name].source)
        waiting += [v for each in values for v in variables_in(each) if v not in captures]
    return found


def _captured(passing: Passing) -> Iterator[str]:
    """Name what the expressions of locations and names capture: parts of path and host."""
    if passing.location is not None:
        yield from _NAMED_CAPTURE.findall(" ".join(passing.location.args).lower())
    for line in passing.server.named("server_name"):
        yield from _NAMED_CAPTURE.findall(" ".join(line.args).lower())


# ---- which ways there are ----


def _ways(passing: Passing, site: Site) -> Iterator[tuple[Passing, tuple[str, ...]]]:
    """Yield where requests of a location can go, and the variables that send them there."""
    yield passing, _condition(passing.block)
    for other in site.passings_in(passing.server, passing.location):
        if other is not passing:
            yield other, _condition(other.block)
    for condition, location in _jumps(passing, site):
        if location is not passing.location:
            for other in site.passings_in(passing.server, location):
                yield other, _condition(condition)


def _condition(block: Statement) -> tuple[str, ...]:
    if block.name == "limit_except":
        return ("request_method",)
    return tuple(variables_in(" ".join(block.args))) if block.name == "if" else ()


def _jumps(passing: Passing, site: Site) -> Iterator[tuple[Statement, Statement]]:
    """Yield the conditions by which requests go on to another location, and which."""
    for level in passing.levels:
        for condition in (line for line in level if line.name == "if"):
            for line in condition.block:
                location = _jumped_to(line, passing, site)
                if location is not None:
                    yield condition, location


def _jumped_to(line: Statement, passing: Passing, site: Site) -> Statement | None:
    goal = None
    if line.name == "return" and line.args:
        pages = passing.settings("error_page")
        goal = next((page.args[-1] for page in pages if line.args[0] in page.args[:-1]), None)
    elif line.name == "rewrite" and len(line.args) > 1 and line.args[1].startswith("/"):
        goal = line.args[1].partition("$")[0]
    return None if goal is None else location_of(goal, passing.server, site)


def location_of(goal: str, server: Statement, site: Site) -> Statement | None:
    """Find the location that a path, or a name such as ``@spare``, leads to."""
    key = (id(server), goal)
    if key not in site.jumps:
        site.jumps[key] = _found(goal, server)
    return site.jumps[key]


def _found(goal: str, server: Statement) -> Statement | None:
    if not goal.startswith("/"):
        return next((each for each in locations_in(server.block) if path_of(each) == goal), None)
    try:
        return location_for(server, goal)
    except re.error:
        return None  # an expression of PCRE that is none of Python's


def _destination(target: Target) -> tuple[str, int | None]:
    return target.host.lower(), target.port


# ---- what to say of them ----


def _judged(choice: Choice, site: Site) -> Finding | None:
    hashed = [pool for target in choice.targets if (pool := _service(target, site)) is not None]
    past = [target for target in choice.targets if _service(target, site) is None]
    if not past:
        return None  # services that do not keep ids together are a finding of their own
    text, place = choice.passing.statement.text, choice.passing.place
    ways = listed(dict.fromkeys(_named(target) for target in past))
    if not choice.deciders:
        return _split_by_the_id(choice, hashed, ways, site)
    by = listed(f"${name}" for name in choice.deciders)
    if hashed:
        return finding(
            "bypass",
            "error",
            choice.passing.statement,
            f"'{text};' in {place}: {by} sends requests to {ways}, past the hash of "
            f"{hashed[0].name!r}. What a workflow has sent through the hash is not found there, "
            "and the other way round",
            f"let all requests go to {hashed[0].name!r}; or choose by the machineid, the same for "
            "all services: 'split_clients $http_machineid ...'",
        )
    return finding(
        "no-hash",
        "error",
        choice.passing.statement,
        f"'{text};' in {place}: {by} chooses between {ways}, and the machineid does not. Steps of "
        "one chain can go to each of them, and one does not find the files of another",
        f"write one upstream with 'hash $http_{site.header.replace('-', '_')};' and a server line "
        "for each node; or choose by the machineid",
    )


def _split_by_the_id(
    choice: Choice, hashed: Sequence[Pool], ways: str, site: Site
) -> Finding | None:
    by_the_id = any(sources_of(d, site.maps, site.header) == set() for d in _all_deciders(choice))
    if not by_the_id or not hashed or len(site.services) < 2:
        return None
    return finding(
        "bypass",
        "warning",
        choice.passing.statement,
        f"'{choice.passing.statement.text};' in {choice.passing.place}: the machineid decides "
        f"whether a workflow goes to {ways} or by the hash of {hashed[0].name!r}. Where other "
        "services do not divide the ids in the same way, to the same machines, chains that cross "
        "services break",
        "divide all services that chains cross in the same way",
    )


def _all_deciders(choice: Choice) -> set[str]:
    return {name for target in choice.targets for name in target.deciders}


def _service(target: Target, site: Site) -> Pool | None:
    pool = site.pools.get(target.host.lower()) if target.port is None else None
    return pool if pool is not None and pool in site.services else None


def _named(target: Target) -> str:
    return target.host if target.port is None else f"{target.host}:{target.port}"

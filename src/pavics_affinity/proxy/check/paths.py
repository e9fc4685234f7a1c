"""Rules on the paths of a topology: they lead to the services that it names."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from ...topology import Service, Topology
from ...topology.urls import origin_of
from ..nginx.passings import place_of
from ..nginx.statements import Statement
from ..nginx.upstreams import location_prefix
from .findings import Findings, finding, listed
from .pools import Pool
from .site import Front, Site


def path_findings(site: Site, topology: Topology, pools: Mapping[str, Pool | None]) -> Findings:
    """Follow the URLs of services and outputs through the locations."""
    ports = {
        origin_of(service.url): service.listen_port
        for service in reversed(topology.services)
        if service.url is not None
    }
    for service in topology.services:
        pool = pools[service.name]
        if pool is None or service.url is None:
            continue
        own = {pool.name}
        for url, wanted in _urls(service, own, {p.name for p in pools.values() if p is not None}):
            front = _front_for(site, url, ports.get(origin_of(url)))
            if front is not None:
                yield from _follow(site, service, front, url, wanted)


def _urls(service: Service, own: set[str], all_of_them: set[str]) -> Iterator[tuple[str, set[str]]]:
    """Yield URLs of a service, and the upstreams to which they may lead."""
    yield str(service.url), own
    if service.outputs is not None:
        # Services share their node's disk, so that any of them may hand an output out.
        yield service.outputs.public.rstrip("/") + "/an-output.nc", all_of_them


def _front_for(site: Site, url: str, port: int | None) -> Front | None:
    fronts = [front for front in site.fronts if any(mine == port for _, _, mine in front.listens)]
    named = [front for front in fronts if urlsplit(url).hostname in front.names]
    return next(iter([*named, *fronts]), None)


def _follow(site: Site, service: Service, front: Front, url: str, wanted: set[str]) -> Findings:
    path = urlsplit(url).path or "/"
    try:
        location = location_for(front.statement, path)
    except re.error:
        return  # an expression of PCRE that is none of Python's
    block = location or front.statement
    passings = [each for each in site.passings if each.server is front.statement]
    # An if inside a location passes on, too.
    here = [each for each in passings if each.location is location]
    reached = {pool.name for each in here for pool in site.pools_of(each)}
    if reached & wanted or any(each.unknown for each in here):
        return
    where = (
        f"{place_of(location)} ({block.where}) "
        + (f"passes it to {listed(sorted(reached))}" if reached else "passes it to no upstream")
        if location is not None
        else f"the server in {block.where} has no location for it"
    )
    yield finding(
        "topology-path",
        "error",
        block,
        f"clients of {service.name!r} ask for {url}, as the topology says, and {where}: they get "
        "an answer that is not the service's, or none",
        f"add 'location {path.rsplit('/', 1)[0] or '/'} {{ proxy_pass http://{min(wanted)}; }}', "
        "or write the URL that leads there into the topology",
    )


def location_for(block: Statement, path: str) -> Statement | None:
    """Choose the location of a ``server`` block for a path, as nginx does.

    Raises
    ------
    re.error
        A regular expression that Python cannot read stands in the way.
    """
    prefixes: list[tuple[str, Statement]] = []
    expressions: list[tuple[str, Statement]] = []
    for inner in block.named("location"):
        modifier = inner.args[0] if len(inner.args) > 1 else ""
        prefix = location_prefix(inner.args)
        if prefix is None:
            expressions.append((modifier, inner))
        elif modifier == "=":
            if prefix == path:
                return inner
        elif path.startswith(prefix):
            prefixes.append((prefix, inner))
    best = max(prefixes, key=lambda each: len(each[0]), default=None)
    if best is None or best[1].args[0] != "^~":
        for modifier, inner in expressions:
            if modifier.startswith("~") and _fits(inner.args[1], path, modifier):
                return location_for(inner, path) or inner
    return None if best is None else location_for(best[1], path) or best[1]


def _fits(pattern: str, path: str, modifier: str) -> bool:
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        return re.search(pattern, path, re.IGNORECASE if "*" in modifier else 0) is not None

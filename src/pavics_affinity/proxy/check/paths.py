"""Rules on the URLs of a topology: whether the files send them where the topology says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from urllib.parse import urlsplit

from ...topology import Backend, Service, Topology
from ...topology.urls import origin_of, split_address
from ..nginx.proxy_passes import ProxyPass
from ..nginx.servers import ServerBlock, location_for, place_of
from ..nginx.statements import Statement
from ..nginx.upstreams import Upstream
from .rules import Finding, Findings, finding, listed
from .site import Site

Goal = Set[str] | Backend
"""Where a URL should lead: to one of these upstreams, or to this backend."""


def path_findings(
    site: Site, topology: Topology, upstreams: Mapping[str, Upstream | None]
) -> Findings:
    """Follow each URL of services and outputs through the locations."""
    ports = {
        origin_of(service.url): service.listen_port
        for service in reversed(topology.services)
        if service.url is not None
    }
    for service, url, goal in _urls(topology, upstreams):
        # Behind a gateway, services of one public origin have a port each.
        port = service.listen_port if url == service.url else ports.get(origin_of(url))
        server = _server_for(site, url, port)
        if server is not None:
            yield from _follow(site, service, server, url, goal)


def _urls(
    topology: Topology, upstreams: Mapping[str, Upstream | None]
) -> Iterator[tuple[Service, str, Goal]]:
    every = {upstream.name for upstream in upstreams.values() if upstream is not None}
    for service in topology.services:
        upstream, outputs = upstreams[service.name], service.outputs
        if upstream is None or service.url is None:
            continue
        yield service, service.url, {upstream.name}
        if outputs is not None and outputs.by_node:
            for backend in topology.backends(service):
                yield service, _below(outputs.of_node(backend.node)), backend
        elif outputs is not None:
            # Services share their node's disk, so each of them may serve an output.
            yield service, _below(outputs.public), every


def _below(prefix: str) -> str:
    return prefix.rstrip("/") + "/an-output.nc"


def _server_for(site: Site, url: str, port: int | None) -> ServerBlock | None:
    servers = [server for server in site.servers if port in server.ports]
    named = [server for server in servers if urlsplit(url).hostname in server.names]
    return next(iter([*named, *servers]), None)


def _follow(site: Site, service: Service, server: ServerBlock, url: str, goal: Goal) -> Findings:
    path = urlsplit(url).path or "/"
    try:
        location = location_for(server.statement, path)
    except re.error:
        return  # PCRE accepts more than re
    # An if inside a location passes requests on, too.
    here = site.passed_in(server, location)
    if any(each.unknown for each in here):
        return
    reached = {upstream.name for each in here for upstream in site.upstreams_of(each)}
    if isinstance(goal, Backend):
        reaches = any(_is_machine(each, goal, site) for each in here)
    else:
        reaches = bool(reached & goal)
    if not reaches:
        block = location or server.statement
        if location is None:
            where = f"the server in {block.where} has no location for it"
        else:
            to = listed(sorted(reached)) if reached else "no upstream"
            where = f"{place_of(location)} ({block.where}) passes it to {to}"
        yield _astray(service, url, goal, block, where)


def _is_machine(passed: ProxyPass, backend: Backend, site: Site) -> bool:
    """Return whether all requests go to the backend's machine, whatever their key is."""
    machine = site.only_machine(passed)
    address = None if backend.address is None else split_address(backend.address)
    return machine is not None and (address is None or machine[0] == address[0])


def _astray(service: Service, url: str, goal: Goal, block: Statement, where: str) -> Finding:
    path = urlsplit(url).path.rpartition("/")[0] or "/"
    if not isinstance(goal, Backend):
        return finding(
            "topology-path",
            block,
            f"clients of {service.name!r} request {url}, as the topology says, and {where}: they "
            "get an answer that is not the service's, or none",
            f"add 'location {path} {{ proxy_pass http://{min(goal)}; }}', or write the URL that "
            "leads there into the topology",
        )
    place = url.rpartition("/")[0]
    inside = "" if service.outputs is None else service.outputs.backend.rstrip("/")
    return finding(
        "topology-path",
        block,
        f"the topology says that {place} leads to the outputs of node {goal.node!r}, and {where}: "
        "clients and services take the answer for that node's file",
        f"add 'location {path}/ {{ proxy_pass http://{goal.address}{inside}/; }}', or remove "
        "{node} from outputs in the topology",
    )

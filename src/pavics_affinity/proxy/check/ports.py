"""Rules on the ports that the proxy listens on."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from ...placement.servers import Server
from ...topology import Service, Topology
from ...topology.urls import is_loopback
from ..nginx.proxy_passes import ProxyPass
from ..nginx.servers import Listen, ServerBlock
from ..nginx.statements import has_placeholder
from .rules import Findings, finding
from .site import Site

_HTTPS = 443


def port_findings(site: Site) -> Findings:
    """Check each line that names a port to listen on."""
    yield from _listen_tls(site)
    yield from _listen_twice(site)
    yield from _loops(site)


def _listen_tls(site: Site) -> Findings:
    """Report plain HTTP on port 443, unless another proxy ends TLS."""
    in_front = site.promised is not None and site.promised.tls == "in front"
    for _, listen in site.listens:
        line = listen.statement
        # With proxy_protocol the proxy in front can have ended TLS; a template can add ssl.
        ended = in_front or "proxy_protocol" in line.args or has_placeholder(line)
        if listen.port == _HTTPS and not listen.tls and not ended:
            yield finding(
                "listen-tls",
                line,
                f"'{line.text};' speaks plain HTTP on the port of https: clients of an https URL "
                "get no answer, and 'nginx -t' accepts it",
                "write 'listen 443 ssl;' with ssl_certificate and ssl_certificate_key; if another "
                'proxy ends TLS, listen on another port, or write tls = "in front" into the '
                "topology",
            )


def promised_tls(service: Service, ways: Sequence[ProxyPass], topology: Topology) -> Findings:
    """Report a service with an https URL on a port, other than 443, that speaks plain HTTP."""
    if topology.tls == "in front" or urlsplit(service.url or "").scheme != "https":
        return
    listens = {
        listen.statement: listen.tls
        for passed in ways
        for listen in passed.server.listens
        if listen.port == service.listen_port != _HTTPS
    }
    if not listens or any(listens.values()):
        return
    what = f"the topology says {service.url}, and this port speaks plain HTTP"
    if topology.tls is not None:
        yield finding(
            "listen-tls",
            next(iter(listens)),
            f"{what}: clients get no answer",
            "write the files again with 'pavics-affinity render'",
        )
    else:
        yield finding(
            "listen-tls",
            next(iter(listens)),
            f"{what}: unless another proxy ends TLS in front of it, clients get no answer",
            'write tls = "in front" into the topology; or tls = { certificate = "...", '
            "key = \"...\" }, and the files again with 'pavics-affinity render'",
            severity="warning",
        )


def _listen_twice(site: Site) -> Findings:
    seen: dict[tuple[str | None, int, str], ServerBlock] = {}
    for server, listen in site.listens:
        for name in sorted(server.names or [""]):
            first = seen.setdefault((listen.address, listen.port, name.lower()), server)
            if (
                first is server
                or site.is_template(listen.statement.file)
                or not {first, server} & site.serving
            ):
                continue
            and_name = f" and server_name {name}" if name else ""
            yield finding(
                "listen-twice",
                listen.statement,
                f"port {listen.port}{and_name} already belongs to the server in "
                f"{first.statement.where}. nginx only warns ('conflicting server name, ignored'): "
                "that server answers all requests, and this one is never used",
                "give one of them another port, or each its own server_name",
            )
            break


def _loops(site: Site) -> Findings:
    ways = {
        (passed.server, each) for passed in site.proxy_passes for each in site.upstreams_of(passed)
    }
    for server, upstream in ways:
        for line in upstream.lines:
            if any(_is_at(listen, line.server) for listen in server.listens):
                yield finding(
                    "loop",
                    line.statement,
                    f"'{line.statement.text};' is where this nginx itself listens "
                    f"({server.statement.where}): requests to {upstream.name!r} come back to it, "
                    "until its connections are used up. In a container, 127.0.0.1 is the "
                    "container itself",
                    "write the node's own address; if the node is this machine, let nginx listen "
                    "on another port",
                )


def _is_at(listen: Listen, server: Server | None) -> bool:
    if server is None or server.port != listen.port:
        return False
    return is_loopback(server.host) if listen.address is None else listen.address == server.host

"""Rules on the proxy's own ports."""

from __future__ import annotations

from ipaddress import ip_address

from .findings import Findings, finding
from .site import Front, Site, usable_listens


def port_findings(site: Site) -> Findings:
    """Check the ``listen`` lines against each other, and against the servers."""
    yield from _twice(site)
    yield from _loops(site)


def _twice(site: Site) -> Findings:
    concerned = {id(passing.server) for passing, _ in site.to_services}
    seen: dict[tuple[str | None, int, str], Front] = {}
    for front, line, address, port in usable_listens(site.fronts):
        for name in sorted(front.names or {""}):
            first = seen.setdefault((address, port, name.lower()), front)
            if (
                first is front
                or site.fills_in(line.file)
                or not {id(first.statement), id(front.statement)} & concerned
            ):
                continue
            told = f" and server_name {name}" if name else ""
            yield finding(
                "listen-twice",
                "error",
                line,
                f"port {port}{told} belongs to the server in {first.statement.where} already: "
                "nginx only warns ('conflicting server name, ignored'), and that server answers "
                "all requests; nothing in this one is ever used",
                "give one of them another port, or each a server_name of its own",
            )
            break


def _loops(site: Site) -> Findings:
    for front, _, address, port in usable_listens(site.fronts):
        for passing in site.passings:
            if passing.server is not front.statement:
                continue
            for pool in site.pools_of(passing):
                for line in pool.lines:
                    server = line.server
                    if server is None or server.port != port:
                        continue
                    if address == server.host or (address is None and _is_loopback(server.host)):
                        yield finding(
                            "loop",
                            "error",
                            line.statement,
                            f"'{line.text};' is where this nginx itself listens "
                            f"({front.statement.where}): requests to {pool.name!r} come back to "
                            "it, again and again, until its connections are used up. In a "
                            "container, 127.0.0.1 is the container itself",
                            "write the node's own address; if the node is this machine, let nginx "
                            "listen on another port",
                        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"

"""Which response header tells the node that answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import NginxConfigWarning
from ..placement.servers import Resolve, Server
from ..warn import warn
from .maps import Maps, only_variable
from .naming import Nodes, address_of, knows_address, names_in
from .upstreams import Route

_ADDRESS = "upstream_addr"


def find_evidence(
    routes: Mapping[str, Sequence[Route]],
    maps: Maps,
    servers: Sequence[Server],
    nodes: Nodes,
    resolve: Resolve | None,
) -> str | None:
    """Name the header that shows ``$upstream_addr``, or a map over it.

    Parameters
    ----------
    routes : mapping of str to sequence of Route
        The places from which requests go to each service.
    maps : mapping
        All maps.
    servers : sequence of Server
        All servers.
    nodes : Nodes
        Their nodes.
    resolve : callable or None
        As for `read_nginx`.

    Returns
    -------
    str or None
        One that every service adds everywhere, and that can be read; if there are
        several, one that names nodes.

    Warns
    -----
    AffinityWarning
        A header shows it, and cannot be used.
    """
    shown = [_shown_by(route, maps) for several in routes.values() for route in several]
    usable: list[tuple[bool, str]] = []
    for header in dict.fromkeys(header for headers in shown for header in headers):
        if not all(header in headers for headers in shown) or not all(routes.values()):
            reason = "not every location has it; write it into the http block, with 'always'"
        elif not all(_can_read(h[header], maps, servers, nodes, resolve) for h in shown):
            reason = (
                "what it shows does not tell the node: the server lines have names, or the map "
                "does not fit them all; name each node in a map over $upstream_addr"
            )
        else:
            usable.append((shown[0][header] == _ADDRESS, header))
            continue
        warn(f"the header {header} is no evidence of the node: {reason}", NginxConfigWarning)
    return min(usable)[1] if usable else None


def _shown_by(route: Route, maps: Maps) -> dict[str, str]:
    """Give the headers that tell who answered, and the variables that they show."""
    return {
        header: variable
        for header, value in route.headers
        if (variable := only_variable(value)) is not None
        and (
            variable == _ADDRESS
            or (variable in maps and only_variable(maps[variable].source) == _ADDRESS)
        )
    }


def _can_read(
    variable: str,
    maps: Maps,
    servers: Sequence[Server],
    nodes: Nodes,
    resolve: Resolve | None,
) -> bool:
    if variable == _ADDRESS:
        return all(knows_address(server, resolve) for server in servers)
    mapped = maps[variable]
    named = names_in(mapped, servers, resolve)
    values = {value for _, value in mapped.entries}
    return all(
        address_of(server) in named
        or nodes.of(server) in values
        or (only_variable(mapped.default) == _ADDRESS and knows_address(server, resolve))
        for server in servers
    )

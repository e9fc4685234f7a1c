"""Which request header the ``hash`` directives are about."""

from __future__ import annotations

from collections.abc import Sequence

from .nginx.maps import Maps, headers_behind
from .nginx.upstreams import Upstream

# What every client or proxy sends for purposes of its own.
FOREIGN_HEADERS = frozenset(
    {
        "accept", "authorization", "connection", "content-type", "cookie", "forwarded", "host",
        "referer", "user-agent", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
        "x-real-ip", "x-request-id",
    }
)  # fmt: skip


def common_header(hashed: Sequence[Upstream], maps: Maps) -> str:
    """Name the one header that all services hash.

    Parameters
    ----------
    hashed : sequence of Upstream
        Those with a ``hash``; at least one.
    maps : mapping
        All maps.

    Raises
    ------
    NginxConfigError
        A hash of something else, of more than a header, or of two headers.
    """
    headers = {upstream.name: _hashed_header(upstream, maps) for upstream in hashed}
    first = hashed[0]
    for upstream in hashed:
        if headers[upstream.name] != headers[first.name]:
            raise upstream.statement.error(
                f"upstream {upstream.name!r} hashes the header {headers[upstream.name]}, and "
                f"{first.name!r} ({first.statement.where}) hashes {headers[first.name]}; a "
                "workflow sends one: hash the same in both"
            )
    return headers[first.name]


def _hashed_header(upstream: Upstream, maps: Maps) -> str:
    parts = upstream.hashed.parts if upstream.hashed is not None else ()
    key = "".join(f"${part.text}" if part.is_variable else part.text for part in parts)
    found = {part: headers_behind(part.text, maps) for part in parts if part.is_variable}
    headers = set().union(*found.values()) - FOREIGN_HEADERS
    if len(headers) != 1:
        what = f"several headers ({', '.join(sorted(headers))})" if headers else "no header"
        raise upstream.statement.error(
            f"upstream {upstream.name!r} hashes {key!r}, in which there is {what} that a workflow "
            "could send; write 'hash $http_machineid;'"
        )
    if len(parts) != 1:
        raise upstream.statement.error(
            f"upstream {upstream.name!r} hashes {key!r}, which holds more than the machineid: "
            "requests of one workflow go to several nodes, and no client can steer them; write "
            "'hash $http_machineid;'"
        )
    return headers.pop()

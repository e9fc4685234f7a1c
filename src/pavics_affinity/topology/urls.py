"""URLs compared by scheme, host, port and whole path segments."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ..errors import TopologyError

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Scheme, host and port, in the form in which two of them can be compared."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if DEFAULT_PORTS.get(self.scheme) == self.port else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def origin_of(url: str) -> Origin | None:
    """Return the origin of an http or https URL; None for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS or not parts.hostname:
        return None
    host = parts.hostname.rstrip(".").lower()
    return Origin(scheme, host, DEFAULT_PORTS[scheme] if port is None else port)


def rest_after(url: str, prefix: str) -> str | None:
    """Return what follows the prefix's path, query and all; None if it is no prefix.

    Only the paths are compared, segment by segment; the origins are the
    caller's affair. A path with dot segments, escaped or not, has no prefix:
    servers disagree on what it means.
    """
    path = urlsplit(url).path
    if any(unquote(segment) in (".", "..") for segment in path.split("/")):
        return None
    stem = urlsplit(prefix).path.rstrip("/")
    if path == stem or path.startswith(stem + "/"):
        return path[len(stem) :] + _tail(url)
    return None


def path_and_tail(url: str) -> str:
    """Return the path with query and fragment."""
    return urlsplit(url).path + _tail(url)


def _tail(url: str) -> str:
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return query + (f"#{parts.fragment}" if parts.fragment else "")


def split_address(address: str, default_port: int = 80) -> tuple[str, int] | None:
    """Split ``host``, ``host:port`` or ``[v6]:port``; None for a unix socket."""
    if address.lower().startswith("unix:"):
        return None
    parts = urlsplit(f"//{address}")
    try:
        port = parts.port
    except ValueError as bad:
        raise TopologyError(
            f"{address!r} is no address: expected 'host:port' with a port of 1 to 65535"
        ) from bad
    if not parts.hostname or parts.path or parts.username is not None:
        raise TopologyError(f"{address!r} is no address: expected 'host:port'")
    return parts.hostname.lower(), default_port if port is None else port


def join_host(host: str, port: int) -> str:
    """Join host and port, an IPv6 address in brackets."""
    bare = host.strip("[]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"

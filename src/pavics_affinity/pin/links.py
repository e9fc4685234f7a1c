"""URLs that hold a routing key, for programs that do not send a header."""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from ..topology import Topology

Form = Literal["path", "query"]

PATH_PREFIX = "/.affinity/"
"""Below it a strict proxy takes the routing key as the next segment of the path."""

QUERY_NAME = "machineid"
"""The query parameter in which a strict proxy takes the routing key."""


def leads_by_itself(topology: Topology, url: str) -> bool:
    """Tell whether the URL holds a routing key where the site's proxy looks for one."""
    parts = urlsplit(url)
    keys = [value for name, value in parse_qsl(parts.query) if name == QUERY_NAME]
    return topology.proxy == "strict" and (bool(keys) or parts.path.startswith(PATH_PREFIX))


def with_key(url: str, key: str, form: Form) -> str:
    """Return the URL, at a strict proxy, with a routing key in its path or query.

    Nothing is escaped: a key has only RFC 3986's unreserved characters. In the path it also
    survives readers that replace the query, as OPeNDAP's do.
    """
    parts = urlsplit(url)
    if form == "path":
        return parts._replace(path=f"{PATH_PREFIX}{key}{parts.path or '/'}").geturl()
    rest = [p for p in parts.query.split("&") if p and p.partition("=")[0] != QUERY_NAME]
    return parts._replace(query="&".join([*rest, f"{QUERY_NAME}={key}"])).geturl()

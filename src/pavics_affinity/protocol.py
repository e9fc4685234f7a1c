"""The protocol between the library and a rendered proxy: keys, headers, links, a path.

`proxy.render` writes it into nginx's files, and clients rely on it. A change here reaches a site
only when its proxy is rendered again.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from .errors import InvalidMachineId, InvalidPlacement

# ---- routing keys: MACHINEID, MACHINEID~NUMBER or MACHINEID~NODE ----

LONGEST_MACHINEID = 200
"""Characters; nginx takes header values of up to some 8,000 bytes."""

MACHINEID = rf"[A-Za-z0-9._-]{{1,{LONGEST_MACHINEID}}}"
"""RFC 3986's unreserved characters without ``~``, so that nothing in a link is escaped."""

NODE_NAME = "[a-z][a-z0-9-]*"
"""Begins with a letter, so that a proxy can distinguish a node from a number."""

SUFFIX = f"[1-9][0-9]{{0,18}}|{NODE_NAME}"
"""The part after the ``~`` of a steered key: a number, or a node's name."""

NODE_NAME_RULE = "lower-case letters, digits and hyphens, a letter first"

# ---- headers ----

DEFAULT_HEADER = "machineid"
"""Request header that carries the routing key, unless the topology names another."""

DEFAULT_EVIDENCE = "X-Pavics-Node"
"""Response header of a rendered proxy that names the node, unless the topology names another."""

CONNECTED_HEADER = "X-Pavics-Connect"
"""In a strict proxy's answers: nginx's ``$upstream_connect_time``, ``-`` if never connected."""

HEADER_RULE = "a letter, then letters, digits and hyphens, at most 100 characters"

# fmt: off
RESERVED_HEADERS = frozenset([
    "accept", "accept-encoding", "authorization", "connection",
    "content-encoding", "content-length", "content-type", "cookie",
    "date", "etag", "expect", "host",
    "keep-alive", "last-modified", "location", "origin",
    "proxy-authorization", "proxy-connection", "range", "referer",
    "server", "set-cookie", "te", "trailer",
    "transfer-encoding", "upgrade", "user-agent", "via",
    "www-authenticate", "x-pavics-connect",
])
# fmt: on
"""Headers with another meaning, in lower case: they carry neither routing keys nor evidence."""

# ---- links and the discovery document ----

PATH_PREFIX = "/.affinity/"
"""Path of links: a strict proxy takes the next segment as the routing key."""

QUERY_NAME = "machineid"
"""Query parameter, and cookie, from which a strict proxy takes the routing key."""

WELL_KNOWN = "/.well-known/pavics-affinity"
"""Path of the discovery document at the proxy's origin."""

DOCUMENT_MARK = "pavics-affinity"
"""Key that identifies the discovery document; its value is the format's version."""

DOCUMENT_FORMAT = 1

Form = Literal["path", "query"]
"""Where a link holds the routing key."""

# RFC 9110's token.
_WORD = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
# nginx drops headers with other characters, underscores included.
_HEADER = r"[A-Za-z][A-Za-z0-9-]{0,99}"


def is_machineid(value: object) -> bool:
    """Return whether a value can be a machineid."""
    return isinstance(value, str) and re.fullmatch(MACHINEID, value) is not None


def is_node_name(value: object) -> bool:
    """Return whether a value can be a node's name."""
    return isinstance(value, str) and re.fullmatch(NODE_NAME, value) is not None


def is_header_name(value: object) -> bool:
    """Return whether a value can be the name of an HTTP header."""
    return isinstance(value, str) and re.fullmatch(_WORD, value) is not None


def passes_nginx(header: str) -> bool:
    """Return whether nginx passes a request header of this name on."""
    return re.fullmatch(_HEADER, header) is not None


def is_free_header(header: str) -> bool:
    """Return whether a header passes nginx and has no other meaning."""
    return passes_nginx(header) and header.lower() not in RESERVED_HEADERS


def name_key(machineid: str, node: str) -> str:
    """Return the routing key that names a node, for a strict proxy.

    Parameters
    ----------
    machineid : str
        The workflow's id, without suffix.
    node : str
        Name of the node: lower-case letters, digits and hyphens, a letter first.

    Returns
    -------
    str
        ``"machineid~node"``.

    Raises
    ------
    InvalidPlacement
        The name does not have this form.
    InvalidMachineId
        The machineid is empty or already has a suffix.
    """
    check_bare(machineid)
    if not is_node_name(node):
        raise InvalidPlacement(f"node name {node!r}; expected {NODE_NAME_RULE}", node=node)
    return f"{machineid}~{node}"


def split_key(routing_key: str) -> tuple[str, str | None]:
    """Split a routing key into machineid and suffix.

    Parameters
    ----------
    routing_key : str
        ``"a1b2"``, ``"a1b2~3"`` or ``"a1b2~node2"``.

    Returns
    -------
    machineid : str
        The workflow's id.
    suffix : str or None
        A number from 1 or a node's name; None for the bare machineid.

    Raises
    ------
    InvalidMachineId
        It is not a routing key.
    """
    machineid, tilde, suffix = routing_key.partition("~")
    if not machineid or (tilde and not re.fullmatch(SUFFIX, suffix)):
        raise InvalidMachineId(
            f"routing key {routing_key!r}; expected a machineid, alone or with ~NUMBER or ~NODE"
        )
    return machineid, suffix if tilde else None


def check_bare(machineid: str) -> None:
    """Raise `InvalidMachineId` if a machineid is empty or has a suffix."""
    if not machineid or "~" in machineid:
        raise InvalidMachineId(
            f"machineid {machineid!r}; expected one that is not empty and has no suffix",
            machineid=machineid,
        )


def with_key(url: str, key: str, form: Form) -> str:
    """Return an http or https URL at a strict proxy with a routing key in it.

    A key in the path survives readers that replace the query, as OPeNDAP clients do.
    """
    parts = urlsplit(url)
    if form == "path":
        return parts._replace(path=f"{PATH_PREFIX}{key}{parts.path or '/'}").geturl()
    rest = [p for p in parts.query.split("&") if p and p.partition("=")[0] != QUERY_NAME]
    return parts._replace(query="&".join([*rest, f"{QUERY_NAME}={key}"])).geturl()


def has_key(url: str) -> bool:
    """Return whether a URL holds a routing key where a strict proxy looks for one."""
    parts = urlsplit(url)
    keys = [value for name, value in parse_qsl(parts.query) if name == QUERY_NAME]
    return bool(keys) or parts.path.startswith(PATH_PREFIX)

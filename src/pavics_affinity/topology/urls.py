"""Compare URLs by scheme, host, port and whole path segments."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from posixpath import normpath
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from requests import PreparedRequest

from ..errors import OutOfScope, TopologyError
from ..markup import quoted

DEFAULT_PORTS = {"http": 80, "https": 443}

# urllib and urllib3 disagree on where the host of such a URL ends, or drop the
# character silently: the host is not certain.
_AMBIGUOUS = r"[\x00-\x20\\\x7f\ud800-\udfff]"
# The labels that a resolver accepts: Python's own codec raises late for others.
_HOST = r"(?=.{1,253}\.?\Z)[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(?:\.[A-Za-z0-9_-]{1,63})*\.?"
_PORT = r"[0-9]{1,5}"
_LONGEST_URL = 65_536
_LONGEST_HOST = 253
_SOCKET = r"""(?i:unix:)[^\x00-\x20;{}"'\\$\x7f-\U0010ffff]{1,107}"""


class Origin(NamedTuple):
    """Scheme, host and port, in the form in which two of them can be compared."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        port = "" if DEFAULT_PORTS.get(self.scheme) == self.port else f":{self.port}"
        dot = "." * self.host.endswith(".")  # reading removes one
        return f"{self.scheme}://{_bracketed(self.host)}{dot}{port}"


def origin_of(url: str) -> Origin | None:
    """Return the origin of an http or https URL, without user and password; None if there is none.

    Also return None for a URL that libraries may read differently: with backslashes, blanks or
    control characters. See `checked_url` for whether a request can be sent to it.
    """
    split = _split(url) if isinstance(url, str) else None
    return None if split is None else split[0]


def split_url(url: str) -> tuple[Origin, SplitResult] | None:
    """Return the origin and the parts of an http or https URL; None as in `origin_of`."""
    return _split(url) if isinstance(url, str) else None


# Each request looks at its URL several times, and a job is polled at one URL.
@lru_cache(maxsize=512)
def _split(url: str) -> tuple[Origin, SplitResult] | None:
    if len(url) > _LONGEST_URL or re.search(_AMBIGUOUS, url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
        host = _comparable(parts.hostname or "")
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not host:
        return None
    return Origin(parts.scheme, host, DEFAULT_PORTS[parts.scheme] if port is None else port), parts


def checked_url(url: object, what: str) -> str:
    """Return an absolute URL in a form that requests, urllib3 and the resolver accept.

    Every URL that a user types, or that a document or a redirect names, is checked here before
    a request is sent to it. Blanks and backslashes after the host are escaped as in requests.
    Raises `OutOfScope` unless it is an http or https URL with a valid host and port; `what` is
    the subject of that message.
    """
    usable = _usable(url.strip()) if isinstance(url, str) else None
    if usable is None:
        raise OutOfScope(
            f"{what} is at {str(url)[:200]!r}, which is not a usable http or https URL; no request "
            "was sent. Use one with a host name or an address, and a port of 1 to 65535, such as "
            "'http://proxy.example:8093/wps'",
            url=url if isinstance(url, str) else None,
        )
    return usable


@lru_cache(maxsize=512)
def _usable(url: str) -> str | None:
    """Return a URL with its path escaped as requests does it; None if it cannot be requested."""
    start = re.match(r"[^:/?#\\ ]*://[^/?#\\ ]*", url)
    if start is not None:
        rest = url[start.end() :]
        if rest[:1] in ("", "/", "?", "#"):
            url = start[0] + rest.replace(" ", "%20").replace("\\", "%5C")
    return url if _can_be_sent(url) else None


@lru_cache(maxsize=512)
def _can_be_sent(url: str) -> bool:
    """Return whether requests, urllib3 and the resolver accept a URL, for the same host."""
    split = _split(url)
    if split is None:
        return False
    origin, parts = split
    try:
        unquote(parts.netloc.rpartition("@")[0]).encode("latin-1")  # as requests sends a login
        sent = _split(_as_sent(url))
    except ValueError:
        return False
    name = f"{origin.host}."  # an origin is written without the final dot
    named = ":" in origin.host or re.fullmatch(_HOST, name) is not None
    return named and origin.port != 0 and sent is not None and sent[0] == origin


def is_plain_path(path: str) -> bool:
    """Return whether a path has no dot segments, escaped or not: servers disagree on those."""
    if "." not in path and "%" not in path:
        return True
    return not any(segment in (".", "..") for segment in unquote(path).split("/"))


def as_servers_read(url: str) -> str:
    """Return a URL with its path as servers read it; unchanged if it cannot be parsed.

    Needless escapes, double slashes and dot segments are removed from the path.
    """
    text = re.split(_AMBIGUOUS, url.strip(), maxsplit=1)[0]
    split = split_url(text)
    if split is None:
        return text
    path = normpath("/" + unquote(split[1].path).lstrip("/"))
    slash = "/" if split[1].path.endswith("/") and path != "/" else ""
    return split[1]._replace(path=quote(path + slash, safe="/!$&'()*+,:;=@~")).geturl()


@lru_cache(maxsize=256)
def shown(url: str) -> str:
    """Return a URL as it may be logged: without user information, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def tail_of(parts: SplitResult) -> str:
    """Return query and fragment, with their separators."""
    query = f"?{parts.query}" if parts.query else ""
    return query + (f"#{parts.fragment}" if parts.fragment else "")


BASE_URL_RULE = (
    "an http or https URL without user, password, query, fragment and dot segments, such as "
    "'http://proxy.example:8093/wps'"
)


def is_base_url(url: object) -> bool:
    """Return whether a URL can be a prefix of others."""
    split = split_url(url) if isinstance(url, str) and _can_be_sent(url) else None
    if split is None:
        return False
    parts = split[1]
    more = parts.username is not None or parts.query or parts.fragment
    return not more and is_plain_path(parts.path)


ADDRESS_RULE = "'host:port' with a port of 1 to 65535, '[IPv6]:port' or 'unix:/path'"


def is_address(address: object) -> bool:
    """Return whether `split_address` accepts a value."""
    try:
        split_address(address)
    except TopologyError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its literal name or address."""
    host = host.lower().strip("[]").removesuffix(".")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def split_address(address: object, default_port: int = 80) -> tuple[str, int] | None:
    """Split ``host``, ``host:port`` or ``[v6]:port``; None for a unix socket.

    Raises
    ------
    TopologyError
        It has none of these forms.
    """
    if not isinstance(address, str):
        raise _no_address(address)
    if address[:5].lower() == "unix:":
        if not re.fullmatch(_SOCKET, address):
            raise _no_address(address)
        return None
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        try:
            host = str(IPv6Address(host))
        except ValueError:
            bracket = ""
        if not bracket or colon not in ("", ":") or "%" in host:
            raise _no_address(address)
    else:
        host, colon, port = address.partition(":")
        if not re.fullmatch(_HOST, host):
            raise _no_address(address)
    if not colon:
        return host.lower(), default_port
    if not re.fullmatch(_PORT, port) or not 0 < int(port) < 65536:
        raise _no_address(address)
    return host.lower(), int(port)


def join_host(host: str, port: int) -> str:
    """Join host and port, an IPv6 address in brackets."""
    return f"{_bracketed(host.strip('[]'))}:{port}"


def _no_address(address: object) -> TopologyError:
    return TopologyError(
        f"address = {quoted(address)}: expected {ADDRESS_RULE}",
        key="address",
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _as_sent(url: str) -> str:
    """Return a URL as requests sends it; raise ValueError if it cannot."""
    request = PreparedRequest()
    request.prepare_url(url, None)
    return request.url or ""


def _comparable(host: str) -> str:
    """Return the form of a host for comparisons; raise ValueError if it is not valid."""
    if ":" in host:
        address = IPv6Address(host)
        if address.scope_id is not None:
            raise ValueError("an address of one machine's interface")
        return str(address)
    if not host.isascii() and len(host) <= _LONGEST_HOST:  # the codec is slow for long ones
        # In the form that requests sends; Python's codec gives another.
        host = urlsplit(_as_sent(f"http://{host}/")).hostname or ""
    return host.removesuffix(".").lower()

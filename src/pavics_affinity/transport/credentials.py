"""Credentials, headers, TLS settings, cookies and proxies: to whom they go."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Collection, Mapping
from functools import lru_cache
from http.cookiejar import Cookie, DefaultCookiePolicy
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase
from requests.cookies import RequestsCookieJar
from requests.utils import NETRC_FILES, get_environ_proxies, get_netrc_auth

from ..errors import InvalidRequest
from ..topology.urls import Origin, origin_of, shown

# Name and value of a header as requests takes them, in Latin-1.
_HEADER = r"(?=[\0-\xff]*\Z)[^:\s][^:\r\n]*\n(?:\S[^\r\n]*)?"


def is_upgrade(before: str, url: str) -> bool:
    """Return whether a redirect leads from http to https of the same host, both on usual ports."""
    old, new = origin_of(before), origin_of(url)
    if old is None or new is None or old.host != new.host:
        return False
    return (old.scheme, old.port, new.scheme, new.port) == ("http", 80, "https", 443)


class OriginSettings(NamedTuple):
    """What a user gave for one origin; its repr shows no secret."""

    auth: Any = None
    verify: bool | str | None = None
    cert: str | tuple[str, str] | None = None
    headers: Mapping[str, str] = MappingProxyType({})

    def __repr__(self) -> str:
        return f"OriginSettings(verify={self.verify!r})"

    @property
    def has_credentials(self) -> bool:
        """Whether anything here is meant for this origin's eyes only."""
        return self.auth is not None or self.cert is not None or bool(self.headers)


NOTHING = OriginSettings()


def check_files(verify: Any, cert: Any, url: str) -> None:
    """Raise `InvalidRequest` if a file of certificates is not there, before anything is sent."""
    files = cert if isinstance(cert, tuple | list) and len(cert) == 2 else (cert,)
    given = [] if verify is None or isinstance(verify, bool) else [("verify", verify)]
    given += [("cert", each) for each in files if each is not None]
    for name, path in given:
        if not isinstance(path, str | os.PathLike) or not Path(path).exists():
            raise InvalidRequest(
                f"{shown(url)} was not requested: {name} is {path!r}, and no such file exists. "
                "Pass the path of one. Without verify= the usual authorities are trusted, or those "
                "that REQUESTS_CA_BUNDLE names",
                url=url,
            )


def check_headers(headers: Mapping[str, Any], url: str) -> None:
    """Raise `InvalidRequest` if a header cannot be sent; the message holds none of its value."""
    for name, value in headers.items():
        if value is None:  # takes a header of the session away
            continue
        is_text = isinstance(name, str) and isinstance(value, str)
        line = f"{name}\n{value}" if is_text else _decoded(name, value)
        if re.fullmatch(_HEADER, line) is None:
            raise InvalidRequest(
                f"{shown(url)} was not requested: the header {name!r} cannot be sent. Its value "
                "must be text without line breaks and without characters beyond Latin-1",
                url=url,
            )


def _decoded(*parts: Any) -> str:
    texts = [part.decode("latin-1") if isinstance(part, bytes) else part for part in parts]
    return "\n".join(texts) if all(isinstance(text, str) for text in texts) else ""


class Origins(dict[Origin | None, OriginSettings]):
    """Settings by exact origin: scheme, host and port."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def __missing__(self, origin: Origin | None) -> OriginSettings:
        return NOTHING

    def put(self, url: str, given: OriginSettings) -> None:
        """Keep settings for the URL's origin; what is given again replaces what was."""
        origin = origin_of(url)
        if origin is None:
            return
        with self._lock:
            old = self[origin]
            self[origin] = OriginSettings(
                auth=old.auth if given.auth is None else given.auth,
                verify=old.verify if given.verify is None else given.verify,
                cert=old.cert if given.cert is None else given.cert,
                headers={**old.headers, **given.headers},
            )

    def upgrade(self, before: str, url: str) -> None:
        """Let what was given for http hold for https of the same host, too; its own comes first."""
        given, own = self.of(before), self.of(url)
        self.put(url, given)
        self.put(url, own)

    def of(self, url: str) -> OriginSettings:
        """Return the settings of the URL's origin."""
        return self[origin_of(url)]


# ---- what a host out of scope, or a redirect to another origin, does not receive ----

NEUTRAL_HEADERS = frozenset(
    [
        "accept",
        "accept-encoding",
        "accept-language",
        "connection",
        "content-length",
        "content-type",
        "if-range",
        "range",
        "transfer-encoding",
        "user-agent",
    ]
)
"""Headers that any host may receive; the others may hold a secret."""

_HOME = "pavics-affinity-host"
"""A cookie's attribute: the host that set it. A server's own of this name is overwritten."""


class CookiePolicy(DefaultCookiePolicy):
    """Keep a cookie without a Domain to the host that set it, as browsers do (RFC 6265).

    Python's own policy sends it to the hosts below that host, too. It also takes ``proxy``
    and ``proxy.local`` for one host, and lets ``proxy`` set cookies for all of ``.local``.
    """

    def set_ok(self, cookie: Cookie, request: Any) -> bool:
        """Return whether the host may set the cookie; remember which host it was."""
        host = _host_of(request)
        if cookie.domain_specified and not _is_within(host, cookie.domain):
            return False
        cookie.set_nonstandard_attr(_HOME, host)
        return super().set_ok(cookie, request)

    def return_ok(self, cookie: Cookie, request: Any) -> bool:
        """Return whether the cookie may be sent to the host."""
        host, home = _host_of(request), cookie.get_nonstandard_attr(_HOME)
        if home is None:  # the user's own, put into the jar
            allowed = cookie.domain_specified or cookie.domain in ("", host, f"{host}.local")
        else:
            allowed = _is_within(host, cookie.domain) if cookie.domain_specified else host == home
        return allowed and super().return_ok(cookie, request)


def _host_of(request: Any) -> str:
    return urlsplit(request.get_full_url()).hostname or ""


def _is_within(host: str, domain: str) -> bool:
    domain = domain.lower().removeprefix(".")
    is_address = host.rpartition(".")[2].isdecimal()  # nothing is below an address
    return host == domain or (host.endswith(f".{domain}") and not is_address)


def nothing_added(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stand for no login at all; with None, requests would take the session's."""
    return request


def is_login(hook: Any) -> bool:
    """Return whether a hook is one by which a login answers challenges."""
    return isinstance(getattr(hook, "__self__", None), AuthBase)


def names_of(cookies: Any) -> set[str]:
    """Return the names in a jar or mapping of cookies."""
    return {c if isinstance(c, str) else c.name for c in cookies or ()}


def jar_of(request: requests.PreparedRequest) -> Any:
    """Return the cookies that a request was prepared with."""
    jar = getattr(request, "_cookies", None)
    return RequestsCookieJar() if jar is None else jar


def withhold_cookies(request: requests.PreparedRequest, names: set[str]) -> None:
    """Take out cookies of these names that belong to no domain, and those of other hosts."""
    jar = jar_of(request)
    if not len(jar):
        return
    kept = RequestsCookieJar(CookiePolicy())
    for cookie in jar:
        if cookie.domain or cookie.name not in names:
            kept.set_cookie(cookie)
    request.headers.pop("Cookie", None)
    request.prepare_cookies(kept)


# ---- what the environment says of a host: its proxies, and the login in the user's .netrc ----

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
#: Where they do not hold; behind a CGI, urllib does not believe HTTP_PROXY.
_EXCEPTIONS = ("no_proxy", "NO_PROXY", "REQUEST_METHOD")
#: Here the system's settings count, too, and they may change without a trace.
_BEYOND_THE_ENVIRONMENT = sys.platform in ("darwin", "win32")


def netrc_login(url: str, *, default: bool) -> tuple[str, str] | None:
    """Return the login that the user's ``.netrc`` has for the URL's host.

    An entry ``default`` counts only if `default`: it would go to any host that a document names.
    """
    login = get_netrc_auth(url)
    if login is None or default or urlsplit(url).hostname in _netrc_hosts():
        return login
    return None


def _netrc_hosts() -> Collection[str]:
    """Return the hosts that the ``.netrc`` names, which is the one that requests reads."""
    from netrc import NetrcParseError, netrc

    named = os.environ.get("NETRC")
    paths = map(os.path.expanduser, NETRC_FILES if named is None else [named])
    found = next(filter(os.path.exists, paths), None)
    try:
        return netrc(found).hosts.keys() - {"default"} if found else ()
    except (NetrcParseError, OSError):
        return ()


def environment_proxies(url: str) -> Mapping[str, str]:
    """Return the proxies for a URL, by scheme; empty where ``no_proxy`` excepts its host.

    They are looked up once for each host: requests walks through the whole environment twice
    for each request, which takes longer than everything that this package does with it.
    """
    if _BEYOND_THE_ENVIRONMENT:
        return get_environ_proxies(url)
    named = tuple(map(os.environ.get, _PROXIES))
    if not any(named):
        return {}
    parts = urlsplit(url)
    host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return _looked_up(host, named + tuple(map(os.environ.get, _EXCEPTIONS)))


@lru_cache(maxsize=256)
def _looked_up(host: str, environment: tuple[str | None, ...]) -> Mapping[str, str]:
    return MappingProxyType(get_environ_proxies(host))

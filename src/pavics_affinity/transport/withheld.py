"""What a request to a host out of scope, or a redirect to another origin, goes without."""

from __future__ import annotations

from http.cookiejar import Cookie, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase
from requests.cookies import RequestsCookieJar

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
"""What any host may be told; the rest of the headers may hold a secret."""


_HOME = "pavics-affinity-host"
"""A cookie's attribute: the host that set it. A server's own of this name is overwritten."""


class CookiePolicy(DefaultCookiePolicy):
    """Keep a cookie without a Domain to the host that set it, as browsers do (RFC 6265).

    Python's own policy sends it to the hosts below that host, too. It also takes ``proxy``
    and ``proxy.local`` for one host, and lets ``proxy`` set cookies for all of ``.local``.
    """

    def set_ok(self, cookie: Cookie, request: Any) -> bool:
        """Tell whether the host may set the cookie; remember which host it was."""
        host = _host_of(request)
        if cookie.domain_specified and not _is_within(host, cookie.domain):
            return False
        cookie.set_nonstandard_attr(_HOME, host)
        return super().set_ok(cookie, request)

    def return_ok(self, cookie: Cookie, request: Any) -> bool:
        """Tell whether the cookie may be sent to the host."""
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
    """Tell whether a hook is one by which a login answers challenges."""
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

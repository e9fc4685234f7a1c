"""What a request to a host out of scope, or a redirect to another origin, goes without."""

from __future__ import annotations

from typing import Any

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
    return getattr(request, "_cookies", None) or RequestsCookieJar()


def withhold_cookies(request: requests.PreparedRequest, names: set[str]) -> None:
    """Take out cookies that belong to no domain: requests sends them everywhere."""
    jar = jar_of(request)
    withheld = [c for c in jar if not c.domain and c.name in names]
    if not withheld:
        return
    kept = RequestsCookieJar()
    for cookie in jar:
        if cookie not in withheld:
            kept.set_cookie(cookie)
    request.headers.pop("Cookie", None)
    request.prepare_cookies(kept)

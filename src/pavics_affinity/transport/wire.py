"""The copy of a request that goes onto the wire."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import requests

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SECRET_HEADERS = ("Authorization", "Cookie", "Proxy-Authorization")


class WireRequest(requests.PreparedRequest):
    """A prepared request with what only the transport knows.

    Attributes
    ----------
    tls_name : str or None
        The name that the server's certificate must have, where it is not the
        URL's host: a node reached by its address shows the service's.
    """

    tls_name: str | None = None

    @classmethod
    def copy_of(cls, request: requests.PreparedRequest, url: str) -> WireRequest:
        """Copy a request for another URL; the caller's is left as it is."""
        wire = cls()
        wire.method = request.method
        wire.url = url
        wire.headers = request.headers.copy() if request.headers is not None else None
        wire._cookies = None  # type: ignore[attr-defined]  # the Cookie header is set already
        wire.body = request.body
        wire.hooks = {"response": []}
        wire._body_position = getattr(request, "_body_position", None)  # type: ignore[attr-defined]  # as PreparedRequest.copy
        return wire


def is_execute(request: requests.PreparedRequest) -> bool:
    """Tell whether a request makes something happen, so that it must not be repeated.

    Every method but GET, HEAD and OPTIONS, and WPS's Execute by GET, whose
    key and value may be written in any case.
    """
    if (request.method or "").upper() not in SAFE_METHODS:
        return True
    asked = _parameters(request.url or "").get("request", ())
    return any(value.strip().lower() == "execute" for value in asked)


def label_of(request: requests.PreparedRequest) -> str:
    """Say what a request is for, as far as its query tells."""
    query = _parameters(request.url or "")
    return " ".join(query[name][-1] for name in ("request", "identifier") if name in query)


@lru_cache(maxsize=256)
def _parameters(url: str) -> Mapping[str, list[str]]:
    """Return the values in a URL's query by their name in lower case."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(urlsplit(url).query):
        found.setdefault(name.lower(), []).append(value)
    return MappingProxyType(found)


@lru_cache(maxsize=256)
def shown(url: str) -> str:
    """Return a URL as it may stand in a log: without user information, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def without_secrets(headers: MutableMapping[str, str]) -> None:
    """Take away what must not leave the origin it was given for."""
    for name in SECRET_HEADERS:
        headers.pop(name, None)

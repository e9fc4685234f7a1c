"""What the environment says of a host: its proxies, and the login in the user's ``.netrc``.

Proxies are looked up once for each host: requests walks through the whole environment
twice for each request, which takes longer than everything that this package does with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import urlsplit

from requests.utils import NETRC_FILES, get_environ_proxies, get_netrc_auth

_NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
#: What the proxies depend on; behind a CGI, urllib does not believe HTTP_PROXY.
_VARIABLES = (*_NAMES, *(name.upper() for name in _NAMES), "REQUEST_METHOD")
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
    """Return the proxies for a URL, by scheme; empty where ``no_proxy`` excepts its host."""
    if _BEYOND_THE_ENVIRONMENT:
        return get_environ_proxies(url)
    parts = urlsplit(url)
    host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return _looked_up(host, tuple(map(os.environ.get, _VARIABLES)))


@lru_cache(maxsize=256)
def _looked_up(host: str, environment: tuple[str | None, ...]) -> Mapping[str, str]:
    return MappingProxyType(get_environ_proxies(host))

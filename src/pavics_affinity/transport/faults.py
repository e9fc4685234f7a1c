"""What a failed attempt shows: whether the request can have reached a server."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Sequence

import requests
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
)
from urllib3.exceptions import SSLError as TransportSSLError
from urllib3.util.ssl_match_hostname import CertificateError

from .connections import BrokenHead, came_while_connecting

_NO_CONNECTION = (NewConnectionError, ConnectTimeoutError, ClosedPoolError)
# A URL, of a proxy mostly, that requests has no way to: no connection is tried.
_NO_WAY = (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)
# The other side went away: it may be starting, or stopping, and try again helps.
_BROKEN_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_ALERTS_OF_DAMAGE = ("DECODE_ERROR", "BAD_RECORD_MAC", "INTERNAL_ERROR")
_FOR_GOOD = ("403", "407")
# As http.client words it.
_REFUSED_TUNNEL = r"(?a)Tunnel connection failed: ([0-9]{3})\b"


def was_not_sent(error: requests.RequestException) -> bool:
    """Return whether no connection was made, so that no server can have seen the request.

    An error that only speaks of a proxy says nothing: urllib3 raises it after
    sending, too.
    """
    if isinstance(error, (requests.ConnectTimeout, *_NO_WAY)):
        return True
    return any(
        came_while_connecting(cause) or isinstance(cause, _NO_CONNECTION)
        for cause in causes_of(error)
    )


def is_final(error: requests.RequestException) -> bool:
    """Return whether trying again is pointless: no such host, no trust, no way through a proxy."""
    if isinstance(error, _NO_WAY):
        return True
    causes = list(causes_of(error))
    if _tunnel_refused_with(causes) in _FOR_GOOD:
        return True
    if isinstance(error, requests.exceptions.SSLError):
        return was_not_sent(error) and not any(map(_broke_on_the_way, causes))
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return cause.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None))
        if isinstance(cause, NameResolutionError):
            return "Temporary" not in str(cause)
    return False


def is_refused(error: requests.RequestException) -> bool:
    """Return whether nothing listens at the address."""
    return was_not_sent(error) and any(
        isinstance(cause, ConnectionRefusedError) for cause in causes_of(error)
    )


def describe(error: requests.RequestException) -> str:
    """Say in a few words what went wrong."""
    words = _words_for(list(causes_of(error)))
    if is_of_a_named_proxy(error) and not isinstance(error, _NO_WAY):
        return f"the proxy that the environment names was asked, and {words}"
    return words


def is_of_a_named_proxy(error: BaseException | None) -> bool:
    """Return whether there is no way to, or no connection with, a proxy of the environment."""
    if isinstance(error, _NO_WAY):  # the service's own URL was checked before
        return True
    if not isinstance(error, requests.RequestException) or not was_not_sent(error):
        return False
    return any(isinstance(cause, ProxyError) for cause in causes_of(error))


def _words_for(causes: Sequence[BaseException]) -> str:
    # urllib3's NewConnectionError is a ConnectTimeoutError too: the more precise go first.
    for kinds, words in (
        ((socket.gaierror, NameResolutionError), "its host name is not known"),
        ((ConnectionRefusedError,), "it refused the connection"),
        ((TransportSSLError, ssl.SSLError), _tls_words_for(causes)),
        ((NewConnectionError,), "no connection could be made"),
        ((ConnectTimeoutError,), "it did not accept the connection in time"),
        ((requests.Timeout,), "it stayed silent"),
        (_NO_WAY, _no_way_words_for(causes)),
    ):
        if any(isinstance(cause, kinds) for cause in causes):
            return words
    if refused := _tunnel_refused_with(causes):
        return f"it refused the tunnel (CONNECT) with {refused}"
    broken = next((cause for cause in causes if isinstance(cause, BrokenHead)), None)
    return "the connection broke" if broken is None else f"the answer is broken ({broken})"


def _broke_on_the_way(cause: BaseException) -> bool:
    """Return whether TLS failed for what came was cut or damaged, at either side."""
    reason = str(getattr(cause, "reason", ""))
    return isinstance(cause, _BROKEN_TLS) or any(alert in reason for alert in _ALERTS_OF_DAMAGE)


def _tunnel_refused_with(causes: Sequence[BaseException]) -> str | None:
    """Return the status by which the environment's proxy refused to open a tunnel."""
    found = (
        re.match(_REFUSED_TUNNEL, str(cause)) for cause in causes if isinstance(cause, OSError)
    )
    return next((match[1] for match in found if match), None)


def _no_way_words_for(causes: Sequence[BaseException]) -> str:
    if "SOCKS" in str(causes[0]):
        return "the environment names a SOCKS proxy, which needs PySocks: pip install pysocks"
    return "the URL, or that of the proxy that the environment names, cannot be used"


def _tls_words_for(causes: Sequence[BaseException]) -> str:
    connecting = any(map(came_while_connecting, causes))
    what = "the TLS handshake failed" if connecting else "the TLS connection broke"
    for cause in causes:
        if isinstance(cause, CertificateError):  # as urllib3 compares names
            return f"{what} ({cause})"
    told = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    reason = (getattr(told, "reason", None) or "").lower().replace("_", " ")
    reason = getattr(told, "verify_message", None) or reason
    return f"{what} ({reason})" if reason else what


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Walk through what an exception of requests wraps: arguments, reasons, causes.

    Not what was being handled when it was raised (``__context__``): the caller
    may have been handling the fault of another request.
    """
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        item = queue.pop(0)
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        queue += [getattr(item, "reason", None), item.__cause__, *item.args]

"""What a failed attempt tells: whether the request can have reached anybody."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence

import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
)
from urllib3.exceptions import SSLError as TransportSSLError
from urllib3.util.ssl_match_hostname import CertificateError

from .connections import came_while_connecting

_NO_CONNECTION = (NewConnectionError, ConnectTimeoutError, ProxyError)
# The other side went away: it may be starting, or stopping, and try again helps.
_BROKEN_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def was_not_sent(error: requests.RequestException) -> bool:
    """Tell whether no connection was made, so that nobody can have seen the request."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError):
        return True
    return any(
        came_while_connecting(cause) or isinstance(cause, _NO_CONNECTION)
        for cause in causes_of(error)
    )


def is_final(error: requests.RequestException) -> bool:
    """Tell whether trying again is pointless: no such host, or no trust in its certificate."""
    causes = list(causes_of(error))
    if isinstance(error, requests.exceptions.SSLError):
        broke = any(isinstance(cause, _BROKEN_TLS) for cause in causes)
        return was_not_sent(error) and not broke
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return cause.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None))
        if isinstance(cause, NameResolutionError):
            return "Temporary" not in str(cause)
    return False


def in_words(error: requests.RequestException) -> str:
    """Say in a few words what went wrong."""
    causes = list(causes_of(error))
    # urllib3's NewConnectionError is a ConnectTimeoutError too: the more precise go first.
    for kinds, words in (
        ((socket.gaierror, NameResolutionError), "its host name is not known"),
        ((ConnectionRefusedError,), "it refused the connection"),
        ((TransportSSLError, ssl.SSLError), _tls_in_words(causes)),
        ((NewConnectionError,), "no connection could be made"),
        ((ConnectTimeoutError,), "it did not accept the connection in time"),
        ((requests.Timeout,), "it stayed silent"),
    ):
        if any(isinstance(cause, kinds) for cause in causes):
            return words
    return "the connection broke"


def _tls_in_words(causes: Sequence[BaseException]) -> str:
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
    """Walk through what an exception of requests wraps: arguments, reasons, causes."""
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        item = queue.pop(0)
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        queue += [getattr(item, "reason", None), item.__cause__, item.__context__, *item.args]

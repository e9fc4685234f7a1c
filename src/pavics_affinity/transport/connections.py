"""Connections that mark a fault as one from before the request left, and take no half answer."""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import re
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from email import errors as defects
from typing import Any, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import LocationValueError

from .wire import WireResponse

_MARK = "_pavics_affinity_while_connecting"
_PIECE = 1 << 18
# As http.client limits a head.
_LONGEST_LINE = 65_536
_MOST_LINES = 101
# Not 101: after it another protocol is spoken.
_INTERIM = rb"HTTP/\S+\s+1(?!01)[0-9]{2}\s"
_CUT = "the connection ended inside its status line or headers"
#: http.client leaves out such a line, or all that follow it: length, evidence, everything.
_LOST = (
    defects.MissingHeaderBodySeparatorDefect,
    defects.FirstHeaderLineIsContinuationDefect,
    defects.MisplacedEnvelopeHeaderDefect,
    defects.InvalidHeaderDefect,
)


class BrokenHead(http.client.HTTPException):
    """The status line or the headers of an answer are cut, or are not HTTP."""


def came_while_connecting(fault: BaseException) -> bool:
    """Return whether a fault arose before the first byte of a request could leave."""
    return getattr(fault, _MARK, False)


# ---- the beginning of an answer ----


class _Timed(io.RawIOBase):
    """Reads a socket; the head of an answer must come within the time-out as a whole.

    The time-out of a socket bounds the silence between two bytes only.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        self._timeout = sock.gettimeout()
        self._in_head, self._end = self._timeout is not None, 0.0

    def readable(self) -> bool:
        """Tell io that this can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """Read once from the socket."""
        if self._in_head and self._end:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError("the headers were still coming when the time was up")
            self._sock.settimeout(left)
        elif self._in_head:  # mostly the whole head comes at once
            self._end = time.monotonic() + (self._timeout or 0)
        return self._raw.readinto(buffer)

    def head_is_over(self) -> None:
        """Read the rest without a limit in all."""
        self._in_head = False
        if self._sock.gettimeout() != self._timeout:
            self._sock.settimeout(self._timeout)

    def close(self) -> None:
        """Close what is read from, too."""
        # The answer to a CONNECT ends here, and the handshake uses its socket next.
        with contextlib.suppress(OSError):  # it is closed already
            self.head_is_over()
        super().close()
        self._raw.close()


class _Lines(io.BufferedReader):
    """Reads an answer, whose head must come whole.

    http.client takes the end of the stream for the end of the headers.
    """

    raw: _Timed
    in_head = True  # of the answer to a CONNECT, which http.client reads line by line
    _begun = False

    def head(self) -> bytes:
        """Return the status line and the headers; nothing if the connection ends before them."""
        lines: list[bytes] = []
        read = super().readline
        while line := read(_LONGEST_LINE + 1):
            lines.append(line)
            if len(line) > _LONGEST_LINE:
                raise http.client.LineTooLong("header line")
            if len(lines) > _MOST_LINES:
                raise http.client.HTTPException(f"more than {_MOST_LINES} header lines")
            # What does not begin like HTTP may never end: it is for http.client to refuse.
            if line in (b"\r\n", b"\n") or (line[-1:] == b"\n" and lines[0][:5] != b"HTTP/"):
                return b"".join(lines)
        if lines:
            raise BrokenHead(_CUT)
        return b""

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return a whole line, or one of `size` bytes; the body's end where it is cut there."""
        size = -1 if size is None else size
        line = super().readline(size)
        begun, self._begun = self._begun, True
        if line.endswith(b"\n") or 0 <= size <= len(line):
            return line
        if self.in_head and (line or begun):
            raise BrokenHead(_CUT)
        return b""  # "1" of "1f": a size of a chunk that is cut is none


class _Answer(http.client.HTTPResponse):
    """An answer whose status line and headers came whole; interim ones (1xx) are passed over."""

    fp: Any

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = _Lines(_Timed(self.fp.detach(), sock))
        if (sockets := _SOCKETS.get()) is not None:
            sockets.add(sock)

    def begin(self) -> None:
        """Read up to the body."""
        lines = self.fp
        head = lines.head()
        while re.match(_INTERIM, head):
            head = lines.head()
        try:
            self.fp = io.BytesIO(head)
            super().begin()
        finally:
            self.fp = lines
        if any(isinstance(defect, _LOST) for defect in self.headers.defects):
            raise BrokenHead("one of its header lines is not a header")
        lines.in_head = False
        lines.raw.head_is_over()


class Sockets:
    """Those from which answers are read, so that another thread can end the reading."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = False
        self._sockets: list[socket.socket] = []

    def add(self, sock: socket.socket) -> None:
        """Take one more; it is ended at once where all are."""
        with self._lock:
            self._sockets.append(sock)
        if self._over:
            self.end()

    def end(self) -> None:
        """End the reading: the thread that reads finds the end of the stream."""
        with self._lock:
            self._over = True
            for sock in self._sockets:
                with contextlib.suppress(OSError):  # it is closed already
                    sock.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """Take those from which this thread reads inside."""
        token = _SOCKETS.set(self)
        try:
            yield
        finally:
            _SOCKETS.reset(token)


_SOCKETS: ContextVar[Sockets | None] = ContextVar("pavics_affinity_sockets", default=None)


# ---- connections and their pools ----


class _Marking:
    """Beside a class of connections, before it."""

    response_class = _Answer

    def connect(self) -> None:
        # The handshake included: a fault of TLS may come before the request or after it.
        try:
            super().connect()  # type: ignore[misc]  # the class of connections has it
        except Exception as fault:
            setattr(fault, _MARK, True)
            raise

    def send(self, data: Any) -> None:
        """Send a large body in pieces: the time-out bounds what is sent at once, as a whole."""
        if not isinstance(data, bytes) or len(data) <= _PIECE:
            super().send(data)  # type: ignore[misc]  # as above
            return
        whole = memoryview(data)
        for start in range(0, len(data), _PIECE):
            super().send(whole[start : start + _PIECE])  # type: ignore[misc]  # as above


@functools.cache
def _marking(pool: type[Any]) -> type[Any]:
    """Return a class of pools whose connections are those of another one, and mark faults."""
    made = type("Connection", (_Marking, pool.ConnectionCls), {})
    return type("Pool", (pool,), {"ConnectionCls": made})


class WireAdapter(HTTPAdapter):
    """What opens the connections; knows nothing but the name a certificate must have.

    urllib3 leaves a pool open for as long as an answer of it lives, and errors keep answers: so
    the pools that were made are closed here.
    """

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Have the connections mark whether a fault came before the request."""
        super().init_poolmanager(*args, **options)
        self._lock = threading.Lock()
        self._made: weakref.WeakSet[Any] = weakref.WeakSet()
        self._closed = False
        self._take(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Have those through a proxy of the environment tell it, too."""
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if not known:
            self._take(manager)
        return manager

    def _take(self, manager: Any) -> None:
        """Have a `urllib3.PoolManager` make its pools here."""
        manager.pool_classes_by_scheme = {
            scheme: functools.partial(self._make, _marking(pool))
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }

    def _make(self, kind: type[Any], *args: Any, **options: Any) -> Any:
        pool = kind(*args, **options)
        with self._lock:
            self._made.add(pool)
            if self._closed:  # another thread has closed the workflow meanwhile
                pool.close()
        return pool

    def send(self, *args: Any, **options: Any) -> requests.Response:
        """Send a request, and raise nothing but requests' errors."""
        try:
            return super().send(*args, **options)
        except LocationValueError as error:  # a host name that no resolver takes
            raise requests.exceptions.InvalidURL(error) from error

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: bool | str, cert: Any = None
    ) -> tuple[Any, Any]:
        """Ask a node that is reached by its address for the service's certificate."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        name = getattr(request, "tls_name", None)
        return host, {**pool} if name is None else {
            **pool,
            "server_hostname": name,
            "assert_hostname": name,
        }

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> WireResponse:
        """Make the answer one that tells how much of it came."""
        response = super().build_response(req, resp)
        response.__class__ = WireResponse
        return cast("WireResponse", response)

    def close(self) -> None:
        """Close the idle connections now, and those in use once their answers are read."""
        super().close()
        with self._lock:
            self._closed = True
            made = list(self._made)
        for pool in made:
            pool.close()

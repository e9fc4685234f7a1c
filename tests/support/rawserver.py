"""A server that sends what it likes, byte for byte; and how much a client of it takes."""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pavics_affinity.discovery import WELL_KNOWN
from support.loopback import Server

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def head(*headers: str, status: str = "200 OK") -> bytes:
    """Return status line and headers; the connection ends with the body."""
    lines = [f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def repeated(piece: bytes, megabytes: int) -> Iterator[bytes]:
    """Yield so many megabytes: endless, as far as a client is to know."""
    block = piece * max(1, 65536 // len(piece))
    for _ in range(megabytes * 2**20 // len(block)):
        yield block


class _Handler(socketserver.BaseRequestHandler):
    """Reads one request, and sends what the server yields for its head."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self._serve(self.request, self.server.outer)  # type: ignore[attr-defined]

    def _serve(self, connection: socket.socket, server: RawServer) -> None:
        connection.settimeout(20)
        asked = b""
        while b"\r\n\r\n" not in asked:
            data = connection.recv(65536)
            if not data:
                return
            asked += data
        start, _, body = asked.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", start)
        left = int(length[1]) - len(body) if length else 0
        while left > 0 and (data := connection.recv(65536)):
            left -= len(data)
        if WELL_KNOWN.encode() in start and not server.publishes:
            connection.sendall(NOT_FOUND)
            return
        server.seen.append(start)
        for piece in server.answer(start):
            connection.sendall(piece)
            server.sent += len(piece)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(1)
        while connection.recv(65536):
            pass


class RawServer(Server):
    """Answers each request by the bytes that `answer` yields for its head.

    Attributes
    ----------
    seen : list of bytes
        The heads.
    sent : int
        Bytes that clients have taken.
    """

    handler = _Handler

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self.answer = lambda asked: [NOT_FOUND]
        self.sent = 0


class Cost:
    """What a block took.

    Attributes
    ----------
    seconds : float
        Of the clock.
    megabytes : float
        By which the resident memory grew at its highest.
    """

    seconds = 0.0
    megabytes = 0.0


@contextlib.contextmanager
def cost() -> Iterator[Cost]:
    """Measure a block of this process; its memory only on Linux, where the peak can be reset."""
    measured = Path("/proc/self/clear_refs").exists()
    if measured:
        Path("/proc/self/clear_refs").write_text("5")
    before, begun, spent = _status("VmRSS") if measured else 0.0, time.monotonic(), Cost()
    try:
        yield spent
    finally:
        spent.seconds = time.monotonic() - begun
        spent.megabytes = _status("VmHWM") - before if measured else 0.0


def _status(name: str) -> float:
    text: Any = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(text[1]) / 1024

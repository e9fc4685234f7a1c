"""A server that sends what it likes, byte for byte; and how much a client of it takes."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pavics_affinity.discovery import WELL_KNOWN

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


class RawServer:
    """Answers each request by the bytes that `answer` yields for its head.

    Attributes
    ----------
    seen : list of bytes
        The heads.
    sent : int
        Bytes that clients have taken.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.answer: Callable[[bytes], Iterable[bytes]] = lambda asked: [NOT_FOUND]
        self.publishes = False
        self.seen: list[bytes] = []
        self.sent = 0
        self._listener = socket.create_server((host, 0))
        self.host, self.port = self._listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def url(self, path: str = "/wps") -> str:
        return f"http://{self.host}:{self.port}{path}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
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
            if WELL_KNOWN.encode() in start and not self.publishes:
                connection.sendall(NOT_FOUND)
                return
            self.seen.append(start)
            for piece in self.answer(start):
                connection.sendall(piece)
                self.sent += len(piece)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(1)
                while connection.recv(65536):
                    pass


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
    """Measure a block of this process; its memory on Linux only, which tells the peak anew."""
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

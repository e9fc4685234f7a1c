"""A TCP relay between a client and a server that breaks one request on its way.

Requests are numbered in the order in which the client sends them, on whatever connection and
through whichever link of the same `Line`. A fault belongs to one number. Everything else
passes unchanged.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

Address = tuple[str, int]
Phase = Literal["connect", "request", "service", "answer", "instead"]

HELD = 20.0
"""Seconds after which a silent connection is closed; longer than any client here waits."""


@dataclass(frozen=True)
class Message:
    """A request or an answer as bytes: everything up to the empty line, and the body."""

    head: bytes
    body: bytes

    @property
    def first_line(self) -> str:
        return self.head.partition(b"\r\n")[0].decode("latin-1")

    def header(self, name: str) -> str | None:
        found = re.search(rb"(?im)^%s:[ \t]*([^\r\n]*)" % name.encode(), self.head)
        return None if found is None else found[1].decode("latin-1")

    def whole(self) -> bytes:
        return self.head + self.body


@dataclass
class Passage:
    """One request on its way; what a fault works with."""

    client: socket.socket
    request: Message
    pass_on: Callable[[], Message]

    def send(self, data: bytes) -> None:
        self.client.sendall(data)

    def end(self) -> None:
        """End the connection as a program does that exits: what was sent still arrives."""
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)
        self.client.close()

    def reset(self) -> None:
        """End it as a machine does that forgot the connection."""
        with contextlib.suppress(OSError):
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()

    def stay_silent(self) -> None:
        """Keep the connection, say nothing, and wait until the client hangs up."""
        with contextlib.suppress(OSError):
            self.client.settimeout(HELD)
            while self.client.recv(65536):
                pass
        self.client.close()


@dataclass(frozen=True)
class Fault:
    """What happens to one request.

    Attributes
    ----------
    name : str
        In words.
    phase : str
        When it happens: before the request arrives, as it arrives, while the service works,
        in the answer; or the proxy answers instead of the service.
    act : callable
        Does it. Faults of the phase "connect" act on the link, the others on the passage.
    arrives : bool
        Whether the service sees the request, so that an Execute runs.
    """

    name: str
    phase: Phase
    act: Callable[..., None]
    arrives: bool = False


@dataclass
class Line:
    """The requests of one chain, over all of its links, and the fault in their midst."""

    fault: Fault | None = None
    at: int = -1
    seen: list[str] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    clock: Callable[[], float] = time.monotonic
    """What a link refuses by."""

    def begin(self, fault: Fault | None = None, at: int = -1) -> None:
        """Forget the last chain; break request number `at` of the next one."""
        with self.lock:
            self.fault, self.at, self.seen = fault, at, []
        if self.at == 0:
            self._before()

    def arrived(self, request: Message) -> Fault | None:
        """Number a request; return the fault that it meets."""
        with self.lock:
            number = len(self.seen)
            self.seen.append(request.first_line.rpartition(" ")[0])
            meets = self.fault if number == self.at else None
            return meets if meets is not None and meets.phase != "connect" else None

    def answered(self) -> bool:
        """Act before the request that follows, if its connection is what fails.

        It is called before the answer leaves, so that the client cannot be quicker.
        """
        if len(self.seen) != self.at or self.fault is None or self.fault.phase != "connect":
            return False
        self._before()
        return True

    def _before(self) -> None:
        if self.fault is not None and self.fault.phase == "connect":
            for link in self.links:
                self.fault.act(link)


class Link:
    """Relays the connections of one address to a server.

    Parameters
    ----------
    listen : (host, port)
        Where clients connect; port 0 for any.
    server : (host, port) or None
        Whom it relays to, whatever host a request's URL names; None for a forward proxy,
        which takes it from there.
    line : Line
        Numbers the requests.
    """

    def __init__(self, listen: Address, server: Address | None, line: Line) -> None:
        self.server = server
        self.line = line
        line.links.append(self)
        self.refusing_until = 0.0
        self.resets = 0
        self._open: set[socket.socket] = set()
        self._busy: set[socket.socket] = set()
        self._closed = threading.Event()
        self._listener: socket.socket | None = socket.create_server(listen)
        self.address: Address = self._listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def close(self) -> None:
        self._closed.set()
        self._stop_listening()
        self._thread.join(5)
        self.hang_up()

    # ---- faults of connections ----

    def refuse(self, seconds: float) -> None:
        """Refuse connections for a while, and end those that are kept."""
        self.refusing_until = self.line.clock() + seconds
        self._stop_listening()
        self.hang_up()

    def reset_next(self, connections: int = 1) -> None:
        """Accept the next connections and reset them at once, and end those that are kept."""
        self.resets = connections
        self.hang_up()

    def hang_up(self) -> None:
        """End every connection to a client on which no answer is under way."""
        for client in self._open - self._busy:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    # ---- how ----

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            if self._listener is None:
                if self.line.clock() < self.refusing_until:
                    time.sleep(0.005)
                    continue
                self._listener = socket.create_server(self.address)
            with contextlib.suppress(OSError, AttributeError):
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self.resets > 0:
            self.resets -= 1
            Passage(client, Message(b"", b""), lambda: Message(b"", b"")).reset()
            return
        self._open.add(client)
        try:
            with client, contextlib.suppress(OSError):
                while self._relay(client):
                    pass
        finally:
            self._open.discard(client)

    def _relay(self, client: socket.socket) -> bool:
        """Relay one request; return whether the connection is good for another."""
        reading = client.makefile("rb")
        request = _read(reading, answer=False)
        if request is None:
            return False
        fault = self.line.arrived(request)

        def pass_on() -> Message:
            return self._ask(request)

        if fault is not None:
            fault.act(Passage(client, request, pass_on))
            return client.fileno() != -1
        answer = pass_on()
        self._busy.add(client)
        last = self.line.answered() or (request.header("connection") or "").lower() == "close"
        client.sendall(answer.whole())
        self._busy.discard(client)
        return not last

    def _ask(self, request: Message) -> Message:
        named = re.match(rb"\S+ http://([^/:\s]+):?(\d*)", request.head)
        server = self.server
        if server is None and named is not None:
            server = (named[1].decode(), int(named[2] or 80))
        assert server is not None, request.first_line
        head = re.sub(rb"^(\S+) http://[^/\s]+", rb"\1 ", request.head)
        with socket.create_connection(server) as upstream:
            upstream.sendall(head + request.body)
            method = request.first_line.partition(" ")[0]
            answer = _read(upstream.makefile("rb"), answer=True, bodiless=method == "HEAD")
        if answer is None:
            raise ConnectionError(f"{server} gave no answer")
        return answer


def _read(stream: object, *, answer: bool, bodiless: bool = False) -> Message | None:
    """Read a whole request or answer; None where the other side has ended the connection."""
    readline, read = stream.readline, stream.read  # type: ignore[attr-defined]
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = readline()
        if not line:
            return None
        head += line
    message = Message(head, b"")
    length, coding = message.header("content-length"), message.header("transfer-encoding")
    if bodiless:
        body = b""
    elif coding == "chunked":
        body = b"".join(_chunks(readline, read))
    elif length is not None:
        body = read(int(length))
    else:
        body = read() if answer else b""
    return Message(head, body)


def _chunks(readline: Callable[[], bytes], read: Callable[[int], bytes]) -> Iterator[bytes]:
    while True:
        size = readline()
        chunk = read(int(size.split(b";")[0], 16) + 2)
        yield size + chunk
        if size.strip() == b"0":
            return

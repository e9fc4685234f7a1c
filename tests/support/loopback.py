"""Real servers on loopback whose answers, and faults, a test decides."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from pavics_affinity.discovery import WELL_KNOWN


@dataclass
class Seen:
    """One request as the server saw it."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass
class Answer:
    """What the server gives back."""

    status: int = 200
    body: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    """Close the connection after so many bytes of the body; -1: before the status line."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256
    outer: Server
    stopped = False

    def accept(self) -> None:
        """Serve until `stop`; serve_forever asks now and then whether to, which each test pays."""
        while not self.stopped:
            with contextlib.suppress(OSError):
                self.process_request(*self.get_request())

    def stop(self, accepting: threading.Thread) -> None:
        if self.stopped:
            return
        self.stopped = True
        try:
            self.socket.shutdown(socket.SHUT_RDWR)  # ends accept()
        except OSError:  # not for a listening socket on macOS
            socket.create_connection(self.server_address[:2], 5).close()
        accepting.join()
        self.server_close()

    def handle_error(self, *args: object) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each body waits for the ACK of its headers

    def setup(self) -> None:
        self.server.outer.connections += 1
        super().setup()

    def handle_one(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        seen = Seen(self.command, self.path, list(self.headers.items()), self.rfile.read(length))
        if self.path == WELL_KNOWN and not self.server.outer.publishes:
            answer = Answer(404, b"")
        else:
            self.server.outer.seen.append(seen)
            answer = self.server.outer.answer(seen)
        if answer.cut == -1:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer.status)
        if "Transfer-Encoding" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(answer.body[: answer.cut])
        if answer.cut is not None:
            self.close_connection = True

    # names that http.server asks for
    do_GET = do_POST = do_HEAD = do_DELETE = handle_one  # noqa: N815

    def log_message(self, *args: object) -> None:
        pass


class Server:
    """A threaded HTTP server, or HTTPS with `tls`; `answer` maps a `Seen` to an `Answer`."""

    handler: type[socketserver.BaseRequestHandler] = _Handler

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.scheme = "http" if tls is None else "https"
        self.seen: list[Any] = []
        """Each request as a `Seen`."""
        self.answer: Callable[[Any], Any] = lambda seen: Answer()
        self.connections = 0
        self.publishes = False
        """Whether the question for a topology is one for `answer`; else it gets a 404, unseen."""
        self._server = _Listener((host, port), self.handler)
        self._server.outer = self
        if tls is not None:  # each handshake in the thread of its connection
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.host = host
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.accept)
        self._thread.start()

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def url(self, path: str = "/wps") -> str:
        return self.origin + path

    def stop(self) -> None:
        self._server.stop(self._thread)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.stop()


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def closing_after_first_answer(host: str = "127.0.0.1") -> Iterator[tuple[str, list[bytes]]]:
    """Serve a keep-alive answer, then close the connection as the next request arrives."""
    requests: list[bytes] = []
    listener = socket.create_server((host, 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            for turn in range(2):
                data = connection.recv(65536)
                if not data:
                    return
                requests.append(data)
                if turn == 1:
                    return
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
                )

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{listener.getsockname()[1]}/wps", requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)

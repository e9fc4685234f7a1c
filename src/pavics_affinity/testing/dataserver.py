"""A loopback web server for data files, which remembers its requests."""

from __future__ import annotations

import functools
import os
import socketserver
import threading
import time
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class DataRequest:
    """One request to a data server.

    Attributes
    ----------
    time : float
        Seconds since the epoch.
    method, path : str
        As received; the query is part of the path.
    headers : tuple of (str, str)
        Every header line, in order; names in lower case.
    """

    time: float
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]

    def values(self, header: str) -> list[str]:
        """Return the value of each line of a header."""
        return [value for name, value in self.headers if name == header.lower()]


class DataServer:
    """Serves a directory in threads of this process; `url` has no slash at the end."""

    def __init__(self, directory: str | os.PathLike[str], host: str = "127.0.0.1") -> None:
        self._seen: list[DataRequest] = []
        handler = functools.partial(_Handler, self._seen, directory=os.fspath(directory))
        self._server = _Server((host, 0), handler)
        self.url = f"http://{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="data server", daemon=True
        )
        self._thread.start()

    @property
    def requests(self) -> list[DataRequest]:
        """The requests received, in order."""
        return list(self._seen)

    def close(self) -> None:
        """Stop serving; safe to call twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> DataServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def server_bind(self) -> None:
        # HTTPServer's method looks up the host in DNS, which may take seconds for 127.x.y.z.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, *_: Any) -> None:
        # A client that closes its connection is not an error.
        return


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def __init__(self, seen: list[DataRequest], *args: Any, **kwargs: Any) -> None:
        self._seen = seen
        super().__init__(*args, **kwargs)

    def parse_request(self) -> bool:
        parsed = super().parse_request()
        if parsed:
            headers = tuple((name.lower(), value) for name, value in self.headers.items())
            self._seen.append(DataRequest(time.time(), self.command, self.path, headers))
        return parsed

    def log_message(self, *_: Any) -> None:
        return

"""A real DAP 2 server, pydap's, on loopback: each one says by its values who it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import numpy as np
from pydap.handlers.lib import BaseHandler
from pydap.model import BaseType, DatasetType, GridType


def dataset(number: int) -> DatasetType:
    """Three axes and a field of `number`, as a small climate model has them."""
    made = DatasetType("made", title="made for tests")
    axes = {"time": np.arange(4.0), "lat": np.linspace(-80, 80, 9), "lon": np.arange(0.0, 360, 30)}
    for name, values in axes.items():
        made[name] = BaseType(name, values, dims=(name,), units="1")
    tas = made["tas"] = GridType("tas", units="K")
    field = np.full([len(values) for values in axes.values()], float(number))
    tas["tas"] = BaseType("tas", field, dims=tuple(axes))
    for name, values in axes.items():
        tas[name] = BaseType(name, values, dims=(name,))
    return made


class DapServer:
    """Serves one dataset at every path below it; `seen` has each request's path and headers."""

    def __init__(self, host: str, number: int) -> None:
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.before: Callable[[dict[str, Any], Any], Any] | None = None
        handler = BaseHandler(dataset(number))
        outer = self

        def application(environ: dict[str, Any], start_response: Any) -> Any:
            headers = {k[5:].lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
            outer.seen.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], headers))
            answered = outer.before and outer.before(environ, start_response)
            if answered is not None and answered is not False:
                return answered
            if "." not in environ["PATH_INFO"].rpartition("/")[2].partition("made")[2]:
                # As THREDDS and Hyrax answer for the resource itself.
                start_response("400 Bad Request", [("Content-Description", "dods-error")])
                return [b""]
            return handler(environ, start_response)

        class Server(ThreadingMixIn, WSGIServer):
            daemon_threads = True

            def server_bind(self) -> None:
                super(WSGIServer, self).server_bind()
                self.setup_environ()

        class Quiet(WSGIRequestHandler):
            def log_message(self, *args: object) -> None:
                pass

            def address_string(self) -> str:
                return ""

        self._server = make_server(host, 0, application, Server, Quiet)
        self.host, self.port = host, int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

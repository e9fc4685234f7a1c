"""A relay of TCP between a client and a server that breaks connections where a test says."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Literal

How = Literal["closes", "resets", "half-closes"]
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Relay:
    """Hands bytes on to a port of loopback, both ways.

    Parameters
    ----------
    port : int
        Of the server.
    tunnel : bytes, optional
        How a CONNECT is answered; by default the first bytes are the server's already.

    Attributes
    ----------
    up, down : int or None
        Bytes of the client's, or of the server's, after which a connection breaks.
    how : str
        How it breaks. Half-closed, it gets no more of the answer; the request continues.
    connections : int
        Made so far.
    """

    def __init__(self, port: int, *, tunnel: bytes | None = None) -> None:
        self.target = port
        self.tunnel = tunnel
        self.up: int | None = None
        self.down: int | None = None
        self.how: How = "closes"
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *args: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(20)
            if self.tunnel is not None:
                asked = b""
                while b"\r\n\r\n" not in asked:
                    piece = client.recv(65536)
                    if not piece:
                        return
                    asked += piece
                client.sendall(self.tunnel)
                if self.tunnel != ESTABLISHED:
                    client.shutdown(socket.SHUT_WR)
                    return
            with socket.create_connection(("127.0.0.1", self.target), 20) as server:
                back = threading.Thread(target=self._pass, args=(server, client, self.down))
                back.start()
                self._pass(client, server, self.up)
                back.join(20)

    def _pass(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while limit is None or passed < limit:
                piece = source.recv(65536 if limit is None else limit - passed)
                if not piece:
                    break
                sink.sendall(piece)
                passed += len(piece)
            else:
                self._break(source, sink)
                return
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _break(self, *both: socket.socket) -> None:
        if self.how == "half-closes":
            both[1].shutdown(socket.SHUT_WR)
            return
        for end in both:
            with contextlib.suppress(OSError):
                if self.how == "resets":
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RD)
                    end.close()
                else:
                    end.shutdown(socket.SHUT_RDWR)

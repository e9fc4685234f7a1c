"""Host names and usual ports for servers on loopback: only the look-up of names is replaced."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from support.loopback import Server


class Hostnames:
    """Has names, with their ports, lead to servers of a test; others are looked up as ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._known: dict[tuple[str, int], Server] = {}
        really = socket.getaddrinfo

        def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
            server = self._known.get((str(host).rstrip(".").lower(), port))
            if server is None:
                return really(host, port, *args, **options)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (server.host, server.port))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    def lead(self, host: str, port: int, server: Server) -> None:
        """Have a host's port be that of a server."""
        self._known[host, port] = server

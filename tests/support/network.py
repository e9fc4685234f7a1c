"""Only loopback is reachable: a connection elsewhere, or a look-up of a name, is refused."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from typing import Any

import pytest


class NetworkUsed(RuntimeError):
    """A test tried to reach a host that is not this machine.

    It is not an `OSError`, so that a client which handles these does not take it for one.
    """


def is_loopback(host: str | bytes | None) -> bool:
    text = _text(host)
    if text in ("", socket.gethostname().lower()) or text.endswith("localhost"):
        return True
    address = _address(host)
    address = getattr(address, "ipv4_mapped", None) or address
    return address is not None and (address.is_loopback or address.is_unspecified)


def is_elsewhere(host: str) -> bool:
    """Return whether a host is an address of another machine; names are not looked up."""
    return _address(host) is not None and not is_loopback(host)


def _text(host: str | bytes | None) -> str:
    text = host.decode("latin-1") if isinstance(host, bytes) else str(host or "")
    return text.lower().rstrip(".")


def _address(host: str | bytes | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    text = _text(host).partition("%")[0]
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(text)
    with contextlib.suppress(OSError, ValueError):  # 127.1, 0x7f.1: a resolver reads it, too
        return ipaddress.ip_address(socket.inet_aton(text))
    return None


class LoopbackOnly:
    """Replaces connecting and looking up names; `refused` says what was tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refused: list[str] = []
        for name in ("connect", "connect_ex"):
            monkeypatch.setattr(socket.socket, name, self._checked(getattr(socket.socket, name)))
        really = socket.getaddrinfo

        def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
            if is_loopback(host) or _address(host) is not None:
                return really(host, *args, **options)
            # What a resolver answers that has no such name, without asking one.
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    def _checked(self, connect: Any) -> Any:
        def checked(sock: socket.socket, address: Any) -> Any:
            internet = sock.family in (socket.AF_INET, socket.AF_INET6)
            # A datagram socket that connects sends nothing.
            if internet and sock.type == socket.SOCK_STREAM and not is_loopback(address[0]):
                test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
                self.refused.append(f"{address[0]}:{address[1]} by {test}")
                sock.close()  # clients close it only after an OSError
                raise NetworkUsed(
                    f"{test} tried to connect to {address[0]}:{address[1]}. Only loopback may be "
                    "reached in a test: start a server on 127.0.0.0/8, or use a name that does "
                    "not exist, such as proxy.example."
                )
            return connect(sock, address)

        return checked

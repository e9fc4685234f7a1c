"""One GET as a stranger sends it ends with its time, and so do its thread and its socket."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable

import psutil
import pytest
import requests
import trustme

from pavics_affinity.transport.bounded import get_bounded
from support.loopback import Answer, Server
from support.rawserver import RawServer

LEFT = ("ESTABLISHED", "CLOSE_WAIT", "SYN_SENT")


def headers(asked: bytes) -> Iterable[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    for _ in range(300):
        time.sleep(0.1)
        yield b"X-A: b\r\n"


def body(asked: bytes) -> Iterable[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    for _ in range(300):
        time.sleep(0.1)
        yield b"x"


def endless(asked: bytes) -> Iterable[bytes]:
    yield b"HTTP/1.1 200 OK\r\n\r\n"  # its end would be that of the connection
    for _ in range(300):
        time.sleep(0.1)
        yield b"x"


def silence(asked: bytes) -> Iterable[bytes]:
    time.sleep(30)
    yield b""


@pytest.mark.parametrize("slow", [headers, body, endless, silence], ids=lambda how: how.__name__)
def test_neither_thread_nor_socket_outlives_its_time(slow):
    """The server continues for 30 s, and the wait for the end is a fraction of that."""
    with RawServer() as server:
        server.answer = slow
        with pytest.raises(requests.Timeout):
            get_bounded(server.url(), headers={}, timeout=0.5, largest=10_000)
        nothing_is_left(server.port)


def test_nor_do_they_over_tls(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Server(tls=context) as server:
        server.answer = lambda seen: time.sleep(30) or Answer()
        with pytest.raises(requests.Timeout):
            get_bounded(
                server.url(),
                headers={},
                timeout=0.5,
                largest=10_000,
                verify=str(tmp_path / "ca.pem"),
            )
        nothing_is_left(server.port)


def nothing_is_left(port: int) -> None:
    for thread in threading.enumerate():
        if thread.name == "pavics-affinity-bounded":
            thread.join(10)
            assert not thread.is_alive()
    found = psutil.Process().net_connections("tcp")
    # The server's side has its own port as the local one.
    assert [c for c in found if c.raddr and c.raddr.port == port and c.status in LEFT] == []


@pytest.mark.parametrize(
    "sent", [b"HTTP/1.1 200 OK\r\nX: y", b"HTTP/1.1 200 OK\r\nno header\r\n\r\n{}"]
)
def test_half_a_head_is_not_an_answer(sent):
    with RawServer() as server:
        server.answer = lambda asked: [sent]
        with pytest.raises(requests.ConnectionError):
            get_bounded(server.url(), headers={}, timeout=10, largest=10_000)

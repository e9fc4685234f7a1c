"""One GET as a stranger sends it ends with its time, and so do its thread and its socket."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import psutil
import pytest
import requests

from pavics_affinity.transport.bounded import get_bounded
from rawserver import RawServer

LEFT = ("ESTABLISHED", "CLOSE_WAIT", "SYN_SENT")


def headers(asked: bytes) -> Iterable[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    for _ in range(300):
        time.sleep(0.1)
        yield b"X-A: b\r\n" * 1


def body(asked: bytes) -> Iterable[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    for _ in range(300):
        time.sleep(0.1)
        yield b"x"


def silence(asked: bytes) -> Iterable[bytes]:
    time.sleep(30)
    yield b""


@pytest.mark.parametrize("slow", [headers, body, silence], ids=lambda how: how.__name__)
def test_neither_thread_nor_socket_outlives_its_time(slow):
    """The server goes on for 30 s, and the wait for the end is a fraction of that."""
    with RawServer() as server:
        server.answer = slow
        with pytest.raises(requests.RequestException):
            get_bounded(server.url(), headers={}, timeout=0.5, largest=10_000)
        for thread in threading.enumerate():
            if thread.name == "pavics-affinity-bounded":
                thread.join(10)
                assert not thread.is_alive()
        held = [
            c
            for c in psutil.Process().net_connections("tcp")
            if c.raddr and c.raddr.port == server.port and c.status in LEFT
        ]
        assert held == []


@pytest.mark.parametrize(
    "sent", [b"HTTP/1.1 200 OK\r\nX: y", b"HTTP/1.1 200 OK\r\nno header\r\n\r\n{}"]
)
def test_half_a_head_is_no_answer(sent):
    with RawServer() as server:
        server.answer = lambda asked: [sent]
        with pytest.raises(requests.ConnectionError):
            get_bounded(server.url(), headers={}, timeout=10, largest=10_000)

"""The beginning of an answer: whole and in time, or it is none. And no connection is left over."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import psutil
import pytest
from urllib3 import HTTPConnectionPool

from pavics_affinity import Workflow
from pavics_affinity.errors import (
    ExecuteOutcomeUnknown,
    NoAnswer,
    WorkflowClosed,
)
from pavics_affinity.pin import Pin
from pavics_affinity.transport import AffinitySession, connections
from support.loopback import Answer, Server
from support.rawserver import RawServer
from support.scriptedwps import ScriptedWPS

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 2\r\nX-Node: n\r\n\r\nok"
INTERIM = b"HTTP/1.1 102 Processing\r\nX-Step: 1\r\n\r\n"


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as started:
        yield started


def session_for(url: str, **options) -> AffinitySession:
    session = AffinitySession(Pin("a1b2", given=True), **options)
    session.bind(url)
    return session


def once(server: RawServer, first: bytes, then: bytes = OK) -> list[bytes]:
    """Answer the first request in one way, and those after it in another; return the requests."""
    server.seen = []
    server.answer = lambda asked: [first if len(server.seen) == 1 else then]
    return server.seen


# ---- cut ----


@pytest.mark.parametrize("route", ["direct", "through the environment's proxy"])
def test_an_answer_that_is_cut_anywhere_is_repeated_or_of_unknown_outcome(
    server, route, monkeypatch, no_waiting
):
    url = server.url()
    if route != "direct":
        monkeypatch.setenv("http_proxy", server.url(""))
        url = "http://service.test/wps"
    wrong = []
    for end in range(len(OK)):
        seen = once(server, OK[:end])
        with session_for(url) as session:
            answer = session.get(url)
            if (answer.text, len(seen)) != ("ok", 2):
                wrong.append(f"GET cut at {end}: {answer.text!r} after {len(seen)} requests")
            seen = once(server, OK[:end])
            try:
                session.post(url, data=b"<Execute/>")
            except ExecuteOutcomeUnknown:
                if len(seen) == 1:
                    continue
            wrong.append(f"Execute cut at {end}: {len(seen)} requests")
    assert not wrong


def test_a_chunk_whose_size_is_cut_is_not_the_last_one(server):
    started = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
    seen = once(server, started + b"0", started + b"01\r\n!\r\n0\r\n\r\n")
    with session_for(server.url()) as session:
        assert session.get(server.url()).text == "ok!"
    assert len(seen) == 2


# ---- broken ----

BROKEN = {
    "a line without a colon": b"no header at all",
    "a name with a blank": b"Content Length: 2",
    "no name": b": value",
    "a bare carriage return": b"X-A: b\rContent-Length",
    "a continuation of nothing": b" Content-Length: 2",
    "From": b"X: y\r\nFrom me",
    "a name of other bytes": "Länge: 2".encode(),
}


@pytest.mark.parametrize("line", BROKEN.values(), ids=list(BROKEN))
def test_a_line_that_is_not_a_header_makes_the_answer_a_broken_one(server, line):
    broken = b"HTTP/1.1 200 OK\r\n" + line + b"\r\nContent-Length: 2\r\n\r\nok"
    with session_for(server.url()) as session:
        seen = once(server, broken)
        assert session.get(server.url()).headers["X-Node"] == "n"
        assert len(seen) == 2
        seen = once(server, broken)
        with pytest.raises(ExecuteOutcomeUnknown, match="one of its header lines is not a header"):
            session.post(server.url(), data=b"<Execute/>")
        assert len(seen) == 1


@pytest.mark.parametrize(
    "kind",
    ["multipart/mixed", "multipart/related; boundary=x", "message/rfc822", "message/http"],
)
def test_a_type_that_only_mail_looks_into_breaks_nothing(server, kind):
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: 8bit\r\n"
    seen = once(server, head.encode() + b"Content-Length: 2\r\n\r\nok")
    with session_for(server.url()) as session:
        assert session.get(server.url()).text == "ok"
    assert len(seen) == 1


def test_interim_answers_are_passed_over(server):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style>\r\n\r\n"
    server.answer = lambda asked: [INTERIM, INTERIM, hints, OK]
    with session_for(server.url()) as session:
        for send in (session.get, session.post):
            answer = send(server.url())
            assert (answer.status_code, answer.text, answer.headers["X-Node"]) == (200, "ok", "n")
            assert "X-Step" not in answer.headers


@pytest.mark.parametrize("end", [len(INTERIM), len(INTERIM) - 2, len(INTERIM) + 9])
def test_an_interim_answer_is_not_the_answer(server, end):
    with session_for(server.url()) as session:
        seen = once(server, (INTERIM + OK)[:end])
        with pytest.raises(ExecuteOutcomeUnknown):
            session.post(server.url(), data=b"<Execute/>")
        assert len(seen) == 1


# ---- never ending ----


@pytest.mark.parametrize(
    ("beginning", "drop"),
    [(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), (b"HTTP/1.1 200 ", b"O"), (b"", INTERIM)],
    ids=["headers", "a status line", "interim answers"],
)
def test_a_beginning_that_drips_ends_with_the_read_timeout(server, beginning, drop):
    """The server sends on until the client leaves, far beyond the time-out."""

    def dripping(asked: bytes) -> Iterable[bytes]:
        yield beginning
        for _ in range(99):
            time.sleep(0.1)
            yield drop

    server.answer = dripping
    limit = (10, timedelta(seconds=0.5))
    with session_for(server.url(), timeout=limit) as session:
        with pytest.raises(NoAnswer):
            session.get(server.url())
        with pytest.raises(ExecuteOutcomeUnknown):
            session.post(server.url(), data=b"<Execute/>")


@contextlib.contextmanager
def tunnel_through(answer: Callable[[socket.socket], None]) -> Iterator[Any]:
    """A connection that will ask a proxy for a tunnel; `answer` gets the proxy's listener."""
    pool = connections._marking(HTTPConnectionPool)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = threading.Thread(target=answer, args=(listener,))
        proxy.start()
        connection = pool.ConnectionCls(*listener.getsockname(), timeout=60.0)
        connection.set_tunnel("service.example", 443)
        yield connection
        connection.close()
        proxy.join()


def test_what_follows_an_opened_tunnel_has_the_whole_timeout(monkeypatch):
    def open_slowly(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            client.recv(65_536)
            client.sendall(b"HTTP/1.1 200 OK\r\n")
            released.wait(60)
            client.sendall(b"\r\n")
            client.recv(1)

    released = threading.Event()
    waited = connections._Timed.readinto

    def readinto(self, buffer):
        count = waited(self, buffer)
        released.set()
        return count

    monkeypatch.setattr(connections._Timed, "readinto", readinto)
    with tunnel_through(open_slowly) as connection:
        connection.connect()
        assert connection.sock.gettimeout() == 60.0


@pytest.mark.parametrize("head", ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nVia: squid\r\n"])
def test_a_tunnel_whose_answer_is_cut_between_two_lines_is_not_open(head):
    def break_off(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            client.recv(65_536)
            client.sendall(head.encode())

    with tunnel_through(break_off) as connection:
        with pytest.raises(connections.BrokenHead) as broken:
            connection.connect()
        assert connections.came_while_connecting(broken.value)


def test_the_body_has_all_the_time_that_it_takes(server):
    def slowly(asked: bytes) -> Iterable[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"
        for _ in range(20):
            time.sleep(0.1)
            yield b"x"

    server.answer = slowly
    with session_for(server.url(), timeout=(10, 1)) as session:
        assert session.get(server.url()).text == "x" * 20


def test_a_large_request_has_all_the_time_that_it_takes(slow_reader):
    """The time-out for connecting limits the silence of a peer that reads, not the total time."""
    url, read = slow_reader
    with session_for(url, timeout=(1, 20)) as session:
        assert session.post(url, data=b"x" * 30_000_000).text == "ok"
    assert read[0] > 30_000_000


@pytest.fixture
def slow_reader() -> Iterator[tuple[str, list[int]]]:
    """Read 30 MB in three seconds, and answer."""
    read = [0]
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                while read[0] < 30_000_000 and (piece := connection.recv(1 << 20)):
                    read[0] += len(piece)
                    time.sleep(len(piece) / 10_000_000)
                connection.sendall(OK)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/wps", read
    listener.close()
    thread.join(10)


# ---- left over ----


def open_to(port: int) -> int:
    """Return how many connections to a port this process holds, those that wait to be collected.

    A question that was given up at its time-out may be closing still: it is given a while.
    """
    for _ in range(100):
        found = psutil.Process().net_connections("tcp")
        held = sum(bool(c.raddr) and c.raddr.port == port and c.status != "CLOSE" for c in found)
        if held == 0:
            break
        time.sleep(0.1)
    return held


def answers() -> dict[str, Answer]:
    page = {"Content-Type": "text/html", "Connection": "keep-alive", "Location": "/wps"}
    report = {"Content-Type": "text/xml"}
    body = b"<p>" + b"x" * 100_000
    found = {f"a page with {n}": Answer(n, body, page) for n in (200, 303, 400, 404, 429, 500)}
    found |= {f"a page with {n}": Answer(n, body, page) for n in (502, 503, 504)}
    found |= {f"XML with {n}": Answer(n, b"<a>" + body, report) for n in (200, 400, 502, 503)}
    closing = page | {"Connection": "close"}
    found |= {f"a last page with {n}": Answer(n, body, closing) for n in (200, 302, 307, 404, 502)}
    return found | {"half a page": Answer(200, body, page, cut=70_000)}


@pytest.mark.parametrize("answer", answers().values(), ids=list(answers()))
def test_no_connection_outlives_the_workflow_whatever_error_is_kept(answer, no_waiting):
    gc.collect()
    gc.disable()  # an error in a cycle must not be needed to go
    kept = []
    try:
        with ScriptedWPS() as server:
            server.execute = lambda seen: answer
            server.describe = answer
            server.files = lambda seen: answer
            for _ in range(3):
                with Workflow(deadline=0.1, patience=0) as wf:
                    client = wf.wps(server.url())
                    for ask in (
                        lambda client=client: client.execute("step", []),
                        lambda wf=wf: wf.session.post(server.url(), data=b"<Execute/>"),
                        lambda wf=wf: wf.session.get(server.url("/outputs/o.nc")),
                        lambda client=client: client.describeprocess("step"),
                    ):
                        try:
                            kept.append(ask())
                        except Exception as error:  # noqa: BLE001  # whichever: it is kept
                            kept.append(error)
            assert open_to(server.port) == 0
    finally:
        gc.enable()
    assert len(kept) == 12


def test_a_connection_that_is_in_use_while_the_workflow_ends_is_closed_when_it_is_read():
    with Server() as server:
        server.answer = lambda seen: Answer(body=b"x" * 5_000_000)
        session = session_for(server.url())
        answer = session.get(server.url(), stream=True)
        session.close()
        assert len(answer.content) == 5_000_000
        assert open_to(server.port) == 0


def test_a_request_that_meets_the_end_of_its_workflow_leaves_nothing():
    with Server() as server:
        session = session_for(server.url())
        closed = threading.Event()
        route = session.pin.route

        def closing(*args, **options):
            if not closed.is_set():
                closed.set()
                session.close()
            return route(*args, **options)

        session.pin.route = closing
        with pytest.raises(WorkflowClosed):
            session.get(server.url())
        assert server.seen == []
        assert open_to(server.port) == 0

"""Faults of TLS: before the request nothing ran, after it that is unknown."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
import requests

from pavics_affinity.errors import ExecuteOutcomeUnknown, ServiceUnreachable
from pavics_affinity.pin import Pin
from pavics_affinity.transport import AffinitySession

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Break = Callable[[socket.socket, ssl.SSLSocket], None]


class TlsServer:
    """Accepts, shakes hands unless told otherwise, reads a request, and then does as told."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.seen: list[bytes] = []
        self.before: list[Callable[[socket.socket], None]] = []
        """For each connection that is not to come to a handshake, what is done instead."""
        self.after: list[Break] = []
        """For each request that is not to be answered, what is done instead."""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}/wps"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        if self.before:
            self.before.pop(0)(connection)
            return
        raw = connection.dup()
        with raw, self.context.wrap_socket(connection, server_side=True) as tls:
            data = b""
            while b"\r\n\r\n" not in data or (b"POST" in data and b"</Execute>" not in data):
                piece = tls.recv(65536)
                if not piece:
                    return
                data += piece
            self.seen.append(data)
            if self.after:
                self.after.pop(0)(raw, tls)
            else:
                tls.sendall(OK)

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


def hang_up(raw: socket.socket, tls: ssl.SSLSocket | None = None) -> None:
    """Close without TLS's word of farewell."""
    raw.shutdown(socket.SHUT_RDWR)


def reset(raw: socket.socket, tls: ssl.SSLSocket | None = None) -> None:
    """Have the connection reset when the server leaves it."""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def talk_nonsense(raw: socket.socket, tls: ssl.SSLSocket | None = None) -> None:
    """Send bytes that are not a TLS record, in the middle of the connection."""
    raw.sendall(b"this is not a TLS record, and long enough to be read as one")
    raw.shutdown(socket.SHUT_WR)


@pytest.fixture
def server(authority) -> Iterator[TlsServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    started = TlsServer(context)
    yield started
    started.stop()


@pytest.fixture
def session(server, authority, tmp_path) -> Iterator[AffinitySession]:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with AffinitySession(Pin("a1b2", given=True), deadline=5) as made:
        made.bind(server.url, verify=str(tmp_path / "ca.pem"))
        yield made


BREAKS = pytest.mark.parametrize(
    "how", [hang_up, reset, talk_nonsense], ids=["hangs up", "resets", "talks nonsense"]
)


@BREAKS
def test_an_execute_whose_tls_connection_breaks_after_it_was_read_has_an_unknown_outcome(
    server, session, how
):
    server.after = [how]
    with pytest.raises(ExecuteOutcomeUnknown, match="may have run, or not"):
        session.post(server.url, data=b"<Execute></Execute>")
    assert len(server.seen) == 1


# ssl.SSLSocket leaves itself open if the peer resets the connection before the handshake.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
@BREAKS
def test_an_execute_whose_handshake_breaks_was_not_sent_and_is(server, session, how):
    server.before = [how]
    if how is talk_nonsense:
        with pytest.raises(ServiceUnreachable, match=r"handshake failed.*Nothing was executed"):
            session.post(server.url, data=b"<Execute></Execute>")
        assert server.seen == []
    else:
        assert session.post(server.url, data=b"<Execute></Execute>").text == "ok"
        assert len(server.seen) == 1
    gc.collect()  # here, and not in a later test


def test_a_certificate_that_nobody_vouches_for_ends_it_at_once(server):
    with AffinitySession(Pin("a1b2", given=True), deadline=60) as session:
        session.bind(server.url)
        with pytest.raises(
            ServiceUnreachable, match=r"certificate.*Nothing was executed"
        ) as caught:
            session.post(server.url, data=b"<Execute></Execute>")
    assert caught.value.attempts == 1
    assert server.seen == []


def test_a_get_whose_tls_connection_breaks_is_sent_again(server, session):
    server.after = [hang_up, reset]
    assert session.get(server.url).text == "ok"
    assert len(server.seen) == 3


def test_a_handshake_that_never_ends_does_not_show_that_the_execute_left(
    server, authority, tmp_path
):
    hold = threading.Event()
    server.before = [lambda raw: hold.wait(10)]
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with AffinitySession(Pin("a1b2", given=True), deadline=0.2, timeout=(0.3, 5)) as session:
        session.bind(server.url, verify=str(tmp_path / "ca.pem"))
        with pytest.raises(ServiceUnreachable, match="Nothing was executed"):
            session.post(server.url, data=b"<Execute></Execute>")
    hold.set()
    assert server.seen == []


@pytest.mark.filterwarnings("ignore:.* belongs to no known service")
def test_a_tunnel_that_the_environments_proxy_refuses_is_not_sent_through(
    server, session, monkeypatch
):
    def refuse(raw: socket.socket) -> None:
        raw.recv(65536)
        raw.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    server.before = [refuse] * 50
    monkeypatch.setenv("HTTPS_PROXY", server.url.replace("https", "http").removesuffix("/wps"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with session.deadline(0.3), pytest.raises(ServiceUnreachable) as caught:
        session.post("https://proxy.example/wps", data=b"<Execute></Execute>")
    assert isinstance(caught.value, requests.ConnectionError)
    assert server.seen == []


@pytest.mark.parametrize("farewell", [True, False], ids=["with close_notify", "without"])
def test_an_answer_over_tls_that_is_cut_anywhere_is_repeated_or_of_unknown_outcome(
    server, session, farewell, no_waiting
):
    for end in range(len(OK)):

        def cut(raw: socket.socket, tls: ssl.SSLSocket, end: int = end) -> None:
            tls.sendall(OK[:end])
            if farewell:
                tls.unwrap()

        server.seen = []
        server.after = [cut]
        assert session.get(server.url).text == "ok", f"cut at {end}"
        assert len(server.seen) == 2, f"cut at {end}"
        server.seen = []
        server.after = [cut]
        with pytest.raises(ExecuteOutcomeUnknown):
            session.post(server.url, data=b"<Execute></Execute>")
        assert len(server.seen) == 1, f"cut at {end}"

"""Which faults say that nothing was sent; through proxies of the environment above all."""

from __future__ import annotations

import importlib.util
import ssl
from collections.abc import Iterator

import pytest

from pavics_affinity.errors import ExecuteOutcomeUnknown, ServiceUnreachable
from pavics_affinity.pin import Pin
from pavics_affinity.transport import AffinitySession
from support.breaking import ESTABLISHED, Relay
from support.loopback import Answer, Server, free_port

HERE = "http://service.test/wps"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def secure(authority) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Server(tls=context) as server:
        yield server


@pytest.fixture
def ca(authority, tmp_path) -> str:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


def session_for(url: str, **options) -> AffinitySession:
    session = AffinitySession(Pin("a1b2", given=True), deadline=0.5)
    session.bind(url, **options)
    return session


def execute(session: AffinitySession, url: str) -> str:
    return session.post(url, data=b"<Execute/>").text


# ---- http, through a proxy that forwards ----


@pytest.mark.parametrize("how", ["closes", "resets"])
@pytest.mark.parametrize("down", [0, 1, 60])
def test_an_execute_whose_answer_a_proxy_loses_is_sent_once(monkeypatch, how, down):
    with Server() as server, Relay(server.port) as relay:
        monkeypatch.setenv("http_proxy", relay.url)
        relay.down, relay.how = down, how
        if down == 0:  # the relay breaks before the server could have read anything
            server.answer = lambda seen: Answer(cut=-1)
            relay.down = None
        with session_for(HERE) as session, pytest.raises(ExecuteOutcomeUnknown):
            execute(session, HERE)
        assert len(server.seen) == 1
        assert relay.connections == 1


def test_an_execute_that_a_proxy_reads_half_of_has_an_unknown_outcome(monkeypatch):
    with Server() as server, Relay(server.port) as relay:
        monkeypatch.setenv("http_proxy", relay.url)
        relay.up = 80
        with session_for(HERE) as session, pytest.raises(ExecuteOutcomeUnknown):
            execute(session, HERE)
        assert relay.connections == 1


def test_a_get_whose_answer_a_proxy_loses_is_sent_again(monkeypatch):
    with Server() as server:
        monkeypatch.setenv("http_proxy", server.origin)
        cuts = iter([-1, None])
        server.answer = lambda seen: Answer(cut=next(cuts))
        with session_for(HERE) as session:
            assert session.get(HERE).text == "ok"


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("url", [HERE, "https://service.test/wps"])
def test_a_proxy_that_refuses_the_connection_was_sent_nothing(monkeypatch, url):
    monkeypatch.setenv(url.partition(":")[0] + "_proxy", f"http://127.0.0.1:{free_port()}")
    words = "the proxy that the environment names was asked, and it refused the connection"
    with session_for(url) as session, pytest.raises(ServiceUnreachable, match=words) as caught:
        execute(session, url)
    assert "Correct the variable http_proxy or https_proxy." in str(caught.value)
    assert "Check the URL" not in str(caught.value)
    assert "Nothing was executed" in str(caught.value)
    assert caught.value.attempts > 1


# ---- https, through a tunnel ----


def test_an_execute_goes_through_a_tunnel(monkeypatch, secure, ca):
    with Relay(secure.port, tunnel=ESTABLISHED) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with session_for(secure.url(), verify=ca) as session:
            assert execute(session, secure.url()) == "ok"


def test_an_execute_whose_tunnel_breaks_before_the_answer_is_sent_once(monkeypatch, secure, ca):
    secure.answer = lambda seen: Answer(cut=-1)
    with Relay(secure.port, tunnel=ESTABLISHED) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with session_for(secure.url(), verify=ca) as session, pytest.raises(ExecuteOutcomeUnknown):
            execute(session, secure.url())
        assert len(secure.seen) == 1
        assert proxy.connections == 1


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("up", [0, 1, 90, 299])
def test_a_handshake_that_is_cut_on_its_way_to_the_server_is_repeated(secure, ca, up):
    """The server finds half a greeting, and says so (decode error)."""
    with Relay(secure.port) as relay:
        relay.up, relay.how = up, "half-closes"
        url = f"https://127.0.0.1:{relay.port}/wps"
        with session_for(url, verify=ca) as session, pytest.raises(ServiceUnreachable):
            execute(session, url)
        assert relay.connections > 1
        relay.up = None
        with session_for(url, verify=ca) as session:
            assert execute(session, url) == "ok"
        assert len(secure.seen) == 1


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("how", ["closes", "resets"])
def test_an_execute_whose_tunnel_breaks_in_the_handshake_was_not_sent(monkeypatch, secure, ca, how):
    with Relay(secure.port, tunnel=ESTABLISHED) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        proxy.down, proxy.how = 100, how
        with (
            session_for(secure.url(), verify=ca) as session,
            pytest.raises(ServiceUnreachable, match="Nothing was executed"),
        ):
            execute(session, secure.url())
        assert secure.seen == []
        assert proxy.connections > 1


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", r"refused the tunnel \(CONNECT\) with 502"),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 5\r\n\r\n", r"the tunnel \(CONNECT\) with 503"),
        (b"HTTP/1.1 20", "its status line or headers"),
        (b"HTTP/1.1 200 OK\r\nVia: a", "its status line or headers"),
        (b"", "the connection broke"),
        (b"nonsense\r\n\r\n", "the connection broke"),
    ],
    ids=["502", "503", "half a status line", "half a header", "nothing", "nonsense"],
)
def test_a_tunnel_that_is_not_opened_was_sent_nothing(monkeypatch, secure, ca, reply, words):
    with Relay(secure.port, tunnel=reply) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with (
            session_for(secure.url(), verify=ca) as session,
            pytest.raises(ServiceUnreachable, match=words) as caught,
        ):
            execute(session, secure.url())
        assert "Nothing was executed" in str(caught.value)
        assert proxy.connections > 1
        assert secure.seen == []


@pytest.mark.parametrize("status", [403, 407])
def test_a_tunnel_that_is_refused_for_good_is_asked_for_once(monkeypatch, secure, ca, status):
    with Relay(secure.port, tunnel=b"HTTP/1.1 %d No\r\n\r\n" % status) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with (
            session_for(secure.url(), verify=ca) as session,
            pytest.raises(ServiceUnreachable, match=f"with {status}, once"),
        ):
            execute(session, secure.url())
        assert proxy.connections == 1


# ---- a proxy that is itself asked over https ----


@pytest.fixture
def secure_proxy(monkeypatch, authority, secure, ca) -> Server:
    """Forward http over https, as far as a client sees."""
    monkeypatch.setenv("http_proxy", secure.origin)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca)
    return secure


# requests verifies no certificate of a proxy that forwards http.
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_an_execute_whose_answer_an_https_proxy_loses_is_sent_once(secure_proxy):
    secure_proxy.answer = lambda seen: Answer(cut=-1)
    with session_for(HERE) as session, pytest.raises(ExecuteOutcomeUnknown):
        execute(session, HERE)
    assert len(secure_proxy.seen) == 1


# ---- proxies that cannot be used ----


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("socks5://127.0.0.1:1", "pip install pysocks"),
        ("http://", "cannot be used"),
        ("ftp://127.0.0.1:1", "cannot be used"),
        ("http://[::1", "cannot be used"),
        ("http://127.0.0.1:99999", "cannot be used"),
        ("http://a..b:1", "cannot be used"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_at_once(monkeypatch, proxy, words):
    if "socks" in proxy and importlib.util.find_spec("socks"):
        pytest.skip("PySocks is installed")
    monkeypatch.setenv("http_proxy", proxy)
    with session_for(HERE) as session:
        for send in (session.get, lambda url: execute(session, url)):
            with pytest.raises(ServiceUnreachable, match=words) as caught:
                send(HERE)
            assert caught.value.attempts == 1
        assert "Nothing was executed" in str(caught.value)


# ---- whose fault it is ----


def test_a_fault_that_the_caller_handles_meanwhile_is_not_this_ones():
    """A second service is tried because the first refuses; its lost answer is not a refusal."""
    with Server() as server:
        server.answer = lambda seen: Answer(cut=-1)
        refusing = f"http://127.0.0.1:{free_port()}/wps"
        with session_for(refusing) as first, session_for(server.url()) as second:
            try:
                execute(first, refusing)
            except ServiceUnreachable:
                with pytest.raises(ExecuteOutcomeUnknown):
                    execute(second, server.url())
        assert len(server.seen) == 1

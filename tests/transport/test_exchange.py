"""What an answer asks for before the next attempt, and how long a question may take."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from pavics_affinity import Backend, Node, Service, Topology, Workflow
from pavics_affinity.errors import (
    BackendUnavailable,
    ExecuteOutcomeUnknown,
    OutputUnavailable,
    ServiceBusy,
    ServiceError,
    ServiceUnreachable,
)
from pavics_affinity.pin import Pin
from pavics_affinity.transport import AffinitySession
from support.loopback import Answer, Seen, Server, free_port
from support.rawserver import NOT_FOUND, RawServer, head
from support.scriptedwps import ScriptedWPS


@pytest.fixture
def proxy():
    with Server() as server:
        yield server


def session_for(server: Server | RawServer, **options) -> AffinitySession:
    session = AffinitySession(Pin("a1b2", given=True), **options)
    session.bind(server.url())
    return session


def at_first(server: Server, *answers: Answer) -> None:
    """Give these answers, one for each request, and then good ones."""
    left = list(answers)
    server.answer = lambda seen: left.pop(0) if left else Answer()


def asking(status: int, value: str) -> Answer:
    return Answer(status, b"<p>", {"Retry-After": value, "Content-Type": "text/html"})


def in_a_second() -> str:
    return formatdate(time.time() + 2, usegmt=True)  # whole seconds only: one at least


# ---- Retry-After ----


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("value", ["1", in_a_second], ids=["seconds", "a date"])
def test_a_harmless_request_waits_as_long_as_it_is_asked_to(proxy, status, value, no_waiting):
    at_first(proxy, asking(status, value if isinstance(value, str) else value()))
    begun = no_waiting.now
    with session_for(proxy) as session:
        assert session.get(proxy.url()).text == "ok"
        assert [entry.attempts for entry in session.record] == [2]
    assert no_waiting.now - begun > 0.9


def test_an_execute_that_is_refused_by_429_has_not_run_and_is_sent_again(proxy, no_waiting):
    at_first(proxy, asking(429, "1"))
    begun = no_waiting.now
    with session_for(proxy) as session:
        assert session.post(proxy.url(), data=b"<Execute/>").text == "ok"
    assert [seen.body for seen in proxy.seen] == [b"<Execute/>"] * 2
    assert no_waiting.now - begun > 0.9


def test_an_execute_whose_body_is_gone_is_not_sent_again(proxy):
    at_first(proxy, asking(429, "0"))
    with session_for(proxy) as session, pytest.raises(ServiceBusy, match="once in"):
        session.post(proxy.url(), data=iter([b"<Execute/>"]))
    assert len(proxy.seen) == 1


def test_an_execute_is_sent_again_when_503_says_to_come_back(proxy):
    at_first(proxy, asking(503, "0"))
    with session_for(proxy) as session:
        assert session.post(proxy.url(), data=b"<Execute/>").text == "ok"
    assert [seen.body for seen in proxy.seen] == [b"<Execute/>"] * 2


@pytest.mark.parametrize(
    "headers",
    [{}, {"Retry-After": "soon"}, {"Retry-After": "0", "Server": "Varnish"}],
    ids=["no Retry-After", "no time", "of a proxy that says so of a lost node"],
)
def test_an_execute_answered_by_another_503_stays_unknown(proxy, headers):
    proxy.answer = lambda seen: Answer(503, b"", headers) if seen.method == "POST" else Answer()
    with session_for(proxy) as session, pytest.raises(ExecuteOutcomeUnknown):
        session.post(proxy.url(), data=b"<Execute/>")
    assert [seen.method for seen in proxy.seen] == ["POST", "GET"]


@pytest.mark.parametrize("said", [None, "", "0.002", "-, 0.002"])
def test_an_execute_is_sent_again_only_where_a_strict_proxy_says_that_it_reached_no_node(
    proxy, said, no_waiting
):
    service = Service("fp", url=proxy.url(), backends=(Backend("n1", address="10.0.0.1:8093"),))
    topology = Topology(nodes=(Node("n1"),), services=(service,), proxy="strict")

    def refused(seen: Seen, connected: str | None) -> Answer:
        if seen.method == "POST":
            return Answer(502, b"", {} if connected is None else {"X-Pavics-Connect": connected})
        return Answer()

    with Workflow("a1b2", topology=topology, route="proxy", deadline=0.3) as wf:
        proxy.answer = lambda seen: refused(seen, said)
        with pytest.raises(ExecuteOutcomeUnknown):
            wf.session.post(proxy.url(), data=b"<Execute/>")
        assert [seen.method for seen in proxy.seen].count("POST") == 1
        proxy.answer = lambda seen: refused(seen, "-")
        with pytest.raises(BackendUnavailable):
            wf.session.post(proxy.url(), data=b"<Execute/>")
        assert [seen.method for seen in proxy.seen].count("POST") > 2
        assert [step.state for step in wf.steps] == ["unknown", "not sent"]


def test_429_that_names_no_time_is_asked_again_after_a_second(proxy, no_waiting):
    at_first(proxy, Answer(429))
    begun = no_waiting.now
    with session_for(proxy) as session:
        assert session.get(proxy.url()).status_code == 200
    assert no_waiting.now - begun > 0.9


@pytest.mark.parametrize("value", ["-1", "soon", "1.5", "0", "Sun, 06 Nov 1994 08:49:37 GMT"])
def test_an_odd_retry_after_does_not_end_the_retries(proxy, value):
    at_first(proxy, asking(503, value))
    with session_for(proxy) as session:
        assert session.get(proxy.url()).status_code == 200


@pytest.mark.parametrize("value", ["3600", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_what_is_longer_than_the_deadline_is_given_up_at_once(proxy, value):
    proxy_is_away = False
    with session_for(proxy, deadline=600, patience=600) as session:
        proxy.answer = lambda seen: Answer()
        session.post(proxy.url(), data=b"<Execute/>")  # so that its files are on one node
        proxy.answer = lambda seen: asking(503 if proxy_is_away else 429, value)
        assert session.get(proxy.url()).status_code == 429
        with pytest.raises(ServiceBusy, match=r"429 and asks to wait \d+ s \(Retry-After\)"):
            session.post(proxy.url(), data=b"<Execute/>")
        proxy_is_away = True
        with pytest.raises(BackendUnavailable, match=r"503 and asks to wait \d+ s \(Retry-After\)"):
            session.get(proxy.url())
    assert len(proxy.seen) == 4


def test_a_client_says_how_long_it_was_asked_to_wait():
    with ScriptedWPS() as server, Workflow(deadline=1, patience=1) as wf:
        client = wf.wps(server.url())
        server.execute = lambda seen: asking(429, "120")
        with pytest.raises(ServiceBusy, match=r"asks to wait 120 s \(Retry-After\)") as caught:
            client.execute("step", [])
        assert caught.value.retry_after == 120
        assert [step.state for step in wf.steps] == ["refused"]
        server.capabilities = asking(503, "120")
        with pytest.raises((ServiceError, BackendUnavailable), match=r"wait 120 s \(Retry-After\)"):
            client.getcapabilities()


def test_a_download_says_how_long_it_was_asked_to_wait(tmp_path):
    with ScriptedWPS() as server, Workflow(deadline=1) as wf:
        wf.wps(server.url())
        server.files = lambda seen: asking(429, "120")
        with pytest.raises(OutputUnavailable, match=r"429 and asks to wait 120 s \(Retry-After\)"):
            wf.download([server.url("/o.nc")], tmp_path)


# ---- the harmless question after a gateway's error ----


@pytest.mark.parametrize("limit", [{"timeout": 0.3}, {"deadline": 0.5}], ids="".join)
@pytest.mark.parametrize("silent", [True, False], ids=["silent", "drips its headers"])
def test_the_question_after_a_gateways_error_obeys_the_limits(limit, silent):
    """The server is silent for 30 s, half of what a question may take that has no limit."""
    ended = []

    def answer(asked: bytes):
        if asked.startswith(b"POST"):
            yield head("Content-Length: 0", status="502 Bad Gateway")
            return
        yield b"" if silent else b"HTTP/1.1 200 OK\r\nX-A: "
        for _ in range(300):
            time.sleep(0.1)
            if not silent:
                yield b"x"
        ended.append(asked)
        yield NOT_FOUND

    with RawServer() as server:
        server.answer = answer
        options = {"deadline": 0.5, **limit}
        with session_for(server, **options) as session, pytest.raises(BackendUnavailable):
            session.post(server.url(), data=b"<Execute/>")
        assert ended == []
        assert sum(asked.startswith(b"POST") for asked in server.seen) == 1


def test_a_slow_execute_leaves_the_question_after_it_its_time(proxy):
    def answer(seen):
        if seen.method == "POST":
            time.sleep(1)
            return Answer(504)
        return Answer(503) if len(proxy.seen) < 4 else Answer()

    proxy.answer = answer
    with session_for(proxy, deadline=0.9) as session, pytest.raises(ExecuteOutcomeUnknown):
        session.post(proxy.url(), data=b"<Execute/>")
    assert len(proxy.seen) == 4


# ---- an address at which nothing listens ----


def attempts_at(url, **options):
    with Workflow("a1b2", **options) as wf:
        wf.add_scope(url)
        with pytest.raises(ServiceUnreachable, match="Check the URL") as failed:
            wf.session.get(url)
    return failed.value.attempts


@pytest.mark.usefixtures("no_waiting")
def test_a_first_request_that_is_refused_is_given_up_after_two_seconds():
    # In 10 s there are at least 14: no wait is longer than a second.
    assert 1 < attempts_at(f"http://127.0.0.1:{free_port()}/wps") < 11


@pytest.mark.usefixtures("no_waiting")
def test_a_server_that_a_topology_names_or_that_has_answered_may_restart():
    port = free_port()
    url = f"http://127.0.0.1:{port}/wps"
    site = Topology(
        nodes=[Node("n1", host="127.0.0.1")], services=[Service("s", url=url, port=port)]
    )
    assert attempts_at(url, topology=site, route="proxy") >= 14
    assert attempts_at(url, deadline=10.5) >= 14
    with Server() as server, Workflow("a1b2") as wf:
        server.answer = lambda _: Answer(headers={"Connection": "close"})
        wf.add_scope(server.url())
        assert wf.session.get(server.url("/x")).status_code == 200
        server.stop()
        with pytest.raises(ServiceUnreachable) as failed:
            wf.session.get(server.url("/y"))
    assert failed.value.attempts >= 14


@pytest.mark.usefixtures("no_waiting")
def test_a_server_that_answered_an_earlier_process_may_restart(tmp_path):
    journal = tmp_path / "journal"
    with ScriptedWPS() as server:
        with Workflow(journal=journal) as wf:
            wf.wps(server.url()).execute("step", [])
        url = server.url()
    with Workflow.resume(journal) as wf, pytest.raises(ServiceUnreachable) as failed:
        wf.session.get(url)
    assert failed.value.attempts >= 14

"""The session: who receives the machineid and the credentials, and what is sent twice."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from datetime import timedelta

import pytest
import requests

from pavics_affinity import Backend, Node, Service, Topology, Workflow
from pavics_affinity.errors import (
    AffinityLost,
    AffinityWarning,
    BackendUnavailable,
    EvidenceStrippedWarning,
    ExecuteOutcomeUnknown,
    ExecuteRedirected,
    InvalidMachineId,
    InvalidRequest,
    MachineIdConflict,
    NoAnswer,
    OutOfScope,
    ServiceUnreachable,
    WorkflowClosed,
)
from pavics_affinity.pin import Pin
from pavics_affinity.topology import FileSource, FixedSource, Outputs
from pavics_affinity.transport import AffinitySession
from support import wpsdocs
from support.loopback import Answer, Server, closing_after_first_answer, free_port

XML = {"Content-Type": "text/xml; charset=UTF-8"}


@pytest.fixture
def proxy():
    with Server() as server:
        yield server


def session_for(server: Server | str, machineid: str = "a1b2", **options) -> AffinitySession:
    session = AffinitySession(Pin(machineid, given=True), **options)
    session.bind(server if isinstance(server, str) else server.url())
    return session


# ---- the machineid ----


def test_the_first_url_of_a_host_that_no_service_covers_gives_a_warning(proxy, elsewhere, tmp_path):
    ways = {
        "session": lambda wf: wf.session.get(elsewhere.url("/a")),
        "download": lambda wf: wf.download([elsewhere.url("/a"), elsewhere.url("/b")], tmp_path),
    }
    for ask in ways.values():
        with Workflow("a1b2") as wf:
            wf.add_scope(proxy.url())
            with pytest.warns(AffinityWarning, match="requested without the machineid") as warned:
                ask(wf)
            assert [warning.filename for warning in warned] == [__file__]
            assert str(warned[0].message).startswith(elsewhere.url("/a"))
            assert "wf.add_scope('127.0.0.2')" in str(warned[0].message)
            ask(wf)  # a warning is an error here
            wf.session.get(proxy.url("/outputs/a.nc"))
    assert {tuple(seen.all("machineid")) for seen in elsewhere.seen} == {()}


def test_every_request_of_a_session_carries_one_machineid(proxy):
    session = session_for(proxy)
    session.get(proxy.url("/wps?request=GetCapabilities"))
    session.post(proxy.url(), data=b"<Execute/>")
    session.head(proxy.url("/outputs/x.nc"))
    assert [seen.all("machineid") for seen in proxy.seen] == [["a1b2"]] * 3


def test_another_port_of_the_services_host_receives_the_machineid(proxy):
    with Server("127.0.0.1") as outputs:
        session_for(proxy).get(outputs.url("/outputs/x.nc"))
        assert outputs.seen[0].all("machineid") == ["a1b2"]


@pytest.mark.filterwarnings("ignore:.* belongs to no known service")
def test_no_other_host_receives_the_machineid(proxy, elsewhere):
    session = session_for(proxy)
    session.get(elsewhere.url())
    session.get(f"http://127.0.0.1:{proxy.port}@127.0.0.2:{elsewhere.port}/wps")
    session.get(f"http://127.0.0.1@127.0.0.2:{elsewhere.port}/wps")
    assert [seen.all("machineid") for seen in elsewhere.seen] == [[], [], []]


@pytest.mark.parametrize("spelling", ["LOCALHOST", "user:word@localhost"])
def test_the_services_host_is_known_however_it_is_spelt(spelling):
    with Server("localhost") as server:
        session = session_for(server)
        session.get(f"http://{spelling}:{server.port}/wps")
        assert server.seen[0].all("machineid") == ["a1b2"]


def test_a_trailing_dot_does_not_make_another_host():
    session = session_for("http://proxy.example:8093/wps")
    assert session.pin.in_scope("http://proxy.example.:8093/wps")


def test_a_redirect_carries_the_machineid_only_to_hosts_in_scope(proxy, elsewhere):
    session = session_for(proxy)
    proxy.answer = lambda seen: (
        Answer(302, b"", {"Location": elsewhere.url("/x")})
        if seen.path == "/away"
        else Answer(302, b"", {"Location": "/here"})
        if seen.path == "/near"
        else Answer()
    )
    away, near = session.get(proxy.url("/away")), session.get(proxy.url("/near"))
    assert away.url == elsewhere.url("/x")
    assert elsewhere.seen[0].all("machineid") == []
    assert near.url == proxy.url("/here")
    assert proxy.seen[-1].all("machineid") == ["a1b2"]


def test_a_machineid_that_the_caller_sets_is_not_sent_twice(proxy):
    session_for(proxy).get(proxy.url(), headers={"MachineID": "a1b2"})
    assert proxy.seen[0].all("machineid") == ["a1b2"]


def test_a_machineid_that_contradicts_the_workflows_is_refused(proxy):
    with pytest.raises(MachineIdConflict, match=r"other.*a1b2"):
        session_for(proxy).get(proxy.url(), headers={"machineid": "other"})
    assert proxy.seen == []


def test_the_machineid_of_an_existing_script_is_adopted_and_its_dict_left_alone(proxy):
    headers = {"machineid": "from-script", "X-Extra": "1"}
    session = AffinitySession(Pin("minted", given=False))
    session.bind(proxy.url(), headers=headers)
    session.get(proxy.url())
    assert session.machineid == "from-script"
    assert proxy.seen[0].all("machineid") == ["from-script"]
    assert proxy.seen[0].all("x-extra") == ["1"]
    assert headers == {"machineid": "from-script", "X-Extra": "1"}


def test_a_second_script_cannot_change_the_machineid_of_a_workflow_that_has_begun(proxy):
    session = AffinitySession(Pin("minted", given=False))
    session.bind(proxy.url())
    session.get(proxy.url())
    with pytest.raises(MachineIdConflict):
        session.bind(proxy.url(), headers={"machineid": "late"})


@pytest.mark.parametrize("value", ["a\r\nX: y", "a b", "", "é", "a" * 201, "a~1~2"])
def test_a_machineid_that_would_break_the_header_is_refused(proxy, value):
    session = AffinitySession(Pin("minted", given=False))
    with pytest.raises(InvalidMachineId):
        session.bind(proxy.url(), headers={"machineid": value})
    assert proxy.seen == []


# ---- credentials ----


@pytest.mark.filterwarnings("ignore:.* belongs to no known service")
def test_credentials_go_to_their_exact_origin_only(proxy, elsewhere):
    session = session_for(proxy)
    session.bind(proxy.url(), auth=("user", "secret"), headers={"X-Api-Key": "k"})
    with Server("127.0.0.1") as neighbour:
        proxy.answer = lambda seen: (
            Answer(302, b"", {"Location": neighbour.url("/x")})
            if seen.path == "/away"
            else Answer()
        )
        session.get(proxy.url())
        session.get(neighbour.url())
        session.get(elsewhere.url())
        session.get(proxy.url("/away"))
        told = [seen.all("authorization") + seen.all("x-api-key") for seen in proxy.seen]
        assert all(len(values) == 2 for values in told)
        for server in (neighbour, elsewhere):
            for seen in server.seen:
                assert seen.all("authorization") + seen.all("x-api-key") == []


def test_digest_authentication_keeps_the_machineid(proxy):
    challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
    proxy.answer = lambda seen: (
        Answer() if seen.all("authorization") else Answer(401, b"", {"WWW-Authenticate": challenge})
    )
    session = session_for(proxy)
    session.bind(proxy.url(), auth=requests.auth.HTTPDigestAuth("u", "p"))
    assert session.post(proxy.url(), data=b"<Execute/>").status_code == 200
    assert [seen.all("machineid") for seen in proxy.seen] == [["a1b2"]] * 2
    assert [seen.body for seen in proxy.seen] == [b"<Execute/>"] * 2


def test_cookies_are_kept_per_session(proxy):
    proxy.answer = lambda seen: Answer(headers={"Set-Cookie": "auth_tkt=t; Path=/"})
    first, second = session_for(proxy), session_for(proxy, "c3d4")
    first.get(proxy.url())
    first.get(proxy.url())
    second.get(proxy.url())
    assert [seen.all("cookie") for seen in proxy.seen] == [[], ["auth_tkt=t"], []]


# ---- what is sent again, and what is not ----


def test_a_get_is_repeated_until_the_server_answers(proxy):
    statuses = iter([502, 503, 504, 200])
    proxy.answer = lambda seen: Answer(next(statuses))
    response = session_for(proxy).get(proxy.url())
    assert response.status_code == 200
    assert len(proxy.seen) == 4


def test_a_get_whose_body_breaks_off_is_repeated(proxy):
    cuts = iter([-1, 1, None])
    proxy.answer = lambda seen: Answer(cut=next(cuts))
    session = session_for(proxy)
    assert session.get(proxy.url()).text == "ok"
    assert [entry.attempts for entry in session.record] == [3]


@pytest.mark.parametrize("cut", [-1, 1])
def test_an_execute_that_is_cut_off_is_sent_once_and_its_outcome_unknown(proxy, cut):
    proxy.answer = lambda seen: Answer(cut=cut)
    with pytest.raises(ExecuteOutcomeUnknown, match="may have run, or not") as caught:
        session_for(proxy).post(proxy.url(), data=b"<Execute/>")
    assert len(proxy.seen) == 1
    assert isinstance(caught.value, requests.ConnectionError)
    assert caught.value.machineid == "a1b2"


@pytest.mark.parametrize("query", ["request=Execute", "REQUEST=execute", "Request=EXECUTE&x=1"])
def test_an_execute_by_get_is_not_repeated_either(proxy, query):
    proxy.answer = lambda seen: Answer(cut=-1)
    with pytest.raises(ExecuteOutcomeUnknown):
        session_for(proxy).get(proxy.url("/wps?service=WPS&" + query))
    assert len(proxy.seen) == 1


def test_an_execute_never_meets_a_connection_that_the_server_is_closing():
    with closing_after_first_answer() as (url, requests_seen):
        session = session_for(url)
        session.get(url)
        session.post(url, data=b"<Execute/>")
        executes = [data for data in requests_seen if data.startswith(b"POST")]
        assert len(executes) == 1


def test_a_get_on_a_connection_that_the_server_closes_is_sent_again():
    with closing_after_first_answer() as (url, _):
        session = session_for(url)
        assert [session.get(url).text for _ in range(3)] == ["ok"] * 3


def test_an_execute_to_a_closed_port_says_that_nothing_was_executed():
    url = f"http://127.0.0.1:{free_port()}/wps"
    with pytest.raises(ServiceUnreachable, match="Nothing was executed"):
        session_for(url, deadline=0.2).post(url, data=b"<Execute/>")


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_would_make_a_get_of_an_execute_names_the_new_url(proxy, status):
    proxy.answer = lambda seen: Answer(status, b"", {"Location": "/new/wps"})
    with pytest.raises(ExecuteRedirected, match="/new/wps") as caught:
        session_for(proxy).post(proxy.url(), data=b"<Execute/>")
    assert caught.value.location == proxy.url("/new/wps")
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_that_keeps_the_method_sends_the_execute_on(proxy, status):
    proxy.answer = lambda seen: (
        Answer(status, b"", {"Location": "/new"}) if seen.path == "/wps" else Answer()
    )
    session_for(proxy).post(proxy.url(), data=b"<Execute/>")
    assert [(s.path, s.body, s.all("machineid")) for s in proxy.seen] == [
        ("/wps", b"<Execute/>", ["a1b2"]),
        ("/new", b"<Execute/>", ["a1b2"]),
    ]


@pytest.mark.parametrize("status", [307, 308])
def test_an_execute_is_not_sent_on_to_a_host_out_of_scope(proxy, elsewhere, status):
    proxy.answer = lambda seen: Answer(status, b"", {"Location": elsewhere.url("/new")})
    session = session_for(proxy)
    with pytest.raises(OutOfScope, match=r"not sent there.*Nothing was executed") as caught:
        session.post(proxy.url(), data=b"<Execute/>")
    assert elsewhere.seen == []
    assert caught.value.url == proxy.url()
    assert [step.ran for step in session.record.steps] == [False]
    assert not session.pin.pinned


@pytest.mark.parametrize("status", [307, 308])
def test_an_execute_is_sent_on_to_a_host_that_the_user_has_added(proxy, elsewhere, status):
    proxy.answer = lambda seen: Answer(status, b"", {"Location": elsewhere.url("/new")})
    session = session_for(proxy)
    session.pin.add_scope(elsewhere.host)
    session.post(proxy.url(), data=b"<Execute/>")
    assert [(s.path, s.body) for s in elsewhere.seen] == [("/new", b"<Execute/>")]


def test_an_execute_answered_502_by_a_proxy_whose_node_lives_has_an_unknown_outcome(proxy):
    proxy.answer = lambda seen: Answer(502 if seen.method == "POST" else 200)
    with pytest.raises(ExecuteOutcomeUnknown, match="502"):
        session_for(proxy).post(proxy.url(), data=b"<Execute/>")
    assert [seen.method for seen in proxy.seen].count("POST") == 1


def test_an_execute_answered_502_by_a_proxy_whose_node_is_dead_is_unavailable(proxy):
    proxy.answer = lambda seen: Answer(502)
    with pytest.raises(BackendUnavailable, match="not sent again"):
        session_for(proxy, deadline=0.3).post(proxy.url(), data=b"<Execute/>")
    assert [seen.method for seen in proxy.seen].count("POST") == 1


def test_a_pinned_workflow_whose_proxy_keeps_answering_502_is_unavailable(proxy):
    session = session_for(proxy, deadline=0.3)
    session.post(proxy.url(), data=b"<Execute/>")
    proxy.answer = lambda seen: Answer(502)
    with pytest.raises(BackendUnavailable):
        session.get(proxy.url("/outputs/status.xml"))


def test_a_silent_server_is_reported_when_the_read_timeout_ends(proxy):
    reported = threading.Event()
    proxy.answer = lambda seen: Answer() if reported.wait(60) else Answer(500)
    try:
        with pytest.raises(NoAnswer) as caught:
            session_for(proxy, timeout=(5, timedelta(seconds=0.3))).get(proxy.url())
    finally:
        reported.set()
    assert isinstance(caught.value, requests.ReadTimeout)


@pytest.mark.parametrize("value", [0, -1, "5", float("nan"), True, timedelta(0)])
def test_an_invalid_duration_is_refused(value):
    for option in ("timeout", "deadline"):
        with pytest.raises(InvalidRequest, match="is not a duration: expected seconds above 0"):
            AffinitySession(Pin("a1b2"), **{option: value})


def test_an_unknown_host_is_reported_at_once():
    url = "http://no-such-host.invalid/wps"
    session = session_for(url, deadline=3600)
    with pytest.raises(ServiceUnreachable, match="no-such-host"):
        session.get(url)
    assert [row["attempts"] for row in session.record.rows()] == [1]


def test_an_inner_deadline_bounds_the_repeating():
    url = f"http://127.0.0.1:{free_port()}/wps"
    session = session_for(url, deadline=3600)  # which this would last, else
    with session.deadline(0.2), pytest.raises(ServiceUnreachable):
        session.get(url)


def test_only_http_is_fetched(proxy):
    proxy.answer = lambda seen: Answer(302, b"", {"Location": "file:///etc/passwd"})
    with pytest.raises(OutOfScope, match="file:///etc/passwd"):
        session_for(proxy).get(proxy.url())


# ---- its life ----


def test_a_closed_session_refuses_requests(proxy):
    session = session_for(proxy)
    session.close()
    session.close()
    with pytest.raises(WorkflowClosed, match="a1b2"):
        session.get(proxy.url())


def test_connections_are_kept_alive(proxy):
    session = session_for(proxy)
    for _ in range(5):
        session.get(proxy.url())
    assert proxy.connections == 1


def _get_in_child(session: AffinitySession, url: str) -> None:
    session.get(url)


def test_a_fork_gets_its_own_connections(proxy):
    session = session_for(proxy)
    session.get(proxy.url())
    child = multiprocessing.get_context("fork").Process(
        target=_get_in_child, args=(session, proxy.url("/child"))
    )
    child.start()
    child.join(30)
    session.get(proxy.url("/parent"))
    assert child.exitcode == 0
    assert proxy.connections == 2


def test_threads_share_a_session(proxy):
    session = session_for(proxy)
    threads = [
        threading.Thread(target=lambda: [session.get(proxy.url()) for _ in range(10)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [seen.all("machineid") for seen in proxy.seen] == [["a1b2"]] * 80


# ---- nodes ----


def site(*servers: Server, evidence: str | None = None, **service) -> Topology:
    public = service.pop("url", "http://127.0.0.9:9/wps")
    return Topology(
        nodes=tuple(Node(f"n{i}", host=server.host) for i, server in enumerate(servers, 1)),
        services=(
            Service(
                "fp",
                url=public,
                backends=tuple(
                    Backend(f"n{i}", address=f"{server.host}:{server.port}")
                    for i, server in enumerate(servers, 1)
                ),
                outputs=Outputs(public.replace("/wps", "/outputs"), "/files"),
                **service,
            ),
        ),
        evidence=evidence,
    )


def pinned(topology: Topology, machineid: str = "a1b2", *, node=None, deadline=5.0, **options):
    pin = Pin(machineid, given=True, node=node, sources=[FixedSource(topology)], **options)
    return AffinitySession(pin, deadline=deadline)


def test_with_no_proxy_answering_the_node_itself_is_asked(proxy, elsewhere):
    topology = site(proxy, elsewhere)
    session = pinned(topology, node="n2")
    with pytest.warns(AffinityWarning, match="go to node 'n2' itself"):
        session.get("http://127.0.0.9:9/wps?service=WPS")
    session.get("http://127.0.0.9:9/outputs/x.nc?a=1")
    assert [seen.path for seen in elsewhere.seen] == ["/wps?service=WPS", "/files/x.nc?a=1"]
    assert proxy.seen == []
    assert (session.node, session.node_known) == ("n2", "proved")


def test_nodes_that_cannot_be_reached_leave_a_restarted_proxy_its_chance(elsewhere):
    with Server("127.0.0.1") as front:
        port = front.port
    closed = Server_stub("127.0.0.7", free_port("127.0.0.7"))
    session = pinned(site(closed, url=f"http://127.0.0.1:{port}/wps"), node="n1", deadline=20)
    revived: list[Server] = []
    timer = threading.Timer(0.6, lambda: revived.append(Server("127.0.0.1", port)))
    timer.start()
    with pytest.warns(AffinityWarning, match="go to node 'n1' itself"):
        assert session.get(f"http://127.0.0.1:{port}/wps").text == "ok"
    timer.join()
    session.post(f"http://127.0.0.1:{port}/wps", data=b"<Execute/>")
    assert [seen.method for seen in revived[0].seen] == ["GET", "POST"]
    revived[0].stop()


def test_with_neither_proxy_nor_node_a_pinned_workflow_names_the_node():
    closed = Server_stub("127.0.0.7", free_port("127.0.0.7"))
    session = pinned(site(closed), node="n1", deadline=0.5)
    with (
        pytest.warns(AffinityWarning, match="go to node 'n1' itself"),
        pytest.raises(BackendUnavailable, match="node 'n1'"),
    ):
        session.get("http://127.0.0.9:9/wps")


def test_a_node_that_has_answered_itself_is_not_left_for_the_proxy(proxy):
    session = pinned(site(proxy), node="n1", deadline=0.3)
    with pytest.warns(AffinityWarning, match="go to node 'n1' itself"):
        session.post("http://127.0.0.9:9/wps", data=b"<Execute/>")
    proxy.stop()
    with pytest.raises(BackendUnavailable) as caught:
        session.get("http://127.0.0.9:9/wps")
    assert f"{proxy.host}:{proxy.port}" in str(caught.value)
    proxy.__init__(proxy.host)


def test_a_direct_answer_keeps_the_callers_url(proxy):
    session = pinned(site(proxy), route="direct")
    proxy.answer = lambda seen: (
        Answer(302, b"", {"Location": "/outputs/y.nc"}) if seen.path == "/wps" else Answer()
    )
    response = session.get("http://127.0.0.9:9/wps")
    assert response.url == "http://127.0.0.9:9/outputs/y.nc"
    assert proxy.seen[-1].path == "/files/y.nc"


def test_an_unpinned_workflow_passes_over_a_node_that_refuses(proxy, elsewhere):
    topology = site(proxy, elsewhere)
    first = pinned(topology, route="direct")
    first.get("http://127.0.0.9:9/wps")
    dead, alive = (proxy, elsewhere) if first.node == "n1" else (elsewhere, proxy)
    dead.stop()
    second = pinned(topology, route="direct")
    second.get("http://127.0.0.9:9/wps")
    assert second.node != first.node
    assert len(alive.seen) == 1
    # The fixture stops it again; give it something to stop.
    dead.__init__(dead.host)


def test_a_pinned_workflow_never_leaves_its_node(proxy, elsewhere):
    topology = site(proxy, elsewhere)
    session = pinned(topology, route="direct", deadline=0.3)
    session.post("http://127.0.0.9:9/wps", data=b"<Execute/>")
    dead, alive = (proxy, elsewhere) if session.node == "n1" else (elsewhere, proxy)
    dead.stop()
    before = len(alive.seen)
    with pytest.raises(BackendUnavailable, match=f"node '{session.node}'") as caught:
        session.get("http://127.0.0.9:9/wps")
    assert caught.value.node == session.node
    assert caught.value.attempts >= 2
    assert len(alive.seen) == before
    dead.__init__(dead.host)


def test_a_node_that_comes_back_within_the_deadline_raises_nothing(proxy):
    topology = site(proxy)
    session = pinned(topology, route="direct", deadline=20)
    session.post("http://127.0.0.9:9/wps", data=b"<Execute/>")
    port = proxy.port
    proxy.stop()
    revived: list[Server] = []
    timer = threading.Timer(0.6, lambda: revived.append(Server(proxy.host, port)))
    timer.start()
    assert session.get("http://127.0.0.9:9/wps").status_code == 200
    timer.join()
    proxy.__init__(proxy.host)
    revived[0].stop()


def test_an_answer_of_another_node_is_never_a_result(proxy):
    topology = site(proxy, Server_stub("127.0.0.7"), evidence="X-Node", url=proxy.url())
    session = pinned(topology, node="n1")
    proxy.answer = lambda seen: Answer(400, b"<ExceptionReport/>", {"X-Node": "n2"})
    with pytest.raises(AffinityLost) as caught:
        session.get(proxy.url())
    assert (caught.value.node, caught.value.answered_by) == ("n1", "n2")


def test_evidence_that_is_gone_from_a_good_answer_is_an_error(proxy):
    topology = site(proxy, Server_stub("127.0.0.7"), evidence="X-Node", url=proxy.url())
    session = pinned(topology, node="n1")
    proxy.answer = lambda seen: Answer(headers={"X-Node": "n1"})
    session.get(proxy.url())
    proxy.answer = lambda seen: Answer()
    with pytest.raises(AffinityLost, match="no X-Node header"):
        session.get(proxy.url())


def test_evidence_that_never_came_leaves_the_node_predicted_with_a_warning_that_says_why(proxy):
    topology = site(proxy, Server_stub("127.0.0.7"), evidence="X-Node", url=proxy.url())
    session = pinned(topology, node="n1")
    with pytest.warns(EvidenceStrippedWarning, match="removes it") as warned:
        answers = [session.get(proxy.url()), session.post(proxy.url(), data=b"<Execute/>")]
    assert [answer.text for answer in answers] == ["ok", "ok"]
    assert [w.filename for w in warned] == [__file__]
    assert (session.node, session.node_known) == ("n1", "predicted")


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "words",
    [
        "Response is not ok: Bad Gateway",
        "Request failed: (&#x27;Connection aborted.&#x27;, RemoteDisconnected())",
    ],
)
def test_a_dead_node_in_the_words_of_a_security_proxy_is_not_the_services_answer(
    proxy, words, stream
):
    proxy.answer = lambda seen: Answer(400, wpsdocs.twitcher_report(words), XML)
    session = session_for(proxy, deadline=0.3)
    with pytest.raises(BackendUnavailable, match=r"security proxy .* answered 400: .Re"):
        session.get(proxy.url(), stream=stream)
    assert len(proxy.seen) > 1
    proxy.seen.clear()
    with pytest.raises(ExecuteOutcomeUnknown, match="hides whether the node was reached"):
        session.post(proxy.url(), data=b"<Execute/>", stream=stream)
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "report",
    [
        wpsdocs.report("Response is not ok: Bad Gateway"),
        wpsdocs.report("Process error: 502 Server Error: Bad Gateway for url: http://data.example"),
        wpsdocs.twitcher_report("Response is not ok: Forbidden"),
        wpsdocs.twitcher_report("Could not find service: finch"),
    ],
)
def test_another_refusal_is_the_callers_to_read(proxy, report, stream):
    proxy.answer = lambda seen: Answer(400, report, XML)
    session = session_for(proxy, deadline=0.3)
    for send in (session.get, session.post):
        with send(proxy.url(), stream=stream) as answer:
            assert answer.status_code == 400
            assert (answer.raw.read() if stream else answer.content) == report


def test_the_evidence_after_a_retry_is_the_last_address(proxy):
    topology = site(proxy, Server_stub("127.0.0.7"), evidence="X-Up", url=proxy.url())
    session = pinned(topology, node="n2")
    value = f"{proxy.host}:{proxy.port}, 127.0.0.7:7"
    proxy.answer = lambda seen: Answer(headers={"X-Up": value})
    session.get(proxy.url())
    assert (session.node, session.node_known) == ("n2", "proved")


def test_without_strictness_a_wrong_turn_warns(proxy):
    topology = site(proxy, Server_stub("127.0.0.7"), evidence="X-Node", url=proxy.url())
    session = pinned(topology, node="n1", strict=False)
    proxy.answer = lambda seen: Answer(headers={"X-Node": "n2"})
    with pytest.warns(AffinityWarning, match="sent the request to the wrong node"):
        assert session.get(proxy.url()).text == "ok"


def test_without_strictness_a_dead_node_is_left_for_another(proxy, elsewhere):
    session = pinned(site(proxy, elsewhere), route="direct", strict=False, deadline=0.3)
    session.post("http://127.0.0.9:9/wps", data=b"<Execute/>")
    dead, alive = (proxy, elsewhere) if session.node == "n1" else (elsewhere, proxy)
    gone = session.node
    dead.stop()
    with pytest.warns(AffinityWarning, match=f"node '{gone}' does not answer.*not strict"):
        session.post("http://127.0.0.9:9/wps", data=b"<Execute/>")
    assert session.node != gone
    assert [seen.method for seen in alive.seen] == ["POST"]
    dead.__init__(dead.host)


@pytest.mark.parametrize("strict", [True, False])
def test_an_execute_that_went_astray_names_the_node_that_ran_it(proxy, tmp_path, strict):
    path = tmp_path / "site.toml"
    options = {"evidence": "X-Node", "url": proxy.url()}
    nodes = (proxy, Server_stub("127.0.0.7"))
    site(*nodes, **options).dump(path)
    pin = Pin("a1b2", node="n1", sources=[FileSource(path)], strict=strict)

    def change_and_answer(seen):
        site(*nodes, method="hash consistent", **options).dump(path)
        return Answer(headers={"X-Node": "n2"})

    proxy.answer = change_and_answer
    if strict:
        with pytest.raises(AffinityLost, match="node 'n2' ran the Execute") as caught:
            AffinitySession(pin).post(proxy.url(), data=b"<Execute/>")
        assert (caught.value.node, caught.value.answered_by) == ("n1", "n2")
    else:
        with pytest.warns(AffinityWarning, match="node 'n2' ran the Execute"):
            assert AffinitySession(pin).post(proxy.url(), data=b"<Execute/>").text == "ok"
    assert len(proxy.seen) == 1


def test_credentials_of_the_proxy_do_not_reach_a_node_in_its_stead(proxy):
    session = pinned(site(proxy))
    session.bind("http://127.0.0.9:9/wps", auth=("u", "secret"), headers={"X-Api-Key": "k"})
    with pytest.warns(AffinityWarning, match="does not answer"):
        session.get("http://127.0.0.9:9/wps")
    assert proxy.seen[0].all("authorization") + proxy.seen[0].all("x-api-key") == []


def test_https_never_becomes_http_when_the_proxy_is_down(proxy):
    session = pinned(site(proxy, url="https://127.0.0.9:9/wps"), deadline=0.3)
    with pytest.raises(ServiceUnreachable):
        session.get("https://127.0.0.9:9/wps")
    assert proxy.seen == []


def test_a_session_pickles_as_id_node_and_topology(proxy, elsewhere):
    session = pinned(site(proxy, elsewhere), route="direct")
    session.get("http://127.0.0.9:9/wps")
    copy = pickle.loads(pickle.dumps(session))
    assert (copy.machineid, copy.node) == (session.machineid, session.node)
    copy.get("http://127.0.0.9:9/wps")
    assert copy.node_known == "proved"


def test_the_record_tells_what_each_request_did(proxy, elsewhere):
    session = pinned(site(proxy, elsewhere), node="n1", route="direct")
    session.get("http://u:p@127.0.0.9:9/wps?request=DescribeProcess&identifier=x")
    [row] = session.record.rows()
    assert row["operation"] == "DescribeProcess x"
    assert (row["service"], row["node"], row["node_known"]) == ("fp", "n1", "proved")
    assert (row["status"], row["bytes"], row["attempts"], row["route"]) == (200, 2, 1, "direct")
    assert row["url"] == "http://127.0.0.9:9/wps"


class Server_stub:  # noqa: N801  # named as a node that gets no requests
    def __init__(self, host: str, port: int = 7) -> None:
        self.host, self.port = host, port


# ---- what cannot be sent is refused before anything is sent ----


@pytest.mark.parametrize(
    "options",
    [
        {"auth": ("\u20ac", "5ecret")},
        {"auth": ("ann", "\u20ac")},
        {"headers": {"X-Api-Key": "5ecret\u20ac"}},
        {"headers": {"X-Api-Key": "5ecret\n"}},
        {"headers": {"X-Api-Key": 5}},
        {"headers": {5: "5ecret"}},
        {"cookies": {"a": "\u20ac"}},
        {"data": "\ud800"},
        {"cert": "/nowhere/cert.pem"},
        {"cert": ("/nowhere/cert.pem", "/nowhere/key.pem")},
        {"cert": 5},
        {"cert": (__file__,)},
    ],
    ids=str,
)
def test_a_request_that_cannot_be_sent_is_refused_by_an_error_of_ours(proxy, options):
    with pytest.raises(InvalidRequest) as raised:
        session_for(proxy).get(proxy.url(), **options)
    assert not proxy.seen
    assert "5ecret" not in str(raised.value)


@pytest.mark.parametrize("name", ["wps", "processes"])
@pytest.mark.parametrize(
    "options",
    [
        {"verify": "/nowhere/ca.pem"},
        {"verify": "\0"},
        {"verify": 5},
        {"cert": "/nowhere/cert.pem"},
        {"cert": (__file__, "/nowhere/key.pem")},
        {"auth": ("\u20ac", "x")},
        {"headers": {"X-Api-Key": "\u20ac"}},
    ],
    ids=str,
)
def test_a_client_whose_settings_cannot_be_used_is_refused_by_an_error_of_ours(
    proxy, name, options
):
    url = proxy.url().replace("http:", "https:")
    topology = Topology(nodes=(Node("n"),), services=(Service("s", url=url),))
    with Workflow("a1b2", topology=topology) as wf, pytest.raises(InvalidRequest):
        getattr(wf, name)(url, **options)
    assert not proxy.seen


def test_a_missing_bundle_of_the_environment_is_named(proxy, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(InvalidRequest, match=r"'/nowhere/ca\.pem'"):
        session_for(proxy).get(proxy.url().replace("http:", "https:"))


def test_none_takes_a_header_of_the_session_away(proxy):
    session = session_for(proxy)
    session.headers["X-Mine"] = "1"
    session.get(proxy.url(), headers={"X-Mine": None})
    assert proxy.seen[0].all("X-Mine") == []


def test_a_url_of_another_scheme_that_cannot_be_read_is_refused(proxy):
    with pytest.raises(OutOfScope):
        session_for(proxy).get("hhttp://[bad/x")

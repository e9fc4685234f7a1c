"""When a workflow is pinned, and what is made of an Execute's redirect."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

import pytest
import requests

from pavics_affinity import Backend, Node, Service, Topology, Workflow
from pavics_affinity.errors import (
    AffinityError,
    AffinityLost,
    BackendUnavailable,
    ExecuteOutcomeUnknown,
    ExecuteRedirected,
)
from support.loopback import Answer, Seen, Server, free_port
from support.scriptedwps import ScriptedWPS

EXECUTE = b"<Execute/>"
LONG = 60.0
"""Seconds after which a test that hangs ends; none takes that long."""


class Nodes:
    """Two nodes, and services on one of them or on both; each request says where it was sent.

    Attributes
    ----------
    first, second : str
        The node that the workflow goes to by itself, and the other one.
    """

    def __init__(self) -> None:
        self.servers = {"n1": Server("127.0.0.2"), "n2": Server("127.0.0.3")}
        self.first = Workflow("a1b2", topology=self.site("n1", "n2")).session.pin.route(FP).node
        [self.second] = {"n1", "n2"} - {self.first}

    def site(self, *on: str, mf: tuple[str, ...] = (), closed: tuple[str, ...] = ()) -> Topology:
        def backends(names: tuple[str, ...], closed: tuple[str, ...] = ()) -> tuple[Backend, ...]:
            at = {name: (s.host, s.port) for name, s in self.servers.items()}
            at |= {name: (at[name][0], free_port(at[name][0])) for name in closed}
            return tuple(Backend(n, address=f"{at[n][0]}:{at[n][1]}") for n in names)

        return Topology(
            nodes=tuple(Node(name, host=s.host) for name, s in self.servers.items()),
            services=(
                Service("fp", url=FP, method="rendezvous", backends=backends(on)),
                *(
                    [Service("mf", url=MF, method="rendezvous", backends=backends(mf, closed))]
                    if mf
                    else []
                ),
            ),
        )


FP = "http://127.0.0.9:9/fp"
MF = "http://127.0.0.9:9/mf"


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    made = Nodes()
    yield made
    for server in made.servers.values():
        server.stop()


@contextlib.contextmanager
def execute_under_way(wf: Workflow, server: Server, url: str = FP) -> Iterator[None]:
    """Run a block while another thread's Execute waits for its answer."""
    came, go_on, before = threading.Event(), threading.Event(), server.answer

    def answer(seen: Seen) -> Answer:
        if seen.method == "POST":
            came.set()
            go_on.wait(LONG)
        return before(seen)

    server.answer = answer
    thread = threading.Thread(target=lambda: wf.session.post(url, data=EXECUTE))
    thread.start()
    try:
        assert came.wait(LONG)
        yield
    finally:
        go_on.set()
        thread.join(LONG)


# ---- an Execute on its way holds the pin ----


@pytest.mark.parametrize("gone", ["not offered", "refuses", "another answers", "its own URL"])
def test_while_the_first_execute_runs_another_thread_does_not_move_the_workflow(nodes, gone):
    first, second = nodes.first, nodes.second
    offers = {"not offered": (second,)}.get(gone, (first, second))
    closed = (first,) if gone == "refuses" else ()
    topology = nodes.site("n1", "n2", mf=offers, closed=closed)
    own = nodes.servers[second].url("/mf")
    with Workflow("a1b2", topology=topology, route="direct", deadline=0.3) as wf:
        with execute_under_way(wf, nodes.servers[first]):
            assert wf.session.pin.pinned
            if gone == "another answers":
                assert wf.session.get(MF).text == "ok"  # of the first node, which has it
            else:
                expected = AffinityLost if gone == "its own URL" else BackendUnavailable
                with pytest.raises(expected, match=f"node '{first}'"):
                    wf.session.get(own if gone == "its own URL" else MF)
            assert wf.node == first
        assert (wf.node, wf.node_known) == (first, "proved")
        wf.session.post(FP, data=EXECUTE)
        [*rows] = [row for row in wf.record.rows() if row["method"] == "POST"]
        assert [row["node"] for row in rows] == [first, first]
        assert [step.node for step in wf.steps] == [first, first]
    assert [s.method for s in nodes.servers[second].seen] == []


@pytest.fixture
def front() -> Iterator[Server]:
    """A proxy that says which node has answered."""
    with Server() as server:
        yield server


def behind(front: Server) -> Topology:
    return Topology(
        nodes=(Node("n1", host="127.0.0.2"), Node("n2", host="127.0.0.3")),
        services=(
            Service(
                "fp",
                url=front.url(),
                backends=(
                    Backend("n1", address="127.0.0.2:9"),
                    Backend("n2", address="127.0.0.3:9"),
                ),
            ),
        ),
        evidence="X-Node",
    )


def of_both(wf: Workflow, front: Server) -> tuple[str, str]:
    """Name the node that the workflow goes to by itself, and the other one."""
    first = wf.session.pin.route(front.url()).node
    assert first is not None
    return first, "n2" if first == "n1" else "n1"


def test_a_document_from_another_node_does_not_move_a_workflow_whose_execute_is_under_way(front):
    with Workflow("a1b2", topology=behind(front), route="proxy") as wf:
        first, other = of_both(wf, front)
        front.answer = lambda seen: Answer(
            headers={"X-Node": first if seen.method == "POST" else other}
        )
        with execute_under_way(wf, front, front.url()):
            assert wf.session.get(front.url("/wps?request=GetCapabilities")).text == "ok"
            assert wf.node == first
        assert (wf.node, wf.node_known) == (first, "proved")
        rows = {row["method"]: row["node"] for row in wf.record.rows()}
        assert rows == {"POST": first, "GET": other}
        with pytest.raises(AffinityLost):
            wf.session.get(front.url("/wps?request=GetCapabilities"))


def test_the_node_that_runs_the_first_execute_becomes_the_workflows_node(front):
    with Workflow("a1b2", topology=behind(front), route="proxy") as wf:
        _, other = of_both(wf, front)
        front.answer = lambda seen: Answer(headers={"X-Node": other})
        with execute_under_way(wf, front, front.url()):
            wf.session.get(front.url())
        assert (wf.node, wf.node_known) == (other, "proved")
        [step] = wf.steps
        assert step.node == other


def test_where_no_node_can_be_predicted_a_document_does_not_choose_it_while_the_execute_runs(front):
    nodes = (Node("n1"), Node("n2"))
    service = Service("fp", url=front.url(), backends=(Backend("n1"), Backend("n2")))
    site = Topology(nodes=nodes, services=(service,), evidence="X-Node")
    front.answer = lambda seen: Answer(headers={"X-Node": "n1" if seen.method == "POST" else "n2"})
    with Workflow("a1b2", topology=site, route="proxy") as wf:
        with execute_under_way(wf, front, front.url()):
            assert wf.session.get(front.url("/wps?request=GetCapabilities")).text == "ok"
            assert wf.node is None
        assert (wf.node, wf.node_known) == ("n1", "proved")


def test_a_request_from_before_the_first_execute_is_asked_again_of_its_node(front):
    slow, go_on = threading.Event(), threading.Event()
    got: list[requests.Response] = []
    with Workflow("a1b2", topology=behind(front), route="proxy") as wf:
        first, other = of_both(wf, front)

        def answer(seen: Seen) -> Answer:
            if seen.method == "GET" and not slow.is_set():
                slow.set()
                go_on.wait(LONG)
                return Answer(body=b"another's", headers={"X-Node": other})
            return Answer(headers={"X-Node": first})

        front.answer = answer
        thread = threading.Thread(target=lambda: got.append(wf.session.get(front.url())))
        thread.start()
        assert slow.wait(LONG)
        wf.session.post(front.url(), data=EXECUTE)
        go_on.set()
        thread.join(LONG)
        assert [answer.text for answer in got] == ["ok"]
        assert wf.node == first


def test_of_two_first_executes_the_one_that_is_answered_first_decides(front):
    with Workflow("a1b2", topology=behind(front), route="proxy") as wf:
        first, other = of_both(wf, front)
        front.answer = lambda seen: Answer(
            headers={"X-Node": first if seen.path == "/wps" else other}
        )
        lost: list[BaseException] = []
        came, go_on, before = threading.Event(), threading.Event(), front.answer

        def answer(seen: Seen) -> Answer:
            if seen.path == "/wps/slow":
                came.set()
                go_on.wait(LONG)
            return before(seen)

        def slow() -> None:
            try:
                wf.session.post(front.url("/wps/slow"), data=EXECUTE)
            except AffinityError as error:
                lost.append(error)

        front.answer = answer
        thread = threading.Thread(target=slow)
        thread.start()
        assert came.wait(LONG)
        wf.session.post(front.url(), data=EXECUTE)
        go_on.set()
        thread.join(LONG)
        assert [type(error) for error in lost] == [AffinityLost]
        assert wf.node == first


def test_an_execute_that_was_refused_lets_the_workflow_go_where_it_can_run(nodes):
    topology = nodes.site("n1", "n2", mf=("n1", "n2"), closed=(nodes.first,))
    with Workflow("a1b2", topology=topology, route="direct", deadline=0.3) as wf:
        assert wf.session.post(MF, data=EXECUTE).text == "ok"
        assert wf.node == nodes.second


# ---- whatever ends the wait ----


@pytest.mark.parametrize("client", ["session", "wps"])
def test_ctrl_c_during_the_first_execute_leaves_the_workflow_on_the_node_that_has_it(
    nodes, client, tmp_path
):
    server, other = nodes.servers[nodes.first], nodes.servers[nodes.second]
    pressed = threading.Event()

    def answer(seen: Seen) -> Answer:
        if seen.method == "POST":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            pressed.wait(LONG)
        return Answer()

    server.answer = answer
    topology = nodes.site("n1", "n2", mf=("n1", "n2"), closed=(nodes.first,))
    journal = tmp_path / "run.jsonl"
    with Workflow("a1b2", topology=topology, route="direct", deadline=0.3, journal=journal) as wf:
        wps = wf.wps(FP, skip_caps=True)
        send = {
            "session": lambda: wf.session.post(FP, data=EXECUTE),
            "wps": lambda: wps.execute("step", [], request=EXECUTE),
        }
        with pytest.raises(KeyboardInterrupt):
            send[client]()
        pressed.set()
        assert (wf.node, wf.session.pin.pinned) == (nodes.first, True)
        [step] = wf.steps
        assert (step.state, step.node) == ("unknown", nodes.first)
        [row] = wf.record.rows()
        assert (row["node"], row["error"]) == (nodes.first, "KeyboardInterrupt")
        with pytest.raises(BackendUnavailable, match=f"node '{nodes.first}'"):
            wf.session.post(MF, data=EXECUTE)
        assert other.seen == []
    with pytest.warns(match="not known whether these steps"):
        resumed = Workflow.resume(journal, deadline=0.3)
    with resumed as wf:
        assert wf.node == nodes.first
        with pytest.raises(BackendUnavailable, match=f"node '{nodes.first}'"):
            wf.session.post(MF, data=EXECUTE)
    assert other.seen == []


def test_ctrl_c_while_a_refused_execute_is_to_be_repeated_pins_nothing(nodes, monkeypatch):
    from pavics_affinity.transport.times import Patience

    def interrupted(self: Patience, least: float) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(Patience, "wait", interrupted)
    with Workflow("a1b2", deadline=5) as wf:
        url = f"http://127.0.0.2:{free_port('127.0.0.2')}/wps"
        wf.add_scope(url)
        with pytest.raises(KeyboardInterrupt):
            wf.session.post(url, data=EXECUTE)
        assert not wf.session.pin.pinned
        [step] = wf.steps
        assert step.state == "not sent"


# ---- redirects of an Execute ----


def run(wf: Workflow, service: ScriptedWPS, client: str) -> object:
    if client == "ogcapi":
        api = wf.processes(service.url("/api/"), json_='{"links": []}')
        return api.execute("step", {})
    if client == "birdy":
        return wf.birdy(service.url()).step()
    return wf.wps(service.url()).execute("step", [])


@pytest.mark.parametrize("client", ["wps", "birdy", "ogcapi"])
@pytest.mark.parametrize(
    ("status", "location", "words"),
    [
        (303, "/outputs/1234.xml", "says that it ran.*error.location"),
        (303, "http://127.0.0.2:9/x", "says that it ran.*error.location"),
        (303, "?service=WPS&request=Execute&identifier=step", "says that it ran"),
        (303, None, "says that it ran"),
        (303, "http://ann:word@127.0.0.1:9/x", "says that it ran"),
        (301, "/new/wps", "Whether it ran is not known"),
        (302, "https://127.0.0.1/wps", "Whether it ran is not known"),
    ],
)
def test_an_execute_that_was_redirected_is_not_said_never_to_have_run_and_not_sent_again(
    service, tmp_path, client, status, location, words
):
    def answer(seen: Seen) -> Answer:
        if seen.method == "POST":
            return Answer(status, b"", {} if location is None else {"Location": location})
        if seen.path.startswith("/api/"):
            return Answer(200, b'{"id": "step"}', {"Content-Type": "application/json"})
        return service._answer(seen)

    service.answer = answer
    journal = tmp_path / "run.jsonl"
    with Workflow("a1b2", journal=journal) as wf:
        with pytest.raises(ExecuteRedirected, match=words) as caught:
            run(wf, service, client)
        assert isinstance(caught.value, ExecuteOutcomeUnknown)
        assert "Nothing ran" not in str(caught.value)
        assert "word" not in str(caught.value) + repr(vars(caught.value))
        assert [step.state for step in wf.steps] == ["unknown"]
        assert wf.session.pin.pinned
    with (
        Workflow.resume(journal, replay=True) as wf,
        pytest.raises(ExecuteOutcomeUnknown, match="not sent again"),
    ):
        run(wf, service, client)
    assert [seen.method for seen in service.seen].count("POST") == 1


def test_a_request_of_the_session_that_was_redirected_may_have_run_and_pins_the_workflow(service):
    service.execute = lambda seen: Answer(303, b"", {"Location": "/outputs/1234.xml"})
    with Workflow("a1b2") as wf:
        wf.add_scope(service.url())
        with pytest.raises(ExecuteRedirected):
            wf.session.post(service.url(), data=EXECUTE)
        assert [step.state for step in wf.steps] == ["unknown"]
        assert wf.session.pin.pinned


def test_the_result_of_a_303_can_be_attached(service):
    service.execute = lambda seen: Answer(303, b"", {"Location": "/outputs/1234.xml"})
    with Workflow("a1b2") as wf:
        wps = wf.wps(service.url())
        with pytest.raises(ExecuteRedirected) as caught:
            wps.execute("step", [])
        assert wps.attach(caught.value.location).output("output").data == ["hello"]


@pytest.mark.parametrize("status", [307, 308, 401])
def test_an_execute_that_the_server_did_not_do_is_sent_where_it_says_and_journalled(
    service, tmp_path, status
):
    challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'

    def answer(seen: Seen) -> Answer:
        moved = seen.path == "/wps" if status != 401 else not seen.all("Authorization")
        if seen.method == "POST" and moved:
            to = {"WWW-Authenticate": challenge} if status == 401 else {"Location": "/wps?a=b"}
            return Answer(status, b"", to)
        if seen.method == "POST":
            return service.execute(seen)
        return service._answer(seen)

    service.answer = answer
    journal = tmp_path / "run.jsonl"
    options = {"auth": requests.auth.HTTPDigestAuth("u", "p")} if status == 401 else {}
    with Workflow("a1b2", journal=journal) as wf:
        wf.wps(service.url(), **options).execute("step", [])
        [step] = wf.steps
        assert step.state == "accepted"
    sent = [seen.body for seen in service.seen if seen.method == "POST"]
    assert len(sent) == 2
    assert sent[0] == sent[1] != b""
    with Workflow.resume(journal, replay=True) as wf:
        execution = wf.wps(service.url(), **options).execute("step", []).wait()
        assert execution.output("output").data == ["hello"]
    assert [seen.method for seen in service.seen].count("POST") == 2

"""A service whose queue is full: a workflow takes another node, or waits; nothing runs twice."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time

import pytest

from pavics_affinity import (
    Backend,
    Node,
    Service,
    Topology,
    WebProcessingService,
    Workflow,
    WPSClient,
)
from pavics_affinity.clients.wps.service import ASYNC, SYNC
from pavics_affinity.errors import ExecutionFailed, ServiceBusy
from pavics_affinity.testing import LocalCluster
from pavics_affinity.transport import exchange
from pavics_affinity.transport.wire import outgoing
from support import wpsdocs
from support.batch_site import STRICT
from support.live_site import nginx
from support.loopback import Answer
from support.scriptedapi import ScriptedAPI
from support.scriptedwps import ScriptedWPS

QUEUE = "Maximum number of processes in queue reached. Please try later."
FULL = {
    "ServerBusy": ScriptedWPS.xml(wpsdocs.report(QUEUE, code="ServerBusy"), 400),
    "ServerBusy, 200": ScriptedWPS.xml(wpsdocs.report(QUEUE, code="ServerBusy")),
    "429": Answer(429, b"slow down", {"Retry-After": "0"}),
    "503": Answer(503, b"<html>come back</html>", {"Retry-After": "0"}),
}
INPUTS = [("text", "a")]
ONE = {"parallelprocesses": 1, "maxprocesses": 1, "services": ("malleefowl",), "workers": 4}
"""A node that runs one job and queues one."""


def done() -> Answer:
    return ScriptedWPS.xml(wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.embedded("hello")))


def full_at_first(server, refusal: Answer, times: int, then) -> None:
    left = [refusal] * times
    server.execute = lambda seen: left.pop() if left else then()


@contextlib.contextmanager
def site_of(*names):
    """Yield the nodes of a site, each a separate server, and its topology: nodes only."""
    with contextlib.ExitStack() as stack:
        nodes = {name: stack.enter_context(ScriptedWPS()) for name in names}
        backends = tuple(
            Backend(name, address=f"127.0.0.1:{server.port}") for name, server in nodes.items()
        )
        service = Service("malleefowl", url="http://proxy.example/wps", backends=backends)
        topology = Topology(nodes=tuple(map(Node, names)), services=(service,))
        for server in nodes.values():
            server.execute = lambda seen: done()
        yield nodes, topology


def ran_on(nodes) -> dict[str, int]:
    return {name: len(server.asked("Execute")) for name, server in nodes.items()}


def direct(topology, machineid=None, **options) -> Workflow:
    return Workflow(machineid, topology=topology, route="direct", **options)


# ---- a workflow that has executed nothing ----


@pytest.mark.parametrize("refusal", FULL.values(), ids=FULL)
def test_a_new_workflow_passes_over_a_node_whose_queue_is_full(refusal):
    with site_of("n1", "n2", "n3") as (nodes, topology):
        nodes["n1"].execute = lambda seen: refusal
        begun = 0
        while begun < 99 and not nodes["n1"].asked("Execute"):
            begun += 1
            with direct(topology, patience=0) as wf:
                assert wf.wps("http://proxy.example/wps").execute("step", []).isSucceeded()
                assert wf.node != "n1"
                [step] = wf.steps
                assert (step.state, step.node) == ("succeeded", wf.node)
    sent = ran_on(nodes)
    assert sent.pop("n1") == 1
    assert sum(sent.values()) == begun


@pytest.mark.usefixtures("no_waiting")
def test_its_next_steps_stay_with_the_node_that_it_took():
    with site_of("n1", "n2") as (nodes, topology):
        for server in nodes.values():
            full_at_first(server, FULL["ServerBusy"], 1, done)
        with direct(topology) as wf:
            client = wf.wps("http://proxy.example/wps")
            for _ in range(4):
                client.execute("step", [])
            assert {step.node for step in wf.steps} == {wf.node}


@pytest.mark.usefixtures("no_waiting")
def test_all_nodes_are_asked_before_it_waits_and_again_afterwards():
    with site_of("n1", "n2") as (nodes, topology):
        for server in nodes.values():
            full_at_first(server, FULL["ServerBusy"], 2, done)
        with direct(topology) as wf:
            wf.wps("http://proxy.example/wps").execute("step", [])
        assert sorted(ran_on(nodes).values()) == [2, 3]


def test_no_node_with_a_place_is_service_busy_at_once_without_patience():
    with site_of("n1", "n2", "n3") as (nodes, topology):
        for server in nodes.values():
            server.execute = lambda seen: FULL["ServerBusy"]
        with direct(topology, patience=0) as wf:
            client = wf.wps("http://proxy.example/wps")
            with pytest.raises(ServiceBusy, match=r"3 times in .* Nothing was executed"):
                client.execute("step", [])
            assert not wf.session.pin.pinned
        assert ran_on(nodes) == {"n1": 1, "n2": 1, "n3": 1}


@pytest.mark.usefixtures("no_waiting")
def test_a_job_is_dismissed_on_its_node_however_busy_that_is():
    asked = []

    def answer(seen):
        if seen.method != "DELETE":
            return ScriptedAPI.json({"jobID": "1", "status": "running", "links": []})
        asked.append(seen)
        if len(asked) < 3:
            return FULL["429"]
        return ScriptedAPI.json({"jobID": "1", "status": "dismissed"})

    with site_of("n1", "n2") as (nodes, topology), direct(topology) as wf:
        for server in nodes.values():
            server.answer = answer
        oapi = wf.processes("http://proxy.example/wps")
        oapi.attach("http://proxy.example/wps/jobs/1").dismiss()
        seen = {n: [r for r in s.seen if r.method == "DELETE"] for n, s in nodes.items()}
    assert {name: len(each) for name, each in seen.items() if each} == {wf.node: 3}


def test_an_execute_that_was_routed_before_another_one_was_refused_follows_it(monkeypatch):
    routed, go_on = threading.Event(), threading.Event()

    def late(request, target, *others):
        if b">late<" in (request.body or b"") and not routed.is_set():
            routed.set()
            go_on.wait(10)
        return outgoing(request, target, *others)

    monkeypatch.setattr(exchange, "outgoing", late)
    with site_of("n1", "n2") as (nodes, topology), direct(topology) as wf:
        client = wf.wps("http://proxy.example/wps")
        client.description("step")
        full_at_first(nodes[wf.node], FULL["ServerBusy"], 1, done)
        thread = threading.Thread(target=client.execute, args=("step", [("resource", "late")]))
        thread.start()
        assert routed.wait(10)
        client.execute("step", [("resource", "a")])
        go_on.set()
        thread.join(10)
        assert [step.node for step in wf.steps] == [wf.node] * 2
    assert sorted(ran_on(nodes).values()) == [1, 2]


@pytest.mark.usefixtures("no_waiting")
def test_a_full_node_whose_own_url_was_given_is_waited_for():
    with site_of("n1", "n2") as (nodes, topology):
        nodes["n1"].execute = lambda seen: FULL["ServerBusy"]
        with Workflow(topology=topology, patience=0.5) as wf:
            client = wf.wps(nodes["n1"].url())
            with pytest.raises(ServiceBusy, match="Nothing was executed"):
                client.execute("step", [])
        sent = ran_on(nodes)
    assert sent["n2"] == 0
    assert 1 < sent["n1"] < 6


@pytest.mark.usefixtures("no_waiting")
def test_nodes_without_the_service_are_not_asked():
    with site_of("n1", "n2") as (nodes, topology):
        for server in nodes.values():
            full_at_first(server, FULL["ServerBusy"], 2, done)
        elsewhere = Service("other", port=80, backends=(Backend("n3", address="127.0.0.1:1"),))
        three = Topology(
            nodes=(*topology.nodes, Node("n3")), services=(*topology.services, elsewhere)
        )
        with direct(three) as wf:
            wf.wps("http://proxy.example/wps").execute("step", [])
            assert wf.node in nodes
        assert sorted(ran_on(nodes).values()) == [2, 3]


@pytest.mark.usefixtures("no_waiting")
def test_a_workflow_that_comes_back_to_its_id_waits_for_its_node():
    with site_of("n1", "n2") as (nodes, topology):
        with direct(topology, "a1b2") as wf:
            wf.wps("http://proxy.example/wps").getcapabilities()
            node = wf.node
        full_at_first(nodes[node], FULL["ServerBusy"], 1, done)
        with direct(topology, "a1b2") as wf:
            wf.wps("http://proxy.example/wps").execute("step", [])
            assert wf.node == node
        assert ran_on(nodes)[node] == 2


def test_an_execute_beside_it_keeps_the_workflow_on_its_node():
    """Both leave together: one of them runs, so the other must not go elsewhere."""
    with site_of("n1", "n2") as (nodes, topology), direct(topology) as wf:
        client = wf.wps("http://proxy.example/wps")
        client.description("step")
        refused, both = threading.Event(), threading.Barrier(2)
        first = threading.Lock()

        def one_place(seen):
            if b">a<" in seen.body:
                both.wait(10)
                refused.wait(10)
                return done()
            if first.acquire(blocking=False):
                both.wait(10)
                threading.Timer(0.3, refused.set).start()
                return FULL["ServerBusy"]
            return done()

        for server in nodes.values():
            server.execute = one_place
        threads = [
            threading.Thread(target=client.execute, args=("step", [("resource", text)]))
            for text in "ab"
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(ran_on(nodes).values()) == [0, 3]
        assert {step.state for step in wf.steps} == {"succeeded"}


# ---- a workflow that has executed something ----


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("refusal", FULL.values(), ids=FULL)
def test_a_pinned_workflow_waits_for_a_place_and_runs_once(refusal, caplog):
    caplog.set_level(logging.INFO, "pavics_affinity")
    with ScriptedWPS() as server, Workflow() as wf:
        server.execute = lambda seen: done()
        client = wf.wps(server.url())
        client.execute("step", [])
        full_at_first(server, refusal, 2, done)
        assert client.execute("step", []).isSucceeded()
        assert [step.state for step in wf.steps] == ["succeeded"] * 2
        assert len(server.asked("Execute")) == 4
        [note] = wf.record.notes
        assert "has no place for the Execute" in note
        assert note in caplog.messages


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("refusal", FULL.values(), ids=FULL)
def test_out_of_patience_a_pinned_workflow_says_that_nothing_ran(refusal):
    with ScriptedWPS() as server, Workflow(patience=0.5) as wf:
        server.execute = lambda seen: done()
        client = wf.wps(server.url())
        client.execute("step", [])
        server.execute = lambda seen: refusal
        with pytest.raises(ServiceBusy) as caught:
            client.execute("step", [])
        assert "Nothing was executed" in str(caught.value)
        assert f"The files of workflow {wf.machineid!r} are on that node" in str(caught.value)
        assert (QUEUE in str(caught.value)) == (caught.value.code == "ServerBusy")
        assert [step.state for step in wf.steps] == ["succeeded", "refused"]
        assert not wf.steps[1].ran
        assert len(server.asked("Execute")) > 2


def test_a_retry_after_is_obeyed_within_the_patience_and_never_beyond():
    with ScriptedWPS() as server, Workflow(patience=30) as wf:
        client = wf.wps(server.url())
        full_at_first(server, Answer(503, b"", {"Retry-After": "1"}), 1, done)
        begun = time.monotonic()
        client.execute("step", [])
        assert time.monotonic() - begun > 0.9
        server.execute = lambda seen: Answer(503, b"", {"Retry-After": "31"})
        begun = time.monotonic()
        with pytest.raises(ServiceBusy, match="asks to wait 31 s"):
            client.execute("step", [])
        assert time.monotonic() - begun < 5


def test_a_deadline_around_the_call_bounds_the_patience():
    with ScriptedWPS() as server, Workflow() as wf:
        server.execute = lambda seen: FULL["ServerBusy"]
        client = wf.wps(server.url())
        with wf.session.deadline(0.3), pytest.raises(ServiceBusy):
            client.execute("step", [])


def test_ctrl_c_ends_the_wait():
    with ScriptedWPS() as server, Workflow() as wf:
        server.execute = lambda seen: Answer(429, b"", {"Retry-After": "200"})
        client = wf.wps(server.url())
        client.description("step")
        press = threading.Timer(1, os.kill, [os.getpid(), signal.SIGINT])
        begun = time.monotonic()
        press.start()
        with pytest.raises(KeyboardInterrupt):
            client.execute("step", [])
        assert time.monotonic() - begun < 60
        assert [step.state for step in wf.steps] == ["not sent"]


def test_what_a_process_says_of_another_server_is_a_failure():
    """A process that was refused elsewhere did run: its failed status is not a refusal."""
    with ScriptedWPS() as server, Workflow() as wf:
        failed = wpsdocs.failed("the other server is busy", "ServerBusy")
        server.execute = lambda seen: server.xml(wpsdocs.response(failed))
        with pytest.raises(ExecutionFailed):
            wf.wps(server.url()).execute("step", []).wait()
        assert len(server.asked("Execute")) == 1


# ---- every client ----


def by_wps(wf, url):
    return wf.wps(url).execute("step", [], mode=SYNC)


def by_wps_async(wf, url):
    return wf.wps(url).execute("step", [], mode=ASYNC).wait()


def by_birdy(wf, url):
    return wf.birdy(url).step()


def by_drop_in(wf, url):
    with wf:
        return WebProcessingService(url).execute("step", [])


def by_birdy_drop_in(wf, url):
    with wf:
        return WPSClient(url).step()


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("execute", [by_wps, by_wps_async, by_birdy, by_drop_in, by_birdy_drop_in])
@pytest.mark.parametrize("refusal", ["ServerBusy", "503"])
def test_each_client_waits_and_gives_up_with_the_same_error(execute, refusal):
    with ScriptedWPS() as server:
        full_at_first(server, FULL[refusal], 1, done)
        execute(Workflow(), server.url())
        assert len(server.asked("Execute")) == 2
        server.execute = lambda seen: FULL[refusal]
        with pytest.raises(ServiceBusy, match="Nothing was executed"):
            execute(Workflow(patience=0), server.url())
        assert len(server.asked("Execute")) == 3


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("refusal", ["429", "503"])
@pytest.mark.parametrize("async_", [True, False])
def test_an_ogc_api_waits_and_gives_up_with_the_same_error(refusal, async_):
    with ScriptedAPI() as server:
        full_at_first(server, FULL[refusal], 1, lambda: server.json({"out": "done"}))
        with Workflow() as wf:
            client = wf.processes(server.url("/"))
            assert client.execute("step", {"text": "a"}, async_=async_)["out"] == "done"
        server.execute = lambda seen: FULL[refusal]
        with Workflow(patience=0) as wf:
            client = wf.processes(server.url("/"))
            with pytest.raises(ServiceBusy, match="Nothing was executed"):
                client.execute("step", {"text": "a"}, async_=async_)
            with pytest.raises(RuntimeError):  # as OWSLib raises
                client.execute("step", {"text": "a"}, async_=async_)


def test_birdy_says_in_its_progress_that_it_waits(capsys):
    with ScriptedWPS() as server, Workflow() as wf:
        full_at_first(server, FULL["ServerBusy"], 1, done)
        wf.birdy(server.url(), progress=True).step()
    assert "has no place for the Execute" in capsys.readouterr().out


# ---- real nodes ----


@pytest.fixture(scope="module")
def filled():
    """A cluster of small queues as the last test left it."""
    nginx()
    with LocalCluster(proxy="nginx", evidence="X-Pavics-Node", **ONE) as cluster:
        yield cluster


@pytest.fixture
def plain(filled):
    """The same with nothing in its queues."""
    yield filled
    filled.kill("node1")
    # PyWPS keeps what is queued in its database, and runs it after a restart.
    (filled.cache("node1").parent / "malleefowl" / "pywps.sqlite").unlink()
    filled.start("node1")


@pytest.fixture
def strict(make_cluster):
    return make_cluster(**STRICT, **ONE)


@pytest.fixture
def without_a_proxy(make_cluster):
    return make_cluster(proxy="none", **ONE)


def fill(cluster, node: str, seconds: float) -> None:
    """Have a node run a job and queue another one, for so many seconds each."""
    # Its workflow is closed afterwards: new ones of this process would avoid the node.
    with Workflow(topology=cluster.topology, node=node, route="direct") as wf:
        client = wf.wps(cluster.url("malleefowl"))
        for _ in range(2):
            client.execute("sleep", [("delay", str(seconds))], mode=ASYNC)
            time.sleep(0.5)  # PyWPS counts the jobs that its database has


def fresh_workflows(cluster, count: int, **options) -> list[str]:
    """Run an Execute in each of so many fresh workflows, every second one asynchronously.

    Returns the nodes that ran them.
    """
    ran = []
    for number in range(count):
        with Workflow(topology=cluster.topology, **options) as wf:
            client = wf.wps(cluster.url("malleefowl"), skip_caps=True)
            mode = (SYNC, ASYNC)[number % 2]
            done = client.execute("echo", [("text", str(number))], mode=mode).wait()
            ran.append(done.output("node").data[0])
            assert wf.node == ran[-1]
    return ran


@pytest.mark.parametrize(
    ("site", "options"),
    [("plain", {}), ("strict", {}), ("without_a_proxy", {"route": "direct"})],
    ids=["plain", "strict", "direct"],
)
def test_fresh_workflows_run_beside_a_full_node(request, site, options):
    cluster = request.getfixturevalue(site)
    echoes, asked = len(cluster.executions(identifier="echo")), len(cluster.requests("node1"))
    fill(cluster, "node1", 90)
    ran = fresh_workflows(cluster, 30, **options)
    assert len(ran) == 30
    assert set(ran) == {"node2", "node3"}
    echoed = [e.node for e in cluster.executions(identifier="echo")[echoes:]]
    assert sorted(echoed) == sorted(ran)
    executes = [r for r in cluster.requests("node1")[asked:] if r.operation == "Execute"]
    assert len(executes) > 2  # it was asked, and refused


def test_behind_an_unknown_plain_proxy_a_workflow_waits(make_cluster):
    cluster = make_cluster(proxy="nginx", **ONE)
    url, topology = cluster.url("malleefowl"), cluster.topology
    ids = (f"a{number}" for number in range(1000))
    own = next(i for i in ids if topology.first_node("malleefowl", i) == "node1")
    fill(cluster, "node1", 2)
    with Workflow(own) as wf:
        done = wf.wps(url).execute("echo", INPUTS, mode=SYNC)
        assert done.output("node").data[0] == "node1"
        assert any("has no place for the Execute" in note for note in wf.record.notes)
        assert wf.node is None
    assert len([e for e in cluster.executions() if e.identifier == "echo"]) == 1


@pytest.mark.parametrize("mode", [SYNC, ASYNC])
def test_a_pinned_workflow_waits_for_a_real_node_and_gives_up(plain, mode):
    cluster, before = plain, len(plain.executions(identifier="echo"))
    options = {"topology": cluster.topology, "node": "node1"}
    fill(cluster, "node1", 4)
    with Workflow(patience=0.5, **options) as hasty:
        client = hasty.wps(cluster.url("malleefowl"))
        words = "parallel running processes" if mode == SYNC else "processes in queue"
        with pytest.raises(ServiceBusy, match=rf"{words} reached.*Nothing was executed"):
            client.execute("echo", INPUTS, mode=mode)
    with Workflow(**options) as wf:
        done = wf.wps(cluster.url("malleefowl")).execute("echo", INPUTS, mode=mode).wait()
        assert done.output("node").data[0] == "node1"
    assert len(cluster.executions(identifier="echo")) == before + 1

"""A proxy tells its clients what they need, and is believed for itself only."""

import copy
import itertools
import json
import os
import pickle
import socket
import threading
import time
from dataclasses import replace

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

import pavics_affinity.discovery as discovery
from pavics_affinity import Topology, Workflow, discover
from pavics_affinity.discovery import DiscoveredSource, find, introduce
from pavics_affinity.discovery.document import document, topology_of
from pavics_affinity.discovery.finder import FINDER, Finder, Trust
from pavics_affinity.errors import (
    AffinityError,
    NotAService,
    ServiceUnreachable,
    TopologyError,
    UnknownNode,
)
from pavics_affinity.proxy.render import render_proxy
from pavics_affinity.topology import Node, Outputs, Service
from pavics_affinity.topology.urls import origin_of
from support.live_site import running, site
from support.loopback import Answer, Server, free_port

HOST = "proxy.example"
TOPOLOGY = Topology(
    nodes=[
        Node("node1", "10.0.0.1"),
        Node("node2", "10.0.0.2", 2),
        Node("node3", "10.0.0.3", drain=True),
    ],
    services=[
        Service(
            "flyingpigeon",
            url="http://proxy.example:58093/wps",
            port=8093,
            path="/other",
            publish=58093,
            outputs=Outputs("http://proxy.example:58093/outputs", "/backend-outputs"),
            aliases=("http://proxy.internal:8093",),
        ),
        Service("malleefowl", port=8091, publish=58091),
    ],
    site="Montréal's $5 \"site\" \\",
    evidence="X-Pavics-Node",
    proxy="strict",
)  # fmt: skip
SECRETS = ("10.0.0.", "/other", "/backend-outputs")


@pytest.fixture(autouse=True)
def _nothing_known():
    FINDER.forget()
    yield
    FINDER.forget()


@pytest.fixture
def proxy():
    """A server that publishes a document."""
    with Server() as server:
        server.publishes = True
        server.document = document(topology_at(server))
        server.answer = lambda seen: (
            Answer(body=json.dumps(server.document).encode())
            if seen.path == discovery.WELL_KNOWN
            else Answer(400, b"<ExceptionReport/>", {"Content-Type": "text/xml"})
        )
        yield server


def topology_at(server, *nodes):
    return Topology(
        nodes=[Node(name, "10.0.0.1") for name in nodes or ("node1",)][:1]
        + [Node(name, f"10.0.1.{i}") for i, name in enumerate(nodes[1:])],
        services=[Service("finch", url=server.url(), port=8094)],
        proxy="strict",
        evidence="X-Pavics-Node",
    )


# ---- the document ----


def test_it_holds_no_address_unless_the_operator_wants_that():
    text = json.dumps(document(TOPOLOGY))
    assert not any(secret in text for secret in SECRETS)
    text = json.dumps(document(replace(TOPOLOGY, direct=True)))
    assert all(secret in text for secret in SECRETS)


def test_its_version_changes_with_its_content():
    versions = {
        document(topology)["version"]
        for topology in (
            TOPOLOGY,
            replace(TOPOLOGY, site="x"),
            replace(TOPOLOGY, nodes=(*TOPOLOGY.nodes, Node("node4", "10.0.0.4"))),
            replace(TOPOLOGY, direct=True),
        )
    }
    assert len(versions) == 4
    # What it does not tell does not count.
    moved = replace(TOPOLOGY, nodes=tuple(replace(n, host=f"h-{n.name}") for n in TOPOLOGY.nodes))
    assert document(moved)["version"] in versions


def test_it_says_where_the_proxy_looks_for_the_key():
    told = document(TOPOLOGY)
    assert told["pavics-affinity"] == 1
    assert told["keys"] == {
        "header": "machineid", "path": "/.affinity/", "query": "machineid", "cookie": "machineid"
    }  # fmt: skip


def test_a_client_reads_what_the_operator_wrote_without_the_addresses():
    told = json.loads(json.dumps(document(TOPOLOGY)))
    read = topology_of(told, f"http://{HOST}:58093/wps")
    assert [(n.name, n.host, n.weight, n.drain) for n in read.nodes] == [
        ("node1", None, 1, False), ("node2", None, 2, False), ("node3", None, 1, True)
    ]  # fmt: skip
    assert (read.site, read.evidence, read.proxy) == (TOPOLOGY.site, "X-Pavics-Node", "strict")
    pigeon = read.service("flyingpigeon")
    assert pigeon.url == "http://proxy.example:58093/wps"
    assert pigeon.outputs.public == "http://proxy.example:58093/outputs"
    assert read.service("malleefowl").url == "http://proxy.example:58091"
    assert read.covering("http://proxy.example:58091/any").service.name == "malleefowl"


@pytest.mark.parametrize("direct", [False, True])
def test_a_client_learns_that_outputs_name_their_node(direct):
    outputs = Outputs(f"http://{HOST}:58093/outputs/{{node}}", "/backend-outputs")
    pigeon = replace(TOPOLOGY.services[0], outputs=outputs)
    told = document(replace(TOPOLOGY.with_services([pigeon]), direct=direct))
    read = topology_of(told, f"http://{HOST}:58093/wps", addresses=direct)
    url = f"http://{HOST}:58093/outputs/node2/a.nc"
    assert read.node_of_url(url) == "node2"
    assert read.covering(url).is_output
    own = "http://10.0.0.2:8093/backend-outputs/a.nc" if direct else None
    assert read.to_node(url, "node2") == own


def test_addresses_are_read_only_if_the_caller_asks_for_them():
    told = document(replace(TOPOLOGY, direct=True))
    url = f"http://{HOST}:58093/wps"
    assert topology_of(told, url).service_hosts == {HOST}
    direct = topology_of(told, url, addresses=True)
    assert direct.to_node(f"{url}?x=1", "node2") == "http://10.0.0.2:8093/other?x=1"
    assert direct.to_node("http://proxy.example:58093/outputs/a", "node1") == (
        "http://10.0.0.1:8093/backend-outputs/a"
    )


def test_what_it_says_of_other_hosts_is_not_believed():
    told = document(TOPOLOGY)
    told["services"].append({"name": "bank", "url": "http://bank.example/", "backends": []})
    told["services"][0]["aliases"].append("http://bank.example/wps")
    told["services"][0]["outputs"] = "http://bank.example/outputs"
    read = topology_of(told, f"http://{HOST}:58093/")
    assert read.service_hosts == {HOST}
    assert read.covering("http://bank.example/wps") is None
    with pytest.raises(TopologyError, match="no service on host"):
        topology_of({**told, "services": told["services"][2:]}, f"http://{HOST}:58093/")


def test_a_proxy_with_two_names_is_believed_under_each():
    told = document(replace(TOPOLOGY, services=TOPOLOGY.services[:1]))
    read = topology_of(told, "http://proxy.internal:8093/wps")
    assert read.service_hosts == {"proxy.internal"}
    assert read.covering("http://proxy.internal:8093/wps").service.name == "flyingpigeon"
    assert read.covering("http://proxy.internal:8093/outputs/x").is_output


def test_a_document_fetched_over_tls_cannot_name_http_services():
    with pytest.raises(TopologyError, match="no service on host"):
        topology_of(document(replace(TOPOLOGY, services=TOPOLOGY.services[:1])), f"https://{HOST}/")


@pytest.mark.parametrize(
    "change",
    [
        {"pavics-affinity": 2}, {"pavics-affinity": True}, {"nodes": []}, {"nodes": "node1"},
        {"nodes": [{"name": "Node 1"}]}, {"nodes": [{"name": "node1"}] * 2}, {"nodes": [1]},
        {"nodes": [{"name": "node1", "weight": -1}]},
        {"nodes": [{"name": "node1", "weight": 1e300}]},
        {"services": None}, {"services": [{}]}, {"services": [{"name": "a", "url": "ftp://x"}]},
        {"services": [{"name": "a", "url": f"http://{HOST}/", "backends": [{"node": "n"}]}]},
        {"header": "Authorization"}, {"header": "Host"}, {"header": "a b"}, {"header": 1},
        {"evidence": "Set-Cookie"}, {"proxy": "open"}, {"proxy": ["strict"]}, {"site": "a\nb"},
        {"site": "x" * 5000},
    ],
)  # fmt: skip
def test_a_document_that_is_not_valid_is_refused(change):
    with pytest.raises(TopologyError):
        topology_of(document(TOPOLOGY) | change, f"http://{HOST}/")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_mutation_of_a_document_is_read_or_refused(data):
    told = copy.deepcopy(document(replace(TOPOLOGY, direct=data.draw(st.booleans()))))
    place = told
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and data.draw(st.booleans()):
            place = place[key]
            continue
        place[key] = data.draw(JSON)
        break
    try:
        read = topology_of(told, f"http://{HOST}:58093/", addresses=data.draw(st.booleans()))
    except AffinityError:
        return
    assert read.nodes
    for service in read.services:
        assert origin_of(service.url).host == HOST


# ---- asking ----


def test_discover_reads_what_a_rendered_proxy_publishes():
    with site() as made:
        topology = made.topology(site=TOPOLOGY.site)
        with running(made, render_proxy(topology, "strict"), backends=False):
            read = discover(made.url())
            assert read.site == TOPOLOGY.site
            assert [s.name for s in read.services] == ["malleefowl", "flyingpigeon", "hummingbird"]
            assert read.proxy == "strict"
            assert {b.address for s in read.services for b in read.backends(s)} == {None}
        direct = replace(topology, direct=True)
        with running(made, render_proxy(direct, "strict"), backends=False):
            read = discover(made.url())
            assert read.backend_url(read.service("flyingpigeon"), "node2") == (
                f"http://{made.nodes['node2']}:8093/wps"
            )


def test_a_long_document_comes_whole_through_nginx():
    with site(services={"finch": 8094}) as made:
        names = [f"n{i}" for i in range(200)]
        topology = replace(
            made.topology(site="'$a\\\"" * 200),
            nodes=tuple(Node(name, f"10.9.0.{i + 1}") for i, name in enumerate(names)),
        )
        with running(made, render_proxy(topology, "strict"), backends=False):
            read = discover(made.url("finch"))
    assert [node.name for node in read.nodes] == names
    assert read.site == topology.site


@pytest.mark.parametrize(
    "answer",
    [
        Answer(400, b"<ExceptionReport/>", {"Content-Type": "text/xml"}),
        Answer(404), Answer(200, b"<html>"), Answer(200, b"{}"), Answer(200, b"[" * 100_000),
        Answer(200, b'{"pavics-affinity": 1}'), Answer(302, b"", {"Location": "/elsewhere"}),
        Answer(200, b" " * 1_100_000), Answer(200, b"\xff\xfe"), Answer(200, b"1" * 10_000),
        Answer(200, b"{}", {"Content-Encoding": "gzip"}),
    ],
)  # fmt: skip
def test_anything_but_the_document_means_that_there_is_none(proxy, answer):
    proxy.answer = lambda seen: answer
    with pytest.raises(NotAService):
        discover(proxy.url())
    with Workflow() as wf:
        assert find(wf.session, proxy.url()) is None
        introduce(wf.session, proxy.url())
        assert wf.session.pin.sources == ()


def test_without_a_server_there_is_no_document():
    url = f"http://127.0.0.1:{free_port()}/wps"
    with pytest.raises(ServiceUnreachable):
        discover(url)
    with Workflow() as wf:
        assert find(wf.session, url) is None


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "no url", "ftp://x/"])
def test_discover_wants_a_url(url):
    with pytest.raises(TopologyError, match="not an http or https URL"):
        discover(url)


def drip(listener, ended):
    listener.settimeout(0.1)
    while not ended.is_set():
        try:
            connection, _ = listener.accept()
        except OSError:
            continue
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not ended.wait(0.1):
                try:
                    connection.sendall(b"X-More: yes\r\n")
                except OSError:
                    break


def test_a_server_that_sends_single_bytes_does_not_delay_the_client():
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener, ended))
        thread.start()
        try:
            # It sends until it is stopped, so the client must give up.
            with pytest.raises(ServiceUnreachable, match=r"0\.3 s"):
                discover(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=0.3)
        finally:
            ended.set()
            thread.join()


def test_the_request_carries_nothing_of_the_workflow(proxy, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Workflow("my-id") as wf:
        wf.session.bind(proxy.url(), auth=("me", "secret"), headers={"X-Token": "secret"})
        wf.session.cookies.set("magpie", "secret", domain="127.0.0.1")
        introduce(wf.session, proxy.url())
    [seen] = proxy.seen
    assert (seen.method, seen.path) == ("GET", discovery.WELL_KNOWN)
    names = {name.lower() for name, _ in seen.headers}
    assert names <= {"host", "user-agent", "accept", "accept-encoding", "connection"}
    assert "my-id" not in str(seen)


def test_a_proxy_is_asked_once_for_all_workflows_and_threads(proxy):
    workflows = [Workflow() for _ in range(12)]
    together, answer = threading.Barrier(len(workflows)), proxy.answer

    def ask(wf):
        together.wait(30)
        introduce(wf.session, proxy.url())

    def late(seen):
        time.sleep(0.2)  # so that the others ask meanwhile, if nothing keeps them from it
        return answer(seen)

    proxy.answer = late
    threads = [threading.Thread(target=ask, args=(wf,)) for wf in workflows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(proxy.seen) == 1
    assert all(len(wf.session.pin.sources) == 1 for wf in workflows)
    for wf in workflows:
        introduce(wf.session, proxy.url())
        wf.close()
    assert len(proxy.seen) == 1


def test_an_answer_is_good_for_a_while_and_a_refusal_longer(proxy):
    now = [0.0]
    finder = Finder(clock=lambda: now[0])
    origin = origin_of(proxy.url())
    assert finder.find(origin, Trust()) is finder.find(origin, Trust())
    now[0] = 61
    finder.find(origin, Trust())
    assert len(proxy.seen) == 2
    proxy.answer = lambda seen: Answer(404)
    now[0] = 130
    assert finder.find(origin, Trust()) is None
    now[0] = 400
    assert finder.find(origin, Trust()) is None
    assert len(proxy.seen) == 3


SILENT = [Answer(503), Answer(502), Answer(429), Answer(cut=-1)]


@pytest.mark.parametrize("silence", SILENT, ids=lambda answer: str(answer.cut or answer.status))
def test_a_proxy_that_does_not_answer_is_asked_again_soon(proxy, silence):
    now = [1000.0]
    finder = Finder(clock=lambda: now[0])
    origin = origin_of(proxy.url())
    good, proxy.answer = proxy.answer, lambda seen: silence
    assert finder.find(origin, Trust()) is None
    now[0] += 0.9
    assert finder.find(origin, Trust()) is None
    assert len(proxy.seen) == 1
    proxy.answer = good
    now[0] += 0.2
    assert finder.find(origin, Trust()) is not None


def test_the_pauses_after_silence_grow_up_to_that_after_a_refusal(proxy):
    now = [0.0]
    finder = Finder(clock=lambda: now[0])
    origin = origin_of(proxy.url())
    good, proxy.answer = proxy.answer, lambda seen: Answer(503)
    asked = []
    for second in range(1500):
        now[0] = float(second)
        before = len(proxy.seen)
        finder.find(origin, Trust())
        asked += [second] * (len(proxy.seen) - before)
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    proxy.answer = good
    now[0] += 300
    found = finder.find(origin, Trust())
    assert found is not None
    proxy.answer = lambda seen: Answer(503)
    now[0] += 61
    assert finder.find(origin, Trust()) is found  # what it said last
    now[0] += 1
    before = len(proxy.seen)
    finder.find(origin, Trust())
    assert len(proxy.seen) == before + 1


def test_a_workflow_that_starts_after_a_moment_of_silence_knows_its_nodes(proxy, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(FINDER, "_clock", lambda: now[0])
    good, proxy.answer = proxy.answer, lambda seen: Answer(cut=-1)
    with Workflow() as wf:
        introduce(wf.session, proxy.url())
        assert wf.session.pin.sources == ()
        proxy.answer = good
        now[0] = 1.5
        with Workflow() as later:
            introduce(later.session, proxy.url())
            assert len(later.session.pin.sources) == 1
        introduce(wf.session, proxy.url())  # and the first one, with its next client
        assert len(wf.session.pin.sources) == 1


def test_a_child_process_asks_for_itself(proxy):
    with FINDER._lock:  # as if another thread held it
        child = os.fork()
        if child == 0:
            try:
                with Workflow() as wf:
                    os._exit(0 if find(wf.session, proxy.url()) is not None else 1)
            finally:
                os._exit(2)
        end = time.monotonic() + 30
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
            time.sleep(0.01)
        if ended == (0, 0):
            os.kill(child, 9)
            os.waitpid(child, 0)
    assert ended == (child, 0)


def test_answers_that_were_believed_without_a_certificate_are_not_shared(tmp_path):
    authority = trustme.CA()
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Server(tls=context) as server:
        url = server.url()
        server.publishes = True
        told = document(Topology([Node("node1")], [Service("finch", url=url)]))
        server.answer = lambda seen: Answer(body=json.dumps(told).encode())
        with Workflow() as careless, Workflow() as careful, Workflow() as informed:
            careless.session.bind(url, verify=False)
            with pytest.warns(Warning, match="Unverified HTTPS"):
                assert find(careless.session, url) is not None
            assert find(careful.session, url) is None
            authority.cert_pem.write_to_path(tmp_path / "ca.pem")
            informed.session.bind(url, verify=str(tmp_path / "ca.pem"))
            assert find(informed.session, url) is not None


# ---- what a workflow makes of it ----


def test_a_workflow_learns_the_node_from_a_url_alone(proxy):
    with Workflow() as wf:
        introduce(wf.session, proxy.url())
        wf.session.get(proxy.url())
        assert (wf.node, wf.node_known) == ("node1", "predicted")
    assert proxy.seen[-1].all("machineid") == [f"{wf.machineid}~node1"]


def test_the_users_own_topology_takes_precedence(proxy):
    own = Topology([Node("mine")], [Service("finch", url=proxy.url())])
    with Workflow(topology=own) as wf:
        introduce(wf.session, proxy.url("/else"))
        introduce(wf.session, f"http://127.0.0.1:{free_port()}/wps")
    assert proxy.seen == []


def test_a_document_without_the_service_is_not_used(proxy):
    services = [Service(name, url=proxy.url(f"/{name}")) for name in ("finch", "raven")]
    proxy.document = document(Topology([Node("node1")], services))
    with Workflow() as wf:
        introduce(wf.session, proxy.url("/other"))
        assert wf.session.pin.sources == ()
        introduce(wf.session, proxy.url("/finch"))
        assert len(wf.session.pin.sources) == 1


def test_a_node_that_the_site_does_not_have_is_an_error(proxy):
    with Workflow(node="node7") as wf, pytest.raises(UnknownNode, match="there are: node1"):
        introduce(wf.session, proxy.url())


def test_a_source_asks_again_on_request_and_keeps_its_topology_without_an_answer(
    proxy, monkeypatch
):
    monkeypatch.setattr("pavics_affinity.discovery.finder.SHORTEST_PAUSE", 0.0)
    with Workflow() as wf:
        source = find(wf.session, proxy.url())
    assert not source.renew()
    assert len(proxy.seen) == 1
    assert not source.renew(thorough=True)
    proxy.document = document(topology_at(proxy, "node1", "node2"))
    assert source.renew(thorough=True)
    assert [node.name for node in source.current.nodes] == ["node1", "node2"]
    assert not source.renew(thorough=True)
    proxy.answer = lambda seen: Answer(502)
    assert not source.renew(thorough=True)
    assert len(source.current.nodes) == 2


def test_a_source_does_not_ask_more_often_than_once_a_second(proxy):
    with Workflow() as wf:
        source = find(wf.session, proxy.url())
    before = time.monotonic()
    for _ in range(200):
        source.renew(thorough=True)
    assert len(proxy.seen) <= 2 + (time.monotonic() - before)


def test_a_strict_proxy_is_not_asked_again_before_each_execute(proxy, monkeypatch):
    monkeypatch.setattr("pavics_affinity.discovery.finder.SHORTEST_PAUSE", 0.0)
    with Workflow() as wf:
        introduce(wf.session, proxy.url())
        for _ in range(3):
            wf.session.pin.route(proxy.url(), execute=True)
    assert len(proxy.seen) == 1


def test_a_source_travels_with_its_workflow(proxy):
    with Workflow() as wf:
        introduce(wf.session, proxy.url())
        wf.session.get(proxy.url())
        copied = pickle.loads(pickle.dumps(wf))
    [source] = copied.session.pin.sources
    assert isinstance(source, DiscoveredSource)
    assert (copied.machineid, copied.node) == (wf.machineid, wf.node)
    assert source.current == wf.session.pin.sources[0].current
    assert not source.renew(thorough=True)
    copied.close()

"""Clients and outputs go to other processes by pickle, with their workflow; jobs say why not."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import pickle
import re

import pytest
from owslib.util import Authentication

from pavics_affinity import Node, Service, Topology, WebProcessingService, Workflow
from pavics_affinity.clients.ogcapi.service import Processes
from pavics_affinity.errors import InvalidRequest
from support import travellers, wpsdocs
from support.loopback import Answer, Server

SECRET = "hush-hush"
JSON = {"Content-Type": "application/json"}


def over_pickle(held):
    return pickle.loads(pickle.dumps(held))


def over_dask(held):
    serialization = pytest.importorskip("distributed.protocol")
    return serialization.deserialize(*serialization.serialize(held))


def over_dask_within_a_graph(held):
    serialization = pytest.importorskip("distributed.protocol")
    frames = serialization.dumps({"held": serialization.to_serialize(held)})
    return serialization.loads(list(map(bytes, frames)))["held"]


def as_dask_pickles_the_arguments_of_a_task(held):
    pickling = pytest.importorskip("distributed.protocol.pickle")
    return pickling.loads(pickling.dumps(held))


WAYS = [over_pickle, over_dask, over_dask_within_a_graph, copy.copy, copy.deepcopy]


@pytest.fixture
def ogc():
    """An OGC API with one process, and one job that has run."""

    def answer(seen):
        path = seen.path.partition("?")[0].rstrip("/")
        documents = {
            "/oapi": {"links": [], "title": "t"},
            "/oapi/processes": {"processes": [{"id": "step"}]},
            "/oapi/processes/step": {"id": "step", "inputs": {}},
        }
        if seen.method == "POST":
            headers = JSON | {"Location": server.url("/oapi/jobs/1")}
            return Answer(201, b'{"status": "accepted", "jobID": "1"}', headers)
        found = documents.get(path, {"status": "successful", "jobID": "1"})
        return Answer(200, json.dumps(found).encode(), dict(JSON))

    with Server() as server:
        server.answer = answer
        yield server


@pytest.fixture
def spawned():
    """Run a function of `travellers` in a process that has nothing of this one."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield lambda function, held: pool.apply_async(function, (held,)).get(120)


# ---- clients ----


@pytest.mark.parametrize("way", WAYS)
def test_a_wps_client_travels_without_asking_for_anything(service, way):
    with Workflow("kept-id") as wf:
        client = wf.wps(service.url(), timeout=7, language="fr-CA")
        seen = len(service.seen)
        sent = way(client)
        assert len(service.seen) == seen
        assert type(sent) is WebProcessingService
        assert (sent.url, sent.version) == (client.url, client.version)
        assert (sent.timeout, sent.language) == (7, "fr-CA")
        assert sent.session.machineid == "kept-id"
        assert sent.identification.title == "Löcal"
        assert [p.identifier for p in sent.processes] == service.processes
        assert sent.execute("step", [("delay", "1")]).wait().isSucceeded()
        assert {s.all("machineid")[0] for s in service.seen} == {"kept-id"}


def test_a_client_that_has_no_capabilities_yet_travels_and_asks_later(service, session):
    sent = over_pickle(WebProcessingService(service.url(), skip_caps=True, session=session))
    assert (sent.processes, sent.operations, sent.identification) == ([], [], None)
    sent.getcapabilities()
    assert [p.identifier for p in sent.processes] == service.processes


@pytest.mark.parametrize("way", WAYS)
def test_a_birdy_client_travels_without_asking_for_anything(service, way):
    pytest.importorskip("birdy")
    service.processes = ["step"]
    with Workflow("kept-id") as wf:
        client = wf.birdy(service.url(), lineage=True)
        seen = len(service.seen)
        sent = way(client)
        assert len(service.seen) == seen
        assert type(sent) is type(client)
        assert sent.step.__doc__ == client.step.__doc__
        described = len(service.asked("DescribeProcess"))
        sent.step(delay=1)
        assert len(service.asked("DescribeProcess")) == described
        assert b'lineage="true"' in service.asked("Execute")[0].body
        assert {s.all("machineid")[0] for s in service.seen} == {"kept-id"}


@pytest.mark.parametrize("way", WAYS)
def test_a_client_of_an_ogc_api_travels_without_asking_for_anything(ogc, way):
    with Workflow("kept-id") as wf:
        client = wf.processes(ogc.url("/oapi"), timeout=7, verify="/some/bundle.pem")
        seen = len(ogc.seen)
        sent = way(client)
        assert len(ogc.seen) == seen
        assert type(sent) is Processes
        assert (sent.url, sent.timeout, sent.links) == (client.url, 7, [])
        assert sent.session.affinity.origins.of(ogc.url()).verify == "/some/bundle.pem"
        assert [p["id"] for p in sent.processes()] == ["step"]
        assert {s.all("machineid")[0] for s in ogc.seen} == {"kept-id"}


def test_verification_of_a_wps_client_travels(service, session, tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    auth = Authentication(verify=str(bundle))
    sent = over_pickle(
        WebProcessingService(service.url(), skip_caps=True, auth=auth, session=session)
    )
    sent.getcapabilities()
    assert sent.session.affinity.origins.of(service.url()).verify == str(bundle)


def test_what_is_sent_together_is_of_one_workflow(service, ogc):
    pytest.importorskip("birdy")
    service.processes = ["step"]
    with Workflow("kept-id") as wf:
        held = {
            "workflow": wf,
            "wps": wf.wps(service.url()),
            "another": wf.wps(service.url("/wps?x=1"), skip_caps=True),
            "birdy": wf.birdy(service.url()),
            "ogc": wf.processes(ogc.url("/oapi")),
        }
        for way in (over_pickle, as_dask_pickles_the_arguments_of_a_task, copy.deepcopy):
            sent = way(held)
            assert len(travellers.shared(sent)) == 1
            assert sent["workflow"].session is sent["wps"].session
            assert sent["workflow"].machineid == "kept-id"


def test_the_node_and_the_topology_travel_with_a_client(service):
    topology = Topology(
        nodes=[Node("n1", host="127.0.0.7"), Node("n2", host="127.0.0.1")],
        services=[Service("s", url=service.url(), port=service.port)],
    )
    with Workflow(node="n2", topology=topology) as wf:
        sent = over_pickle(wf.wps(service.url(), skip_caps=True))
    assert sent.session.node == "n2"
    assert sent.session.pin.sites[0].topology == topology


def test_no_credential_travels(service, ogc):
    pytest.importorskip("birdy")
    service.processes = ["step"]
    url = service.url().replace("//", f"//ann:{SECRET}@")
    given = {"auth": ("ann", SECRET), "headers": {"X-Key": SECRET}}
    with Workflow() as wf:
        held = [
            wf.wps(url, skip_caps=True),
            wf.wps(service.url(), skip_caps=True, auth=("ann", SECRET), headers={"X": SECRET}),
            wf.wps(service.url(), skip_caps=True, auth=Authentication("ann", SECRET)),
            wf.birdy(url),
            wf.birdy(service.url(), auth=("ann", SECRET), headers={"X": SECRET}),
            wf.processes(ogc.url("/oapi"), **given),
        ]
        for client in held:
            assert not re.search(SECRET.encode(), pickle.dumps(client)), client


# ---- other processes, which have nothing of this one ----


def test_clients_work_in_another_process(service, ogc, spawned):
    pytest.importorskip("birdy")
    service.processes = ["step"]
    with Workflow("kept-id") as wf:
        found = [
            spawned(travellers.execute, wf.wps(service.url())),
            spawned(travellers.call, wf.birdy(service.url())),
            spawned(travellers.names, wf.processes(ogc.url("/oapi"))),
        ]
        held = {"workflow": wf, "one": wf.wps(service.url()), "two": wf.wps(service.url())}
        assert len(spawned(travellers.shared, held)) == 1
    assert os.getpid() not in {process for process, *_ in found}
    assert [machineid for _, machineid, *_ in found] == ["kept-id"] * 3
    assert found[0][2] == ["output"]
    assert found[2][2] == ["step"]
    assert {s.all("machineid")[0] for s in (*service.seen, *ogc.seen)} == {"kept-id"}


def test_an_output_is_fetched_in_another_process_with_the_machineid(service, session, spawned):
    content = wpsdocs.reference(service.url("/outputs/x.txt"))
    service.execute = lambda seen: service.xml(wpsdocs.response(wpsdocs.SUCCEEDED, content))
    service.files = lambda seen: Answer(200, b"here")
    client = WebProcessingService(service.url(), session=session)
    output = client.execute("step", []).output("output")
    assert spawned(travellers.text, output)[1] == "here"
    assert service.seen[-1].all("machineid") == ["a1b2"]


# ---- what stays ----


def executions(service, ogc):
    pytest.importorskip("birdy")
    service.processes = ["step"]
    with Workflow() as wf:
        yield wf.wps(service.url()).execute("step", [("delay", "1")]).wait()
        yield wf.birdy(service.url()).step(delay=1)
        yield wf.processes(ogc.url("/oapi")).execute("step", {}, async_=True)


def test_what_is_followed_here_says_what_to_send_instead(service, ogc):
    for execution in executions(service, ogc):
        for way in WAYS[:1]:
            with pytest.raises(InvalidRequest, match=r"cannot be sent.*\.attach\(\)") as raised:
                way(execution)
            assert isinstance(raised.value, TypeError)
        with pytest.raises(TypeError):
            over_dask(execution)


def test_what_is_followed_here_can_be_copied(service, ogc):
    for execution in executions(service, ogc):
        for made in (copy.copy(execution), copy.deepcopy(execution)):
            assert type(made) is type(execution)
            assert made is not execution
            assert made.status == execution.status
            assert not isinstance(execution, dict) or dict(made) == dict(execution)
        assert copy.copy(execution).session is execution.session

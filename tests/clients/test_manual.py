"""The examples of the manual's page on clients do what they say."""

from __future__ import annotations

import sys
import types

import pytest

from pavics_affinity import Workflow, WPSClient
from support.manual import examples
from support.rook import rook_class

PAGE = "clients.md"


@pytest.fixture
def run(cluster):
    """Run a section's examples, one after the other, at the cluster's services."""

    services = {58091: "malleefowl", 58093: "flyingpigeon"}

    def here(code):
        for port, service in services.items():
            public = f"http://proxy.example:{port}/wps"
            code = code.replace(public, cluster.url(service))
        return code

    def run(heading, **names):
        for code in examples(PAGE, heading):
            exec(here(code), names)
        return names

    return run


def test_birdy(cluster, run):
    pytest.importorskip("birdy")
    found = run("birdy", url=cluster.sample_url)
    assert found["dataset"].sizes["latitude"] > 1
    found["dataset"].close()


def test_subclasses_of_birdys_client(cluster, run, monkeypatch):
    kind = rook_class(monkeypatch, cluster.url("flyingpigeon"))
    # rooki does not work with the birdy of these tests; where it does, it is the real one.
    for name in ("rooki", "rooki.client"):
        monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(Rooki=kind))
    found = run("Subclasses of birdy's client", Workflow=Workflow)
    assert len(found["files"]) == 3
    assert issubclass(found["PinnedRooki"], (kind, WPSClient))


def test_sessions(cluster, run):
    found = run("Sessions of requests")
    ids = {request.machineid for request in cluster.proxy_requests()}
    assert found["wf"].machineid in ids


def test_headers_and_links(cluster, run):
    with Workflow("a1b2", node="node2", topology=cluster.topology) as wf:
        found = run("Headers and links", wf=wf, url=cluster.outputs_url("malleefowl") + "/x.nc")
    assert list(found["headers"]) == ["machineid"]
    assert found["link"].startswith(cluster.node_url("node2", "malleefowl")[: -len("/wps")])


def test_an_output_as_an_input(cluster, run):
    with Workflow(topology=cluster.topology) as wf:
        clients = {name: wf.wps(cluster.url(name)) for name in ("malleefowl", "flyingpigeon")}
        found = run("An output as the input of the next process", **clients)
        assert found["words"].output("output").text() == "4"


def test_an_output_in_the_request_itself(run):
    found = run("An output in the request itself")
    assert found["words"].output("output").text() == "4"
    assert found["wf"].steps[-1].inputs == {"text": "content"}

"""What a workflow's report says, and what it must never say."""

from __future__ import annotations

import pytest

from pavics_affinity import Node, Service, Topology, Workflow, __version__
from pavics_affinity.errors import AffinityError
from support import wpsdocs
from support.loopback import Answer
from support.scriptedwps import ScriptedWPS


@pytest.fixture
def server():
    with ScriptedWPS() as made:
        made.execute = lambda seen: made.xml(
            wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.embedded("hello"))
        )
        yield made


def test_a_report_names_versions_steps_requests_and_the_last_error(server):
    with Workflow("a1b2", deadline=0.2) as wf:
        wf.wps(server.url()).execute("step", [])
        server.answer = lambda seen: Answer(cut=-1)
        with pytest.raises(AffinityError) as caught:
            wf.session.get(server.url("/outputs/x"))
        report = wf.report()
    assert f"pavics-affinity: {__version__}" in report
    for words in ("machineid: a1b2", "owslib: ", "1. step at", "succeeded", "route: auto"):
        assert words in report
    assert f"last error: {type(caught.value).__name__}" in report
    assert "GetCapabilities" in report


def test_a_report_of_a_workflow_that_did_nothing_says_so():
    with Workflow() as wf:
        report = wf.report()
    assert "last error: none" in report
    assert "Steps\n-----\nnone" in report


def test_a_report_shows_the_topology():
    site = Topology(
        nodes=[Node("node1", host="10.0.0.1")],
        services=[Service("wps", url="http://wps.example:8091/wps", port=8091)],
    )
    with Workflow(topology=site) as wf:
        assert "node1" in wf.report()


def test_no_secret_is_in_a_report(server):
    server.files = lambda seen: Answer(404)
    with Workflow("a1b2", deadline=0.2) as wf:
        url = server.url().replace("http://", "http://ann:s3cret@")
        client = wf.wps(url, headers={"Authorization": "Bearer s3cret"})
        client.execute("step", [("delay", "1")])
        with pytest.raises(AffinityError):
            wf.wps(server.url("/other") + "?token=s3cret")
        report = wf.report()
    assert "s3cret" not in report


def test_a_hostile_message_cannot_steer_the_terminal(server):
    server.execute = lambda seen: server.xml(
        wpsdocs.response(wpsdocs.failed("bad\x1b[2Jnews".replace("\x1b", "&#x9b;")))
    )
    with Workflow("a1b2", deadline=0.2) as wf:
        wf.wps(server.url()).execute("step", [])
        assert "\x9b" not in wf.report()

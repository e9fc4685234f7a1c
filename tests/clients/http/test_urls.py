"""Addresses that a service gives, and that only its own side can reach."""

from __future__ import annotations

import pytest

from pavics_affinity import Node, Service, Topology, Workflow
from pavics_affinity.clients.http.urls import wrong_public_url
from pavics_affinity.clients.wps.service import WebProcessingService
from pavics_affinity.errors import BackendUnavailable, ServiceUnreachable
from support import wpsdocs
from support.loopback import Answer, free_port

# The services' documents are out of scope here, and a warning says so.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.* belongs to no known service"),
    pytest.mark.usefixtures("no_waiting"),
]

SERVICE = "https://wps.example.org/wps"


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost.", "127.0.0.1", "[::1]", "0.0.0.0", "10.0.0.7", "192.168.1.2"),
        *("172.17.0.3", "169.254.1.1", "[fd00::1]", "pywps", "wps.local", "finch.docker.internal"),
    ],
)
def test_the_error_on_a_private_address_of_a_public_service_names_its_configuration(host):
    said = wrong_public_url(SERVICE, f"http://{host}:5000/outputs/1.xml?a=b")
    assert said is not None
    for words in ("wrong public URL", "'outputurl'", "https://wps.example.org/outputs/1.xml?a=b"):
        assert words in said


@pytest.mark.parametrize(
    ("service", "url"),
    [
        (SERVICE, "https://wps.example.org:8090/outputs/1.xml"),
        (SERVICE, "https://data.example.org/1.nc"),
        (SERVICE, "http://8.8.8.8/1.nc"),
        ("http://10.0.0.7/wps", "http://10.0.0.7:8090/outputs/1.xml"),
        ("", "http://localhost/1.xml"),
        (SERVICE, "http://[::1/1.xml"),
    ],
)
def test_there_is_no_advice_for_other_addresses(service, url):
    assert wrong_public_url(service, url) is None


def test_what_answers_at_a_private_address_is_wrong_only_if_it_is_this_machine():
    assert wrong_public_url(SERVICE, "http://10.0.0.7/1.xml", answered=True) is None
    assert wrong_public_url(SERVICE, "http://localhost/1.xml", answered=True) is not None
    assert wrong_public_url("http://127.0.0.1/wps", "http://localhost/", answered=True) is None


@pytest.fixture
def elsewhere():
    return f"http://localhost:{free_port()}"


def check(error, elsewhere, service):
    said = str(error)
    assert "Nothing was executed" not in said
    assert "wrong public URL" in said
    assert "do not execute it again" in said
    assert service.url("/outputs/1.xml") in said


def test_a_status_document_at_localhost_is_explained(service, elsewhere):
    location = f"{elsewhere}/outputs/1.xml"
    service.execute = lambda seen: service.xml(
        wpsdocs.response(wpsdocs.ACCEPTED, location=location)
    )
    with Workflow(deadline=0.3) as wf:
        execution = wf.wps(service.url()).execute("step", [])
        with pytest.raises(ServiceUnreachable) as caught:
            execution.wait()
        check(caught.value, elsewhere, service)
    with Workflow(deadline=0.3) as wf:
        with pytest.raises(ServiceUnreachable) as caught:
            wf.wps(service.url(), skip_caps=True).attach(location)
        check(caught.value, elsewhere, service)


def test_an_output_at_localhost_is_explained(service, elsewhere, tmp_path):
    outputs = wpsdocs.reference(f"{elsewhere}/outputs/1.xml")
    service.execute = lambda seen: service.xml(wpsdocs.response(wpsdocs.SUCCEEDED, outputs))
    with Workflow(deadline=0.3) as wf:
        output = wf.wps(service.url()).execute("step", [], mode="sync").processOutputs[0]
        for fetch in (output.text, lambda: output.download(tmp_path)):
            with pytest.raises(ServiceUnreachable) as caught:
                fetch()
            check(caught.value, elsewhere, service)


def test_a_job_at_localhost_is_explained_also_after_resume(api, elsewhere, tmp_path):
    location = f"{elsewhere}/outputs/1.xml"
    api.execute = lambda seen: api.json({}, 201, Location=location)
    with Workflow(journal=tmp_path / "run.jsonl", deadline=0.3) as wf:
        client = wf.processes(api.url(""))
        job = client.execute("step", {}, async_=True)
        for ask in (job.wait, lambda: client.attach(location)):
            with pytest.raises(ServiceUnreachable) as caught:
                ask()
            check(caught.value, elsewhere, api)
    with Workflow.resume(tmp_path / "run.jsonl", deadline=0.3) as wf:
        [job] = wf.executions
        with pytest.raises(ServiceUnreachable) as caught:
            job.wait()
        check(caught.value, elsewhere, api)


def test_a_job_behind_an_unreachable_plain_proxy_may_have_run(service, tmp_path):
    """Neither after `resume`, nor after `attach` in another program."""
    with Workflow(journal=tmp_path / "run.jsonl", deadline=0.3) as wf:
        location = wf.wps(service.url()).execute("step", []).statusLocation
    service.stop()
    with Workflow.resume(tmp_path / "run.jsonl", deadline=0.3) as wf:
        [resumed] = wf.executions
        client = WebProcessingService(service.url(), skip_caps=True, session=wf.session)
        for ask in (resumed.wait, lambda: client.attach(location)):
            with pytest.raises(ServiceUnreachable, match="ask again") as caught:
                ask()
            assert "Nothing was executed" not in str(caught.value)
            assert "wrong public URL" not in str(caught.value)
        with pytest.raises(ServiceUnreachable, match="Nothing was executed"):
            client.execute("step", [], request="<Execute/>")


def test_a_node_that_is_away_is_to_be_asked_again_and_nothing_to_be_repeated(service):
    """A status document, or an Execute that may have run, is not a step to repeat."""
    site = Topology(
        nodes=[Node("node1", host="127.0.0.1")],
        services=[Service("s", url=service.url(), port=service.port)],
    )
    with Workflow(topology=site, route="direct", deadline=0.3) as wf:
        wps = wf.wps(service.url())
        execution = wps.execute("step", [])
        service.answer = lambda seen: Answer(cut=-1)  # on the connection that is kept
        service.stop()
        execution.statusLocation = service.url("/wps/1234.xml")
        with pytest.raises(BackendUnavailable, match="ask again") as caught:
            execution.wait()
        assert "repeat the step" not in str(caught.value)
        with pytest.raises(BackendUnavailable, match="repeat the step"):
            wps.execute("step", [])


def test_an_execute_that_may_have_run_is_not_to_be_repeated(service):
    with Workflow(deadline=0.3) as wf:
        wps = wf.wps(service.url())
        wps.describeprocess("step")
        service.answer = lambda seen: Answer(502, b"")
        with pytest.raises(BackendUnavailable, match="look at its jobs") as caught:
            wps.execute("step", [])
        assert "repeat the step" not in str(caught.value)
        assert [step.state for step in wf.steps] == ["unknown"]

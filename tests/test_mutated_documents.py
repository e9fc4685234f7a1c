"""For any answer, a client returns a result or raises our error, and asks no other server."""

from __future__ import annotations

import contextlib
import json
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from owslib.util import ServiceException

from fuzz.seeds import (
    CAPABILITIES,
    DESCRIPTION,
    DOCUMENTS,
    LANDING,
    METALINK,
    PUBLISHED,
    RESPONSES,
)
from pavics_affinity import Workflow
from pavics_affinity.clients.http import waiting
from pavics_affinity.clients.ogcapi.jobs import Job
from pavics_affinity.clients.ogcapi.results import Results
from pavics_affinity.clients.outputs import metalink
from pavics_affinity.clients.outputs.output import Output
from pavics_affinity.clients.wps.descriptions import Description
from pavics_affinity.clients.wps.execution import Execution
from pavics_affinity.clients.wps.service import WebProcessingService
from pavics_affinity.discovery.document import topology_of
from pavics_affinity.errors import AffinityError, TopologyError
from support.loopback import Answer, Seen, Server
from support.mutations import json_like, xml_like
from support.scriptedwps import ScriptedWPS

NOWHERE = "http://127.0.0.1:9/wps"
MANY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def wf():
    with warnings.catch_warnings(), Workflow("a1b2", deadline=0.1) as made:
        warnings.simplefilter("ignore")
        made.wps(NOWHERE, skip_caps=True)  # asks once whether a topology is published
        yield made


OURS = (AffinityError, ServiceException)


@MANY
@given(document=st.one_of(xml_like(CAPABILITIES, DESCRIPTION, *RESPONSES), st.binary(max_size=80)))
def test_documents_handed_to_the_client(wf, document):
    wps = WebProcessingService(NOWHERE, skip_caps=True, session=wf.session)
    with contextlib.suppress(*OURS):
        wps.getcapabilities(xml=document)
        repr([vars(p) for p in wps.processes])
    with contextlib.suppress(*OURS):
        found = wps.describeprocess("step", xml=document)
        repr([vars(i) for i in found.dataInputs])
    with contextlib.suppress(*OURS):
        execution = wps.execute("step", [], response=document)
        use(execution)


def use(execution: Execution) -> None:
    """Do with an execution what users do; nothing of it may be fetched."""
    repr(execution)
    with contextlib.suppress(AffinityError):
        execution.output("output")
    with contextlib.suppress(AffinityError):
        execution.wait(timeout=0)
    for output in execution.processOutputs:
        repr(output)
        if output.reference is not None:
            continue
        for read in (output.text, output.json, output.read_bytes, output.open, output.files):
            with contextlib.suppress(AffinityError):
                read()


@MANY
@given(document=xml_like(DESCRIPTION))
def test_descriptions_that_a_request_is_held_against(document):
    with contextlib.suppress(*OURS):
        root = parsed(document)
        for element in root.iterchildren("{*}ProcessDescription"):
            described = Description.of(element)
            for inputs in (
                [],
                [("delay", "3")],
                [("resource", "x"), ("kind", "b"), ("delay", "x")],
            ):
                with contextlib.suppress(AffinityError):
                    described.check_inputs(inputs)
            with contextlib.suppress(AffinityError):
                described.check_output("output")


def parsed(document: bytes):
    from pavics_affinity.clients.http.answers import given as handed

    return handed(document)


@MANY
@given(document=xml_like(METALINK.encode()))
def test_metalinks(document):
    with contextlib.suppress(AffinityError, ValueError, SyntaxError):  # which its callers expect
        for file in metalink.read_metalink(document):
            repr(Output(file, identifier=file.name, session=None, service="http://h/wps"))


# ---- asked of a server ----


class Mutating(ScriptedWPS):
    """Answers everything by one body; `asked_elsewhere` counts what another host was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.body = b""
        self.kind = "text/xml"
        self.answer = self._same

    def _same(self, seen: Seen) -> Answer:
        return Answer(200, self.body, {"Content-Type": self.kind})


@pytest.fixture(scope="module")
def server():
    with Mutating() as made:
        yield made


@pytest.fixture(scope="module")
def elsewhere():
    with Server("127.0.0.2") as made:
        yield made


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(waiting, "GONE_FOR", 0.0)
    monkeypatch.setattr(waiting, "UNREADABLE_FOR", 0.0)
    monkeypatch.setattr(waiting, "LEAST_PAUSE", 0.0)


@settings(MANY, max_examples=60)
@given(document=xml_like(CAPABILITIES, DESCRIPTION, *RESPONSES))
def test_documents_that_a_server_sends(wf, server, impatient, document):
    server.body = document
    wps = WebProcessingService(server.url(), skip_caps=True, session=wf.session)
    for ask in (
        wps.getcapabilities,
        lambda: wps.describeprocess("step"),
        lambda: use(wps.execute("step", [], request="<Execute/>")),
        lambda: use(wps.attach(server.status_url)),
    ):
        with contextlib.suppress(*OURS):
            ask()


@settings(MANY, max_examples=100)
@given(document=st.one_of(json_like(*DOCUMENTS), st.binary(max_size=40)))
def test_json_that_a_server_sends(wf, server, elsewhere, impatient, document):
    server.body, server.kind = document, "application/json"
    elsewhere.seen.clear()
    client = wf.processes(server.url("/api"), json_=json.dumps(LANDING))
    location = server.url("/jobs/1")
    job = Job(wf.session, location, wf.session.record.steps.attached(location, "", "", "ogcapi"))
    asked = [
        lambda: wf.processes(server.url("/api")).api(),
        client.processes,
        lambda: client.process("step"),
        lambda: client.execute("step", {"a": "b"}),
        lambda: client.execute("step", {"a": "b"}, response="raw"),
        lambda: read_all(job.refresh().wait(timeout=0)),
    ]
    for ask in asked:
        with contextlib.suppress(AffinityError):
            ask()
    with contextlib.suppress(AffinityError, ValueError, RecursionError):
        value = json.loads(document)
        if isinstance(value, dict):  # the clients make results of nothing else
            read_all(Results(value, session=wf.session, url=server.url("/r")))
    for seen in elsewhere.seen:
        assert not seen.all("machineid")


def read_all(results) -> None:
    repr(results)
    for output in results.outputs().values():
        repr(output)
        for read in (output.text, output.json, output.files):
            with contextlib.suppress(AffinityError):
                read()


@MANY
@given(document=json_like(PUBLISHED), addresses=st.booleans())
def test_topologies_that_a_proxy_publishes(document, addresses):
    with contextlib.suppress(TopologyError):
        topology = topology_of(json.loads(document), "http://127.0.0.1", addresses=addresses)
        hosts = {"127.0.0.1"} if not addresses else topology.service_hosts
        assert topology.service_hosts <= hosts
        for service in topology.services:
            with contextlib.suppress(AffinityError):
                topology.order(service, "a1b2")

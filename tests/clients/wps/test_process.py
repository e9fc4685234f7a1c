"""A client shows its processes, and a process its inputs; showing them asks nothing."""

import pickle

import pytest

from pavics_affinity import WebProcessingService, Workflow
from support import wpsdocs


@pytest.fixture
def wps(service):
    with Workflow() as wf:
        yield wf.wps(service.url())


def test_a_client_shows_its_processes(service, wps):
    asked = len(service.seen)
    assert repr(wps) == f"<WebProcessingService {service.url()}: 2 processes>"
    page = wps._repr_html_()
    assert all(f">{name}<" in page for name in ("step", "subset_bbox"))
    assert len(service.seen) == asked
    assert repr(pickle.loads(pickle.dumps(wps))) == repr(wps)


def test_a_client_that_has_not_asked_says_so(service):
    with Workflow():
        wps = WebProcessingService(service.url(), skip_caps=True)
        assert repr(wps) == f"<WebProcessingService {service.url()}>"
        assert "call .getcapabilities()" in wps._repr_html_()
    assert service.seen == []


def test_a_process_shows_its_inputs_with_type_count_and_default(service, wps):
    default = "<ows:AnyValue/><DefaultValue>0.5</DefaultValue>"
    literal = wpsdocs.literal("delay", "float", inner=default)
    service.inputs = literal + wpsdocs.complex_("resource", high=3)
    process = wps.describeprocess("step")
    shown = repr(process)
    inputs = "delay (float, 0 to 1, default 0.5), resource (text/plain, 0 to 3)"
    assert shown == f"<Process step: {inputs}>"
    page = process._repr_html_()
    assert all(f">{word}<" in page for word in ("delay", "float", "0.5", "resource"))
    assert repr(wps.processes[0]).startswith("<Process step: ")


def test_a_process_that_is_only_listed_says_how_to_see_its_inputs(wps):
    ask = "call .describeprocess("
    assert ask in wps.processes[0]._repr_html_()
    assert ask not in wps.describeprocess("step")._repr_html_()


def test_what_a_server_writes_is_escaped(service):
    service.processes = ["&lt;script&gt;"]
    with Workflow() as wf:
        page = wf.wps(service.url())._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page

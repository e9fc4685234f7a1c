"""Which URLs are a workflow's own: by the origins of its services, and of their outputs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pavics_affinity import Node, Service, Topology
from pavics_affinity.pin import Pin
from pavics_affinity.topology import FixedSource, Outputs

WPS = "http://proxy.example:8093/wps"


def bare(url: str = WPS) -> Pin:
    """Return a pin that knows a service's URL and nothing else."""
    pin = Pin("a1b2")
    pin.add_scope(url)
    pin.places.add_service(url)
    return pin


def knowing(*services: Service, proxy: str = "plain") -> Pin:
    nodes = [Node("n1", host="10.0.0.1"), Node("n2", host="10.0.0.2")]
    pin = Pin("a1b2", sources=[FixedSource(Topology(nodes, services, proxy=proxy))])
    for service in services:
        assert service.url is not None
        pin.add_scope(service.url)
        pin.places.add_service(service.url)
    return pin


SERVICE = Service("fp", url=WPS, port=8093)
STATED = replace(SERVICE, outputs=Outputs("http://proxy.example:8093/outputs", "/outputs"))


@pytest.mark.parametrize(
    "url",
    [
        "http://proxy.example:8093/outputs/u/a.nc",
        "http://proxy.example:8093",
        "HTTP://PROXY.example:8093/x",
        "http://proxy.example.:8093/x",
        "http://me:secret@proxy.example:8093/x",
        "https://proxy.example:8093/x",
        "http://proxy.example:8093/wps/jobs/1",
        "http://proxy.example:8093/wps?request=Execute",
        "http://proxy.example:8093/%6Futputs/../x",
        "http://proxy.example:8093/outputs\\a.nc",
        "http://proxy.example:8093/out puts/a.nc",
        "http://proxy.example:8093/.affinity/a1b2~n1/outputs/a.nc",
        " http://proxy.example:8093/x",
    ],
)
def test_what_lies_at_a_services_origin_is_the_workflows(url):
    assert bare().is_local(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://proxy.example:8083/thredds/a.nc",
        "http://proxy.example/x",
        "http://proxy.example.org:8093/x",
        "http://proxy.example:8093@elsewhere.example/x",
        "http://elsewhere.example:8093/proxy.example:8093/x",
        "file:///outputs/a.nc",
        "ftp://proxy.example:8093/x",
        "proxy.example:8093/x",
        WPS,
        f"{WPS}/",
        f"{WPS}?service=WPS&REQUEST=getCapabilities",
        "",
        "http://",
        "http://[::1/x",
        "http://proxy.example:99999/x",
    ],
)
def test_what_lies_elsewhere_or_is_the_same_on_all_nodes_is_not(url):
    assert not bare().is_local(url)


@pytest.mark.parametrize(
    ("service", "url"),
    [
        ("http://proxy.example/wps", "http://proxy.example:80/x"),
        ("http://proxy.example/wps", "https://proxy.example/x"),
        ("https://proxy.example:443/wps", "https://proxy.example/x"),
        ("http://[::1]:8093/wps", "http://[0:0:0:0:0:0:0:1]:8093/x"),
        ("http://bücher.example/wps", "http://xn--bcher-kva.example/x"),
    ],
)
def test_one_origin_has_several_spellings(service, url):
    assert bare(service).is_local(url)


def test_another_default_port_is_another_origin():
    assert not bare("http://proxy.example:443/wps").is_local("http://proxy.example/x")


def test_a_document_makes_an_origin_the_workflows_own():
    pin = bare()
    assert not pin.is_local("http://files.example/other/b.nc")
    pin.note_place("http://files.example/u/a.nc")
    assert pin.is_local("http://files.example/other/b.nc")


def test_a_topology_that_states_the_outputs_leaves_the_rest_to_everybody():
    pin = knowing(STATED)
    assert pin.is_local("http://proxy.example:8093/outputs/a.nc")
    assert pin.is_local("http://proxy.example:8093/wps/jobs/1/results")
    assert not pin.is_local("http://proxy.example:8093/thredds/a.nc")
    assert knowing(SERVICE).is_local("http://proxy.example:8093/thredds/a.nc")


@pytest.mark.parametrize("path", ["/%6Futputs/a.nc", "//outputs/a.nc", "/x/../outputs/a.nc"])
def test_outputs_are_known_however_their_path_is_spelt(path):
    assert knowing(STATED).is_local(f"http://proxy.example:8093{path}")


def test_outputs_that_a_topology_does_not_know_of_are_learnt_from_documents():
    pin = knowing(STATED)
    pin.note_place("http://proxy.example:8093/outputs/u/a.nc")
    assert not pin.is_local("http://proxy.example:8093/thredds/a.nc")
    pin.note_place("http://proxy.example:8093/wpsoutputs/u/a.nc")
    assert pin.is_local("http://proxy.example:8093/wpsoutputs/v/b.nc")


def test_services_at_one_origin_all_have_to_state_their_outputs():
    other = Service("mf", url="http://proxy.example:8093/mf", port=8091)
    there = "http://proxy.example:8093/thredds/a.nc"
    assert knowing(STATED, other).is_local(there)
    outputs = Outputs("http://proxy.example:8093/outputs", "/outputs")
    assert not knowing(STATED, replace(other, outputs=outputs)).is_local(there)


def test_a_nodes_own_url_leads_there_by_itself():
    pin = knowing(SERVICE)
    pin.note_place("http://10.0.0.2:8093/outputs/a.nc")
    assert not pin.is_local("http://10.0.0.2:8093/outputs/a.nc")


@pytest.mark.parametrize(
    "link", ["/.affinity/c3d4~n1/outputs/a.nc", "/outputs/a.nc?x=1&machineid=c3d4~n1"]
)
def test_a_link_leads_by_itself_through_a_strict_proxy_only(link):
    url = f"http://proxy.example:8093{link}"
    assert not knowing(SERVICE, proxy="strict").is_local(url)
    assert knowing(SERVICE).is_local(url)


def test_another_process_knows_the_same_origins():
    pin = bare()
    pin.note_place("http://files.example/u/a.nc")
    copy = Pin.of(json.loads(json.dumps(pin.state())))
    assert copy.is_local("http://proxy.example:8093/outputs/a.nc")
    assert copy.is_local("http://files.example/other/b.nc")
    assert not copy.is_local(WPS)
    assert copy.state() == pin.state()


UUID = "0ecb5f9a-7f2c-11ef-9a3c-0242ac120002"
EARLIER = f"http://proxy.example:8091/outputs/{UUID}/a.nc"


@pytest.mark.parametrize(
    "url",
    [
        EARLIER,
        f"http://proxy.example/wpsoutputs/finch/{UUID}/a.nc",
        f"http://proxy.example:8091/outputs/{UUID.upper()}.xml",
    ],
)
def test_an_output_of_an_earlier_workflow_at_a_known_host_is_guarded(url):
    """Its port is that of another service, which this workflow has not used."""
    assert bare().is_local(url)
    assert knowing(SERVICE).is_local(url)
    assert knowing(STATED).is_local(url)
    assert not bare("http://other.example:8093/wps").is_local(url)
    assert not bare().is_local(url.replace(UUID, "climatology").replace(UUID.upper(), "x"))


def test_what_a_topology_knows_is_guarded_before_any_service_is_used():
    other = Service("mf", url="http://proxy.example:8093/mf", port=8091)
    nodes = [Node("n1", host="10.0.0.1"), Node("n2", host="10.0.0.2")]
    pin = Pin("a1b2", sources=[FixedSource(Topology(nodes, [SERVICE, other]))])
    assert pin.is_local("http://proxy.example:8093/outputs/a.nc")
    assert pin.is_local(EARLIER)


def test_no_link_is_made_at_a_port_that_the_proxy_does_not_have():
    pin = knowing(STATED, proxy="strict")
    pin.route(WPS)
    assert pin.link("http://proxy.example:8093/elsewhere/a.nc") is not None
    assert pin.link(EARLIER) is None

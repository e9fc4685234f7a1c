"""A Session of the user's own on a workflow: pinned, and otherwise as it was."""

from __future__ import annotations

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from requests.adapters import HTTPAdapter

from pavics_affinity import Workflow
from pavics_affinity.clients.sessions import pin_session
from pavics_affinity.errors import (
    AffinityWarning,
    InvalidRequest,
    MachineIdConflict,
    WorkflowClosed,
)
from support.loopback import Answer, Server


@pytest.fixture
def server():
    with Server() as made:
        yield made


def asked(server):
    """Return what was asked for, besides what a proxy publishes."""
    return [seen for seen in server.seen if not seen.path.startswith("/.well-known/")]


def test_its_requests_carry_the_id_and_stay_on_the_node(cluster):
    own = requests.Session()
    with Workflow() as wf:
        assert pin_session(own, wf, hosts=[cluster.url("malleefowl")]) is own
        query = "?service=WPS&request=GetCapabilities"
        for service in ("malleefowl", "flyingpigeon") * 5:
            assert own.get(cluster.url(service) + query).ok
        seen = cluster.proxy_requests(machineid=wf.machineid)
        assert len(seen) == 10
        assert len({request.node for request in seen}) == 1


def test_its_own_settings_are_kept(server):
    own = requests.Session()
    own.auth = ("me", "secret")
    own.headers["X-Own"] = "1"
    own.cookies.set("token", "t", domain="127.0.0.1")
    own.proxies, own.verify, own.cert = {"ftp": "x"}, "ca.pem", "client.pem"
    answers = []
    own.hooks["response"].append(lambda response, **options: answers.append(response.status_code))
    with Workflow() as wf:
        pin_session(own, wf, hosts=server.url())
        assert (own.proxies, own.verify, own.cert) == ({"ftp": "x"}, "ca.pem", "client.pem")
        own.verify, own.cert = True, None
        own.get(server.url())
    [seen] = asked(server)
    assert seen.all("machineid") == [wf.machineid]
    assert seen.all("X-Own") == ["1"]
    assert seen.all("Cookie") == ["token=t"]
    assert seen.all("Authorization")[0].startswith("Basic ")
    assert answers == [200]


def test_other_hosts_receive_nothing_also_across_a_redirect(server):
    own = requests.Session()
    with Server("127.0.0.2") as other, Workflow() as wf:
        server.answer = lambda seen: Answer(302, headers={"Location": other.url("/x")})
        pin_session(own, wf, hosts=[server.url()])
        own.get(server.url(), auth=("me", "secret"))
        own.get(other.url())
        for seen in other.seen:
            names = {name.lower() for name, _ in seen.headers}
            assert names.isdisjoint({"machineid", "authorization"})
        assert len(other.seen) == 2


def test_closing_it_does_not_end_the_workflow(server):
    own = requests.Session()
    with Workflow() as wf:
        with pin_session(own, wf, hosts=[server.url()]):
            own.get(server.url())
        assert not wf.closed
        assert wf.session.get(server.url()).ok
    with pytest.raises(WorkflowClosed):
        own.get(server.url())


def test_a_machineid_among_its_headers_is_adopted_or_refused(server):
    own = requests.Session()
    own.headers["machineid"] = "mine"
    with Workflow() as wf:
        pin_session(own, wf, hosts=[server.url()])
        assert wf.machineid == "mine"
        own.get(server.url())
    assert [seen.all("machineid") for seen in asked(server)] == [["mine"]]
    with Workflow("another") as other, pytest.raises(MachineIdConflict):
        pin_session(own, other)


def test_an_adapter_that_would_go_past_the_pin_is_replaced_and_said_to_be(server):
    own = requests.Session()
    own.mount(server.origin, HTTPAdapter(max_retries=3))
    own.mount("other://", kept := HTTPAdapter())
    with Workflow() as wf:
        with pytest.warns(AffinityWarning, match="HTTPAdapter for 'http://127"):
            pin_session(own, wf, hosts=[server.url()])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pin_session(own, wf)
        own.get(server.url())
        assert asked(server)[0].all("machineid") == [wf.machineid]
    assert own.adapters["other://"] is kept


def test_the_workflow_in_force_is_the_default(server):
    own = requests.Session()
    with Workflow() as wf:
        pin_session(own, hosts=[server.url()])
        own.get(server.url())
    assert asked(server)[0].all("machineid") == [wf.machineid]


def test_it_may_be_pickled(server):
    own = requests.Session()
    with Workflow() as wf:
        pin_session(own, wf, hosts=[server.url()])
        pickle.loads(pickle.dumps(own)).get(server.url())
    assert asked(server)[0].all("machineid") == [wf.machineid]


@pytest.mark.parametrize("given", [None, requests, "session"])
def test_other_objects_than_a_session_are_refused(given):
    with pytest.raises(InvalidRequest, match=r"expected a requests\.Session of your own"):
        pin_session(given)


def test_a_workflows_own_session_is_refused():
    with Workflow() as wf, pytest.raises(InvalidRequest):
        pin_session(wf.session, wf)


def test_threads_share_it(cluster):
    own = requests.Session()
    with Workflow() as wf, ThreadPoolExecutor(8) as pool:
        pin_session(own, wf, hosts=[cluster.url("malleefowl")])
        url = cluster.url("malleefowl") + "?service=WPS&request=GetCapabilities"
        assert all(pool.map(lambda _: own.get(url).ok, range(40)))
        seen = cluster.proxy_requests(machineid=wf.machineid)
    assert len(seen) == 40
    assert len({request.node for request in seen}) == 1


def test_a_library_that_mounts_an_adapter_on_the_workflows_session_changes_nothing(server):
    with Workflow() as wf:
        wf.wps(server.url(), skip_caps=True)
        for prefix in ("http://", server.origin):
            with pytest.warns(AffinityWarning, match="HTTPAdapter for 'http://.* is left out"):
                wf.session.mount(prefix, HTTPAdapter(max_retries=3))
        wf.session.mount("other://", kept := HTTPAdapter())
        wf.session.get(server.url())
        assert wf.session.adapters["other://"] is kept
    assert asked(server)[0].all("machineid") == [wf.machineid]

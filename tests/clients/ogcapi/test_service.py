"""OGC API - Processes on a workflow: real pygeoapi nodes whose jobs are not shared."""

from __future__ import annotations

import base64
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import owslib.ogcapi
import owslib.ogcapi.processes
import pytest
import requests

from pavics_affinity import Workflow
from pavics_affinity.clients.ogcapi.jobs import Job
from pavics_affinity.clients.ogcapi.results import Results
from pavics_affinity.clients.ogcapi.service import Processes
from pavics_affinity.errors import (
    AffinityLost,
    ExecuteOutcomeUnknown,
    ExecutionFailed,
    ExecutionTimeout,
    InvalidRequest,
    MachineIdConflict,
    NotAService,
    OutOfScope,
    ReferenceRefused,
    ServiceError,
    ServiceUnreachable,
    StatusLost,
    UnknownInput,
    UnknownOutput,
    UnknownProcess,
)
from support.loopback import Answer, Server
from support.scriptedapi import JSON, ScriptedAPI


@pytest.fixture
def site(ogc_site):
    return ogc_site


# ---- real nodes ----


def test_jobs_results_and_status_stay_on_one_node(site):
    for _ in range(12):
        with Workflow() as wf:
            oapi = wf.processes(site.url)
            job = oapi.execute("where", {"delay": "0.05"}, async_=True, response="raw")
            node = job.wait().output("node").text()
            assert wf.machineid == job.session.machineid
            seen = {r["node"] for r in site.requests() if r["machineid"] == wf.machineid}
            assert seen == {node}


def test_without_affinity_a_job_is_lost(site):
    """What the client is for: pygeoapi's nodes know nothing of each other's jobs."""
    plain = owslib.ogcapi.processes.Processes(site.url)
    plain.execute("where", {"delay": "0"}, async_=True, response="raw")
    location = plain.response_headers["Location"]
    assert 404 in {requests.get(location, timeout=60).status_code for _ in range(6)}


def test_two_clients_have_each_their_own_id(site):
    before = dict(owslib.ogcapi.REQUEST_HEADERS)
    with Workflow() as one, Workflow() as other:
        clients = [one.processes(site.url), other.processes(site.url)]
        mark = len(site.requests())
        for _ in range(5):
            for client in clients:
                client.execute("hello-world", {"name": "you"})
        posts = [r for r in site.requests()[mark:] if r["method"] == "POST"]
        assert [r["machineid"] for r in posts] == [one.machineid, other.machineid] * 5
        clients[0].headers["X-Own"] = "1"
        assert "X-Own" not in clients[1].headers
    assert dict(owslib.ogcapi.REQUEST_HEADERS) == before


def test_a_topology_steers_it_and_evidence_proves_it(site):
    for node in site.nodes:
        with Workflow(node=node, topology=site.topology) as wf:
            result = wf.processes(site.url).execute("where", {}, response="raw")
            assert result.output("node").text() == node
            assert (wf.node, wf.node_known) == (node, "proved")


def test_directly_to_the_node(site):
    mark = len(site.requests())
    with Workflow(node="node2", topology=site.topology, route="direct") as wf:
        job = wf.processes(site.url).execute("where", {}, async_=True, response="raw").wait()
        assert job.output("node").text() == "node2"
    assert len(site.requests()) == mark


def test_it_has_owslibs_methods_with_owslibs_results(site, wf):
    ours, theirs = wf.processes(site.url), owslib.ogcapi.processes.Processes(site.url)
    assert isinstance(ours, owslib.ogcapi.processes.Processes)
    assert ours.processes() == theirs.processes()
    assert ours.process("hello-world") == theirs.process("hello-world")
    assert ours.conformance() == theirs.conformance()
    assert ours.collections() == theirs.collections()
    assert ours.api()["paths"].keys() == theirs.api()["paths"].keys()
    ours_said = ours.execute("hello-world", {"name": "you"})
    assert ours_said == theirs.execute("hello-world", {"name": "you"})
    assert ours_said.output("echo").text() == "Hello you!"
    assert ours.url == theirs.url
    assert ours.response_headers["X-Powered-By"].startswith("pygeoapi")


def test_a_job_and_results_show_themselves(site, wf):
    processes = wf.processes(site.url)
    job = processes.execute("where", {"delay": "0.3"}, async_=True, response="raw")
    assert "submitted" in job._repr_html_()
    page = job.wait()._repr_html_()
    assert "<strong>where</strong>" in page
    assert "successful" in page
    results = processes.execute("hello-world", {"name": "<b>you</b>"})
    assert "Hello &lt;b&gt;you&lt;/b&gt;!" in results._repr_html_()
    assert "<strong>where</strong>" in wf._repr_html_()


def test_a_job_tells_how_far_it_is_and_ends(site, wf):
    job = wf.processes(site.url).execute("where", {"delay": "0.6"}, async_=True, response="raw")
    assert isinstance(job, Job)
    with pytest.raises(InvalidRequest, match=r"call \.wait\(\) first"):
        job.results()
    with pytest.raises(ExecutionTimeout, match=r"wait again"):
        job.wait(timeout=0.1)
    assert job.refresh().status in ("accepted", "running")
    assert job.wait() is job
    assert (job.status, job.progress, job["processID"]) == ("successful", 100, "where")
    assert job.results()["delay"] == "0.6"
    assert job.results().output("delay").text() == "0.6"


def test_a_job_is_resumed(site):
    with Workflow() as first:
        job = first.processes(site.url).execute("where", {}, async_=True, response="raw")
        location = job.location
        node = job.wait().output("node").text()
    with Workflow(first.machineid) as second:
        again = second.processes(site.url).attach(location).wait()
        assert again.output("node").text() == node
        again.dismiss()
        with pytest.raises(StatusLost):
            second.processes(site.url).attach(location)


def test_an_output_that_comes_as_it_is(site, wf, tmp_path):
    oapi = wf.processes(site.url)
    content = bytes(range(256)) * 4 * 100
    synchronous = oapi.execute("raw", {"kilobytes": "100"}, response="raw")
    assert isinstance(synchronous, Results)
    assert synchronous.wait().output("bytes").read_bytes() == content
    job = oapi.execute("raw", {"kilobytes": "100"}, response="raw", async_=True).wait()
    output = job.output("bytes")
    assert output.mimeType == "application/octet-stream"
    assert output.download(tmp_path / "x.bin").path.read_bytes() == content
    with pytest.raises(NotAService, match="octet-stream"):
        job.results()


def test_results_by_reference_are_fetched_from_the_node(site, tmp_path):
    content = bytes(range(256)) * 4
    for number in range(12):
        with Workflow() as wf:
            oapi = wf.processes(site.url)
            made = oapi.execute("raw", {}, response="raw", async_=True).wait()
            name = made.location.rpartition("/")[2]
            linked = oapi.execute("link", {"job": name}, response="raw", async_=number % 2).wait()
            file = linked.output("file")
            assert file.reference == f"{made.location}/results"
            path = file.download(tmp_path / str(number)).path
            assert path.read_bytes() == content
            [again] = wf.download([file.reference], tmp_path / f"more{number}")
            assert again.path.read_bytes() == content


def test_a_failing_process_says_why(site, wf):
    oapi = wf.processes(site.url)
    for fails in (
        lambda: oapi.execute("fail", {"message": "the reason"}),
        lambda: oapi.execute("fail", {"message": "the reason"}, async_=True).wait(),
    ):
        with pytest.raises(ExecutionFailed, match="the reason") as caught:
            fails()
        assert isinstance(caught.value, RuntimeError)  # as OWSLib raises


def test_names_are_checked_before_anything_is_sent(site, wf):
    oapi = wf.processes(site.url)
    with pytest.raises(UnknownProcess, match="did you mean 'hello-world'"):
        oapi.execute("hello-word", {})
    with pytest.raises(UnknownInput, match="did you mean 'name'"):
        oapi.execute("hello-world", {"nam": "you"})
    with pytest.raises(InvalidRequest, match="cannot be written as JSON"):
        oapi.execute("hello-world", {"name": object()})
    mine = [r for r in site.requests() if r["machineid"] == wf.machineid]
    assert {r["method"] for r in mine} == {"GET"}


def test_outputs_are_passed_on_by_the_nodes_url(site):
    with Workflow(topology=site.topology) as wf:
        oapi = wf.processes(site.url)
        job = oapi.execute("raw", {}, response="raw", async_=True).wait()
        for given in (job, job.output("bytes"), {"href": job.output("bytes").reference}):
            words = oapi.execute("words", {"text": given}, response="raw")
            link = words["given"]["href"]
            assert link.startswith(f"{site.node_url(wf.node)}/jobs/")
            assert words["count"] > 0
        text = oapi.execute("hello-world", {"name": "you two"})
        assert oapi.execute("words", {"text": text}, response="raw")["count"] == 3


def test_an_output_goes_from_an_ogc_api_to_a_wps_and_back(site, cluster):
    with Workflow(topology=[site.topology, cluster.topology]) as wf:
        oapi, wps = wf.processes(site.url), wf.wps(cluster.url("flyingpigeon"))
        job = oapi.execute("raw", {}, response="raw", async_=True).wait()
        counted = wps.execute("echo", [("text", job)]).wait().output("text")
        assert counted.text().startswith(site.node_url(wf.node))
        made = wps.execute("produce", [("megabytes", "0.01")])
        words = oapi.execute("words", {"text": made.wait()}, response="raw")
        assert words["given"]["href"].startswith(cluster.node_url(wf.node, "flyingpigeon")[:-4])
        assert words["count"] > 0


def test_behind_a_plain_proxy_outputs_are_not_passed_on_as_urls(site):
    with Workflow(embed_limit=0) as wf:
        oapi = wf.processes(site.url)
        job = oapi.execute("raw", {}, response="raw", async_=True).wait()
        output = job.output("bytes")
        link = {"href": output.reference}
        for given in (job, output, link, [link], output.reference):
            with pytest.raises(ReferenceRefused, match="Nothing was executed"):
                oapi.execute("words", {"text": given})


def test_nine_chains_of_nine_by_output_url_behind_a_plain_proxy(site):
    """pygeoapi's processes fetch a link without a machineid, so they get the content."""
    content = bytes(range(256)) * 4 * 2

    def chain(number):
        with Workflow() as wf:
            oapi = wf.processes(site.url)
            job = oapi.execute("raw", {"kilobytes": "2"}, response="raw", async_=True).wait()
            output = job.output("bytes")
            given = [job, output, {"href": output.reference}][number % 3]
            words = oapi.execute("words", {"text": given}, response="raw")
            assert words["given"]["encoding"] == "base64"
            assert base64.b64decode(words["given"]["value"]) == content
            assert words["count"] == len(content.decode(errors="replace").split())
            assert wf.steps[-1].inputs == {"text": "content"}
            return wf.machineid

    with ThreadPoolExecutor(3) as pool:
        ids = list(pool.map(chain, range(9)))
    sent = [request for request in site.requests() if request["machineid"] in ids]
    assert len({(request["machineid"], request["node"]) for request in sent}) == 9
    posts = [request["uri"].partition("?")[0] for request in sent if request["method"] == "POST"]
    assert sorted(posts) == sorted(["/processes/raw/execution", "/processes/words/execution"] * 9)


def test_an_output_above_the_limit_is_refused_before_anything_runs(site):
    mark = len(site.requests())
    with Workflow(embed_limit=1000) as wf:
        oapi = wf.processes(site.url)
        job = oapi.execute("raw", {}, response="raw", async_=True).wait()
        with pytest.raises(ReferenceRefused, match=r"1000 bytes .*embed_limit.*Nothing was"):
            oapi.execute("words", {"text": job})
    assert [r["method"] for r in site.requests()[mark:]].count("POST") == 1


def test_threads_share_a_client(site, wf):
    oapi = wf.processes(site.url)
    found = []

    def run(number):
        said = oapi.execute("hello-world", {"name": str(number)}).output("echo").text()
        found.append(said == f"Hello {number}!")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 16


# ---- answers that a test decides ----


def test_the_error_for_a_url_that_is_not_an_ogc_api_says_so(api, wf):
    for landing in (
        Answer(200, b"<html><title>Welcome</title></html>"),
        Answer(404, b"gone"),
        api.json([]),
        api.json({"title": "no links"}),
        Answer(200, b"[" * 100_000),
    ):
        api.landing = landing
        with pytest.raises(NotAService) as caught:
            wf.processes(api.url(""))
        assert isinstance(caught.value, RuntimeError)
    with pytest.raises(ServiceUnreachable), Workflow(deadline=0.2) as other:
        other.processes("http://127.0.0.1:9/")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "x", "", None, 5])
def test_invalid_urls_are_refused(wf, url):
    with pytest.raises(OutOfScope):
        wf.processes(url)


def test_the_machineid_of_an_old_script_is_adopted_or_refused(api):
    with Workflow() as wf:
        headers = {"machineid": "mine", "X-Own": "1"}
        client = wf.processes(api.url(""), headers=headers)
        assert wf.machineid == "mine"
        assert headers == {"machineid": "mine", "X-Own": "1"}
        client.execute("step", {})
        assert all(seen.all("machineid") == ["mine"] for seen in api.seen if seen.method == "POST")
        with pytest.raises(MachineIdConflict):
            wf.processes(api.url(""), headers={"machineid": "another"})


def test_outputs_as_the_standard_has_them(api, client):
    api.other = lambda seen: Answer(200, b"fetched")
    api.execute = lambda seen: api.json(
        {
            "text": " kept as it is\x0b",
            "number": 1.5,
            "list": [1, {"a": None}],
            "file": {"href": "/results/x.bin", "type": "application/octet-stream"},
            "base64": {"value": "AAEC", "encoding": "base64", "mediaType": "image/png"},
            "qualified": {"value": {"a": 1}, "mediaType": "application/json"},
        }
    )
    found = client.execute("step", {})
    assert found.output("text").text() == " kept as it is\x0b"
    assert found.output("number").json() == 1.5
    assert found.output("list").json() == [1, {"a": None}]
    assert found.output("file").read_bytes() == b"fetched"
    assert found.output("base64").read_bytes() == b"\x00\x01\x02"
    assert found.output("base64").mimeType == "image/png"
    assert found.output("qualified").json() == {"a": 1}
    with pytest.raises(UnknownOutput, match="did you mean 'number'"):
        found.output("numbre")


@pytest.mark.parametrize("href", ["file:///etc/passwd", "ftp://x/y", "http://a\x00b/", "gopher:x"])
def test_a_result_that_is_not_a_web_url_is_not_asked_for(api, client, href):
    api.execute = lambda seen: api.json({"out": {"href": href}})
    with pytest.raises(OutOfScope):
        client.execute("step", {}).output("out")


@pytest.mark.filterwarnings("ignore:.* belongs to no known service")
def test_a_job_elsewhere_receives_neither_id_nor_credentials(api, wf):
    with Server("127.0.0.2") as other:
        other.answer = lambda seen: ScriptedAPI.json({"status": "successful"})
        api.execute = lambda seen: api.json({}, 201, Location=other.url("/jobs/1"))
        client = wf.processes(api.url(""), auth=("me", "secret"), headers={"X-Token": "secret"})
        client.execute("step", {}, async_=True).wait()
        for seen in other.seen:
            names = {name.lower() for name, _ in seen.headers}
            assert names.isdisjoint({"machineid", "authorization", "x-token", "cookie"})
        assert other.seen


def test_a_job_at_no_web_url_is_an_error(api, client):
    api.execute = lambda seen: api.json({}, 201, Location="file:///etc/passwd")
    with pytest.raises(OutOfScope):
        client.execute("step", {}, async_=True)


def test_a_relative_location_is_the_services(api, client):
    api.execute = lambda seen: Answer(201, b"", {"Location": "/jobs/7"})
    api.other = lambda seen: api.json({"status": "successful", "jobID": "7"})
    assert client.execute("step", {}, async_=True).wait().location == api.url("/jobs/7")


@pytest.mark.usefixtures("no_waiting")
def test_a_job_that_is_gone_is_lost(api, client):
    api.execute = lambda seen: Answer(201, b"", {"Location": "/jobs/7"})
    with pytest.raises(StatusLost, match="HTTP 404"):
        client.execute("step", {}, async_=True).wait()


def test_the_error_for_results_that_are_broken_names_the_process(api, client):
    api.execute = lambda seen: Answer(200, b"{", {"Content-Type": "application/json"})
    with pytest.raises(NotAService, match="answered Execute step with HTTP 200"):
        client.execute("step", {})


def test_a_job_without_location_is_found_by_its_name(api, client):
    api.execute = lambda seen: api.json({"jobID": "a 7", "status": "accepted"}, 201)
    api.other = lambda seen: api.json({"status": "successful", "jobID": "a 7"})
    assert client.execute("step", {}, async_=True).wait().location == api.url("/jobs/a%207")


@pytest.mark.parametrize("status", ["failed", "dismissed"])
def test_a_job_that_came_to_nothing_says_so_in_the_servers_words(api, client, status):
    api.execute = lambda seen: Answer(201, b"", {"Location": "/jobs/7"})
    api.other = lambda seen: api.json({"status": status, "jobID": "7", "message": "out of ice"})
    job = client.execute("step", {}, async_=True)
    with pytest.raises(ExecutionFailed, match=rf"job '7' .*'step' {status}: out of ice"):
        job.wait()
    with pytest.raises(ExecutionFailed, match="out of ice"):
        job.output("out")
    assert job.status == status


def test_a_half_written_status_is_not_yet_one(api, client):
    documents = iter([b"", b'{"status": "runn', b'{"status": "successful"}'])
    api.execute = lambda seen: Answer(201, b"", {"Location": "/jobs/7"})
    api.other = lambda seen: Answer(200, next(documents), JSON)
    assert client.execute("step", {}, async_=True).wait().status == "successful"


def test_an_execution_whose_answer_breaks_off_is_not_sent_again(api, client):
    api.execute = lambda seen: Answer(200, b"x" * 1000, JSON, cut=10)
    with pytest.raises(ExecuteOutcomeUnknown):
        client.execute("step", {})
    assert len([seen for seen in api.seen if seen.method == "POST"]) == 1


def test_a_description_that_breaks_off_is_asked_for_again(api, client):
    answers = iter([Answer(200, b"{" + b" " * 1000 + b"}", JSON, cut=5)])
    described = api.answer
    api.answer = lambda seen: next(answers, None) or described(seen)
    assert client.process("step")["id"] == "step"


def test_preferences_are_those_of_one_request(api, client):
    client.execute("step", {}, async_=True)
    client.processes()
    client.execute("step", {})
    prefers = [seen.all("Prefer") for seen in api.seen if "step/exec" in seen.path]
    assert prefers == [["respond-async"], ["respond-sync"]]
    assert api.seen[-2].all("Prefer") == [] or api.seen[-3].all("Prefer") == []
    assert "Prefer" not in client.headers


def test_a_refusal_names_the_servers_words(api, client):
    api.other = lambda seen: api.json({"title": "Not today", "type": "about:blank"}, 403)
    with pytest.raises(ServiceError, match=r"refused conformance: Not today .*pass auth="):
        client.conformance()


def test_an_identifier_with_a_slash_is_one_segment(api, client):
    with pytest.raises(UnknownProcess):
        client.process("a/../../secret?x=1")
    assert "/processes/a%2F..%2F..%2Fsecret%3Fx%3D1" in [seen.path for seen in api.seen]
    for name in ("", "..", None):
        with pytest.raises(InvalidRequest):
            client.process(name)


def test_evidence_of_another_node_is_raised(site):
    with Workflow(node="node1", topology=site.topology) as wf:
        oapi = wf.processes(site.url)
        oapi.execute("where", {}, response="raw")
        with pytest.raises(AffinityLost):
            oapi.attach(f"{site.node_url('node2')}/jobs/x")


def test_the_drop_in_takes_the_workflow_in_force(api):
    with Workflow() as wf:
        assert Processes(api.url("")).session is wf.session


def test_a_landing_page_given_is_not_asked_for(api, wf):
    wf.processes(api.url(""), json_='{"links": []}')
    assert "/" not in [seen.path for seen in api.seen]


def test_it_is_loaded_only_when_it_is_used():
    script = "import sys, pavics_affinity; sys.exit('owslib.ogcapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("page", ["garbage", "", "[]", '{"links": 5}', "[" * 100_000, b"\xff", 5])
def test_an_invalid_landing_page_is_refused(wf, api, page):
    with pytest.raises(InvalidRequest, match="json_ is"):
        wf.processes(api.url(""), json_=page)


@pytest.mark.parametrize("page", ["{}", b'{"links": []}', '{"links": [null, 5, {}]}'])
def test_a_landing_page_given_may_lack_links(wf, api, page):
    with pytest.raises(NotAService):
        wf.processes(api.url(""), json_=page).api()

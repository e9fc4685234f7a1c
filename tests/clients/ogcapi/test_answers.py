"""Whether an answer is a job or the results, and where the job is, in servers' own ways."""

from __future__ import annotations

import pytest

from pavics_affinity.clients.ogcapi.answers import state_of
from pavics_affinity.clients.ogcapi.jobs import Job
from pavics_affinity.clients.ogcapi.results import Results
from pavics_affinity.errors import ExecuteOutcomeUnknown
from support.loopback import Answer
from support.scriptedapi import JSON

ACCEPTED = {"jobID": "7", "status": "accepted", "type": "process"}
MONITOR = {"rel": "monitor", "href": "/here/7", "type": "application/json"}


def by_link(rel, href="/here/7", **others):
    listed = [{"rel": "up", "href": "/jobs"}, {"href": 5}, "x", {"rel": rel, "href": href}]
    return {"status": "accepted", "links": listed} | others


@pytest.fixture
def runs(api):
    """Have a job at whatever path is asked for, and its results below it."""

    def answer(seen):
        if seen.path.endswith("/results"):
            return api.json({"out": "the job's"})
        return api.json({"jobID": "7", "status": "successful"})

    api.other = answer


@pytest.mark.parametrize(
    ("status", "headers", "document", "path"),
    [
        (201, {"Location": "/here/7"}, ACCEPTED, "/here/7"),
        (201, {"Location": "/here/7"}, {"out": "not yet"}, "/here/7"),
        (200, {"Location": "/here/7"}, ACCEPTED, "/here/7"),
        (200, {"Location": "/here/7"}, {}, "/here/7"),
        (200, {"Location": "/here/7"}, None, "/here/7"),
        (200, {"Location": "/here/7"}, {"message": "accepted"}, "/here/7"),
        (202, {"Location": "../../here/7"}, {}, "/here/7"),
        (202, {"Operation-Location": "/here/7"}, {}, "/here/7"),
        (202, {"Link": '</here/7>; rel="monitor"'}, {}, "/here/7"),
        (200, {"Link": '</up>; rel=up, </here/7>; rel="status"'}, ACCEPTED, "/here/7"),
        (200, {}, {"location": "/here/7"}, "/here/7"),
        (200, {}, ACCEPTED | {"location": "/here/7"}, "/here/7"),
        (201, {}, {"statusLocation": "/here/7", "status": "accepted"}, "/here/7"),
        (200, {}, {"statusUrl": "/here/7"}, "/here/7"),
        (200, {}, {"status_url": {"href": "/here/7"}}, "/here/7"),
        (202, {}, {"href": "/here/7"}, "/here/7"),
        (200, {}, by_link("monitor"), "/here/7"),
        (200, {}, by_link("status"), "/here/7"),
        (200, {}, by_link("http://www.opengis.net/def/rel/ogc/1.0/job-status"), "/here/7"),
        (200, {}, by_link("self", jobID="8"), "/here/7"),
        (200, {}, {"links": [MONITOR]}, "/here/7"),
        (200, {}, {"jobID": "a 7"}, "/jobs/a%207"),
        (200, {}, {"jobId": 7}, "/jobs/7"),
        (200, {}, {"job_id": "7", "progress": 0}, "/jobs/7"),
        (200, {}, {"id": "7"}, "/jobs/7"),
        (200, {}, {"id": "7", "status": "created", "costs": 1}, "/jobs/7"),
        (201, {}, {"id": "7"}, "/jobs/7"),
        (202, {}, {"jobID": "7"}, "/jobs/7"),
        (201, {}, {"jobID": "\ud800"}, "/jobs/%3F"),
    ],
)
@pytest.mark.parametrize("asynchronous", [True, False])
def test_an_accepted_job_is_a_job_with_every_way_to_name_it(
    api, client, runs, status, headers, document, path, asynchronous
):
    api.execute = lambda seen: (
        Answer(status, b"", headers) if document is None else api.json(document, status, **headers)
    )
    job = client.execute("step", {}, async_=asynchronous)
    assert isinstance(job, Job)
    assert job.location == api.url(path)
    assert job.step.state == "accepted"
    assert job.wait(30).output("out").text() == "the job's"


@pytest.mark.parametrize("body", [b"accepted", b"<html>Accepted"])
def test_a_page_that_says_accepted_is_not_a_result_if_a_document_was_asked_for(
    api, client, runs, body
):
    api.execute = lambda seen: Answer(200, body, {"Location": "/here/7"})
    assert client.execute("step", {}, async_=True).wait(30).location == api.url("/here/7")


@pytest.mark.parametrize(
    "document",
    [
        {"out": "here"},
        {"out": {"href": "/results/1", "type": "text/plain"}},
        {"id": "out", "value": "here"},
        {"outputs": [{"id": "out", "value": "here"}]},
        {"id": "7", "name": "a feature's", "geometry": None},
        [{"id": "7"}],
        {},
    ],
)
def test_results_are_results_also_where_a_location_names_their_job(api, client, document):
    """As pygeoapi does, whose synchronous executions have jobs."""
    headers = {"Location": "/jobs/7"} if document else {}
    api.execute = lambda seen: api.json(document, 200, **headers)
    assert isinstance(client.execute("step", {}), Results)
    assert isinstance(client.execute("step", {}, async_=True), Results)
    api.execute = lambda seen: Answer(200, b"as it is", {"Location": "/jobs/7"})
    assert client.execute("step", {}, response="raw").output("out").text() == "as it is"


@pytest.mark.parametrize("names", [["status"], ["id", "status"], ["location"], ["message", "id"]])
def test_outputs_that_are_called_like_a_jobs_members_are_results(api, client, names):
    api.described["outputs"] = {name: {} for name in names}
    document = {"status": "accepted", "id": "7", "location": "/a/b", "message": "x"}
    api.execute = lambda seen: api.json({name: document[name] for name in names})
    assert client.execute("step", {}) == {name: document[name] for name in names}


def test_a_raw_output_in_json_is_not_taken_for_a_job(api, client):
    api.execute = lambda seen: api.json({"id": "7", "message": "a thing of the process"})
    assert isinstance(client.execute("step", {}, response="raw"), Results)


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (202, {}),
        (202, {"out": 1}),
        (201, {}),
        (201, {"status": "accepted"}),
        (200, {"status": "accepted"}),
        (200, {"status": "running", "progress": 5}),
        (202, {"jobID": ".."}),
        (202, {"jobID": None, "links": "x"}),
    ],
)
def test_a_job_without_an_address_is_an_error_and_not_a_result(api, client, wf, status, document):
    api.execute = lambda seen: api.json(document, status)
    with pytest.raises(ExecuteOutcomeUnknown, match="does not say where the job is") as caught:
        client.execute("step", {}, async_=True)
    assert "Nothing was executed" not in str(caught.value)
    assert [step.state for step in wf.steps] == ["unknown"]
    assert len([seen for seen in api.seen if seen.method == "POST"]) == 1


def test_a_synchronous_failure_in_a_status_document_is_the_jobs(api, client):
    failed = {"jobID": "7", "status": "failed", "message": "out of ice"}
    api.execute = lambda seen: Answer(200, api.json(failed).body, JSON)
    api.other = lambda seen: api.json(failed)
    with pytest.raises(RuntimeError, match="failed: out of ice"):
        client.execute("step", {}).wait()


# ---- states ----

WORDS = {
    "accepted": "accepted Accepted ProcessAccepted wps:ProcessAccepted created queued pending "
    "received submitted",
    "running": "running RUNNING started ProcessStarted paused ProcessPaused in_progress "
    "In-Progress retrying processing",
    "successful": "successful succeeded SUCCEEDED ProcessSucceeded success finished completed done",
    "failed": "failed ProcessFailed error exception Exception failure",
    "dismissed": "dismissed Dismissed canceled cancelled revoked",
}


@pytest.mark.parametrize(
    ("word", "state"), [(word, state) for state, words in WORDS.items() for word in words.split()]
)
def test_the_words_of_both_standards_and_of_known_servers_are_understood(word, state):
    assert state_of(word) == state


def test_blanks_make_no_difference():
    assert state_of(" In progress ") == "running"


@pytest.mark.parametrize("word", ["unknown", "frobnicated", "", "process", None, 5, True, [], {}])
def test_other_words_are_not_guessed_at(word):
    assert state_of(word) is None

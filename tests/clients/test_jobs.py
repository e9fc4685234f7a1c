"""A job of an OGC API - Processes: every state ends, fails or is an unknown state's error."""

from __future__ import annotations

import pytest

from pavics_affinity.clients.http import waiting
from pavics_affinity.errors import (
    AffinityWarning,
    ExecutionFailed,
    ExecutionTimeout,
    ServiceError,
    ServiceUnreachable,
    UnknownInput,
    UnknownProcess,
)
from support.loopback import Answer, Server
from support.scriptedapi import JSON

RESULTS = "http://www.opengis.net/def/rel/ogc/1.0/results"
NOT_READY = {
    "type": "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/result-not-ready",
    "title": "come back later",
}


@pytest.fixture
def submit(api, client):
    """Make a job; the answers are those to the questions about it, the last one for ever."""

    def job(*documents, results=None):
        left = list(documents)

        def answer(seen):
            if seen.path.startswith("/jobs/7/results"):
                return api.json({"out": "done"}) if results is None else results(seen)
            document = left.pop(0) if len(left) > 1 else left[0]
            return document if isinstance(document, Answer) else api.json(document)

        api.execute = lambda seen: Answer(201, b"", {"Location": "/jobs/7"})
        api.other = answer
        return client.execute("step", {}, async_=True)

    return job


def asked(api, path):
    return [seen for seen in api.seen if seen.path.partition("?")[0] == path]


# ---- states ----


@pytest.mark.parametrize("word", ["successful", "succeeded", "SUCCEEDED", "finished", "Completed"])
def test_a_job_that_succeeded_in_the_servers_words_is_over(submit, word):
    job = submit({"status": word, "jobID": "7"})
    assert job.wait() is job
    assert (job.status, job["status"], job.step.state) == ("successful", word, "succeeded")
    assert job.output("out").text() == "done"


@pytest.mark.parametrize("word", ["failed", "exception", "ERROR", "ProcessFailed", "Dismissed"])
def test_a_job_that_failed_in_the_servers_words_is_a_failure(submit, word):
    job = submit({"status": word, "jobID": "7", "message": "out of ice"})
    with pytest.raises(ExecutionFailed, match="out of ice"):
        job.wait()
    assert job.step.state == "failed"


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("word", ["Accepted", "queued", "started", "paused", "ProcessStarted"])
def test_a_job_that_continues_in_the_servers_words_is_waited_for(api, submit, word):
    job = submit({"status": word}, {"status": word}, {"status": "succeeded"})
    assert job.wait(30).status == "successful"
    assert len(asked(api, "/jobs/7")) == 3


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"status": "frobnicated"}, "'frobnicated', which is not a known one"),
        ({"status": "unknown", "progress": 100}, "'unknown', which is not a known one"),
        ({"status": None}, "None, which is not a known one"),
        ({"status": {"value": "running"}}, "'running'"),
        ({"status": ""}, "''"),
        ({"status": "x" * 10**6}, "'xxx"),
        ({"progress": 100}, "has no status"),
        ({}, "has no status"),
    ],
)
def test_a_state_that_is_not_known_is_an_error_that_quotes_it_and_no_wait(
    api, submit, client, document, said
):
    job = submit(document)
    for ask in (job.wait, job.refresh, lambda: client.attach(job.location)):
        with pytest.raises(ServiceError, match="not waited for") as caught:
            ask()
        assert said in str(caught.value)
        assert not isinstance(caught.value, TimeoutError)
        assert "Nothing was executed" not in str(caught.value)
        assert job.location in str(caught.value)
    assert len(asked(api, "/jobs/7")) == 3


def test_a_strange_word_in_the_answer_to_the_execution_does_not_lose_the_job(api, client):
    api.execute = lambda seen: api.json({"jobID": "7", "status": "frobnicated"}, 201)
    api.other = lambda seen: api.json({"status": "successful"})
    assert client.execute("step", {}, async_=True).wait(30).status == "successful"


# ---- results ----


@pytest.mark.parametrize(
    "links",
    [
        [{"rel": RESULTS, "href": "/there"}],
        [{"rel": RESULTS.replace("http:", "https:"), "href": "/there"}],
        [{"rel": "[ogc-rel:results]", "href": "/there"}],
        [{"rel": "results", "href": "../there"}],
        [{"rel": "result", "href": "/there"}],
        [{"rel": "outputs", "href": "/else"}, {"rel": "results", "href": "/there"}],
        [{"rel": "outputs", "href": "/there"}, {"rel": "self", "href": "/jobs/7"}, "x", {}],
        [
            {"rel": RESULTS, "href": "/else", "type": "text/html"},
            {"rel": RESULTS, "href": "/there", "type": "application/json"},
        ],
    ],
)
def test_results_are_found_by_each_kind_of_link_of_the_job(api, submit, links):
    job = submit({"status": "successful", "links": links}).wait()
    api.other = lambda seen: api.json({"out": "there"}) if seen.path == "/there" else Answer(404)
    assert job.results() == {"out": "there"}
    assert job.output("out").text() == "there"


def test_outputs_by_name_below_outputs_as_weaver_gives_them(submit, api):
    listed = {"outputs": {"out": {"value": "here"}, "file": {"href": "/f"}}, "links": []}
    job = submit({"status": "succeeded"}, results=lambda seen: api.json(listed)).wait()
    assert job.output("out").text() == "here"
    assert sorted(job.outputs()) == ["file", "out"]


@pytest.mark.parametrize(
    "document",
    [
        {"outputs": {"a": 1}},
        {"outputs": {}},
        {"outputs": {"value": {"a": 1}, "mediaType": "application/json"}},
        {"outputs": {"a": {"value": 1}}, "other": 5},
    ],
)
def test_an_output_that_is_called_outputs_stays_one(submit, api, document):
    job = submit({"status": "succeeded"}, results=lambda seen: api.json(document)).wait()
    assert sorted(job.outputs()) == sorted(document)


def test_a_location_with_a_slash_at_its_end_leads_to_the_results(api, client):
    api.execute = lambda seen: Answer(201, b"", {"Location": "/jobs/7/?f=json"})
    api.other = lambda seen: (
        api.json({"out": "x"}) if seen.path == "/jobs/7/results" else api.json({"status": "done"})
    )
    assert client.execute("step", {}, async_=True).wait().results() == {"out": "x"}


def test_results_that_are_not_there_yet_are_asked_for_again(api, submit):
    for ask in (lambda job: job.results()["out"], lambda job: job.output("out").text()):
        answers = iter([api.json(NOT_READY, 404), api.json({"code": "ResultNotReady"}, 404)])
        job = submit(
            {"status": "successful"},
            results=lambda seen, answers=answers: next(answers, None) or api.json({"out": "now"}),
        )
        assert ask(job.wait()) == "now"


@pytest.mark.usefixtures("no_waiting")
def test_results_that_never_come_are_an_error_after_the_deadline(api, submit, wf):
    job = submit({"status": "successful"}, results=lambda seen: api.json(NOT_READY, 404)).wait()
    with wf.session.deadline(0.3), pytest.raises(ServiceError, match="come back later"):
        job.results()
    assert len(asked(api, "/jobs/7/results")) > 1


def test_results_elsewhere_are_asked_for_without_id_and_credentials(api, wf):
    with Server("127.0.0.2") as other:
        other.answer = lambda seen: Answer(200, b'{"out": "theirs"}', JSON)
        link = {"rel": RESULTS, "href": other.url("/results")}
        api.execute = lambda seen: Answer(201, b"", {"Location": "/jobs/7"})
        api.other = lambda seen: api.json({"status": "successful", "links": [link]})
        client = wf.processes(api.url(""), auth=("me", "secret"), headers={"X-Token": "secret"})
        job = client.execute("step", {}, async_=True).wait()
        with pytest.warns(AffinityWarning, match="without the machineid"):
            assert job.results() == {"out": "theirs"}
        assert job.output("out").text() == "theirs"
        for seen in other.seen:
            names = {name.lower() for name, _ in seen.headers}
            assert names.isdisjoint({"machineid", "authorization", "x-token", "cookie"})


# ---- answers that break off ----


@pytest.mark.usefixtures("no_waiting")
def test_results_that_break_off_are_asked_for_again(api, submit):
    """Also in the middle of a body of a known length, or of chunks."""
    whole = api.json({"out": "whole"})
    cut = [Answer(200, whole.body, JSON, cut=5)] * 4
    cut.append(Answer(200, b"5\r\nabc", {**JSON, "Transfer-Encoding": "chunked"}, cut=6))
    for ask in (lambda job: job.results()["out"], lambda job: job.output("out").text()):
        left = [*cut, whole]
        job = submit({"status": "successful"}, results=lambda seen, left=left: left.pop(0)).wait()
        assert ask(job) == "whole"
        assert left == []


@pytest.mark.usefixtures("no_waiting")
def test_results_that_always_break_off_are_an_error_of_ours(api, submit, wf):
    broken = api.json({"out": "whole"})
    broken.cut = 5
    job = submit({"status": "successful"}, results=lambda seen: broken).wait()
    for ask in (job.results, job.outputs, lambda: job.output("out")):
        with wf.session.deadline(0.3), pytest.raises(ServiceUnreachable, match="broke off") as e:
            ask()
        assert "Nothing was executed" not in str(e.value)
    assert len(asked(api, "/jobs/7/results")) > 3


@pytest.mark.usefixtures("no_waiting")
def test_a_status_document_that_breaks_off_is_asked_for_again(submit):
    document = b'{"status": "successful"}'
    cut = Answer(200, document, JSON, cut=5)
    assert submit(cut, cut, Answer(200, document, JSON)).wait(30).status == "successful"


def test_a_dismissal_whose_answer_breaks_off_is_one_by_its_status(api, submit):
    job = submit({"status": "running"})
    api.other = lambda seen: Answer(200, b"{" + b" " * 100 + b"}", JSON, cut=5)
    assert job.dismiss().status == "dismissed"
    assert job.step.state == "failed"
    api.other = lambda seen: Answer(403, b"{" + b" " * 100 + b"}", JSON, cut=5)
    with pytest.raises(ServiceError, match="refused to dismiss the job: HTTP 403"):
        job.dismiss()
    assert [seen.method for seen in asked(api, "/jobs/7")] == ["DELETE"] * 2


# ---- the wait ----


def test_a_wait_that_ends_says_how_long_the_status_has_not_changed(submit):
    job = submit({"status": "Started", "progress": 5})
    with pytest.raises(ExecutionTimeout, match=r"status Started, 5 %, unchanged for 0:00:0\d"):
        job.wait(0.3)


def test_a_status_that_does_not_change_is_warned_of_once(no_waiting, submit, monkeypatch):
    """It may be a job that was lost; nothing tells it from a long one."""
    monkeypatch.setattr(waiting, "QUIET", 0.2)
    running = {"status": "running"}
    job = submit(*[running] * 20, {"status": "successful"})
    with pytest.warns(AffinityWarning, match="unchanged for .*Pass a timeout") as warned:
        job.wait(60)
    assert len([w for w in warned if issubclass(w.category, AffinityWarning)]) == 1


# ---- what was refused before it was sent ----


def test_only_an_execution_that_was_refused_says_that_nothing_was_executed(api, client, wps):
    for process in (client.process, wps.describeprocess):
        with pytest.raises(UnknownProcess) as caught:
            process("stepp")
        assert "Nothing was executed" not in str(caught.value)
    with pytest.raises(UnknownProcess, match=r"\? Nothing was executed\n"):
        client.execute("stepp", {})
    with pytest.raises(UnknownProcess, match=r"\? Nothing was executed\n"):
        wps.execute("stepp", [])
    with pytest.raises(UnknownInput, match=r"\? Nothing was executed\n"):
        client.execute("step", {"texd": 1})
    with pytest.raises(UnknownInput, match=r"\? Nothing was executed\n"):
        wps.execute("step", [("delai", "1")])
    assert [seen for seen in api.seen if seen.method == "POST"] == []


def test_a_status_that_is_nested_deeply_is_an_error_of_ours(no_waiting, submit):
    job = submit(Answer(200, b'{"status": ' + b"[" * 900 + b"]" * 900 + b"}", JSON))
    with pytest.raises(ServiceError):
        job.refresh()

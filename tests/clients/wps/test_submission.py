"""An Execute on its way: how an incomplete answer is read."""

from __future__ import annotations

import contextlib

import pytest

from pavics_affinity import Workflow
from pavics_affinity.clients.wps.service import SYNC
from pavics_affinity.errors import ExecuteOutcomeUnknown, ExecutionFailed, NotAService, ServiceError
from support import wpsdocs
from support.rawserver import RawServer, head

WHOLE = wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.embedded("hello"))


def answering(server: RawServer, execute: list[bytes]) -> None:
    def answer(asked: bytes) -> list[bytes]:
        if asked.startswith(b"POST"):
            return execute
        document = wpsdocs.capabilities("step")
        if b"DescribeProcess" in asked:
            flags = 'storeSupported="true" statusSupported="true"'
            document = wpsdocs.description("step", "", flags=flags)
        return [head("Content-Type: text/xml"), document]

    server.answer = answer


@pytest.fixture
def server():
    with RawServer() as started:
        yield started


@pytest.mark.parametrize("end", [0, 5, 60, len(WHOLE) // 2, len(WHOLE.rstrip()) - 1])
def test_a_cut_answer_without_a_stated_length_has_an_unknown_outcome(server, end):
    answering(server, [head("Content-Type: text/xml"), WHOLE[:end]])
    with Workflow() as wf:
        client = wf.wps(server.url())
        with pytest.raises(ExecuteOutcomeUnknown, match="it is not a whole document"):
            client.execute("step", [], mode=SYNC)
        assert [step.state for step in wf.steps] == ["unknown"]
    assert sum(asked.startswith(b"POST") for asked in server.seen) == 1


def test_a_whole_answer_without_a_stated_length_is_taken(server):
    answering(server, [head("Content-Type: text/xml"), WHOLE])
    with Workflow() as wf:
        execution = wf.wps(server.url()).execute("step", [], mode=SYNC)
        assert execution.isSucceeded()


def test_a_page_without_a_stated_length_is_still_not_a_service(server):
    answering(server, [head("Content-Type: text/html"), b"<html><br>"])
    with Workflow() as wf:
        client = wf.wps(server.url())
        with pytest.raises(NotAService, match="an HTML page"):
            client.execute("step", [], mode=SYNC)


@pytest.mark.parametrize(
    ("code", "sent", "state"), [("ServerBusy", 2, "succeeded"), ("NoApplicableCode", 1, "failed")]
)
def test_only_what_a_busy_server_refused_is_sent_again(server, code, sent, state):
    refusal = [head("Content-Type: text/xml"), wpsdocs.report("not now", code=code)]
    with Workflow() as wf:
        answering(server, refusal)
        client = wf.wps(server.url())
        client.description("step")

        def at_first(asked: bytes) -> list[bytes]:
            answering(server, [head("Content-Type: text/xml"), WHOLE])
            return refusal

        server.answer = at_first
        with contextlib.nullcontext() if sent > 1 else pytest.raises(ExecutionFailed):
            client.execute("step", [], mode=SYNC)
        assert [step.state for step in wf.steps] == [state]
    assert sum(asked.startswith(b"POST") for asked in server.seen) == sent


def test_what_is_too_large_is_not_sent_again_to_a_server_that_may_be_busy(server):
    answering(server, [head(status="413 Request Entity Too Large"), b"<html>too large</html>"])
    with Workflow() as wf:
        client = wf.wps(server.url())
        with pytest.raises(ServiceError, match="413"):
            client.execute("step", [], mode=SYNC)
        assert [step.state for step in wf.steps] == ["refused"]
    assert sum(asked.startswith(b"POST") for asked in server.seen) == 1

"""The record: what each request was for, how long it took, and how much of its body came."""

from __future__ import annotations

import gzip
import logging

import pytest

from pavics_affinity import Workflow
from pavics_affinity.record import Record, Request, operation
from support.loopback import Answer, Server

BODY = b"temperature " * 500


@pytest.fixture
def server():
    with Server() as running:
        running.answer = lambda seen: Answer(body=BODY)
        yield running


@pytest.fixture
def workflow(server):
    with Workflow("a1b2") as wf:
        wf.add_scope(server.url())
        yield wf


def request(number: int = 0, **changed) -> Request:
    values = {
        "started": 1000.0 + number,
        "seconds": 0.5,
        "method": "GET",
        "operation": "status",
        "url": "http://proxy.example/wps",
        "service": "flyingpigeon",
        "node": "node1",
        "node_known": "proved",
        "route": "proxy",
        "status": 200,
        "bytes": 10,
        "attempts": 1,
        "error": None,
    }
    return Request(**{**values, **changed})


def test_a_request_is_recorded_with_what_it_was_for_and_what_came(workflow, server):
    with operation("GetCapabilities"):
        workflow.session.get(server.url("/wps?request=GetCapabilities#top"))
    [row] = workflow.record.rows()
    assert row["operation"] == "GetCapabilities"
    assert row["url"] == server.url("/wps")
    assert (row["method"], row["status"], row["attempts"], row["error"]) == ("GET", 200, 1, None)
    assert row["bytes"] == len(BODY)


def test_bytes_of_a_streamed_body_are_those_that_came(workflow, server):
    answer = workflow.session.get(server.url("/large"), stream=True)
    [entry] = workflow.record
    assert entry.bytes == len(BODY)  # as the header states it
    answer.raw.read(1000)
    answer.close()
    assert entry.bytes == 1000


def test_bytes_of_a_body_without_a_stated_length_are_counted(workflow, server):
    server.answer = lambda seen: Answer(
        body=b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n", headers={"Transfer-Encoding": "chunked"}
    )
    with workflow.session.get(server.url(), stream=True) as answer:
        assert answer.content == b"abcdefg"
    assert [entry.bytes for entry in workflow.record] == [7]


def test_bytes_are_those_on_the_wire(workflow, server):
    packed = gzip.compress(BODY)
    server.answer = lambda seen: Answer(body=packed, headers={"Content-Encoding": "gzip"})
    assert workflow.session.get(server.url()).content == BODY
    assert [entry.bytes for entry in workflow.record] == [len(packed)]


def test_the_time_of_a_streamed_request_lasts_until_its_body_ended(workflow, server):
    answer = workflow.session.get(server.url(), stream=True)
    [entry] = workflow.record
    to_the_headers = entry.seconds
    assert answer.content == BODY
    answer.close()
    assert entry.seconds > to_the_headers


def test_a_response_may_be_closed_twice(workflow, server):
    answer = workflow.session.get(server.url(), stream=True)
    answer.close()
    [entry] = workflow.record
    first = entry.seconds
    answer.close()
    assert entry.seconds == first


def test_a_log_line_has_machineid_and_node(workflow, server, caplog):
    with caplog.at_level(logging.DEBUG, logger="pavics_affinity"), operation("status"):
        workflow.session.get(server.url("/wps"))
    [line] = [r for r in caplog.records if r.name == "pavics_affinity"]
    assert line.machineid == "a1b2"
    assert line.node is None
    assert line.getMessage().startswith(f"status {server.url('/wps')} -> 200 on unknown node")


# ---- many ----


def test_the_oldest_are_dropped_and_counted():
    record = Record(limit=100)
    for number in range(250):
        record.add(request(number), "a1b2")
    assert len(record) == 100
    assert record.dropped == 150
    assert next(iter(record)).started == 1150.0
    assert repr(record) == "<Record: 100 of 250 requests, 0 steps>"
    assert "150 older requests were dropped" in str(record)


def test_totals_add_up_what_is_alike():
    record = Record()
    record.add(request(attempts=3, seconds=1.5), "a1b2")
    record.add(request(status=404, seconds=0.25, bytes=None), "a1b2")
    record.add(request(node="node2", error="BackendUnavailable", status=None), "a1b2")
    first, second = record.totals()
    assert (first.requests, first.again, first.errors) == (2, 2, 1)
    assert (first.seconds, first.bytes) == (1.75, 10)
    assert (second.node, second.requests, second.errors) == ("node2", 1, 1)


def test_outputs_are_one_line_whatever_their_paths():
    record = Record()
    for number in range(5):
        url = f"http://proxy.example/outputs/{number}.nc"
        record.add(request(url=url, operation="output 'output'", service=None), "a1b2")
    [total] = record.totals()
    assert (total.service, total.requests) == ("proxy.example", 5)


def test_print_shows_a_table_of_totals():
    record = Record()
    record.add(request(bytes=1_800_000), "a1b2")
    heading, line = str(record).splitlines()
    assert heading.split() == [
        "operation", "service", "node", "requests", "again", "errors", "seconds", "bytes"
    ]  # fmt: skip
    assert line.split() == ["status", "flyingpigeon", "node1", "1", "0", "0", "0.50", "1.8", "MB"]


def test_what_a_server_says_cannot_steer_a_terminal_or_a_page():
    record = Record()
    record.add(request(operation="Execute \x1b[2J<script>alert(1)</script>", service=None), "a1b2")
    assert "\x1b" not in str(record)
    assert "<script" not in record._repr_html_()
    assert "&lt;script&gt;" in record._repr_html_()


def test_ten_thousand_kinds_of_request_are_a_short_page():
    record = Record()
    for number in range(10_000):
        record.add(request(operation=f"Execute {number}"), "a1b2")
    assert len(str(record).splitlines()) == 52
    assert "9,950 kinds more" in record._repr_html_()
    assert len(record._repr_html_()) < 40_000

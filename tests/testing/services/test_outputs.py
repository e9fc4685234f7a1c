"""Outputs and status documents, as a node serves them."""

import hashlib
import http.client
import urllib.parse
import uuid

import pytest
import requests

from pavics_affinity.testing import produced_chunks, produced_sha256
from support.by_hand import execute, get, poll, reference


@pytest.fixture(scope="module")
def machineid():
    return uuid.uuid4().hex


@pytest.fixture(scope="module")
def output(cluster, machineid):
    url = cluster.url("flyingpigeon")
    return reference(execute(url, "produce", [("megabytes", "2.5")], machineid=machineid))


def test_the_bytes_can_be_computed_anywhere(output, machineid):
    body = get(output, machineid).content
    assert body == b"".join(produced_chunks(2.5))
    assert hashlib.sha256(body).hexdigest() == produced_sha256(2.5)


def test_other_seeds_and_other_chunks_are_other_bytes():
    chunks = [*produced_chunks(2), *produced_chunks(2, seed=1)]
    assert len(set(chunks)) == 4


def test_a_range_is_served_as_206_and_validated_by_etag(output, machineid):
    whole = get(output, machineid)
    etag = whole.headers["ETag"]
    part = get(output, machineid, Range="bytes=1000-1999")
    assert (part.status_code, part.content) == (206, whole.content[1000:2000])
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(whole.content)}"
    same = get(output, machineid, Range="bytes=1000-1999", **{"If-Range": etag})
    assert same.status_code == 206
    stale = get(output, machineid, Range="bytes=1000-1999", **{"If-Range": '"other"'})
    assert (stale.status_code, len(stale.content)) == (200, len(whole.content))
    beyond = get(output, machineid, Range="bytes=99999999-")
    assert beyond.status_code == 416


def test_an_unchanged_output_is_304(output, machineid):
    etag = get(output, machineid).headers["ETag"]
    assert get(output, machineid, **{"If-None-Match": etag}).status_code == 304


def test_head_returns_the_length(output, machineid):
    answer = requests.head(output, headers={"machineid": machineid}, timeout=30)
    assert answer.headers["Content-Length"] == str(int(2.5 * 2**20))


def test_outputs_are_not_written_to(output, machineid):
    answer = requests.post(output, headers={"machineid": machineid}, timeout=30)
    assert answer.status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/outputs/../pywps.cfg",
        "/outputs/..%2fpywps.cfg",
        "/outputs/%2e%2e/%2e%2e/requests.jsonl",
        "/outputs//etc/passwd",
        "/outputs/",
        "/outputs",
        "/outputs/link/pywps.cfg",
        "/outputs/a%00b",
    ],
)
def test_nothing_beside_the_outputs_is_served(cluster, path):
    link = cluster.directory / "node1" / "flyingpigeon" / "outputs" / "link"
    if not link.is_symlink():
        link.symlink_to(link.parent.parent)
    host = urllib.parse.urlsplit(cluster.node_url("node1", "flyingpigeon")).netloc
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("GET", path)
    assert connection.getresponse().status == 404
    connection.close()


def test_status_documents_follow_an_asynchronous_job(cluster, machineid):
    url = cluster.url("malleefowl")
    execution = execute(
        url,
        "sleep",
        [("delay", "0.6")],
        machineid=machineid,
        output=[("sleep_output", False)],
        mode="async",
    )
    assert execution.statusLocation.startswith(cluster.outputs_url("malleefowl"))
    assert not execution.isComplete()
    assert poll(execution, machineid).isSucceded()
    [run] = [
        run
        for run in cluster.executions(identifier="sleep")
        if run.uuid in execution.statusLocation
    ]
    assert run.ended - run.started > 0.5
    kinds = [request.operation for request in cluster.requests(machineid=machineid)]
    assert kinds.count("status") >= 3

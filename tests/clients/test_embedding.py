"""Outputs by URL as inputs, behind an unknown plain proxy."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import pywps
from owslib.wps import SYNC
from pywps import FORMATS, ComplexInput, LiteralOutput
from werkzeug.serving import make_server

from pavics_affinity import Workflow
from pavics_affinity.clients.embedding import Attached
from pavics_affinity.errors import InvalidRequest, OutputUnavailable, ReferenceRefused
from support.loopback import Answer, Server
from support.output_urls import CLIENTS, GIVEN
from support.rawserver import RawServer, head
from support.scriptedapi import ScriptedAPI

CHAINS = 6  # each form of an input twice


@pytest.mark.parametrize("client", CLIENTS)
def test_six_chains_of_six_by_output_url(cluster, client):
    run, make = CLIENTS[client]

    def chain(number):
        with Workflow() as wf:
            give = list(GIVEN.values())[number % 3]
            output = run(cluster, wf, make(wf), give)
            with output.open_dataset() as dataset:
                latitudes = dataset["latitude"].values
                sizes = dataset.sizes["longitude"], len(latitudes)
            assert np.all((latitudes >= 40) & (latitudes <= 50))
            assert wf.steps[-1].inputs == {"resource": "content"}
            return wf.machineid, sizes

    before = len(cluster.executions())
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(chain, range(CHAINS)))
    assert len(found) == CHAINS
    assert len({sizes for _, sizes in found}) == 1
    ran = cluster.executions()[before:]
    assert len(ran) == 3 * CHAINS
    assert {run.error for run in ran} == {None}


def keeping(given):
    """Make a process that keeps the bytes of its input as they arrive."""

    def handler(request, response):
        given.append(Path(request.inputs["file"][0].file).read_bytes())
        response.outputs["size"].data = len(given[-1])
        return response

    file = ComplexInput("file", "Anything", supported_formats=[FORMATS.TEXT, FORMATS.NETCDF])
    size = LiteralOutput("size", "Bytes", data_type="integer")
    return pywps.Process(handler, "keep", "Keep", inputs=[file], outputs=[size])


class Site:
    """A real PyWPS and a server of its files, as a plain proxy shows them."""

    def __init__(self, directory, **options):
        self.given = []
        self.files = {}
        self.posts = []
        self.refuses = lambda size: False
        config = directory / "pywps.cfg"
        limits = {"maxrequestsize": "100mb", "maxsingleinputsize": "100mb", **options}
        lines = [f"{name}={value}" for name, value in limits.items()]
        kept = f"workdir={directory}\noutputpath={directory}"
        config.write_text("[server]\n" + kept + "\n" + "\n".join(lines) + "\n")
        self._service = pywps.Service([keeping(self.given)], [str(config)])
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.origin = f"http://127.0.0.1:{self._server.port}"
        self.wps = f"{self.origin}/wps"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def file(self, name, content, kind="text/plain"):
        self.files[f"/files/{name}"] = content, kind
        return f"{self.origin}/files/{name}"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ, start):
        path, size = environ["PATH_INFO"], int(environ.get("CONTENT_LENGTH") or 0)
        if path in self.files:
            content, kind = self.files[path]
            start("200 OK", [("Content-Type", kind), ("Content-Length", str(len(content)))])
            return [content]
        if path != "/wps":
            start("404 Not Found", [("Content-Type", "text/html")])
            return [b"<html><h1>404 Not Found</h1></html>"]
        if environ["REQUEST_METHOD"] == "POST":
            self.posts.append(size)
            if self.refuses(size):  # as nginx does it, before the service has seen anything
                environ["wsgi.input"].read(size)
                start("413 Request Entity Too Large", [("Content-Type", "text/html")])
                return [b"<html><h1>413 Request Entity Too Large</h1></html>"]
        return self._service(environ, start)


@pytest.fixture
def make_site(tmp_path):
    made = []

    def make(**options):
        made.append(Site(tmp_path, **options))
        return made[-1]

    yield make
    for site in made:
        site.close()


def send(wf, site, value):
    return wf.wps(site.wps).execute("keep", [("file", value)], mode=SYNC).wait()


@pytest.mark.parametrize(
    ("content", "as_text"),
    [
        (b"one two three", True),
        ("µ ]]> <a & b> \t\n \u4e2d".encode() * 60_000, True),
        (b" at its ends \n", False),
        (b"a\rb\r\nc", False),
        (b"not \xff utf-8", False),
        (b"nul \x00 and \x1b", False),
        (b"\xef\xbb\xbfmark", False),
    ],
)
def test_a_text_arrives_byte_for_byte(make_site, content, as_text):
    site = make_site()
    url = site.file("out.txt", content.strip() if as_text else content)
    with Workflow() as wf:
        execution = send(wf, site, url)
    assert site.given == [content.strip() if as_text else content]
    assert (b"base64" not in bytes(execution.request)) == as_text


def test_binary_content_is_sent_in_base64_with_a_format_that_the_process_offers(make_site):
    site = make_site()
    content = bytes(range(256)) * 8000  # large enough to pass by the XML tree
    url = site.file("out.nc", content, "application/x-netcdf; charset=binary")
    with Workflow() as wf:
        request = bytes(send(wf, site, url).request)
    assert site.given == [content]
    assert b'mimeType="application/x-netcdf" encoding="base64"' in request or (
        b'encoding="base64" mimeType="application/x-netcdf"' in request
    )


def test_a_large_content_is_encoded_only_as_it_is_sent(make_site, monkeypatch):
    """A copy in base64 for each look at it would double the memory."""

    def value(self):
        raise AssertionError("encoded as a whole")

    site = make_site()
    content = bytes(range(256)) * 12_000
    url = site.file("out.nc", content, "application/x-netcdf")
    monkeypatch.setattr(Attached, "value", property(value))
    with Workflow() as wf:
        send(wf, site, url)
    assert site.given == [content]


@pytest.mark.parametrize(
    "content", [bytes(range(256)) * 9_000, '"µ\\" \n\t\U0001f30d </a>'.encode() * 90_000]
)
def test_a_content_arrives_whole_at_an_ogc_api(content):
    kind = "text/plain" if content.startswith(b'"') else "application/octet-stream"
    with ScriptedAPI() as api, Workflow() as wf:
        answers = api.answer
        api.answer = lambda seen: (
            Answer(200, content, {"Content-Type": kind}) if seen.path == "/out" else answers(seen)
        )
        wf.processes(api.url("")).execute("step", {"text": [{"href": api.url("/out")}, 1]})
        assert wf.steps[-1].inputs == {"text": "content"}
        [posted] = [json.loads(seen.body) for seen in api.seen if seen.method == "POST"]
    value, one = posted["inputs"]["text"]
    if kind == "text/plain":
        assert value == {"value": content.decode(), "mediaType": kind}
    else:
        assert base64.b64decode(value.pop("value")) == content
        assert value == {"encoding": "base64", "mediaType": kind}
    assert one == 1


def test_data_elsewhere_is_still_sent_as_its_url(make_site):
    site = make_site()
    with RawServer() as elsewhere, Workflow() as wf:
        elsewhere.answer = lambda asked: [head("Content-Length: 9"), b"elsewhere"]
        send(wf, site, elsewhere.url("/x.txt"))
        send(wf, site, site.file("out.txt", b"own"))
    assert [step.inputs for step in wf.steps] == [{"file": "URL"}, {"file": "content"}]
    assert site.given == [b"elsewhere", b"own"]
    assert b"base64" not in b"".join(elsewhere.seen)


@pytest.mark.parametrize("named", ["in a document", "by a redirect"])
def test_content_of_a_host_out_of_scope_is_not_sent_to_a_service(make_site, named):
    """Else a document could name a host of the user's own network, to read what it has."""
    site = make_site()
    with Server("127.0.0.2") as inside, Server() as of_the_site, Workflow() as wf:
        inside.answer = lambda seen: Answer(body=b"secret")
        of_the_site.answer = lambda seen: Answer(302, headers={"Location": inside.url("/x.txt")})
        url = (inside if named == "in a document" else of_the_site).url("/x.txt")
        wf.session.note_reference(url)
        with pytest.raises(ReferenceRefused, match=r"add_scope\(") as refused:
            send(wf, site, url)
        assert "Nothing was executed" in str(refused.value)
        assert len(inside.seen) == (named == "by a redirect")
        assert site.posts == []
        wf.add_scope("127.0.0.2")
        send(wf, site, url)
        assert site.given == [b"secret"]


def test_an_output_above_the_limit_is_refused_before_anything_runs(make_site):
    site = make_site()
    url = site.file("out.txt", b"x" * 1001)
    with Workflow(embed_limit=1000) as wf:
        with pytest.raises(ReferenceRefused) as refused:
            send(wf, site, url)
        assert not wf.steps
        site.file("out.txt", b"x" * 1000)
        send(wf, site, url)
    said = str(refused.value)
    assert "1001 bytes" in said
    assert "1000 bytes" in said
    assert "embed_limit" in said
    assert "Nothing was executed" in said
    assert site.given == [b"x" * 1000]


def test_the_size_that_the_process_states_is_a_limit_too(make_site):
    site = make_site(maxsingleinputsize="1mb")
    url = site.file("out.txt", b"x" * (2**20 + 1))
    with (
        Workflow() as wf,
        pytest.raises(ReferenceRefused, match="maximumMegabytes"),
    ):
        send(wf, site, url)
    assert site.posts == []


def test_with_a_limit_of_0_nothing_is_embedded(make_site):
    site = make_site()
    url = site.file("out.txt", b"own")
    with (
        Workflow(embed_limit=0) as wf,
        pytest.raises(ReferenceRefused, match="without embed_limit=0"),
    ):
        send(wf, site, url)
    assert site.posts == []


def test_a_text_that_names_the_workflows_own_files_is_refused(make_site):
    site = make_site()
    listed = site.file("a.txt", b"a")
    url = site.file("list.txt", f'["{listed}"]'.encode())
    with Workflow() as wf, pytest.raises(ReferenceRefused, match="no machineid"):
        send(wf, site, url)
    assert site.posts == []


@pytest.mark.parametrize("limit", [-1, 1.5, "7MB", True, None])
def test_a_limit_that_is_not_a_number_of_bytes_is_refused(limit):
    with pytest.raises(InvalidRequest, match="embed_limit"):
        Workflow(embed_limit=limit)


def test_a_413_means_that_nothing_ran_and_is_remembered(make_site):
    site = make_site()
    site.refuses = lambda size: size > 1_000_000
    large = site.file("large.bin", b"\0" * 900_000, "application/x-netcdf")
    small = site.file("small.bin", b"\0" * 1000, "application/x-netcdf")
    with Workflow() as wf:
        with pytest.raises(ReferenceRefused, match=r"413.*client_max_body_size") as refused:
            send(wf, site, large)
        assert "references" not in str(refused.value)
        assert "Nothing was executed" in str(refused.value)
        assert wf.steps[-1].state == "refused"
        with pytest.raises(ReferenceRefused, match="before"):
            send(wf, site, large)
        assert wf.steps[-1].state == "not sent"
        assert len(site.posts) == 1
        send(wf, site, small)
    assert [len(given) for given in site.given] == [1000]


def test_the_error_on_a_request_that_is_too_large_names_the_services_limit(make_site):
    site = make_site(maxrequestsize="1mb")
    large = site.file("large.bin", b"\0" * 900_000, "application/x-netcdf")
    with Workflow() as wf:
        with pytest.raises(ReferenceRefused, match="Maximum request size allowed"):
            send(wf, site, large)
        assert wf.steps[-1].state == "refused"
    assert site.given == []


def test_a_file_that_is_gone_is_not_sent(make_site):
    site = make_site()
    with Workflow() as wf:
        wps = wf.wps(site.wps)
        with pytest.raises(OutputUnavailable, match=r"404.*Nothing was executed"):
            wps.execute("keep", [("file", f"{site.origin}/files/gone.txt")], mode=SYNC)
    assert site.posts == []

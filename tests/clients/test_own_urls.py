"""No URL of a workflow's services leaves through a plain proxy as it is.

For every client, every way of running and every kind of document: what the
document names is refused as an input before an Execute leaves.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, unescape

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from owslib.wps import ASYNC, SYNC, ComplexDataInput, WFSFeatureCollection

import pavics_affinity
from pavics_affinity import Workflow
from pavics_affinity.clients.ogcapi.jobs import Job
from pavics_affinity.errors import AffinityError, ReferenceRefused
from pavics_affinity.transport import DEFAULT_EMBED_LIMIT
from support import wpsdocs
from support.loopback import Answer, Seen, Server
from support.scriptedwps import ScriptedWPS

pytest.importorskip("birdy")

METALINK_3 = (
    '<metalink version="3.0" xmlns="http://www.metalinker.org/"><files><file name="a.nc">'
    '<resources><url type="http">{}</url></resources></file></files></metalink>'
)
METALINK_4 = (
    '<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="a.nc">'
    '<metaurl mediatype="application/x-netcdf">{}</metaurl></file></metalink>'
)


@dataclass
class Document:
    """The content of an output, and its type."""

    text: str
    mimetype: str
    value: Any = None  #: in JSON, where an OGC API would send that


def documents(url: str) -> dict[str, Document]:
    """Return a document of each kind that names the URL."""
    xml = escape(url)
    link = {"href": url, "type": "application/x-netcdf"}
    dumped = {
        "list": [url],
        "dict of links": {"a": link},
        "array of links": [link, link],
        "literal in JSON": {"file": url},
    }
    found = {
        name: Document(json.dumps(value), "application/json", value)
        for name, value in dumped.items()
    }
    found["escaped JSON"] = Document(
        json.dumps([url]).replace("/", r"\/"), "application/json", [url]
    )
    found["metalink 3"] = Document(METALINK_3.format(xml), "application/metalink+xml; version=3.0")
    found["metalink 4"] = Document(METALINK_4.format(xml), "application/metalink+xml; version=4.0")
    found["XML"] = Document(f'<files><file href="{xml}"/></files>', "text/xml")
    found["escaped XML"] = Document(
        f"<files>{xml.replace('/', '&#x2F;').replace(':', '&#58;')}</files>", "text/xml"
    )
    found["text"] = Document(f"The file is at {url} now.\n", "text/plain")
    found["URL"] = Document(url, "text/plain", url)
    found["CSV"] = Document(f"name,url,size\na.nc,{url},12\n", "text/csv")
    found["query"] = Document(f"http://cut.invalid/?of={url}", "text/plain")
    found["link"] = Document("data", "text/plain", link)
    return found


def spelt(origin: str, spelling: str) -> str:
    """Return the URL of a file at an origin, spelt in one of many ways."""
    rest = origin.removeprefix("http://")
    return {
        "plain": f"{origin}/outputs/5f0c/a.nc",
        "beside the outputs": f"{origin}/elsewhere/a.nc",
        "root": f"{origin}/a.nc",
        "query": f"{origin}/outputs/a.nc?x=1&y=2#z",
        "escaped": f"{origin}/%6Futputs/./a.nc",
        "double slash": f"{origin}//outputs//a.nc",
        "capitals": f"HTTP://{rest}/outputs/a.nc",
        "https": f"https://{rest}/outputs/a.nc",
        "password": f"http://me:secret@{rest}/outputs/a.nc",
        "result": f"{origin}/wps?service=WPS&request=GetResult&jobid=1",
    }[spelling]


SPELLINGS = (
    "plain",
    "beside the outputs",
    "root",
    "query",
    "escaped",
    "double slash",
    "capitals",
    "https",
    "password",
    "result",
)
KINDS = tuple(documents(""))
WPS_WAYS = ("sync", "async", "falls back to sync", "raw")
OGC_WAYS = ("sync", "sync raw", "async", "async raw")
WAYS = [
    *((client, way) for client in ("wps", "drop-in", "birdy") for way in WPS_WAYS),
    *(("processes", way) for way in OGC_WAYS),
]


@pytest.fixture(scope="module")
def first() -> Iterator[ScriptedWPS]:
    with ScriptedWPS() as server:
        server.inputs = ""
        yield server


@pytest.fixture(scope="module")
def api() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def second() -> Iterator[ScriptedWPS]:
    with ScriptedWPS() as server:
        server.inputs = wpsdocs.literal("text") + wpsdocs.complex_("resource")
        yield server


# ---- what a service answers ----


def wps_output(document: Document, reference: str | None) -> str:
    if reference is not None:
        return wpsdocs.reference(escape(reference), mimetype=document.mimetype)
    return wpsdocs.embedded(escape(document.text), attributes=f'mimeType="{document.mimetype}"')


def ogc_value(document: Document, reference: str | None) -> Any:
    if document.value is not None:
        return document.value
    if reference is not None:
        return {"href": reference, "type": document.mimetype}
    return {"value": document.text, "mediaType": document.mimetype}


def run_wps(wf: Workflow, first: ScriptedWPS, client: str, way: str, output: str, raw: str) -> Any:
    """Run the process, and return what the client returns: an execution, or a text."""
    done = first.xml(wpsdocs.response(wpsdocs.SUCCEEDED, output))
    accepted = first.xml(wpsdocs.response(wpsdocs.ACCEPTED, location=first.status_url))
    first.status = lambda seen: done
    first.execute = lambda seen: accepted if way == "async" else done
    supported = "false" if way == "falls back to sync" else "true"
    first.flags = f'storeSupported="{supported}" statusSupported="{supported}"'
    mode = SYNC if way == "sync" else ASYNC
    if client == "birdy":
        wps = wf.birdy(first.url(), progress=way == "async")
    elif client == "wps":
        wps = wf.wps(first.url())
    else:
        wps = pavics_affinity.WebProcessingService(first.url())
    if way == "raw":
        first.execute = lambda seen: Answer(200, raw.encode(), {"Content-Type": "text/plain"})
        return wf.session.post(first.url(), data=b"<RawDataOutput/>").text
    return wps.step() if client == "birdy" else wps.execute("step", [], mode=mode).wait()


def run_ogc(wf: Workflow, api: Server, way: str, document: Document, reference: str | None) -> Any:
    value = ogc_value(document, reference)
    results: Any = {"out": value}
    kind = "application/json"
    if "raw" in way and document.value is None:
        results, kind = document.text, document.mimetype

    def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
        body = value if isinstance(value, str) else json.dumps(value)
        return Answer(status, body.encode(), {"Content-Type": "application/json", **headers})

    def answer(seen: Seen) -> Answer:
        if seen.method == "POST" and "async" not in way:
            return as_json(results, **{"Content-Type": kind})
        if seen.method == "POST":
            return as_json({"jobID": "1", "status": "accepted"}, 201, Location=api.url("/jobs/1"))
        return {
            "/": as_json({"links": []}),
            "/processes/step": as_json({"id": "step", "inputs": {}, "outputs": {"out": {}}}),
            "/jobs/1": as_json({"jobID": "1", "status": "successful"}),
            "/jobs/1/results": as_json(results, **{"Content-Type": kind}),
        }.get(seen.path, Answer(200, document.text.encode(), {"Content-Type": document.mimetype}))

    api.answer = answer
    made = wf.processes(api.url("")).execute(
        "step",
        {},
        async_="async" in way,
        response="raw" if "raw" in way else "document",
    )
    return made.wait()


# ---- what a user makes of it ----


def picked(made: Any, url: str) -> Iterator[tuple[str, Any]]:
    """Yield what a user may pass on: kind of input, and value."""
    yield "any", url
    if isinstance(made, str):
        yield from texts(made)
        return
    yield "any", made
    output = made.output("output" if hasattr(made, "processOutputs") else "out")
    for file in (output, *output.files()):
        yield "any", file
        if file.reference is not None:
            yield "any", file.reference
    if output.reference is None:
        yield from texts(output.text())
    if isinstance(made, dict) and "out" in made:
        yield "JSON", made["out"]
        yield "JSON", [{"nested": made["out"]}]


def texts(text: str) -> Iterator[tuple[str, Any]]:
    yield "any", text
    yield "complex", ComplexDataInput(text)
    encoded = base64.b64encode(text.encode()).decode()
    yield "complex", ComplexDataInput(encoded, encoding="base64")
    yield "JSON", {"value": encoded, "encoding": "base64"}
    yield "JSON", {text: 1}


def senders(wf: Workflow, second: ScriptedWPS, api: Server) -> dict[str, list[Any]]:
    """Return the ways to pass a value on to the next process, by kind of input."""
    wps, birdy = wf.wps(second.url(), skip_caps=True), wf.birdy(second.url())
    processes = wf.processes(api.url(""), json_='{"links": []}')
    complex_ = [
        lambda value: wps.execute("step", [("resource", value)]),
        lambda value: birdy.step(resource=value),
    ]
    literal = [
        lambda value: wps.execute("step", [("text", value)], mode=SYNC),
        lambda value: birdy.step(text=value),
    ]
    as_json = [lambda value: processes.execute("step", {"file": value})]
    return {"any": complex_ + literal + as_json, "complex": complex_, "JSON": as_json}


def refused_everywhere(wf: Workflow, second: ScriptedWPS, api: Server, made: Any, url: str) -> None:
    ways = senders(wf, second, api)
    before = [len(server.seen) for server in (second, api)]
    for kind, value in picked(made, url):
        for send in ways[kind]:
            with pytest.raises(ReferenceRefused, match="Nothing was executed"):
                send(value)
    seen = [s.seen[n:] for s, n in zip((second, api), before, strict=True)]
    assert "POST" not in [request.method for requests in seen for request in requests]


def not_sent(wf: Workflow, second: ScriptedWPS, api: Server, made: Any, url: str) -> None:
    """Check that whatever is sent, the content of an output perhaps, does not hold the URL."""
    ways = senders(wf, second, api)
    second.execute = lambda seen: second.xml(wpsdocs.response(wpsdocs.SUCCEEDED))
    described = {"id": "step", "inputs": {"file": {}}}
    answers = {"/processes/step": described, "/processes/step/execution": {"out": 1}}
    usual = api.answer

    def answer(seen: Seen) -> Answer:
        if seen.path not in answers:
            return usual(seen)
        body = json.dumps(answers[seen.path]).encode()
        return Answer(200, body, {"Content-Type": "application/json"})

    api.answer = answer
    for server in (second, api):
        server.seen.clear()
    for kind, value in picked(made, url):
        for send in ways[kind]:
            with contextlib.suppress(AffinityError):  # refused, or it cannot be fetched
                send(value)
    for request in (request for server in (second, api) for request in server.seen):
        if request.method == "POST":
            assert url.lower() not in unescape(readable(request.body)).lower()


def readable(body: bytes) -> str:
    """Return what an Execute says, with its base64 decoded."""

    def decoded(found: re.Match[bytes]) -> bytes:
        with contextlib.suppress(ValueError):
            return base64.b64decode(found[0], validate=True)
        return found[0]

    return re.sub(rb"[A-Za-z0-9+/]{16,}=*", decoded, body).decode(errors="replace")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("client", "way"), WAYS)
@settings(
    max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(spelling=st.sampled_from(SPELLINGS), linked=st.booleans(), embeds=st.booleans())
def test_no_url_of_a_service_leaves_through_a_plain_proxy(
    first, api, second, client, way, kind, spelling, linked, embeds
):
    server = api if client == "processes" else first
    url = spelt(server.origin, spelling)
    document = documents(url)[kind]
    at = server.url("/outputs/4d1e/document")
    first.files = lambda seen: Answer(200, document.text.encode(), {"Content-Type": "text/plain"})
    with Workflow(embed_limit=DEFAULT_EMBED_LIMIT if embeds else 0) as wf:
        if client == "processes":
            made = run_ogc(wf, api, way, document, at if linked else None)
        else:
            reference = url if kind == "link" else at if linked else None
            output = wps_output(document, reference)
            made = run_wps(wf, first, client, way, output, document.text)
            if kind == "link" and way == "raw":
                made = url
        check = not_sent if embeds else refused_everywhere
        check(wf, second, api, made, url)


# ---- data elsewhere is everybody's ----


@pytest.fixture
def sent(second):
    """Return a function that passes a value on, and returns what the service received."""
    second.execute = lambda seen: second.xml(wpsdocs.response(wpsdocs.SUCCEEDED))

    def send(wf: Workflow, value: Any, name: str = "resource") -> bytes:
        wf.wps(second.url(), skip_caps=True).execute("step", [(name, value)], mode=SYNC)
        return second.asked("Execute")[-1].body

    return send


ELSEWHERE = "http://thredds.invalid:8083/thredds/dodsC/a.nc"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "link"])
def test_a_url_elsewhere_in_a_document_is_passed_on_unchanged(first, sent, kind):
    document = documents(ELSEWHERE)[kind]
    with Workflow(embed_limit=0) as wf:
        made = run_wps(wf, first, "wps", "sync", wps_output(document, None), "")
        output = made.output("output")
        given = output.text()
        body = sent(wf, given if kind == "URL" else ComplexDataInput(given))
        assert escape(given).encode() in body.replace(b"&quot;", b'"')


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/thredds/a.nc",  # another port of the service's host
        "http://127.0.0.1/data/a.nc",
        "http://data.invalid/a,b;c.nc",
        "https://user:password@data.invalid/a.nc",
        "file:///outputs/a.nc",
        "ftp://127.0.0.1/a.nc",
        "//data.invalid/a.nc",
        "data:text/plain,a",
    ],
)
def test_a_url_that_a_user_types_is_passed_on_unchanged(first, sent, url):
    with Workflow(embed_limit=0) as wf:
        wf.wps(first.url())
        assert f">{url}<".encode() in sent(wf, url, "text")


def test_a_url_with_the_same_answer_on_every_node_is_passed_on_unchanged(first, sent):
    with Workflow(embed_limit=0) as wf:
        wf.wps(first.url())
        for query in ("", "?service=WPS&request=GetCapabilities", "?Request=DescribeProcess"):
            assert first.url().encode() in sent(wf, first.url() + query, "text")
        for query in ("?request=Execute&identifier=step", "?id=1", "?request=GetResult"):
            with pytest.raises(ReferenceRefused):
                sent(wf, first.url() + query, "text")


@pytest.mark.parametrize("magic", [b"\x89HDF\r\n\x1a\n", b"CDF\x01\0"])
def test_binary_content_is_sent_along_with_the_urls_in_it(first, sent, magic):
    content = magic + b"history = " + first.url("/outputs/a.nc").encode()
    encoded = base64.b64encode(content).decode()
    with Workflow(embed_limit=0) as wf:
        wf.wps(first.url())
        assert encoded.encode() in sent(wf, ComplexDataInput(encoded, encoding="base64"))


# ---- where documents put outputs ----


@pytest.mark.parametrize("status", [True, False])
def test_an_origin_at_which_a_document_puts_outputs_is_the_workflows(first, sent, status):
    """Whether a status document, or only a reference, names it."""
    at = "http://127.0.0.1:1/outputs/5f0c"
    output = wpsdocs.reference(f"{at}/list.txt")
    document = wpsdocs.response(
        wpsdocs.SUCCEEDED, "" if status else output, location=f"{at}.xml" if status else None
    )
    first.execute = lambda seen: first.xml(document)
    with Workflow(embed_limit=0) as wf:
        wps = wf.wps(first.url())
        for url in ("http://127.0.0.1:1/outputs/other/a.nc", "see http://127.0.0.1:1/x"):
            assert url.encode() in sent(wf, url, "text")
        wps.execute("step", [], mode=SYNC)
        for url in ("http://127.0.0.1:1/outputs/other/a.nc", "see http://127.0.0.1:1/x"):
            with pytest.raises(ReferenceRefused):
                sent(wf, url, "text")


def test_a_response_that_a_user_has_got_elsewhere_names_places_as_well(first, sent):
    output = wpsdocs.reference("http://127.0.0.1:1/outputs/a.nc")
    with Workflow(embed_limit=0) as wf:
        response = wpsdocs.response(wpsdocs.SUCCEEDED, output)
        made = wf.wps(first.url()).execute("step", [], response=response)
        with pytest.raises(ReferenceRefused):
            sent(wf, made.output("output").reference, "text")


@pytest.mark.parametrize("metalink", [METALINK_3, METALINK_4])
def test_files_of_an_embedded_metalink_name_a_place_at_the_services_host(first, sent, metalink):
    def run(wf: Workflow, url: str) -> Any:
        text = escape(metalink.format(url))
        output = wpsdocs.embedded(text, attributes='mimeType="application/metalink+xml"')
        first.execute = lambda seen: first.xml(wpsdocs.response(wpsdocs.SUCCEEDED, output))
        return wf.wps(first.url()).execute("step", [], mode=SYNC).output("output")

    with Workflow(embed_limit=0) as wf:
        made = run(wf, "http://127.0.0.1:1/u/a.nc")
        for value in (made, made.text(), "http://127.0.0.1:1/v/b.nc"):
            with pytest.raises(ReferenceRefused):
                sent(wf, value)
    with Workflow(embed_limit=0) as wf:
        [file] = run(wf, ELSEWHERE).files()
        assert ELSEWHERE.encode() in sent(wf, file)


def test_the_address_of_a_request_to_another_service_is_read(first, sent):
    query = SimpleNamespace(getXml=lambda: etree.Element("query"))
    with Workflow(embed_limit=0) as wf:
        wf.wps(first.url())
        with pytest.raises(ReferenceRefused):
            sent(wf, WFSFeatureCollection(first.url("/geoserver/wfs"), query))


def test_a_host_given_as_a_url_is_a_services_origin(sent):
    with Workflow(embed_limit=0) as wf:
        pavics_affinity.pin_session(requests.Session(), wf, hosts=["http://127.0.0.1:1/wps"])
        with pytest.raises(ReferenceRefused):
            sent(wf, "http://127.0.0.1:1/outputs/a.nc", "text")


@pytest.mark.parametrize(
    "reference", ["/outputs/a.nc", "../outputs/a.nc", "//{}/outputs/a.nc", "http://{}/outputs/a.nc"]
)
def test_a_relative_reference_is_taken_from_the_service(first, sent, reference):
    output = wpsdocs.reference(reference.format(f"{first.host}:{first.port}"))
    first.execute = lambda seen: first.xml(wpsdocs.response(wpsdocs.SUCCEEDED, output))
    with Workflow(embed_limit=0) as wf:
        made = wf.wps(first.url()).execute("step", [], mode=SYNC)
        with pytest.raises(ReferenceRefused, match=f"is {first.origin}/outputs/a.nc: the file"):
            sent(wf, made.output("output"))
        if reference.startswith("//"):
            with pytest.raises(ReferenceRefused):
                sent(wf, made.output("output").reference, "text")


def test_the_name_that_a_service_calls_itself_by_is_its_own(api, first, sent):
    """A user may reach a service by another name than the one in its documents."""
    document = wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.embedded("http://example.org/a.nc"))
    first.execute = lambda seen: first.xml(document)  # its serviceInstance is at example.org
    landing = {"links": [{"rel": "self", "href": "http://named.invalid/"}]}
    with Workflow(embed_limit=0) as wf:
        made = wf.wps(first.url()).execute("step", [], mode=SYNC)
        wf.processes(api.url(""), json_=json.dumps(landing))
        for url in (made.output("output").text(), "http://named.invalid/jobs/1/results"):
            with pytest.raises(ReferenceRefused):
                sent(wf, url, "text")


@pytest.mark.parametrize(
    "escaping", [("/", r"\/"), ("/", r"\u002f"), (":", "&#x3a;"), ("h", "&#104;")]
)
def test_escapes_of_json_and_xml_are_read(first, sent, escaping):
    text = f'["{first.url("/outputs/a.nc")}"]'.replace(*escaping)
    with Workflow(embed_limit=0) as wf:
        wf.wps(first.url())
        with pytest.raises(ReferenceRefused):
            sent(wf, ComplexDataInput(text))


def test_a_url_within_a_url_is_read(first, sent):
    url = first.url("/outputs/a.nc")
    with Workflow(embed_limit=0) as wf:
        wf.wps(first.url())
        for inner in (url, quote(url, safe=""), quote(url, safe="").lower()):
            with pytest.raises(ReferenceRefused):
                sent(wf, f"http://cut.invalid/subset?from={inner}&to=x", "text")


@pytest.mark.parametrize("way", OGC_WAYS)
@pytest.mark.parametrize("several", [False, True])
def test_links_of_an_ogc_api_name_places_also_where_they_are_read_from_the_dict(
    api, sent, way, several
):
    link = {"href": "http://127.0.0.1:1/outputs/a.nc"}
    with Workflow(embed_limit=0) as wf:
        made = run_ogc(wf, api, way, Document("", "", [link, link] if several else link), None)
        if isinstance(made, Job):
            made = made.results()
        found = made["out"][1] if several else made["out"]
        with pytest.raises(ReferenceRefused):
            sent(wf, found["href"], "text")


def test_an_array_of_links_is_an_output_of_several_files(api):
    links = [{"href": api.url(f"/outputs/{name}"), "type": "text/plain"} for name in ("a", "b")]
    with Workflow(embed_limit=0) as wf:
        made = run_ogc(wf, api, "async", Document("data", "text/plain", links), None)
        files = made.output("out").files()
        assert [file.reference for file in files] == [link["href"] for link in links]
        assert [file.text() for file in files] == ["data", "data"]
        assert made.output("out").json() == links

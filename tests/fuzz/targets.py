"""Every parser of the library, as a function of bytes. Nothing here opens a connection."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from email.message import Message
from functools import cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import requests
import urllib3
from lxml import etree
from requests.adapters import BaseAdapter
from requests.cookies import extract_cookies_to_jar

from fuzz import seeds
from fuzz.engine import Target
from pavics_affinity import Topology, Workflow
from pavics_affinity.batch.intake import Work
from pavics_affinity.batch.journal import BatchJournal
from pavics_affinity.clients import references
from pavics_affinity.clients.http import answers, urls, xml
from pavics_affinity.clients.http.pickling import split_login
from pavics_affinity.clients.http.urls import wrong_public_url
from pavics_affinity.clients.http.waiting import Trouble
from pavics_affinity.clients.limits import read_json
from pavics_affinity.clients.ogcapi import answers as oapi_answers
from pavics_affinity.clients.ogcapi.answers import check_status, is_not_ready, state_of
from pavics_affinity.clients.ogcapi.definitions import read_yaml
from pavics_affinity.clients.ogcapi.jobs import Job
from pavics_affinity.clients.ogcapi.results import Results, output_of, raw_results
from pavics_affinity.clients.outputs import codings, names
from pavics_affinity.clients.outputs.boxes import Box
from pavics_affinity.clients.outputs.local import local_path
from pavics_affinity.clients.outputs.output import Output
from pavics_affinity.clients.outputs.resource import Resource
from pavics_affinity.clients.outputs.transfer import Remote, Transfer
from pavics_affinity.clients.wps.descriptions import Description
from pavics_affinity.clients.wps.execution import Execution
from pavics_affinity.clients.wps.literals import LiteralRule
from pavics_affinity.discovery import finder
from pavics_affinity.discovery.document import document_text, topology_of, version_of
from pavics_affinity.errors import AffinityError
from pavics_affinity.journal import read as read_journal
from pavics_affinity.machineid import derive_machineid, validate_machineid
from pavics_affinity.markup import LONGEST, clean, web_address, without_login
from pavics_affinity.markup.cards import card, link, listing, table, text
from pavics_affinity.markup.html import in_notebook
from pavics_affinity.markup.terminal import in_terminal
from pavics_affinity.pin.evidence import seen_in
from pavics_affinity.placement import key_for, nginx_placement, split_key
from pavics_affinity.placement.keys import parse_hash
from pavics_affinity.placement.servers import parse_server
from pavics_affinity.proxy.check import RULES, check
from pavics_affinity.proxy.read import read_nginx
from pavics_affinity.topology.urls import checked_url, origin_of
from pavics_affinity.transport.times import asked_to_wait, retry_after
from support import wpsdocs
from support.mutations import HOSTILE, changed_bytes, changed_json, changed_xml
from support.network import is_elsewhere

SITE = "http://127.0.0.1"
WPS, API, FILE = f"{SITE}/wps", f"{SITE}/api", f"{SITE}/outputs/a.nc"
_TOPOLOGY = """\
evidence = "X-Node"
proxy = "strict"
[nodes]
node1 = { host = "127.0.0.2" }
node2 = { host = "127.0.0.3" }
[services.wps]
url = "http://127.0.0.1/wps"
port = 8093
outputs = { public = "http://127.0.0.1/outputs", backend = "/outputs" }
[services.api]
url = "http://127.0.0.1/api"
port = 8094
"""
NAMESPACED = (
    'xmlns:wps="http://www.opengis.net/wps/1.0.0" xmlns:ows="http://www.opengis.net/ows/1.1"'
)


class Canned(BaseAdapter):
    """Answers each request of a session by one answer, without a connection."""

    def __init__(self, body: bytes, kind: str, status: int, headers: dict[str, str]) -> None:
        super().__init__()
        self.given = body, kind, status, headers

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        body, kind, status, headers = self.given
        return _response(body, kind, status, headers, request)

    def close(self) -> None:
        """There is nothing to close."""


def _response(
    body: bytes,
    kind: str = "",
    status: int = 200,
    headers: dict[str, str] | None = None,
    request: requests.PreparedRequest | None = None,
) -> requests.Response:
    stated = {"Content-Length": str(len(body)), "Content-Type": kind, **(headers or {})}
    response = requests.Response()
    response.status_code, response.url = status, FILE if request is None else request.url or ""
    response.headers.update(stated)
    response.request = requests.Request("GET", FILE).prepare() if request is None else request
    response.raw = urllib3.HTTPResponse(
        io.BytesIO(body), headers=response.headers, status=status, preload_content=False
    )
    return response


def _answer(body: bytes, kind: str, status: int = 200) -> answers.Answer:
    return answers.read(_response(body, kind, status), url=API)


@cache
def _topology() -> Topology:
    return Topology.loads(_TOPOLOGY, file="site.toml")


@contextlib.contextmanager
def _workflow(
    body: bytes = b"", kind: str = "", status: int = 200, headers: dict[str, str] | None = None
) -> Iterator[Workflow]:
    """Make a workflow to which every server gives this answer."""
    with Workflow("a1b2", topology=_topology(), node="node1", deadline=1e-6) as made:
        for scheme in ("http://", "https://"):
            made.session.adapters[scheme] = Canned(body, kind, status, headers or {})
        yield made


@cache
def _folder() -> Path:
    memory = Path("/dev/shm")
    directory = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
    _DIRECTORIES.append(directory)
    return Path(directory.name)


_DIRECTORIES: list[tempfile.TemporaryDirectory[str]] = []  # removed when Python ends


def _put(name: str, content: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(content)
    return path


def _each(*calls: Callable[[], object]) -> None:
    """Make each of the calls, whichever of them raises an error of ours."""
    for call in calls:
        with contextlib.suppress(AffinityError):
            call()


# ---- WPS ----


def capabilities(document: bytes) -> None:
    with _workflow(document, "text/xml") as wf:
        wps = wf.wps(WPS, skip_caps=True)
        for given in (None, document):
            _each(lambda given=given: wps.getcapabilities(xml=given))
            repr([vars(process) for process in wps.processes])
        _each(wps.capabilities_document)


def description(document: bytes) -> None:
    with _workflow(document, "text/xml") as wf:
        wps = wf.wps(WPS, skip_caps=True)
        for given in (None, document):
            with contextlib.suppress(AffinityError):
                found = wps.describeprocess("step", xml=given)
                repr([vars(each) for each in (found.dataInputs, found.processOutputs)[0]])
        for inputs in ([], [("delay", "3")], [("resource", "x"), ("kind", "b"), ("delay", "x")]):
            _each(lambda inputs=inputs: wps.execute("step", inputs, [("output", True)]))
        for element in answers.given(document).iterchildren("{*}ProcessDescription"):
            _each(lambda element=element: Description.of(element).check_output("output"))


def response(document: bytes) -> None:
    with _workflow(document, "text/xml") as wf:
        wps = wf.wps(WPS, skip_caps=True)
        _each(lambda: _use(wps.execute("step", [], response=document)))
        _use(wps.execute("step", [], request="<Execute/>"))


def _use(execution: Execution) -> None:
    """Do with an execution what users do."""
    repr(execution), execution._repr_html_()
    _each(lambda: execution.output("output"), lambda: references.single(execution, "a"))
    if execution.isComplete():
        _each(execution.wait)
    for output in execution.processOutputs:
        if output.reference is None:
            _read(output)


def _read(output: Output) -> None:
    repr(output)
    _each(output.text, output.json, output.read_bytes, output.open, output.files)


def status(document: bytes) -> None:
    with _workflow() as wf:
        execution = Execution(url=WPS, session=wf.session)
        found = execution._judge(_answer(document, "text/xml"))
        if isinstance(found, Trouble):
            assert clean(found.what)
            return
        execution.parseResponse(found)
        _use(execution)


def exception_report(document: bytes) -> None:
    with _workflow() as wf:
        for code in (200, 400, 403, 404, 500, 503):
            for execute in (False, True):
                _each(
                    lambda code=code, execute=execute: answers.expect(
                        _answer(document, "text/xml", code),
                        "Capabilities",
                        doing="it",
                        session=wf.session,
                        execute=execute,
                    )
                )
        root = _xml(document)
        repr(xml.exception_of(root)), xml.service_of(root)


def _xml(document: bytes) -> etree._Element:
    """Return a root, for the parsers that receive elements of a parsed document."""
    return answers.given(document)


def metalink(document: bytes) -> None:
    value = {"value": document.decode(errors="replace"), "mediaType": "application/metalink+xml"}
    with _workflow() as wf:
        for file in output_of("list", value, session=wf.session, base=API).files():
            repr(file), names.clean(file.identifier or "")


def box(document: bytes) -> None:
    with contextlib.suppress(ValueError):  # which those who call it expect
        made = Box.of(_xml(document))
        assert made.text, repr(made.as_json())
        made.as_input().get_xml()
    with contextlib.suppress(ValueError):
        found = Box.of_json(read_json(document))
        if found is not None:
            json.dumps(found.as_json(), allow_nan=False), found.as_input().get_xml()


BOXES = [
    b"""<wps:BoundingBoxData %s crs="epsg:4326" dimensions="2"><ows:LowerCorner>0 1
    </ows:LowerCorner><ows:UpperCorner>2,3</ows:UpperCorner></wps:BoundingBoxData>"""
    % NAMESPACED.encode(),
    b"""<ows:WGS84BoundingBox %s><ows:LowerCorner>-1e3 .5 7</ows:LowerCorner>
    <ows:UpperCorner>2 3 INF</ows:UpperCorner></ows:WGS84BoundingBox>"""
    % NAMESPACED.encode(),
]
BOXES_IN_JSON = [
    b'{"bbox": [1, 2.5, 3e2, 4], "crs": "http://www.opengis.net/def/crs/EPSG/0/4326"}',
    b'{"bbox": [1, 2, 3, 4, 5, 6]}',
]
VALUES = [b"3", b"-1.5e3", b"true", b"a", b"1/9", b"b, c", b"2020-01-01T00:00:00Z", b"INF"]
LITERALS = [
    f"<LiteralData {NAMESPACED}>{inner}</LiteralData>".encode()
    for inner in (
        "<ows:DataType ows:reference='http://www.w3.org/TR/xmlschema-2/#integer'/>"
        "<ows:AllowedValues><ows:Value>3</ows:Value><ows:Value>1-9</ows:Value></ows:AllowedValues>"
        "<DefaultValue>3</DefaultValue>",
        "<ows:DataType>xs:float</ows:DataType><ows:AllowedValues><ows:Range><ows:MinimumValue>1"
        "</ows:MinimumValue></ows:Range><ows:Value>b|c</ows:Value></ows:AllowedValues>",
        "<ows:DataType>boolean</ows:DataType><ows:AnyValue/>",
        "<ows:DataType>string</ows:DataType><ows:AllowedValues><ows:Value>a</ows:Value>"
        "<ows:Value>x*</ows:Value></ows:AllowedValues>",
    )
]


def literal(document: bytes) -> None:
    """The rule, an empty byte, and the value that is held against it."""
    rule, _, value = document.partition(b"\0")
    text = value.decode(errors="surrogateescape")
    LiteralRule.of(_xml(rule)).judge(text.strip())


def _rule_and_value(documents: Sequence[bytes], random: Random) -> bytes:
    return changed_xml(documents, random) + b"\0" + changed_bytes(VALUES, random)


# ---- OGC API - Processes ----


def landing_page(document: bytes) -> None:
    with _workflow(document, "application/json") as wf:
        _each(lambda: wf.processes(API).api())
        wf.processes(API, json_=document.decode(errors="replace"))


def processes(document: bytes) -> None:
    with _workflow(document, "application/json") as wf:
        client = wf.processes(API, json_=json.dumps(seeds.LANDING))
        _each(
            client.processes,
            lambda: client.process("step"),
            lambda: client.execute("step", {"a": "b"}),
            lambda: client.execute("step", {"a": "b"}, response="raw"),
            lambda: client.execute("step", {"a": "b"}, async_=True),
        )


def definition(document: bytes) -> None:
    for kind in ("application/vnd.oai.openapi", "application/vnd.oai.openapi+json"):
        links = [{"rel": "service-desc", "type": kind, "href": "/x"}]
        with _workflow(document, kind) as wf:
            _each(wf.processes(API, json_=json.dumps({"links": links})).api)
    with contextlib.suppress(ValueError):  # which it is documented to raise
        read_yaml(document)


def job(document: bytes) -> None:
    with _workflow(document, "application/json") as wf:
        location = f"{API}/jobs/1"
        step = wf.session.record.steps.attached(location, "", API, "ogcapi")
        made = Job(wf.session, location, step)
        found = made._judge(_answer(document, "application/json"))
        if isinstance(found, Trouble):
            assert clean(found.what)
            return
        made.take_over(found)
        repr(made), made._repr_html_()
        if made.status in ("successful", "failed", "dismissed"):
            _each(made.wait, made.results, lambda: made.output("o"))


def results(document: bytes) -> None:
    with _workflow() as wf:
        for kind in ("application/json", "text/plain"):
            answer = _answer(document, kind)
            _each(
                lambda answer=answer: raw_results(answer, "o", doing="Execute", session=wf.session)
            )
        with contextlib.suppress(ValueError):
            value = read_json(document)
            if isinstance(value, dict):  # the clients make results of nothing else
                found = Results(value, session=wf.session, url=f"{API}/r")
                repr(found), found._repr_html_()
                for output in found.outputs().values():
                    _read(output)


def problem(document: bytes) -> None:
    with _workflow() as wf:
        for code in (200, 400, 401, 404, 429, 500):
            answer = _answer(document, "application/problem+json", code)
            is_not_ready(answer)
            for execute in (False, True):
                _each(
                    lambda answer=answer, execute=execute: check_status(
                        answer, doing="it", session=wf.session, execute=execute
                    )
                )


PROBLEMS = [
    {"title": "t", "detail": "d", "type": "http://x/no-such-process", "status": 404},
    {"code": "ResultNotReady", "description": "no"},
]


def accepted_job(document: bytes) -> None:
    """Headers, an empty line, and the document."""
    head, _, body = document.partition(b"\n\n")
    for code in (200, 201, 202):
        answer = answers.read(
            _response(body, "application/json", code, _headers(head)), url=f"{API}/processes"
        )
        if oapi_answers.is_job(answer, ["o"], asynchronous=True, raw=False):
            oapi_answers.job_url(answer, lambda path: f"{API}/{path}")
    with _workflow(body, "application/json", 201, _headers(head)) as wf:
        client = wf.processes(API, json_=json.dumps(seeds.LANDING))
        client._described["step"] = {"inputs": {}}
        client.execute("step", {}, async_=True)


ACCEPTED = [
    b"Location: /jobs/1\nPreference-Applied: respond-async\n\n" + json.dumps(seeds.JOB).encode(),
    b'Link: </jobs/1>; rel="monitor"; type="application/json", <x>; rel=self\n\n{"jobID": "1"}',
    b'X: y\n\n{"id": 7, "status": "accepted", "links": [{"rel": "status", "href": "/jobs/7"}]}',
    b"Operation-Location: http://127.0.0.1/jobs/1\n\n",
]


def _headers(head: bytes) -> dict[str, str]:
    """Return headers as an HTTP library reads them: Latin-1, without line breaks."""
    pairs = (line.partition(":") for line in head.decode("latin-1").split("\n"))
    return {name.strip(): value.strip("\r ") for name, _, value in pairs if name.strip()}


# ---- what operators and proxies write ----


def published(document: bytes) -> None:
    data = finder._parsed(document, SITE)
    version_of(data)
    for addresses in (False, True):
        topology = topology_of(data, SITE, addresses=addresses)
        if not addresses:
            assert topology.service_hosts <= {"127.0.0.1"}
        _order(topology)
        document_text(topology)


def _order(topology: Topology) -> None:
    for service in topology.services:
        for node in topology.nodes[:5]:
            _each(lambda s=service, n=node: topology.routing_key(s, "a1b2", n.name))
        _each(lambda service=service: topology.order(service, "a1b2"))


def topology_file(document: bytes) -> None:
    topology = Topology.load(_put("site.toml", document))
    _order(topology)
    assert Topology.loads(topology.dumps()) == topology


def nginx_read(document: bytes) -> None:
    topology = read_nginx(_put("nginx.conf", document))
    _order(topology)
    assert Topology.loads(topology.dumps()) == topology


def nginx_check(document: bytes) -> None:
    path = _put("nginx.conf", document)
    for finding in check(path):
        assert finding.rule in RULES
        assert finding.message
        assert 1 <= finding.line <= document.count(b"\n") + document.count(b"\r") + 2


def compose_check(document: bytes) -> None:
    nginx = _put("sound.conf", seeds.FRONT)
    for finding in check(nginx, _put("docker-compose.yml", document)):
        assert finding.rule in RULES
        assert finding.message


def topology_check(document: bytes) -> None:
    nginx = _put("plain.conf", seeds.PLAIN.encode())
    for finding in check(nginx, topology=_put("against.toml", document)):
        assert finding.rule in RULES


def hash_directive(document: bytes) -> None:
    text = document.decode(errors="surrogateescape")
    _each(
        lambda: parse_hash(text),
        lambda: key_for(text, "a1b2", "/wps?a=b", "h:80"),
        lambda: nginx_placement(text, ["10.0.0.1:8093 weight=2", "h:1"]),
    )


def server_line(document: bytes) -> None:
    text = document.decode(errors="surrogateescape")
    _each(lambda: parse_server(text))
    placement = nginx_placement("hash $http_machineid;", [text, "10.0.0.9:1"])
    list(placement.order("a1b2"))


# ---- journals ----


def journal(document: bytes) -> None:
    path = _put("run.jsonl", document)
    repr(read_journal(path).node)
    # The topology of a journal is a file of the user's; its paths are not fuzzed.
    with Workflow.resume(path, replay=True, topology=_topology()) as wf:
        repr(wf.steps), wf._repr_html_(), wf.record.steps.rows()
        wf.executions  # noqa: B018  # made here, of the answers that are kept


def batch_journal(document: bytes) -> None:
    _put("results.jsonl", document)
    opened = BatchJournal(_folder(), "c", None)
    try:
        repr(opened.look_up(Work(1, "item")))
    finally:
        opened.close()


def _lines(documents: Sequence[Any], random: Random) -> bytes:
    """Change values of the entries, or bytes of the lines."""
    if random.random() < 0.5:
        entries = json.loads(changed_json(documents, random))
        return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
    whole = ["".join(json.dumps(e) + "\n" for e in entries).encode() for entries in documents]
    return changed_bytes(whole, random)


# ---- single values ----


def url(document: bytes) -> None:
    text = document.decode(errors="surrogateescape")
    origin_of(text), without_login(text), web_address(text), split_links(text)
    local_path(text, service="http://localhost/wps"), wrong_public_url(WPS, text)
    with _workflow() as wf:
        _each(
            lambda: checked_url(text, "it"),
            lambda: urls.web_url(text, base=WPS, what="it"),
            lambda: wf.session.note_reference(text),
            lambda: wf.session.pin.add_scope(text),
        )
        origin = origin_of(text)
        if origin is None or not is_elsewhere(origin.host):  # these ask the host
            _each(
                lambda: wf.session.get(text),
                lambda: wf.wps(text, skip_caps=True),
                lambda: wf.link(text),
                lambda: wf.headers(text),
            )


def split_links(text: str) -> None:
    """Take the login out of what may be asked for; nothing else gets there."""
    with contextlib.suppress(AffinityError):
        bare, _ = split_login(checked_url(text, "it"))
        assert "@" not in re.split("[/?#]", bare.partition("://")[2])[0]


URLS = [
    WPS.encode(),
    b"https://user:p%40ss@proxy.example:8443/wps;a=b?service=WPS&id=1.nc#x",
    b"http://[2001:db8::1]:8093/wpsoutputs/a%20b/c.nc",
    "http://bücher.example/wps".encode(),
    b"file:///tmp/out.nc",
    b"//127.0.0.1/outputs/a.nc",
    b"http://127.0.0.1/outputs/../x/./a.nc?machineid=b~node1",
    *(each.encode() for each in HOSTILE),
]


def file_name(document: bytes) -> None:
    text = document.decode("latin-1")
    wide = document.decode(errors="surrogateescape")
    for name in (
        names.from_disposition(text),
        names.from_url(f"{SITE}/{text}"),
        names.from_url(wide),
        names.clean(wide),
    ):
        assert len(name.encode()) <= names.LONGEST + 1
        assert name not in (".", "..")
        assert not set(name) & set('/\\\0\r\n<>:"|?*')


NAMES = [
    b'attachment; filename="a b.nc"',
    b"attachment; filename*=UTF-8''na%C3%AFve%20file.nc; filename=naive.nc",
    b"attachment; filename==?utf-8?b?w6kubmM=?=",
    b"inline; filename=\"../../etc/passwd\"; filename*=iso-8859-1'en'%A3.nc",
    b"attachment; filename*0=a; filename*1*=%20b.nc; name=x",
    b"wps?service=WPS&id=1318.nc",
    b"outputs/CON.nc;jsessionid=1",
]


def cookies(document: bytes) -> None:
    """`Set-Cookie` lines of an answer; no cookie goes to a host that it is not from."""
    with _workflow() as wf:
        message = Message()
        for line in document.decode("latin-1").split("\n"):
            message.add_header("Set-Cookie", line.strip("\r"))
        made = SimpleNamespace(_original_response=SimpleNamespace(msg=message))
        extract_cookies_to_jar(wf.session.cookies, requests.Request("GET", WPS).prepare(), made)
        for address in (WPS, "http://proxy.example/", "http://127.0.0.9/x", "https://127.0.0.1/"):
            sent = wf.session.prepare_request(requests.Request("GET", address))
            if "//127.0.0.1/" not in address:
                assert "Cookie" not in sent.headers


COOKIES = [
    b"a=b; Path=/wps; HttpOnly\nc=d; Domain=127.0.0.1; Secure; SameSite=Lax",
    b"a=b; Expires=Wed, 21 Oct 2099 07:28:00 GMT; Max-Age=99",
    b'a="b; c"; Version=1; Port="80,81"; Discard; Comment=x',
    b"a=b; Domain=proxy.example\nb; domain=.0.0.1",
]


def wait(document: bytes) -> None:
    after, _, date = document.decode("latin-1").partition("\n")
    headers = {"Retry-After": after, "Date": date}
    asked = retry_after(headers)
    assert asked is None or asked >= 0
    assert asked_to_wait(headers) == "" or asked is not None


WAITS = [
    b"120\nWed, 21 Oct 2026 07:28:00 GMT",
    b"Wed, 21 Oct 2026 07:28:00 GMT\nWed, 21 Oct 2026 07:27:00 +0100",
    b"Sunday, 06-Nov-94 08:49:37 GMT\n",
    b"Sun Nov  6 08:49:37 1994\n-1",
]


def download(document: bytes) -> None:
    """Headers of a file and of its rest."""
    first, _, rest = document.partition(b"\n\n")
    # urllib3 refuses several lengths before there is an answer; the transport's tests hold that.
    with contextlib.suppress(urllib3.exceptions.InvalidHeader), _workflow() as wf:
        moved = Transfer(Remote(wf.session, Resource(FILE), "output"))
        _each(
            lambda: moved._begin(_response(b"abc", "", 200, _headers(first))),
            lambda: moved._fits(_response(b"bc", "", 206, _headers(rest))),
        )
        wf.session.adapters["http://"] = Canned(b"abc", "", 200, _headers(first))
        with contextlib.suppress(answers.BodyBroken):  # what a download begins again after
            list(answers.chunks(wf.session.get(FILE, stream=True)))
    twice = codings.Twice()
    twice.seen_in(document[:9]), twice.seen_in(document[9:])


RANGES = [
    b'Content-Length: 3\nETag: "x"\nAccept-Ranges: bytes\n\nContent-Range: bytes 0-2/3\nETag: "x"',
    b"Content-Encoding: gzip, identity\nContent-Type: application/gzip\n"
    b"Content-Disposition: attachment; filename=a.nc.gz\n\nContent-Range: bytes 1-2/*",
    b"Last-Modified: Wed, 21 Oct 2026 07:28:00 GMT\nDate: Wed, 21 Oct 2026 07:29:00 GMT\n\n"
    b"Content-Encoding: deflate\nContent-Range: bytes 0-999999999999999999/1000000000000000000",
]


def machineid(document: bytes) -> None:
    text = document.decode(errors="surrogateescape")
    for value in (document, text):
        with contextlib.suppress(AffinityError):
            assert validate_machineid(value).isascii()
    _each(lambda: derive_machineid(text, document), lambda: split_key(text))
    with _workflow() as wf:
        _each(
            lambda: wf.session.adopt(text),
            lambda: wf.session.adopt(document),
            lambda: wf.wps(WPS, skip_caps=True, headers={"machineid": text}),
        )
    with contextlib.suppress(AffinityError), Workflow(text, topology=_topology()) as wf:
        assert wf.machineid == text


def evidence(document: bytes) -> None:
    value = document.decode("latin-1")
    _topology().node_of_evidence(value), _topology().node_of_url(value)
    with _workflow() as wf:
        target = wf.session.pin.route(WPS)
        seen = seen_in(target, 200, {"X-Node": value})
        wf.session.pin.evidence.answer(target, seen, WPS, success=True)


def state(document: bytes) -> None:
    state_of(document.decode(errors="replace"))


STATES = [b"successful", b"ProcessSucceeded", b"In-Progress", b"wps:time_d out", b"urn:x:Queued"]


def reference(document: bytes) -> None:
    text = document.decode(errors="surrogateescape")
    with _workflow() as wf:
        _each(
            lambda: references.resolve(wf.session, [("a", text)]),
            lambda: references.resolve_json(wf.session, {"a": text, text: [{"href": text}]}),
            lambda: references.resolve_json(wf.session, {"value": text, "encoding": "base64"}),
        )
        with contextlib.suppress(ValueError):
            references.resolve_json(wf.session, read_json(document))


TEXTS = [
    b'{"a": ["http:\\/\\/127.0.0.1\\/outputs\\/a.nc", "http://127.0.0.1/outputs/b.nc?x=http://y"]}',
    b"<m xml:base='http://127.0.0.1/outputs/'>&#104;ttp://127.0.0.1/outputs/a&#x2e;nc</m>",
    b"http://127.0.0.1/outputs/a.nc, https%3A%2F%2F127.0.0.1%2Foutputs%2Fa.nc (//127.0.0.1/wps)",
    b"aHR0cDovLzEyNy4wLjAuMS9vdXRwdXRzL2EubmM=",
    b"\\u0068ttp://u:p@127.0.0.1:8093/outputs/a.nc",
]


def shown(document: bytes) -> None:
    given = document.decode(errors="surrogateescape")
    seen = clean(given)
    assert len(seen) <= LONGEST
    assert not {unicodedata.category(c) for c in seen} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    made = card(
        given, text(link(given), given), table([given, given], [[given, given]]), listing([given])
    )
    assert "<script" not in in_notebook(made).lower()
    in_terminal(made)


SHOWN = [
    b"\x1b[31mred\x1b[0m \xe2\x80\xaegnp.exe http://u:p@127.0.0.1/x",
    b"<p>a</p><table><thead><tr><th>a</th></tr></thead><tbody><tr><td>b</td></tr></tbody></table>",
    b"<ul><li><a href='http://x/'>y</a></li></ul><script>alert(1)</script>",
    b"the node said: 'no' \xc2\x85 " + b"x" * 300,
]

_ENTRIES = [*seeds.ENTRIES[:7], {**seeds.ENTRIES[7], "answer": seeds.RESPONSES[0].decode()}]
_WPS = (seeds.CAPABILITIES, seeds.DESCRIPTION, *seeds.RESPONSES)
_FILES = [seeds.PLAIN.encode(), seeds.PLAIN.partition("http {")[2].rpartition("}")[0].encode()]
_READABLE = seeds.PLAIN.replace("http://$to;", "http://flyingpigeon;").encode()
_METALINK_3 = (
    b"<metalink version='3.0' xmlns='http://www.metalinker.org/'><files><file name='a.nc'>"
    b"<size>3</size><verification><hash type='md5'>12</hash></verification><resources>"
    b"<url type='http' preference='100'>a.nc</url><url preference='9'>b.nc</url></resources>"
    b"</file></files></metalink>"
)


def _mixed(share: float = 0.7) -> Any:
    """Return what changes a document of XML by its elements, or by its bytes."""

    def change(documents: Sequence[bytes], random: Random) -> bytes:
        by = changed_xml if random.random() < share else changed_bytes
        return by(documents, random)

    return change


def _json(documents: Sequence[Any], random: Random) -> bytes:
    """Change a document of JSON by its values, or by its bytes."""
    if random.random() < 0.7:
        return changed_json(documents, random)
    return changed_bytes([json.dumps(each).encode() for each in documents], random)


def _boxes(documents: Sequence[bytes], random: Random) -> bytes:
    which = random.random()
    if which < 0.5:
        return changed_xml(documents, random)
    return changed_bytes(BOXES_IN_JSON if which < 0.8 else documents, random)


TARGETS: dict[str, Target] = {
    "wps-capabilities": Target(capabilities, [seeds.CAPABILITIES], _mixed()),
    "wps-description": Target(description, [seeds.DESCRIPTION], _mixed()),
    "wps-response": Target(response, seeds.RESPONSES, _mixed()),
    "wps-status": Target(status, _WPS, _mixed()),
    "wps-exception": Target(
        exception_report, [*seeds.RESPONSES[2:], wpsdocs.report("no", "NoApplicableCode")], _mixed()
    ),
    "metalink": Target(metalink, [seeds.METALINK.encode(), _METALINK_3], _mixed()),
    "bounding-box": Target(box, BOXES, _boxes),
    "literal": Target(literal, LITERALS, _rule_and_value),
    "ogc-landing-page": Target(landing_page, [seeds.LANDING], _json),
    "ogc-processes": Target(processes, seeds.DOCUMENTS, _json),
    "ogc-definition": Target(
        definition, [b"openapi: 3.0.1\ninfo: &a {title: t}\nx: [*a, 1.5, ~, 2020-01-01]\n", b"{}"]
    ),
    "ogc-job": Target(job, [seeds.JOB], _json),
    "ogc-results": Target(results, [seeds.RESULTS], _json),
    "ogc-problem": Target(problem, PROBLEMS, _json),
    "ogc-accepted": Target(accepted_job, ACCEPTED),
    "discovery": Target(published, [seeds.PUBLISHED], _json),
    "topology": Target(topology_file, [seeds.TOPOLOGY.encode()]),
    "topology-check": Target(topology_check, [seeds.TOPOLOGY.encode()]),
    "nginx-read": Target(nginx_read, [seeds.FRONT, _READABLE]),
    "nginx-check": Target(nginx_check, _FILES),
    "compose": Target(compose_check, [seeds.COMPOSE.encode()]),
    "hash-directive": Target(
        hash_directive, [b"hash $http_machineid consistent;", b'hash "${arg_x}$uri"; # x']
    ),
    "server-line": Target(
        server_line,
        [
            b"10.0.0.1:8093 weight=2 max_fails=0 backup;",
            b"unix:/run/a down",
            b"[2001:db8::1]:80 fail_timeout=10s max_conns=3 resolve",
            b"proxy.example",
        ],
    ),
    "journal": Target(journal, [_ENTRIES], _lines),
    "batch-journal": Target(batch_journal, [seeds.BATCH], _lines),
    "url": Target(url, URLS),
    "file-name": Target(file_name, NAMES),
    "cookie": Target(cookies, COOKIES),
    "retry-after": Target(wait, WAITS),
    "download-headers": Target(download, RANGES),
    "machineid": Target(machineid, [b"a1b2", b"a1b2~node1", b"a1b2~3", b"A.b-c_d" * 20]),
    "evidence": Target(evidence, [b"node1", b"10.0.0.1:80, 127.0.0.2:8093", b"node2 : node1"]),
    "state": Target(state, STATES),
    "reference": Target(reference, TEXTS),
    "shown-text": Target(shown, SHOWN),
}

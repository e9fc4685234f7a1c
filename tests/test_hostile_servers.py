"""Servers that mean harm: each ends in a clear error of ours, or in a safe result.

What is counted: memory and time of the client, what leaves for other hosts, and
what is read or written outside.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import gzip
import itertools
import time
import warnings
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import requests

from pavics_affinity import Backend, Node, Service, Topology, Workflow, discover
from pavics_affinity.clients.http import answers, waiting
from pavics_affinity.clients.ogcapi.results import output_of
from pavics_affinity.clients.outputs import metalink
from pavics_affinity.clients.outputs import output as outputs
from pavics_affinity.discovery.finder import FINDER
from pavics_affinity.errors import (
    AffinityError,
    AffinityLost,
    AffinityWarning,
    DownloadFailed,
    NotAService,
    OutOfScope,
    OutputUnavailable,
    RedirectLoop,
    ServiceError,
    ServiceUnreachable,
)
from support import wpsdocs
from support.loopback import Server
from support.rawserver import RawServer, chunked, cost, head, repeated

pytestmark = pytest.mark.filterwarnings("ignore::pavics_affinity.errors.AffinityWarning")

MARGIN = 48.0
"""Megabytes by which a noisy machine, or another test's server, may blur what is measured."""


@pytest.fixture
def server(monkeypatch):
    FINDER.forget()
    for name, value in (("GONE_FOR", 0.2), ("UNREADABLE_FOR", 0.2)):
        monkeypatch.setattr(waiting, name, value)
    with RawServer() as made:
        yield made


@pytest.fixture
def wf(server):
    with Workflow("a1b2", deadline=0.2) as made:
        made.session.bind(server.url(), auth=("ann", "s3cret"), headers={"X-Api-Key": "k"})
        yield made


Client = Callable[[Workflow, RawServer], Any]


def capabilities(wf: Workflow, server: RawServer) -> Any:
    return wf.wps(server.url())


def execute(wf: Workflow, server: RawServer) -> Any:
    return wf.wps(server.url(), skip_caps=True).execute("step", [], request="<Execute/>")


def ask_status(wf: Workflow, server: RawServer) -> Any:
    return wf.wps(server.url(), skip_caps=True).attach(server.url("/status.xml"))


def landing_page(wf: Workflow, server: RawServer) -> Any:
    return wf.processes(server.url())


def text(wf: Workflow, server: RawServer) -> Any:
    return named(wf, server.url("/outputs/x.txt")).text()


def files_listed(wf: Workflow, server: RawServer) -> Any:
    return named(wf, server.url("/outputs/x"), "application/metalink+xml").files()


def topology(wf: Workflow, server: RawServer) -> Any:
    server.publishes = True
    return discover(server.url())


def named(wf: Workflow, url: str, kind: str = "text/plain") -> outputs.Output:
    return output_of("output", {"href": url, "type": kind}, session=wf.session, base=url)


DOCUMENTS = [capabilities, execute, ask_status, landing_page, topology]
CLIENTS = [*DOCUMENTS, text]


def no_secret_was_sent_to(server: Server) -> None:
    for seen in server.seen:
        names = {name.lower() for name, _ in seen.headers}
        assert names.isdisjoint({"machineid", "authorization", "cookie", "x-api-key"})


# ---- more than fits into memory ----


@functools.cache
def packed(megabytes: int, layers: int) -> bytes:
    deflate = zlib.compressobj(9, wbits=31)
    data = b"".join(deflate.compress(bytes(2**20)) for _ in range(megabytes)) + deflate.flush()
    for _ in range(layers - 1):
        data = gzip.compress(data)
    return data


FLOODS: dict[str, Callable[[], Iterable[bytes]]] = {
    "200 MB of XML": lambda: itertools.chain(
        [head("Content-Type: text/xml", f"Content-Length: {200 * 2**20}"), b"<a>"],
        repeated(b"<b>x</b>", 200),
    ),
    "an endless body": lambda: itertools.chain(
        [head("Content-Type: text/xml", "Transfer-Encoding: chunked")],
        chunked(repeated(b"\0", 500)),
    ),
    "200 MB packed": lambda: [
        head("Content-Type: text/xml", "Content-Encoding: gzip"),
        packed(200, 1),
    ],
    "200 MB packed twice": lambda: [
        head("Content-Type: text/xml", "Content-Encoding: gzip, gzip"),
        packed(200, 2),
    ],
    "redirects with endless bodies": lambda: itertools.chain(
        [head("Location: /wps", "Transfer-Encoding: chunked", status="302 Found")],
        chunked(repeated(b"x", 500)),
    ),
}


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_flood_is_not_let_in(server, wf, monkeypatch, client, flood):
    monkeypatch.setattr(outputs, "MAX_IN_MEMORY", 64 * 2**20)
    pieces = list(FLOODS[flood]()) if "pack" in flood else None
    server.answer = lambda asked: pieces or FLOODS[flood]()
    with cost() as spent, pytest.raises(AffinityError):
        client(wf, server)
    assert spent.megabytes < 64 + MARGIN
    assert server.sent < 200 * 2**20


@pytest.mark.parametrize("how", ["download", "open"])
def test_a_file_of_a_metalink_is_read_no_further_than_it_says(server, wf, tmp_path, how):
    server.answer = lambda asked: FLOODS["an endless body"]()
    [listed] = metalink.read_metalink(
        f"<metalink><file name='x'><size>1000</size><url>{server.url('/x')}</url></file>"
        "</metalink>".encode()
    )
    file = outputs.Output(listed, session=wf.session, service=server.url())
    fetch = file.open if how == "open" else functools.partial(file.download, tmp_path)
    with pytest.raises(DownloadFailed, match="1000"):
        fetch()
    assert server.sent < 30 * 2**20
    assert list(tmp_path.iterdir()) == []


def trickle(asked: bytes) -> Iterable[bytes]:
    yield head("Content-Type: text/xml", "Content-Length: 100000")
    while True:  # until the client gives up
        time.sleep(0.1)
        yield b" "


@pytest.mark.parametrize("client", [capabilities, execute, ask_status, landing_page])
def test_a_trickle_is_given_up(server, wf, monkeypatch, client):
    monkeypatch.setattr(answers, "MAX_SECONDS", 0.3)

    server.answer = trickle
    with pytest.raises(AffinityError):
        client(wf, server)


def test_waiting_ends_in_time_though_the_status_trickles(server, wf):
    started = wpsdocs.response(wpsdocs.STARTED, location=server.url("/status.xml"))
    server.answer = lambda asked: [head("Content-Type: text/xml"), started]
    execution = ask_status(wf, server)

    server.answer = trickle
    with pytest.raises(ServiceError):
        execution.wait(timeout=1)


# ---- XML that does more than say something ----

LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
QUADRATIC = "x" * 100_000
ENTITIES = {
    "a file": '<!DOCTYPE a [<!ENTITY x SYSTEM "file://{file}">]><a>&x;</a>',
    "a URL": '<!DOCTYPE a [<!ENTITY x SYSTEM "{url}">]><a>&x;</a>',
    "a parameter": '<!DOCTYPE a [<!ENTITY % x SYSTEM "{url}"> %x;]><a/>',
    "a DTD": '<!DOCTYPE a SYSTEM "{url}"><a/>',
    "an include": (
        '<a xmlns:x="http://www.w3.org/2001/XInclude"><x:include href="{url}"/>'
        '<x:include href="file://{file}" parse="text"/></a>'
    ),
    "a stylesheet": '<?xml-stylesheet href="{url}"?><a/>',
    "a schema": (
        '<a xmlns:s="http://www.w3.org/2001/XMLSchema-instance" s:schemaLocation="u {url}"/>'
    ),
    "laughs": f'<!DOCTYPE a [<!ENTITY l0 "lol">{LAUGHS}]><a>&l11;</a>',
    "laughs in an attribute": f'<!DOCTYPE a [<!ENTITY l0 "lol">{LAUGHS}]><a b="&l11;"/>',
    "a quadratic text": f'<!DOCTYPE a [<!ENTITY q "{QUADRATIC}">]><a>{"&q;" * 20_000}</a>',
    "a default": f'<!DOCTYPE a [<!ATTLIST a b CDATA "{QUADRATIC}">]><a>{"<a/>" * 20_000}</a>',
}


@pytest.mark.parametrize("entity", ENTITIES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("client", [capabilities, execute, ask_status, files_listed])
def test_xml_fetches_nothing_and_grows_no_larger(
    server, wf, elsewhere, tmp_path, client, encoding, entity
):
    secret = tmp_path / "secret"
    secret.write_text("s3cret of a file")
    filled = ENTITIES[entity].replace("{file}", str(secret))
    filled = filled.replace("{url}", elsewhere.url("/x"))
    document = f'<?xml version="1.0" encoding="{encoding}"?>{filled}'.encode(encoding)
    server.answer = lambda asked: [head("Content-Type: text/xml"), document]
    with cost() as spent, pytest.raises(AffinityError) as refused:
        client(wf, server)
    assert elsewhere.seen == []
    assert "of a file" not in str(refused.value)
    assert spent.megabytes < MARGIN


PROCESS = "<wps:Process wps:processVersion='1'><ows:Identifier>p</ows:Identifier></wps:Process>"


@pytest.mark.parametrize(
    "added",
    ["<a>" * 300_000 + "</a>" * 300_000, PROCESS * 300_000, "x" * 11 * 2**20],
    ids=["deep", "many", "one long text"],
)
def test_capabilities_of_enormous_shape_are_refused(server, wf, added):
    end = b"</wps:ProcessOfferings>"
    document = wpsdocs.capabilities("step").replace(end, added.encode() + end)
    server.answer = lambda asked: [head("Content-Type: text/xml"), document]
    with cost() as spent, pytest.raises(ServiceError, match=r"cannot be read|more than 16 MB"):
        capabilities(wf, server)
    assert spent.megabytes < 128


def test_where_capabilities_say_that_operations_are_is_not_asked(server, wf, elsewhere):
    stated = wpsdocs.capabilities("step").replace(
        b"http://example.org/wps", elsewhere.url("/wps").encode()
    )
    server.answer = lambda asked: [head("Content-Type: text/xml"), stated]
    wps = capabilities(wf, server)
    server.answer = lambda asked: [
        head("Content-Type: text/xml"),
        wpsdocs.description("step")
        if b"Describe" in asked
        else wpsdocs.response(wpsdocs.SUCCEEDED),
    ]
    wps.execute("step", []).wait()
    assert elsewhere.seen == []


# ---- elsewhere ----

NOWHERE = [
    "file:///etc/passwd",
    "ftp://127.0.0.1/x",
    "javascript:alert(1)",
    "data:text/xml,<a/>",
    "gopher://127.0.0.1/",
    "http://[bad/",
    "http://",
    "http://127.0.0.1:99999/",
    "http://[::1/wps",
    "http://0...1/",
    "http://a..b/",
    f"http://{'a' * 64}.example/",
    "http://\xef\xbc\x91\xe2\x80\x8d.example/",  # as UTF-8: a full-width digit, a joiner
    "http://127.0.0.1:\xef\xbc\x98/",
    "http://user@:80/",
    "http://[fe80::1%25lo]/",
    "http://%E2%82%AC:p@127.0.0.1/",
    "http://a\tb..c/",
    "//[/",
    "\xff\xfe",
]


@pytest.mark.parametrize("location", NOWHERE)
@pytest.mark.parametrize("client", [capabilities, ask_status, landing_page, text])
def test_a_redirect_to_no_web_address_is_refused(server, wf, client, location):
    server.answer = lambda asked: [
        head(f"Location: {location}", "Content-Length: 0", status="302 Found")
    ]
    with pytest.raises((OutOfScope, RedirectLoop, ServiceUnreachable)):
        client(wf, server)


DOORS: dict[str, Callable[[Workflow, str], Any]] = {
    "wps": lambda wf, url: wf.wps(url),
    "wps without capabilities": lambda wf, url: wf.wps(url, skip_caps=True),
    "birdy": lambda wf, url: wf.birdy(url),
    "processes": lambda wf, url: wf.processes(url),
    "link": lambda wf, url: wf.link(url),
    "headers": lambda wf, url: wf.headers(url),
    "download": lambda wf, url: wf.download([url], "nowhere"),
    "get": lambda wf, url: wf.session.get(url),
    "post": lambda wf, url: wf.session.post(url, data="x"),
    "a prepared request": lambda wf, url: wf.session.send(prepared(url)),
    "an output": lambda wf, url: named(wf, url).read_bytes(),
    "an output's file": lambda wf, url: named(wf, url).open(),
    "an output's files": lambda wf, url: named(wf, url, "application/metalink+xml").files(),
    "attach": lambda wf, url: wf.wps("http://127.0.0.1:9/wps", skip_caps=True).attach(url),
    "topology": lambda wf, url: Service("s", url=url),
    "discover": lambda wf, url: discover(url),
}


def prepared(url: str) -> requests.PreparedRequest:
    request = requests.Request("GET", "http://127.0.0.1/").prepare()
    request.url = url
    return request


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "url",
    [
        "http://[::1/wps",
        "http://127.0.0.1:99999/wps",
        "http://127.0.0.1:\uff18\uff10/wps",
        "http://0...1/wps",
        f"http://{'a' * 64}.example/wps",
        "http://\u200d.example/wps",
        "http://[fe80::1%25lo]/wps",
        "http://user@:80/wps",
        "http://127.0.0.1\\@127.0.0.2/wps",
        "http://%E2%82%AC:p@127.0.0.1/wps",
    ],
)
def test_a_url_that_cannot_be_asked_for_is_our_error_at_every_door(wf, tmp_path, door, url):
    with contextlib.chdir(tmp_path), pytest.raises(AffinityError) as refused:
        DOORS[door](wf, url)
    assert str(refused.value).strip()


@pytest.mark.parametrize("document", [b"0", b"[]", b'"x"', b"null", b"[" * 300 + b"]" * 300])
def test_a_description_that_is_not_a_json_object_is_our_error(server, wf, document):
    server.answer = lambda asked: [head("Content-Type: application/json"), document]
    client = wf.processes(server.url(), json_='{"links": []}')
    for ask in (client.process, lambda name: client.execute(name, {"a": 1})):
        with pytest.raises(NotAService):
            ask("step")


# ---- few bytes that become many objects ----


def empties(before: str, element: str, megabytes: int) -> bytes:
    return gzip.compress(before.encode() + element.encode() * (megabytes * 2**20 // len(element)))


WPS = "<wps:{} xmlns:wps='http://www.opengis.net/wps/1.0.0'>"
CROWDS: dict[str, tuple[Client, str, tuple[str, str, int]]] = {
    "capabilities": (capabilities, "xml", (WPS.format("Capabilities"), "<a/>", 15)),
    "a response": (execute, "xml", (WPS.format("ExecuteResponse"), "<a/>", 60)),
    "a status": (ask_status, "xml", (WPS.format("ExecuteResponse"), "<a b=''/>", 60)),
    "comments": (ask_status, "xml", ("", "<!---->", 60)),
    "a metalink": (files_listed, "xml", ("<metalink>", "<file/>", 60)),
    "a landing page": (landing_page, "json", ("[", "[],", 60)),
    "objects": (landing_page, "json", ("[", "{},", 60)),
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_a_small_packed_body_does_not_become_a_large_tree(server, wf, crowd):
    client, kind, made_of = CROWDS[crowd]
    body = empties(*made_of)
    assert len(body) < 300_000
    server.answer = lambda asked: [
        head(f"Content-Type: application/{kind}", "Content-Encoding: gzip"),
        body,
    ]
    with cost() as spent, pytest.raises(AffinityError):
        client(wf, server)
    assert spent.megabytes < 4 * 64 + MARGIN  # the text, and copies of it


@pytest.mark.parametrize("client", [capabilities, execute, ask_status, files_listed, landing_page])
@pytest.mark.parametrize("page", [b"<:I/>", b"<:I>", b"<a:b:c/>", b"<?", b"<\xff"])
def test_a_page_that_begins_like_xml_is_our_error(server, wf, client, page):
    server.answer = lambda asked: [head("Content-Type: text/xml"), page]
    with pytest.raises(AffinityError):
        client(wf, server)


@pytest.mark.parametrize("client", [capabilities, ask_status, landing_page, text])
def test_a_redirect_loop_ends(server, wf, client):
    server.answer = lambda asked: [head("Location: /wps", "Content-Length: 0", status="302 Found")]
    with pytest.raises(RedirectLoop, match="30 times"):
        client(wf, server)
    assert len(server.seen) <= 31


@pytest.mark.parametrize("client", [capabilities, ask_status, landing_page, text])
def test_a_redirect_to_another_host_takes_nothing_along(server, wf, elsewhere, client):
    with_user = elsewhere.url("/x").replace("//", "//eve:p@")
    server.answer = lambda asked: [
        head(f"Location: {with_user}", "Content-Length: 0", status="302 Found")
    ]
    with_result = client is text
    if with_result:
        assert client(wf, server) == "ok"
    else:
        with pytest.raises(ServiceError):
            client(wf, server)
    assert elsewhere.seen
    no_secret_was_sent_to(elsewhere)


@pytest.mark.parametrize(
    "location", [where for where in NOWHERE if where.isascii() and where != "http://"]
)
def test_a_status_at_no_web_address_is_not_asked(server, wf, location):
    document = wpsdocs.response(wpsdocs.STARTED, location=location.replace("<", "&lt;"))
    server.answer = lambda asked: [head("Content-Type: text/xml"), document]
    with pytest.raises(OutOfScope, match="no request was sent"):
        execute(wf, server).wait(timeout=5)
    assert len(server.seen) == 1


def test_a_status_on_another_host_is_asked_as_a_stranger(server, wf, elsewhere):
    document = wpsdocs.response(wpsdocs.STARTED, location=elsewhere.url("/status.xml"))
    server.answer = lambda asked: [head("Content-Type: text/xml"), document]
    with pytest.raises(ServiceError):
        execute(wf, server).wait(timeout=5)
    assert elsewhere.seen
    no_secret_was_sent_to(elsewhere)


def test_a_job_on_another_host_is_asked_as_a_stranger(server, wf, elsewhere):
    def answer(asked: bytes) -> Iterable[bytes]:
        if asked.startswith(b"POST"):
            return [head(f"Location: {elsewhere.url('/jobs/1')}", status="201 Created"), b"{}"]
        body = b'{"id": "step", "inputs": {}}' if b"step" in asked else b'{"links": []}'
        return [head("Content-Type: application/json"), body]

    server.answer = answer
    client = landing_page(wf, server)
    with pytest.raises(AffinityError):
        client.execute("step", {}, async_=True).wait(timeout=5)
    assert elsewhere.seen
    no_secret_was_sent_to(elsewhere)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "javascript:1"])
def test_a_file_of_a_metalink_at_no_web_address_is_not_fetched(server, wf, tmp_path, url):
    listed = f"<metalink><file name='../../x'><url>{url}</url></file></metalink>".encode()
    server.answer = lambda asked: [head("Content-Type: text/xml"), listed]
    [file] = named(wf, server.url("/list"), "application/metalink+xml").files()
    for fetch in (file.text, lambda: file.download(tmp_path)):
        with pytest.raises(OutOfScope):
            fetch()
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_a_metalink_on_another_host_is_fetched_as_a_stranger(
    server, wf, elsewhere, tmp_path
):
    inside = tmp_path / "inside"
    inside.mkdir()
    listed = (
        f"<metalink><file name='../../x'><url>{elsewhere.url('/%2e%2e%2fy')}</url></file>"
        "</metalink>".encode()
    )
    server.answer = lambda asked: [head("Content-Type: text/xml"), listed]
    [file] = named(wf, server.url("/list"), "application/metalink+xml").files()
    file.download(inside)
    wf.download([file], inside)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"y"}
    assert (inside / "y").exists()
    no_secret_was_sent_to(elsewhere)


# ---- names ----


@pytest.mark.parametrize(
    "header",
    [
        "attachment; filename*=UTF-8''..%2F..%2Fx",
        "attachment; filename*=UTF-8''%2e%2e",
        "attachment; filename*=bogus''x%00",
        "attachment; filename*=idna''%ff.x..a",
        "attachment; filename*=undefined''a",
        f"attachment; filename*{'9' * 5000}=a",
        "attachment; filename=../../x; filename=y",
        'attachment; filename="..\\..\\x"',
        'attachment; filename="/etc/passwd"',
        'attachment; filename="CON"',
        'attachment; filename="nul.txt"',
        'attachment; filename="a:b"',
        'attachment; filename="x\x01\x1b[31m"',
        'attachment; filename="' + "n" * 5000 + '"',
        "attachment; filename*0*=UTF-8''..%2F; filename*1=x",
        "attachment; filename==?utf-8?b?Li4vLi4veA==?=",
        "; filename",
        "filename=.",
        'attachment; filename="~/.bashrc"',
    ],
)
def test_no_content_disposition_leads_out_of_the_directory(server, wf, tmp_path, header):
    inside = tmp_path / "deep" / "inside"
    inside.mkdir(parents=True)
    server.answer = lambda asked: [
        head(f"Content-Disposition: {header}", "Content-Length: 1"),
        b"x",
    ]
    done = named(wf, server.url("/o")).download(inside)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [done.path]
    assert done.path.parent == inside
    name = done.path.name
    assert name.isprintable()
    assert len(name.encode()) <= 255
    assert not name.startswith(".")
    assert not set(name) & set('<>:"|?*/\\')
    assert name.partition(".")[0].upper() not in {"CON", "NUL"}


# ---- headers ----

ODD_HEADERS: dict[str, list[str]] = {
    "thousands": [f"X-{i}: y" for i in range(5000)],
    "megabytes": ["X: " + "y" * 3_000_000],
    "control characters": ["X: \x00\x01\x1b[31m", "Y\x00: z"],
    "a length of other digits": ["Content-Length: \xb2"],
    "a length beyond numbers": ["Content-Length: " + "9" * 5000],
    "a length below nothing": ["Content-Length: -5"],
    "two lengths": ["Content-Length: 5", "Content-Length: 6"],
    "a chunk beyond numbers": ["Transfer-Encoding: chunked"],
    "an unknown coding": ["Content-Encoding: zzz, zstd, br"],
    "a coding that it has not": ["Content-Encoding: gzip"],
    "a type of nothing": ["Content-Type: \x80;charset=\x00"],
    "a cookie of nonsense": [f"Set-Cookie: a=\x00; Domain=\xff; Max-Age={'9' * 5000}; Expires=²"],
    "a range": [f"Content-Range: bytes {'9' * 5000}-1/2", "Accept-Ranges: bytes", 'ETag: "\x00"'],
}


# The sockets of two lengths, or of a chunk beyond numbers, are closed only with their garbage.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("odd", ODD_HEADERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_odd_headers_are_an_error_of_ours_or_nothing(server, wf, client, odd):
    server.answer = lambda asked: [
        head(*(line.replace("²", "\xb2") for line in ODD_HEADERS[odd])),
        b"ffffffffffffffffffffffffffffffffffffffff\r\n",
    ]
    with cost() as spent:
        try:
            client(wf, server)
        except AffinityError:
            pass
        else:
            assert client is text  # which takes any text for one
    assert spent.megabytes < MARGIN
    if odd in {"two lengths", "a chunk beyond numbers"}:
        gc.collect()


def answered_by(server: RawServer, evidence: list[str]) -> Workflow:
    server.answer = lambda asked: [head("Content-Length: 2", *evidence), b"ok"]
    service = Service("fp", url=server.url(), backends=(Backend("n1"), Backend("n2")))
    nodes = (Node("n1", host="127.0.0.7"), Node("n2", host="127.0.0.8"))
    topology = Topology(nodes=nodes, services=(service,), evidence="X-Node")
    return Workflow("a1b2", node="n1", topology=topology, deadline=0.2)


@pytest.mark.parametrize(
    "evidence",
    [
        ["X-Node: " + "n" * 60_000],
        ["X-Node: \x1b[31mn1"],
        ["X-Node: n1\x00"],
        ["X-Node: N1"],
        ["X-Node: n1", "X-Node: n2"],
        ["X-Node:"],
    ],
)
def test_evidence_that_names_no_node_or_another_is_none(server, evidence):
    with answered_by(server, evidence) as wf, pytest.raises(AffinityLost) as lost:
        wf.session.get(server.url())
    assert len(str(lost.value)) < 1000
    assert lost.value.message.isprintable()


def test_evidence_of_megabytes_makes_the_answer_invalid(server):
    with answered_by(server, ["X-Node: " + "n" * 3_000_000]) as wf, pytest.raises(AffinityError):
        wf.session.get(server.url())


# ---- answers that are not HTTP ----


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"<html>",
        b"\x00\x01\x02" * 10_000,
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X" * 100_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        b"SSH-2.0-OpenSSH\r\n",
    ],
    ids=["nothing", "0.9", "bytes", "no status", "9.9", "no end", "continue", "ssh"],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_error_names_an_answer_that_is_not_http(server, wf, client, sent):
    server.answer = lambda asked: [sent]
    with pytest.raises(AffinityError):
        client(wf, server)


# ---- JSON ----


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"links": ' + b"[" * 90_000 + b"]" * 90_000 + b"}",
        b'{"links": [{"rel": 1, "href": {}, "type": []}], "n": ' + b"9" * 10_000 + b"}",
        b'{"links": NaN}',
        b'{"links": null}',
        b"\xff\xfe\x00",
        b'{"links": []' * 1000,
    ],
)
@pytest.mark.parametrize("client", [landing_page, topology])
def test_an_error_names_json_that_is_not_ours(server, wf, client, body):
    server.answer = lambda asked: [head("Content-Type: application/json"), body]
    with cost() as spent, pytest.raises(AffinityError):
        client(wf, server)
    assert spent.megabytes < MARGIN


def test_text_in_a_charset_of_nothing_is_named(server, wf):
    server.answer = lambda asked: [head("Content-Type: text/plain; charset=\x00"), b"x"]
    with pytest.raises(OutputUnavailable, match="not text"):
        text(wf, server)


def test_the_warnings_of_this_module_are_of_hosts_that_no_service_covers(server, elsewhere):
    with Workflow("a1b2") as wf, warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AffinityWarning, match="without the machineid"):
            named(wf, elsewhere.url("/x")).text()


def test_a_page_instead_of_a_service_is_named(server, wf):
    server.answer = lambda asked: [head("Content-Type: text/html"), b"<html><title>hi</title>"]
    with pytest.raises(NotAService, match="an HTML page titled 'hi'"):
        capabilities(wf, server)

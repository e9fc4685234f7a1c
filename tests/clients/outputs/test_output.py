"""Outputs come whole, under a clean name, from where they may come."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import stat
import threading
import time
from email.utils import formatdate
from urllib.parse import quote

import pytest
import requests

from pavics_affinity.clients.outputs.datasets import scratch
from pavics_affinity.clients.outputs.output import Output, download_all
from pavics_affinity.clients.references import as_input, resolve_json
from pavics_affinity.errors import (
    AffinityWarning,
    DownloadFailed,
    MissingExtra,
    OutOfScope,
    OutputUnavailable,
    TransportError,
)
from support import wpsdocs
from support.loopback import Answer, Server

CONTENT = hashlib.shake_256(b"content").digest(300_000)


@pytest.fixture
def one(wps, service):
    """Make the one output of an execution from the XML that describes it."""

    def make(xml: str) -> Output:
        service.execute = lambda seen: service.xml(wpsdocs.response(wpsdocs.SUCCEEDED, xml))
        [output] = wps.execute("step", []).processOutputs
        return output

    return make


@pytest.fixture
def output(one, service):
    """Stand for a file on the server; `service.files` answers for it."""
    service.files = lambda seen: Answer(200, CONTENT)
    return one(wpsdocs.reference(service.url("/outputs/subset.nc")))


class FlakyFile:
    """A file whose answers are each cut after so many bytes."""

    def __init__(self, *cuts: int | None, headers: dict[str, str] | None = None) -> None:
        self.cuts = list(cuts)
        self.headers = {"ETag": '"v1"', "Accept-Ranges": "bytes"} if headers is None else headers
        self.content = CONTENT
        self.ranges: list[str | None] = []

    def __call__(self, seen) -> Answer:
        asked = (seen.all("Range") or [None])[0]
        self.ranges.append(asked)
        cut = self.cuts.pop(0) if self.cuts else None
        fits = seen.all("If-Range") == [self.headers.get("ETag")]
        match = re.fullmatch(r"bytes=(\d+)-", asked or "")
        if match and fits and self.headers.get("Accept-Ranges") == "bytes":
            start, size = int(match[1]), len(self.content)
            headers = {**self.headers, "Content-Range": f"bytes {start}-{size - 1}/{size}"}
            return Answer(206, self.content[start:], headers, cut)
        return Answer(200, self.content, dict(self.headers), cut)


def left_in(directory):
    return sorted(p.name for p in directory.iterdir())


# ---- what an output holds ----


@pytest.mark.parametrize(
    ("xml", "content"),
    [
        (wpsdocs.embedded("  hello "), b"hello"),
        (wpsdocs.embedded("aGVsbG8=", attributes='encoding="base64"'), b"hello"),
        (wpsdocs.embedded("<a xmlns=''>b</a>"), b">b</a>"),
        (
            wpsdocs.output("n", "<wps:Data><wps:LiteralData>7</wps:LiteralData></wps:Data>"),
            b"7",
        ),
        (
            wpsdocs.output(
                "box",
                '<wps:Data><wps:BoundingBoxData crs="epsg:4326"><ows:LowerCorner>0 1'
                "</ows:LowerCorner><ows:UpperCorner>2 3</ows:UpperCorner></wps:BoundingBoxData>"
                "</wps:Data>",
            ),
            b",",
        ),
    ],
)
def test_an_output_in_the_response_needs_no_request(one, service, tmp_path, xml, content):
    output = one(xml)
    before = len(service.seen)
    assert content in output.read_bytes()
    assert content.decode() in output.text()
    with output.open() as file:
        assert content in file.read()
    assert content in output.download(tmp_path / "x").path.read_bytes()
    output.writeToDisk(tmp_path / "y")
    assert content in (tmp_path / "y").read_bytes()
    assert output.retrieveData() == b""  # OWSLib's
    assert len(service.seen) == before


def test_content_that_is_not_base64_is_named(one):
    with pytest.raises(OutputUnavailable, match="is not base64"):
        one(wpsdocs.embedded("a", attributes='encoding="base64"')).read_bytes()


def test_a_reference_is_fetched_in_every_form(output):
    assert output.read_bytes() == output.retrieveData() == CONTENT
    assert output.fileName == "subset.nc"
    with output.open() as file:
        file.seek(100)
        assert file.read(10) == CONTENT[100:110]


def test_text_is_read_in_the_servers_charset(output, service):
    plain = {"Content-Type": "text/plain; charset=iso-8859-1"}
    service.files = lambda seen: Answer(200, "été".encode("latin-1"), plain)
    assert output.text() == "été"
    service.files = lambda seen: Answer(200, "été".encode(), {"Content-Type": "text/plain"})
    assert output.text() == "été"


def test_content_that_is_not_text_is_named(output):
    with pytest.raises(OutputUnavailable, match="is not text"):
        output.text()


def test_json_is_read_and_content_that_is_not_json_is_named(output, service):
    service.files = lambda seen: Answer(200, b'["file:///cache/x.nc"]')
    assert output.json() == ["file:///cache/x.nc"]
    service.files = lambda seen: Answer(200, b"<html>log in</html>")
    with pytest.raises(OutputUnavailable, match=r"not JSON.*<html>log in"):
        output.json()


@pytest.mark.parametrize(("status", "words"), [(404, "another node"), (403, "auth="), (500, "")])
def test_an_error_page_is_not_taken_for_an_output(output, service, tmp_path, status, words):
    service.files = lambda seen: Answer(status, b"not found")
    for fetch in (
        output.text,
        output.retrieveData,
        output.open,
        lambda: output.download(tmp_path),
        lambda: output.writeToDisk(tmp_path),
    ):
        with pytest.raises(OutputUnavailable, match=f"HTTP {status}.*{words}") as raised:
            fetch()
        assert isinstance(raised.value, requests.HTTPError)
    assert raised.value.response.status_code == status
    assert left_in(tmp_path) == []


# ---- where it may come from ----


@pytest.mark.parametrize(
    "url",
    ["file://elsewhere/etc/passwd", "ftp://127.0.0.1/x", "gopher://h", "http://[::1/", "data:,x"],
)
def test_a_reference_that_is_not_a_web_address_is_not_fetched(one, tmp_path, url):
    output = one(wpsdocs.reference(url))
    for fetch in (output.text, output.retrieveData, lambda: output.download(tmp_path)):
        with pytest.raises(OutOfScope, match="not a usable http or https URL") as refused:
            fetch()
        assert url in str(refused.value)


def test_a_relative_reference_is_resolved_and_kept_as_it_is(one, service):
    service.files = lambda seen: Answer(200, b"here")
    output = one(wpsdocs.reference("outputs/x.txt"))
    assert output.reference == "outputs/x.txt"
    assert output.text() == "here"
    assert service.seen[-1].path == "/outputs/x.txt"


@pytest.mark.parametrize(
    "href",
    [
        *("", " ", "\n", "#", "?", " # ", "#frag", "?#", "wps", "./wps", "/wps", "/wps/", None),
        *("{url}", "{url}?", "{url}#x", "{url}/"),
    ],
)
@pytest.mark.parametrize("mimetype", ["application/x-netcdf", "application/metalink+xml"])
def test_a_reference_to_no_place_is_not_the_services_own_page(
    one, service, session, tmp_path, href, mimetype
):
    service.answer, answer = (
        lambda seen: (
            Answer(200, b"Welcome") if (seen.method, seen.path) == ("GET", "/wps") else answer(seen)
        ),
        service.answer,
    )
    stated = "" if href is None else f'xlink:href="{href.format(url=service.url())}"'
    output = one(wpsdocs.output("log", f'<wps:Reference {stated} mimeType="{mimetype}"/>'))
    asked = len(service.seen)
    for fetch in (
        output.text,
        output.json,
        output.read_bytes,
        output.open,
        output.retrieveData,
        output.open_dataset,
        lambda: output.download(tmp_path),
        lambda: output.writeToDisk(tmp_path),
        lambda: download_all(session, [output], tmp_path),
        lambda: as_input(session, "resource", output, None),
        lambda: resolve_json(session, {"resource": output}),
    ):
        with pytest.raises(OutputUnavailable, match=r"'log'|'resource'") as raised:
            fetch()
        assert "names no place" in str(raised.value)
    assert len(service.seen) == asked
    assert left_in(tmp_path) == []


def test_a_reference_to_no_place_leaves_the_other_outputs(wps, service):
    outputs = wpsdocs.reference("", "log") + wpsdocs.embedded("hello", "text")
    service.execute = lambda seen: service.xml(wpsdocs.response(wpsdocs.SUCCEEDED, outputs))
    assert wps.execute("step", []).output("text").text() == "hello"


def test_an_output_at_an_operation_of_the_service_is_fetched(one, service, tmp_path):
    query = "service=WPS&amp;request=GetOutput&amp;id=1"
    answer = service.answer
    service.answer = lambda seen: Answer(200, b"x") if "GetOutput" in seen.path else answer(seen)
    output = one(wpsdocs.reference(f"{service.url()}?{query}", mimetype="application/x-netcdf"))
    done = output.download(tmp_path)
    assert (done.path.name, done.path.read_bytes()) == ("output.nc", b"x")


def test_a_metalink_that_lists_itself_as_a_file_names_no_place(one, service):
    text = "<metalink><file name='a'><url>{}</url></file></metalink>"
    service.files = lambda seen: Answer(200, text.format("list.meta4").encode())
    kind = "application/metalink+xml"
    [file] = one(wpsdocs.reference(service.url("/list.meta4"), mimetype=kind)).files()
    with pytest.raises(OutputUnavailable, match="names no place"):
        file.read_bytes()


def test_an_output_on_another_host_is_fetched_without_the_id_and_with_one_warning(one):
    with Server("127.0.0.2") as elsewhere:
        output = one(wpsdocs.reference(elsewhere.url("/x.txt")))
        with pytest.warns(AffinityWarning, match="no known service") as warned:
            assert output.text() + output.text() == "okok"
        assert len(warned) == 1
        assert [s.all("machineid") for s in elsewhere.seen] == [[], []]


def test_credentials_given_to_retrieve_data_are_sent_to_the_services_host(output, service):
    output.retrieveData("ann", "secret", headers={"X-Mine": "1"})
    assert service.seen[-1].all("Authorization")[0].startswith("Basic ")
    assert service.seen[-1].all("X-Mine") == ["1"]


def test_credentials_given_to_retrieve_data_are_not_sent_elsewhere(one):
    with Server("127.0.0.2") as elsewhere:
        output = one(wpsdocs.reference(elsewhere.url("/x.txt")))
        with pytest.raises(OutOfScope, match="another host"):
            output.retrieveData("ann", "secret")
        assert elsewhere.seen == []


def test_a_redirect_to_a_file_is_not_followed(output, service):
    service.files = lambda seen: Answer(302, b"", {"Location": "file:///etc/passwd"})
    with pytest.raises(TransportError):
        output.text()


def test_a_redirect_loop_is_an_error(output, service):
    service.files = lambda seen: Answer(302, b"", {"Location": seen.path})
    with pytest.raises(requests.TooManyRedirects):
        output.text()


# ---- files ----


def test_a_download_is_written_under_the_given_name(output, tmp_path):
    done = output.download(tmp_path / "mine.nc")
    assert done.path == tmp_path / "mine.nc"
    assert done.path.read_bytes() == CONTENT
    assert (done.size, done.attempts, done.url) == (len(CONTENT), 1, output.reference)
    assert os.fspath(done) == str(done) == str(tmp_path / "mine.nc")
    assert left_in(tmp_path) == ["mine.nc"]


def test_a_download_into_a_directory_has_the_servers_name(output, tmp_path, monkeypatch):
    assert output.download(tmp_path).path == tmp_path / "subset.nc"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "subset.nc").unlink()
    assert output.download().path == tmp_path / "subset.nc"


def test_a_download_has_the_permissions_of_any_new_file(output, tmp_path):
    (tmp_path / "plain").touch()
    usual = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE(output.download(tmp_path / "x").path.stat().st_mode) == usual


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("../../x.nc", "x.nc"),
        ("..%2f..%2fx.nc", "x.nc"),
        ("%2e%2e", "output"),
        ("C:\\x.nc", "x.nc"),
        ("x%00.nc", "x.nc"),
        ("n" * 300 + ".nc", "n" * 197 + ".nc"),
        (".bashrc", "bashrc"),
    ],
)
@pytest.mark.parametrize("how", ["download", "writeToDisk"])
@pytest.mark.parametrize("place", ["path", "query", "header"])
def test_no_name_that_a_server_gives_leads_out_of_the_directory(
    one, service, tmp_path, name, written, how, place
):
    inside = tmp_path / "deep" / "inside"
    inside.mkdir(parents=True)
    headers = {}
    if place == "header":
        url = service.url("/outputs/a")
        value = name.replace("\\", "\\\\")
        headers = {"Content-Disposition": f'attachment; filename="{value}"'}
    else:
        escaped = quote(name, safe="%./")
        url = service.url(f"/outputs/{escaped}" if place == "path" else f"/get?id={escaped}")
    if (place, written) == ("header", "output"):
        written = "a"  # the URL's, then
    if (place, written) == ("query", "output"):
        written = "get"
    service.files = lambda seen: Answer(200, b"x", headers)
    output = one(wpsdocs.reference(url, mimetype="application/x-unheard-of"))
    getattr(output, how)(inside)
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()] == [
        f"deep/inside/{written}"
    ]


def test_an_output_without_a_name_gets_its_own_and_a_suffix(one, service, tmp_path):
    service.files = lambda seen: Answer(200, b"x")
    xml = wpsdocs.reference(service.url("/"), "../out put", mimetype="application/x-netcdf")
    assert one(xml).download(tmp_path).path.name == "out put.nc"


def test_write_to_disk_writes_to_the_path_and_sets_file_path(output, tmp_path, monkeypatch):
    output.writeToDisk(f"{tmp_path}")  # OWSLib would have written beside the directory
    assert (output.filePath, output.fileName) == (str(tmp_path / "subset.nc"), "subset.nc")
    output.writeToDisk(path=str(tmp_path / "named.nc"), verify=True)
    assert output.filePath == str(tmp_path / "named.nc")
    monkeypatch.chdir(tmp_path)
    output.writeToDisk()
    assert left_in(tmp_path) == ["named.nc", "subset.nc"]


@pytest.mark.parametrize("begins", [b"CDF\x01\x00", b"\x89HDF\r\n\x1a\n"])
@pytest.mark.parametrize("read", ["json", "text"])
def test_netcdf_that_is_read_as_text_suggests_open_dataset(output, service, begins, read):
    service.files = lambda seen: Answer(200, begins + b"\xff\xfe")
    with pytest.raises(OutputUnavailable, match=r"looks like NetCDF: call .open_dataset"):
        getattr(output, read)()


def test_a_missing_directory_is_made_as_for_a_journal(output, tmp_path):
    assert output.download(tmp_path / "a" / "b" / "x.nc").path.stat().st_size
    assert left_in(tmp_path / "a" / "b") == ["x.nc"]


def test_a_file_in_the_way_is_named_before_anything_is_fetched(output, service, tmp_path):
    (tmp_path / "file").write_text("")
    before = len(service.seen)
    with pytest.raises(DownloadFailed, match="is not a directory to write into") as failed:
        output.download(tmp_path / "file" / "x.nc")
    assert isinstance(failed.value, OSError)
    assert len(service.seen) == before


def test_a_file_that_cannot_be_written_is_named(output, tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(DownloadFailed, match="could not be written"):
        output.download(tmp_path / ("n" * 300))
    assert left_in(tmp_path) == ["taken"]


def test_after_a_failure_the_files_that_were_not_begun_are_not_fetched(session, service, tmp_path):
    service.files = lambda seen: Answer(404 if seen.path == "/1" else 200, CONTENT)
    session.pin.add_scope(service.origin)
    with pytest.raises(OutputUnavailable, match="HTTP 404"):
        download_all(session, [service.url(f"/{n}") for n in range(40)], tmp_path, parallel=1)
    assert "0" in left_in(tmp_path)
    assert len(left_in(tmp_path)) < 39


# ---- connections that break ----


def test_a_broken_download_is_resumed_where_it_broke(output, service, tmp_path):
    service.files = flaky = FlakyFile(100_000, 50_000, 70_000)
    done = output.download(tmp_path / "x")
    assert done.path.read_bytes() == CONTENT
    assert done.attempts == 4
    assert flaky.ranges == [None, "bytes=100000-", "bytes=150000-", "bytes=220000-"]


def test_a_file_that_changed_during_its_download_is_fetched_again(output, service, tmp_path):
    service.files = flaky = FlakyFile(100_000)
    first = flaky.__call__

    def changing(seen):
        answer = first(seen)
        flaky.headers, flaky.content = {"ETag": '"v2"', "Accept-Ranges": "bytes"}, CONTENT[:5000]
        return answer

    service.files = changing
    assert output.download(tmp_path / "x").path.read_bytes() == CONTENT[:5000]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ETag": 'W/"v1"', "Accept-Ranges": "bytes"},
        {"ETag": '"v1"', "Accept-Ranges": "none"},
        {"Last-Modified": formatdate(time.time() + 3600, usegmt=True)},
    ],
    ids=["nothing", "weak", "no ranges", "too young"],
)
def test_the_whole_file_is_fetched_again_if_its_rest_cannot_be_trusted(
    output, service, tmp_path, headers
):
    service.files = flaky = FlakyFile(100_000, 200_000, headers=headers)
    assert output.download(tmp_path / "x").path.read_bytes() == CONTENT
    assert flaky.ranges == [None, None, None]


@pytest.mark.parametrize("end", [len(CONTENT), len(CONTENT) - 99_995], ids=["longer", "as long"])
def test_a_range_from_elsewhere_is_not_pasted_in(output, service, tmp_path, end):
    flaky = FlakyFile(100_000)

    def wrong(seen):
        answer = flaky(seen)
        if answer.status == 206:
            answer.headers["Content-Range"] = f"bytes 5-{end - 1}/{len(CONTENT)}"
            answer.body = CONTENT[5:end]
        return answer

    service.files = wrong
    assert output.download(tmp_path / "x").path.read_bytes() == CONTENT
    assert flaky.ranges == [None, "bytes=100000-", None]


def test_a_server_may_give_the_rest_in_parts(output, service, tmp_path):
    flaky = FlakyFile(100_000)

    def sparing(seen):
        answer = flaky(seen)
        if answer.status == 206:
            answer.body = answer.body[:80_000]
        return answer

    service.files = sparing
    assert output.download(tmp_path / "x").path.read_bytes() == CONTENT
    assert flaky.ranges == [None, "bytes=100000-", "bytes=180000-", "bytes=260000-"]


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("how", ["download", "text", "open", "retrieveData"])
def test_a_download_that_breaks_every_time_leaves_nothing(output, service, tmp_path, how):
    service.files = FlakyFile(*[1000] * 200, headers={})
    (tmp_path / "x").write_text("older")
    argument = [tmp_path / "x"] if how == "download" else []
    with pytest.raises(DownloadFailed, match=r"broke off \d times.*300000 bytes"):
        getattr(output, how)(*argument)
    assert left_in(tmp_path) == ["x"]
    assert (tmp_path / "x").read_text() == "older"


def test_an_error_in_the_middle_leaves_nothing(output, service, tmp_path):
    answers = iter([Answer(200, CONTENT, {"ETag": '"v1"'}, 1000), Answer(404)])
    service.files = lambda seen: next(answers)
    with pytest.raises(OutputUnavailable):
        output.download(tmp_path / "x")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("status", [202, 204, 206, 416])
def test_an_answer_that_is_not_the_whole_file_is_refused(output, service, tmp_path, status):
    headers = {"Content-Range": f"bytes 0-9/{len(CONTENT)}"}
    service.files = lambda seen: Answer(status, b"" if status == 204 else CONTENT[:10], headers)
    with pytest.raises(OutputUnavailable, match=f"HTTP {status}"):
        output.download(tmp_path / "x")
    assert left_in(tmp_path) == []


def test_a_coded_answer_is_decoded(output, service, tmp_path):
    coded = Answer(200, gzip.compress(CONTENT), {"Content-Encoding": "gzip", "ETag": '"v1"'})
    service.files = lambda seen: coded
    assert output.download(tmp_path / "x").path.read_bytes() == CONTENT
    assert service.seen[-1].all("Accept-Encoding") == ["identity"]


def test_a_reader_never_sees_half_a_file(output, service, tmp_path):
    seen_by_reader = set()
    target = tmp_path / "x"
    target.write_bytes(b"old")
    stop = threading.Event()

    def read():
        while not stop.is_set():
            seen_by_reader.add(len(target.read_bytes()))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(5):
            service.files = FlakyFile(100_000, 50_000)
            output.download(target)
    finally:
        stop.set()
        reader.join()
    assert seen_by_reader <= {3, len(CONTENT)}


def test_progress_is_shown_in_bytes(output, tmp_path, capsys):
    output.download(tmp_path / "x.nc", progress=True)
    shown = capsys.readouterr().err
    assert "x.nc" in shown
    assert "300k" in shown


@pytest.mark.parametrize("how", ["text", "json", "read_bytes"])
def test_content_too_large_for_memory_is_refused_with_another_way(
    output, service, monkeypatch, how
):
    monkeypatch.setattr("pavics_affinity.clients.outputs.output.MAX_IN_MEMORY", 2**20)
    service.files = lambda seen: Answer(200, bytes(2**20 + 1))
    with pytest.raises(DownloadFailed, match=r"larger than 1 MB; use .download"):
        getattr(output, how)()


# ---- metalinks ----

META4 = """<?xml version="1.0"?><metalink xmlns="urn:ietf:params:xml:ns:metalink">
<file name="a.nc"><identity>a</identity><size>3</size>
  <url priority="2">http://mirror/a.nc</url><url priority="1">{0}/a.nc</url>
  <mediatype>application/x-netcdf</mediatype></file>
<file name="../b.txt"><metaurl mediatype="torrent">{0}/b.torrent</metaurl>
  <metaurl mediatype="text/plain">{0}/outputs/b.txt</metaurl></file>
<file name="nothing"/></metalink>"""

META3 = """<metalink version="3.0" xmlns="http://www.metalinker.org/"><files>
<file name="a.nc"><resources><url type="http" preference="10">http://mirror/a.nc</url>
  <url type="http" preference="100">{0}/a.nc</url></resources></file>
<file name="b.txt"><resources><url type="http">/outputs/b.txt</url></resources></file>
</files></metalink>"""


@pytest.mark.parametrize(
    ("document", "mimetype"),
    [
        (META4, "application/metalink+xml; version=4.0"),
        (META4, "application/metalink4+xml"),
        (META3, "application/metalink+xml; version=3.0"),
    ],
)
@pytest.mark.parametrize("by", ["reference", "value"])
def test_a_metalink_is_a_list_of_outputs(one, service, tmp_path, document, mimetype, by):
    text = document.format(service.origin)
    served = {"/list.meta4": text.encode(), "/a.nc": b"aaa", "/outputs/b.txt": b"bbb"}
    service.files = lambda seen: Answer(200, served[seen.path])
    if by == "reference":
        output = one(wpsdocs.reference(service.url("/list.meta4"), mimetype=mimetype))
    else:
        cdata = f"<![CDATA[{text}]]>"
        output = one(wpsdocs.embedded(cdata, attributes=f'mimeType="{mimetype}"'))
    files = output.files()
    assert files[0].reference == f"{service.origin}/a.nc"
    assert [file.download(tmp_path).path.name for file in files] == ["a.nc", "b.txt"]
    assert [file.read_bytes() for file in files] == [b"aaa", b"bbb"]


STATED = {
    4: "<metalink xmlns='urn:ietf:params:xml:ns:metalink'><file name='a'>{stated}"
    "<url>{url}</url></file></metalink>",
    3: "<metalink xmlns='http://www.metalinker.org/'><files><file name='a'>{stated}<resources>"
    "<url>{url}</url></resources></file></files></metalink>",
}


@pytest.fixture
def listed(one, service):
    """Make the one file of a metalink that states something of it."""

    def make(version: int, stated: str) -> Output:
        if version == 3:
            stated = stated.replace("<hash", "<verification><hash").replace(
                "</hash>", "</hash></verification>"
            )
        text = STATED[version].format(stated=stated, url=service.url("/outputs/a.nc"))
        kind = 'mimeType="application/metalink+xml"'
        [file] = one(wpsdocs.embedded(f"<![CDATA[{text}]]>", attributes=kind)).files()
        return file

    return make


SHA256, SHA1 = hashlib.sha256(CONTENT).hexdigest(), hashlib.sha1(CONTENT).hexdigest()


@pytest.mark.parametrize("version", [3, 4])
def test_a_file_is_what_its_metalink_says_also_in_pieces(listed, service, tmp_path, version):
    stated = (
        f"<size>{len(CONTENT)}</size><hash type='md5'>{'0' * 32}</hash>"
        f"<hash type='sha-256'>{SHA256.upper()}</hash><hash type='unheard-of'>1</hash>"
        "<pieces type='sha-1' length='9'><hash>12</hash></pieces>"
    )
    service.files = FlakyFile(100_000, 50_000)
    assert listed(version, stated).download(tmp_path / "x").path.read_bytes() == CONTENT
    service.files = FlakyFile(100_000, headers={})  # and when the whole is fetched again
    assert listed(version, stated).read_bytes() == CONTENT


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(
    ("stated", "words"),
    [
        (f"<hash type='sha-256'>{SHA256[:-1]}0</hash>", "of sha256"),
        (f"<hash type='sha1'>{SHA1}</hash><size>5</size>", "should be 5"),
        ("<hash type='md5'>no digest</hash>", "of md5"),
    ],
)
def test_a_file_that_differs_from_its_metalink_is_refused(
    listed, service, tmp_path, version, stated, words
):
    service.files = lambda seen: Answer(200, CONTENT)
    file = listed(version, stated)
    for fetch in (lambda: file.download(tmp_path / "x"), file.text, file.open):
        with pytest.raises(DownloadFailed, match=words):
            fetch()
    assert left_in(tmp_path) == []


def test_an_output_that_is_not_a_metalink_is_its_only_file(output):
    assert output.files() == [output]


@pytest.mark.parametrize("body", [b"<html/>", b"not xml"])
def test_a_metalink_that_cannot_be_read_is_named(one, service, body):
    service.files = lambda seen: Answer(200, body)
    listed = one(wpsdocs.reference(service.url("/x"), mimetype="application/metalink+xml"))
    with pytest.raises(OutputUnavailable, match="not a metalink"):
        listed.files()


# ---- datasets ----


@pytest.fixture
def netcdf(tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("netCDF4")
    path = tmp_path / "made.nc"
    xarray.Dataset({"t": ("x", [1.0, 2.0, 3.0])}).to_netcdf(path)
    return path.read_bytes()


def test_a_dataset_is_opened_and_its_file_is_removed_with_it(output, service, netcdf):
    service.files = lambda seen: Answer(200, netcdf)
    dataset = output.open_dataset()
    file = dataset.encoding["source"]
    assert os.path.exists(file)  # noqa: PTH110 - a str
    assert dataset.isel(x=1).t.item() == 2.0
    dataset.close()
    assert not os.path.exists(file)  # noqa: PTH110 - a str


def test_datasets_are_opened_from_several_threads(wps, output, service, netcdf):
    service.files = lambda seen: Answer(200, netcdf)
    sums = []

    def use():
        with output.open_dataset() as dataset:
            sums.append(float(dataset.t.sum()))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [6.0] * 8


def test_a_dataset_without_xarray_names_the_extra(output, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "xarray", None)
    with pytest.raises(MissingExtra, match="pip install"):
        output.open_dataset()


def test_a_file_that_is_not_a_dataset_is_removed(output):
    pytest.importorskip("xarray")
    place = scratch("x").parent.parent
    before = sorted(place.rglob("*"))
    with pytest.raises(ValueError, match=r"engine|backend"):
        output.open_dataset()
    assert sorted(place.rglob("*")) == before

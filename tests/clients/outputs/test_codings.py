"""A file that is stored packed stays so; a coding that was added on its way is taken off."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import re
import socket
import subprocess
import time
import zlib

import pytest

from pavics_affinity import Workflow
from pavics_affinity.clients.outputs import codings
from pavics_affinity.clients.outputs.output import download_all
from pavics_affinity.errors import DownloadFailed, OutputUnavailable
from pavics_affinity.testing.nginx import find_nginx
from support import wpsdocs
from support.loopback import Answer, free_port

PLAIN = b"some text, " * 5000
PACKED = gzip.compress(PLAIN, mtime=0)
GZIP = {"Content-Encoding": "gzip"}
GZIP_LABEL = {"Content_Encoding": "gzip"}


@pytest.fixture
def named(wps, service):
    """Make the one output of an execution, at a path of the service."""

    def make(path="/outputs/a.nc", mimetype="text/plain"):
        xml = wpsdocs.reference(service.url(path).replace("&", "&amp;"), mimetype=mimetype)
        service.execute = lambda seen: service.xml(wpsdocs.response(wpsdocs.SUCCEEDED, xml))
        return wps.execute("step", []).output("output")

    return make


def serve(service, body, **headers):
    stated = {name.replace("_", "-"): value for name, value in headers.items()}
    service.files = lambda seen: Answer(200, body, dict(stated))


# ---- which coding is the file's own ----

STORED = {
    "by the URL's name": ("/outputs/a.nc.gz", "application/octet-stream", {}),
    "by a name in the query": ("/get?id=a.nc.gz", "application/octet-stream", {}),
    "by the header's name": (
        "/get",
        "application/x-foo",
        {"Content_Disposition": "attachment; filename=a.tar.gz"},
    ),
    "by a short suffix": ("/outputs/a.tgz", "application/octet-stream", {}),
    "in capitals": ("/outputs/A.NC.GZ", "application/octet-stream", {}),
    "by the service's media type": ("/get", "application/gzip", {}),
    "by the server's media type": ("/get", "text/plain", {"Content_Type": "application/x-gzip"}),
}


@pytest.mark.parametrize("label", ["gzip", "x-gzip", "GZIP"])
@pytest.mark.parametrize("case", STORED)
def test_a_file_stored_packed_is_saved_as_it_is_stored(named, service, tmp_path, case, label):
    path, mimetype, headers = STORED[case]
    serve(service, PACKED, Content_Encoding=label, **headers)
    output = named(path, mimetype)
    assert output.download(tmp_path / "x").path.read_bytes() == PACKED
    assert output.read_bytes() == output.retrieveData() == PACKED
    with output.open() as file:
        assert file.read() == PACKED
    output.writeToDisk(tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == PACKED


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/outputs/a.nc", {}),
        ("/outputs/a", {"Content_Type": "text/csv"}),
        # The server itself says that it is to be unpacked to a.nc.
        ("/outputs/a.nc.gz", {"Content_Disposition": 'attachment; filename="a.nc"'}),
    ],
)
def test_a_plain_file_that_was_packed_on_its_way_is_unpacked(
    named, service, tmp_path, path, headers
):
    serve(service, PACKED, **GZIP_LABEL, **headers)
    assert named(path).download(tmp_path / "x").path.read_bytes() == PLAIN
    serve(service, zlib.compress(PLAIN), Content_Encoding="deflate", **headers)
    assert named(path).read_bytes() == PLAIN


@pytest.mark.parametrize("label", ["gzip", "gzip, gzip"])
def test_a_packed_file_that_was_packed_again_on_its_way_is_unpacked_once(
    named, service, tmp_path, label
):
    serve(service, gzip.compress(PACKED), Content_Encoding=label)
    assert named("/a.nc.gz").download(tmp_path / "x").path.read_bytes() == PACKED


@pytest.mark.parametrize("label", ["", "identity", "utf-8", "binary", "aws-chunked", "none"])
def test_words_that_are_not_a_coding_change_nothing(named, service, label):
    serve(service, PACKED, Content_Encoding=label)
    assert named("/a.nc.gz").read_bytes() == PACKED
    serve(service, PLAIN, Content_Encoding=label)
    assert named("/a.nc").read_bytes() == PLAIN


def test_other_codings_of_stored_files_are_theirs(named, service):
    for name, label in (
        ("a.Z", "compress"),
        ("a.bz2", "x-bzip2"),
        ("a.br", "br"),
        ("a.zst", "zstd"),
        ("a.xz", "xz"),
    ):
        serve(service, b"packed somehow", Content_Encoding=label)
        assert named(f"/outputs/{name}").read_bytes() == b"packed somehow"


def test_a_coding_that_cannot_be_taken_off_is_named(named, service, tmp_path):
    serve(service, b"packed somehow", Content_Encoding="compress")
    for fetch in (named("/a.nc").text, lambda: named("/a.nc").download(tmp_path / "x")):
        with pytest.raises(DownloadFailed, match="packed as 'compress'"):
            fetch()
    assert list(tmp_path.iterdir()) == []


# ---- what is read of it ----


def test_text_json_and_metalink_are_read_unpacked(named, service):
    text = json.dumps({"a": [1, 2]}).encode()
    packed = gzip.compress(text)
    serve(service, packed, **GZIP_LABEL)
    output = named("/a.json.gz", "application/json")
    assert output.text().encode() == text
    assert output.json() == {"a": [1, 2]}
    assert output.read_bytes() == packed
    listed = f"<metalink><file name='b'><url>{service.url('/b')}</url></file></metalink>"
    serve(service, gzip.compress(listed.encode()), **GZIP_LABEL)
    [file] = named("/list.meta4.gz", "application/metalink+xml").files()
    assert file.reference == service.url("/b")


def test_a_packed_file_whose_server_does_not_say_so_is_not_text(named, service):
    serve(service, PACKED)
    with pytest.raises(OutputUnavailable, match="is not text"):
        named("/a.csv.gz").text()


def test_a_dataset_is_opened_unpacked(named, service, tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("netCDF4")
    xarray.Dataset({"t": ("x", [1.0, 2.0])}).to_netcdf(tmp_path / "a.nc")
    serve(service, gzip.compress((tmp_path / "a.nc").read_bytes()), **GZIP_LABEL)
    with named("/a.nc.gz", "application/x-netcdf").open_dataset() as dataset:
        assert dataset.t.values.tolist() == [1.0, 2.0]


def test_birdy_reads_unpacked_and_keeps_what_is_an_archive(named, service):
    pytest.importorskip("birdy")
    serve(service, gzip.compress(b'{"a": 1}'), **GZIP_LABEL)
    named("/a.json.gz", "application/json")
    with Workflow() as wf:
        assert wf.birdy(service.url()).step().get(asobj=True).output == {"a": 1}
        serve(service, PACKED, **GZIP_LABEL)
        named("/a.tar.gz", "application/gzip")
        assert wf.birdy(service.url()).step().get(asobj=True).output == PACKED


# ---- what a metalink says of it ----


@pytest.fixture
def listed(named, service):
    """Make the one file of a metalink, and what its server answers."""

    def make(content, name="a.nc.gz", size=True, sha256=True, answers=None):
        stated = f"<size>{len(content)}</size>" * size
        stated += f"<hash type='sha-256'>{hashlib.sha256(content).hexdigest()}</hash>" * sha256
        text = (
            f"<metalink xmlns='urn:ietf:params:xml:ns:metalink'><file name='{name}'>{stated}"
            f"<url>{service.url('/outputs/' + name)}</url></file></metalink>"
        ).encode()
        answers = answers or (lambda seen: Answer(200, PACKED, dict(GZIP)))
        service.files = lambda seen: Answer(200, text) if "list" in seen.path else answers(seen)
        return named("/list.meta4", "application/metalink4+xml").files()[0]

    return make


@pytest.mark.parametrize(("size", "sha256"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("content", [PLAIN, PACKED], ids=["plain", "packed"])
@pytest.mark.parametrize("name", ["a.nc.gz", "a.nc"])
def test_a_metalink_decides_which_bytes_are_the_file(listed, tmp_path, content, name, size, sha256):
    file = listed(content, name, size, sha256)
    assert file.download(tmp_path / "x").path.read_bytes() == content
    assert file.read_bytes() == content


@pytest.mark.parametrize("name", ["a.nc.gz", "a.nc"])
def test_a_file_that_differs_packed_and_unpacked_is_refused(listed, tmp_path, name):
    file = listed(PLAIN[:-1] + b"!", name)
    with pytest.raises(DownloadFailed, match="as the metalink states"):
        file.download(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


# ---- connections that break ----


@pytest.mark.parametrize("label_of_the_rest", [True, False])
def test_the_download_of_a_packed_file_is_resumed_where_it_broke(
    named, service, tmp_path, label_of_the_rest
):
    asked = []

    def files(seen):
        headers = {**GZIP, "ETag": '"v1"', "Accept-Ranges": "bytes"}
        stated = (seen.all("Range") or [""])[0]
        asked.append(stated)
        match = re.fullmatch(r"bytes=(\d+)-", stated)
        if match is None:
            return Answer(200, PACKED, headers, 100)
        start = int(match[1])
        headers["Content-Range"] = f"bytes {start}-{len(PACKED) - 1}/{len(PACKED)}"
        if not label_of_the_rest:
            del headers["Content-Encoding"]
        return Answer(206, PACKED[start:], headers)

    service.files = files
    done = named("/a.nc.gz").download(tmp_path / "x")
    assert done.path.read_bytes() == PACKED
    assert asked == ["", "bytes=100-"]


def test_an_unpacked_file_is_fetched_again_from_its_start(named, service, tmp_path):
    cuts = [100, None]
    headers = {**GZIP, "ETag": '"v1"', "Accept-Ranges": "bytes"}
    asked = []

    def files(seen):
        asked.extend(seen.all("Range"))
        return Answer(200, PACKED, dict(headers), cuts.pop(0))

    service.files = files
    assert named("/a.nc").download(tmp_path / "x").path.read_bytes() == PLAIN
    assert asked == []


def test_a_gzip_file_within_another_is_seen_in_pieces_of_any_size():
    cases = {
        PACKED: False,
        gzip.compress(PACKED): True,
        gzip.compress(b"") + gzip.compress(PACKED): False,  # a file of several parts
        b"GIF89a": False,
    }
    for content, twice in cases.items():
        for size in (1, 7, 10_000):
            judge = codings.Twice()
            pieces = [content[i : i + size] for i in range(0, len(content), size)]
            assert any(judge.seen_in(piece) for piece in pieces) is twice


# ---- a real nginx ----

NGINX = """
daemon off; worker_processes 1; pid {here}/pid; error_log {here}/log; {user}
events {{}}
http {{
  access_log off; {temp}
  server {{
    listen 127.0.0.1:{inner}; root {here}; default_type application/octet-stream;
    gzip_types *; gzip_min_length 1;
    location /labelled/ {{ add_header Content-Encoding gzip; }}
    location /packing/ {{ gzip on; }}
  }}
  server {{
    listen 127.0.0.1:{outer};
    location / {{
      proxy_set_header Accept-Encoding gzip;  # whatever the client wants
      proxy_http_version 1.1;
      proxy_pass http://127.0.0.1:{inner};
    }}
  }}
}}
"""


@pytest.fixture
def nginx(tmp_path):
    """Run an nginx that packs for a proxy before it, which asks for that unasked."""
    found = find_nginx()
    if found is None:
        pytest.skip("nginx is not installed")
    for place in ("labelled", "packing"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.nc").write_bytes(PLAIN)
        (tmp_path / place / "a.nc.gz").write_bytes(PACKED)
    tmp_path.chmod(0o755)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    inner, outer = free_port(), free_port()
    (tmp_path / "conf").write_text(
        NGINX.format(
            here=tmp_path,
            inner=inner,
            outer=outer,
            temp=" ".join(f"{kind}_temp_path {tmp_path}/t_{kind};" for kind in kinds),
            user="user root;" if os.geteuid() == 0 else "",
        )
    )
    command = [found, "-p", f"{tmp_path}/", "-c", f"{tmp_path}/conf", "-e", "stderr"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", outer)):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{outer}"
        process.terminate()


def test_through_nginx_a_file_is_what_is_stored(nginx, session, tmp_path):
    session.pin.add_scope(nginx)
    for number, (path, content, label) in enumerate(
        (
            ("labelled/a.nc.gz", PACKED, "gzip"),
            ("packing/a.nc", PLAIN, "gzip"),
            ("packing/a.nc.gz", PACKED, "gzip"),
        )
    ):
        answer = session.get(f"{nginx}/{path}", headers={"Accept-Encoding": "identity"})
        assert answer.headers["Content-Encoding"] == label
        [done] = download_all(session, [f"{nginx}/{path}"], tmp_path / str(number))
        assert done.path.read_bytes() == content

"""Outputs that a service on this machine names by their path."""

from __future__ import annotations

import hashlib
import os
import socket
from urllib.parse import quote

import pytest

from pavics_affinity import Workflow
from pavics_affinity.clients.outputs.local import local_path
from pavics_affinity.clients.wps.service import WebProcessingService
from pavics_affinity.errors import AffinityError, DownloadFailed, OutOfScope, OutputUnavailable
from pavics_affinity.pin import Pin
from pavics_affinity.topology.urls import is_loopback
from pavics_affinity.transport import AffinitySession
from support import wpsdocs
from support.loopback import Answer

CONTENT = b"line 1\nline 2\n"
HERE = "http://127.0.0.1:5000/wps"


@pytest.fixture
def named(wps, service):
    """Make the one output of an execution, at a URL that the service names."""

    def make(url, mimetype="text/plain"):
        xml = wpsdocs.reference(url, mimetype=mimetype)
        service.execute = lambda seen: service.xml(wpsdocs.response(wpsdocs.SUCCEEDED, xml))
        return wps.execute("step", []).output("output")

    return make


def test_a_file_of_a_service_on_this_machine_is_read_in_every_form(named, service, tmp_path):
    file = tmp_path / "an output.txt"
    file.write_bytes(CONTENT)
    into = tmp_path / "into"
    into.mkdir()
    for url in (f"file://{file}", file.as_uri(), f"file://localhost{file}", f"FILE:{file}"):
        output = named(url)
        asked = len(service.seen)
        assert output.read_bytes() == output.retrieveData() == CONTENT
        assert output.text() == CONTENT.decode()
        with output.open() as opened:
            assert opened.read() == CONTENT
        done = output.download(into)
        assert (done.path.name, done.path.read_bytes()) == ("an output.txt", CONTENT)
        assert (done.size, done.url) == (len(CONTENT), url)
        output.writeToDisk(into / "x")
        assert (into / "x").read_bytes() == CONTENT
        assert len(service.seen) == asked
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["a#b.txt", "a;v=1.txt"])
def test_it_keeps_a_name_that_a_url_would_cut(named, tmp_path, name):
    file = tmp_path / name
    file.write_bytes(CONTENT)
    into = tmp_path / "into"
    into.mkdir()
    assert named(f"file://{quote(str(file), safe='/#;=')}").download(into).path.name == name


def test_owslibs_getoutput_writes_it(wps, service, named, tmp_path):
    (tmp_path / "a.txt").write_bytes(CONTENT)
    named((tmp_path / "a.txt").as_uri())
    execution = wps.execute("step", [])
    execution.getOutput(tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_bytes() == CONTENT


def test_json_and_dataset_and_birdy_read_it(named, service, tmp_path):
    pytest.importorskip("birdy")
    (tmp_path / "a.json").write_text('{"a": [1]}')
    assert named((tmp_path / "a.json").as_uri(), "application/json").json() == {"a": [1]}
    with Workflow() as wf:
        result = wf.birdy(service.url()).step()
        assert result.get(asobj=True).output == {"a": [1]}
        assert result.get().output == (tmp_path / "a.json").as_uri()
    xarray = pytest.importorskip("xarray")
    xarray.Dataset({"t": ("x", [1.0, 2.0])}).to_netcdf(tmp_path / "a.nc")
    with named((tmp_path / "a.nc").as_uri(), "application/x-netcdf").open_dataset() as dataset:
        assert dataset.t.values.tolist() == [1.0, 2.0]
    assert (tmp_path / "a.nc").exists()


def test_a_local_metalink_may_name_local_files(named, service, tmp_path):
    (tmp_path / "a.txt").write_bytes(CONTENT)
    good, bad = hashlib.sha256(CONTENT).hexdigest(), "0" * 64
    entries = "".join(
        f'<file name="a.txt"><hash type="sha-256">{digest}</hash><url>{url}</url></file>'
        for url, digest in (((tmp_path / "a.txt").as_uri(), good), ("a.txt", bad))
    )
    link = tmp_path / "list.meta4"
    link.write_text(f'<metalink xmlns="urn:ietf:params:xml:ns:metalink">{entries}</metalink>')
    first, second = named(link.as_uri(), "application/metalink4+xml").files()
    assert first.read_bytes() == CONTENT
    with pytest.raises(DownloadFailed, match="of sha256"):
        second.read_bytes()
    # One that came by http is anybody's words.
    service.files = lambda seen: Answer(200, link.read_bytes())
    [fetched, _] = named(service.url("/list"), "application/metalink4+xml").files()
    with pytest.raises(OutOfScope):
        fetched.read_bytes()


@pytest.mark.parametrize("how", ["pipe", "directory", "device", "socket", "link", "missing"])
def test_only_regular_files_are_read_and_nothing_hangs(named, tmp_path, monkeypatch, how):
    place = tmp_path / "place"
    if how == "pipe":
        os.mkfifo(place)
    elif how == "directory":
        place.mkdir()
    elif how == "device":
        place.symlink_to("/dev/zero")
    elif how == "link":
        os.mkfifo(tmp_path / "fifo")
        place.symlink_to(tmp_path / "fifo")
    elif how == "socket":
        monkeypatch.chdir(tmp_path)  # the name of a socket is short
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("place")
    output = named(place.as_uri())
    for fetch in (output.text, output.open, lambda: output.download(tmp_path / "out")):
        with pytest.raises(OutputUnavailable, match=r"cannot be read|No such file"):
            fetch()
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*part"))


def test_a_link_to_a_regular_file_is_followed(named, tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert named((tmp_path / "b").as_uri()).read_bytes() == CONTENT


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")  # noqa: PTH110
def test_a_file_that_holds_more_than_it_says_is_not_read(named):
    with pytest.raises(OutputUnavailable, match="held 0 bytes"):
        named("file:///proc/self/status").read_bytes()


def test_a_file_too_large_for_memory_is_refused_with_another_way(named, tmp_path, monkeypatch):
    monkeypatch.setattr("pavics_affinity.clients.outputs.output.MAX_IN_MEMORY", 2**20)
    (tmp_path / "a").write_bytes(bytes(2**20 + 1))
    output = named((tmp_path / "a").as_uri())
    with pytest.raises(DownloadFailed, match=r"larger than 1 MB; use .download"):
        output.text()
    assert output.download(tmp_path / "b").size == 2**20 + 1


@pytest.mark.parametrize(
    "url",
    [
        "file://elsewhere/etc/hostname",
        "file://10.0.0.1/etc/hostname",
        "file:etc/hostname",
        "file:",
        "file://",
        "file:////elsewhere/share",
        "file:///%2felsewhere/share",
        "file:///etc/host%00name",
        "file:///etc/host%0aname",
        "files:///etc/hostname",
    ],
)
def test_a_url_that_is_not_a_path_of_this_machine_is_refused(named, url):
    assert local_path(url, service=HERE) is None
    with pytest.raises(OutOfScope, match="not a usable http or https URL"):
        named(url).text()


@pytest.mark.parametrize(
    "service",
    ["http://10.0.0.1/wps", "http://localhost.example/wps", "http://[bad", "", "http://0.0.0.0/"],
)
def test_a_service_elsewhere_cannot_name_a_file_of_this_machine(service):
    assert local_path("file:///etc/hostname", service=service) is None


def test_an_output_of_a_service_elsewhere_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    document = wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.reference((tmp_path / "a").as_uri()))
    with AffinitySession(Pin("a1b2", given=True)) as session:
        wps = WebProcessingService("http://wps.example/wps", skip_caps=True, session=session)
        output = wps.execute("step", [], response=document).output("output")
        for fetch in (output.text, output.retrieveData, lambda: output.download(tmp_path / "b")):
            with pytest.raises(OutOfScope):
                fetch()
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LocalHost.", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("127.0.0.1.example.org", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_this_machine_by_its_literal_names(host, loopback):
    assert is_loopback(host) is loopback


def test_an_unreadable_file_is_an_error_of_ours(named, tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    (tmp_path / "a").chmod(0)
    output, user = named((tmp_path / "a").as_uri()), os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read any file
    try:
        with pytest.raises(AffinityError):
            output.text()
    finally:
        os.seteuid(user)

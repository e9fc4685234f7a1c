"""OPeNDAP outputs are read from the workflow's node, by real DAP servers behind a real nginx."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import pytest

from pavics_affinity import Backend, Node, Service, Topology, Workflow
from pavics_affinity.clients.ogcapi.results import output_of
from pavics_affinity.clients.outputs import datasets
from pavics_affinity.errors import (
    DownloadFailed,
    MissingExtra,
    OutputUnavailable,
    WorkflowClosed,
)
from pavics_affinity.testing.ports import AddressBlock
from support import wpsdocs
from support.live_site import RealNginx
from support.loopback import Answer

pytest.importorskip("pydap")

from support.dap import DapServer  # needs pydap


class Thredds:
    """Three DAP servers behind nginx, each with a different number in its field."""

    def __init__(self, directory: Path) -> None:
        self.block = AddressBlock()
        self.nodes = {f"node{i}": DapServer(self.block.host(10 + i), i) for i in (1, 2, 3)}
        self.host = self.block.host(1)
        self.port = self.block.port([self.host])
        servers = " ".join(f"server {n.host}:{n.port};" for n in self.nodes.values())
        conf = f"""upstream dap {{ hash $http_machineid; {servers} }}
server {{ listen {self.host}:{self.port}; location / {{ proxy_pass http://dap; }} }}"""
        self.nginx = RealNginx(directory, {"conf.d/dap.conf": conf})
        self.nginx.start((self.host, self.port))
        self.url = f"http://{self.host}:{self.port}/dodsC/made"

    def topology(self) -> Topology:
        return Topology(
            nodes=tuple(Node(name, host=node.host) for name, node in self.nodes.items()),
            services=(
                Service(
                    "thredds",
                    url=self.url.rpartition("/")[0],
                    backends=tuple(
                        Backend(name, address=f"{node.host}:{node.port}")
                        for name, node in self.nodes.items()
                    ),
                ),
            ),
        )

    @property
    def seen(self):
        return {name: node.seen for name, node in self.nodes.items() if node.seen}

    def stop(self) -> None:
        self.nginx.stop()
        for node in self.nodes.values():
            node.stop()
        self.block.close()


@pytest.fixture(scope="module")
def running_thredds():
    with tempfile.TemporaryDirectory() as directory:
        made = Thredds(Path(directory))
        yield made
        made.stop()


@pytest.fixture
def thredds(running_thredds):
    for node in running_thredds.nodes.values():
        node.seen.clear()
    return running_thredds


@pytest.fixture
def one():
    """Make a server on the host of the scripted WPS."""
    server = DapServer("127.0.0.1", 7)
    server.url = f"http://127.0.0.1:{server.port}/data/made"
    yield server
    server.stop()


def opened(wf, url, kind="application/x-netcdf", **options):
    wf.add_scope(url)
    return output_of("o", {"href": url, "type": kind}, session=wf.session, base=url).open_dataset(
        **options
    )


@pytest.mark.parametrize("route", ["proxy", "direct"])
def test_every_value_comes_from_the_workflows_node(thredds, route):
    numbers = set()
    for machineid in ("a1", "b2", "c3", "d4", "e5", "f6", "g7"):
        for node in thredds.nodes.values():
            node.seen.clear()
        options = {} if route == "proxy" else {"topology": thredds.topology(), "route": "direct"}
        with Workflow(machineid, **options) as wf:
            dataset = opened(wf, thredds.url)
            assert dataset.tas.dims == ("time", "lat", "lon")
            [number] = {float(dataset.tas.isel(time=t, lon=3).mean()) for t in range(4)}
            assert dataset.lat.values[0] == -80
        [(name, seen)] = thredds.seen.items()
        assert name == f"node{number:.0f}"
        assert {tuple(request.all("machineid")) for request in seen} == {(machineid,)}
        assert sum(".dods" in request.path for request in seen) >= 4
        numbers.add(number)
    assert len(numbers) == 3, "seven ids should use all of three nodes"


def test_a_slice_asks_for_that_slice_only(thredds):
    with Workflow("a1") as wf:
        dataset = opened(wf, thredds.url)
        values = dataset.tas.isel(time=slice(1, 3), lat=0, lon=0).values
        assert values.shape == (2,)
        sizes = [row["bytes"] for row in wf.record.rows() if row["operation"] == "OPeNDAP"]
    assert sizes[-1] is None or sizes[-1] < 1000


def test_threads_read_one_dataset(thredds):
    with Workflow("a1") as wf:
        dataset = opened(wf, thredds.url)
        means = []

        def read(step):
            means.append(float(dataset.tas.isel(time=step % 4).mean()))

        threads = [threading.Thread(target=read, args=(i,)) for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(means) == 12
    assert len(set(means)) == 1


def test_an_opendap_media_type_saves_a_request(one):
    with Workflow("a1") as wf:
        opened(wf, one.url, kind=datasets.MIMETYPE)
    assert [seen.method for seen in one.seen].count("HEAD") == 0


def test_birdy_opens_it_as_an_object(one, service):
    pytest.importorskip("birdy")
    with Workflow("a1b2") as wf:
        service.execute = lambda seen: service.xml(
            wpsdocs.response(
                wpsdocs.SUCCEEDED, wpsdocs.reference(one.url, mimetype="application/x-netcdf")
            )
        )
        [dataset] = wf.birdy(service.url()).step().get(asobj=True)
        assert float(dataset.tas.mean()) == 7
    assert {tuple(seen.all("machineid")) for seen in one.seen} == {("a1b2",)}


def test_values_cannot_be_read_after_the_workflow(one):
    with Workflow("a1") as wf:
        dataset = opened(wf, one.url)
    with pytest.raises(WorkflowClosed):
        _ = dataset.tas.values


def answering(status: int, body: bytes, *, at: str):
    """Answer this where a path ends so; otherwise as the server does."""
    answer = Answer(status, body, {"Content-Description": "dods-data"})
    return lambda seen: answer if seen.path.partition("?")[0].endswith(at) else None


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"", b"Dataset {" * 5000, b"\xff\xfe"])
def test_a_document_that_is_not_dap_is_named(one, body):
    one.instead = answering(200, body, at=".dds")
    with Workflow("a1") as wf, pytest.raises(OutputUnavailable, match="cannot be opened"):
        opened(wf, one.url, kind=datasets.MIMETYPE)


def test_a_node_without_the_resource_is_named(one):
    one.instead = answering(404, b"", at=".dds")
    with Workflow("a1") as wf, pytest.raises(OutputUnavailable, match="HTTP 404"):
        opened(wf, one.url, kind=datasets.MIMETYPE)


def test_more_values_than_there_is_room_for_are_refused(one, monkeypatch):
    monkeypatch.setattr(datasets, "MAX_VALUES", 2000)
    with Workflow("a1") as wf:
        dataset = opened(wf, one.url)
        with pytest.raises(DownloadFailed, match="take less at a time"):
            _ = dataset.tas.values
        assert float(dataset.tas.isel(time=0).mean()) == 7


def test_an_endless_description_is_not_read_to_its_end(one, monkeypatch):
    monkeypatch.setattr(datasets, "MAX_DOCUMENT", 100_000)
    one.instead = answering(200, b"Float64 x;\n" * 100_000, at=".dds")
    with Workflow("a1") as wf, pytest.raises(DownloadFailed, match="at once"):
        opened(wf, one.url, kind=datasets.MIMETYPE)


def test_without_pydap_the_extra_is_named(one, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pydap.client", None)
    with Workflow("a1") as wf, pytest.raises(MissingExtra, match=r"pip install.*opendap"):
        opened(wf, one.url)

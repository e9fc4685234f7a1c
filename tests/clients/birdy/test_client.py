"""birdy's client on a workflow: what it shows is birdy's, where it goes is the node."""

from __future__ import annotations

import asyncio
import builtins
import gc
import inspect
import logging
import os
import re
import signal
import sys
import tempfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pavics_affinity import Workflow
from pavics_affinity.errors import (
    BackendUnavailable,
    InvalidRequest,
    MachineIdConflict,
    MissingExtra,
    NotAService,
    OutputUnavailable,
    ReferenceRefused,
    ServiceUnreachable,
    StatusLost,
)
from support import wpsdocs
from support.loopback import Answer

birdy = pytest.importorskip("birdy")
from birdy.client.converters import BaseConverter, all_subclasses  # noqa: E402
from birdy.exceptions import ProcessFailed, ProcessIsNotComplete, UnauthorizedException  # noqa: E402

BOX = {"lon0": -100, "lon1": -60, "lat0": 30, "lat1": 60}


@pytest.fixture
def client(service, wf):
    """A client of a service whose answers the test decides."""
    return wf.birdy(service.url())


def gives(service, outputs=""):
    """Have each Execute succeed with these outputs."""
    service.execute = lambda seen: service.xml(wpsdocs.response(wpsdocs.SUCCEEDED, outputs))


def nodes_of(cluster, machineid):
    return {request.node for request in cluster.proxy_requests(machineid=machineid)}


# ---- every request to the node ----


def test_thirty_of_thirty_results_open(cluster):
    documents = {}
    with Workflow() as wf:
        for name in ("malleefowl", "flyingpigeon"):
            wps = wf.wps(cluster.url(name), skip_caps=True)
            texts = wps.capabilities_document(), wps.description_document("all")
            documents[name] = dict(zip(("caps_xml", "desc_xml"), texts, strict=True))

    def chain(number):
        with Workflow() as wf:
            malleefowl, flyingpigeon = (
                wf.birdy(cluster.url(name), **documents[name]) for name in documents
            )
            [path] = malleefowl.download(cluster.sample_url).get(asobj=True).output
            result = flyingpigeon.subset_bbox(resource=path, **BOX)
            fetched = wf.session.get(result.get().output)  # the reference, by the user
            assert fetched.status_code == 200
            subset = result.get(asobj=True)
            assert len(fetched.content) == Path(subset.output.encoding["source"]).stat().st_size
            return wf.machineid, subset.output, subset.metalink[0]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(chain, range(30)))
    sizes = [dict(dataset.sizes) for _, *both in results for dataset in both]
    for _, *both in results:  # here, since HDF5 is not to be used by two threads at once
        for dataset in both:
            dataset.close()
    assert len(sizes) == 60
    assert sizes[0]["latitude"] > 1
    assert all(size == sizes[0] for size in sizes)
    assert {len(nodes_of(cluster, machineid)) for machineid, *_ in results} == {1}


def test_no_request_leaves_without_the_id(whole_cluster):
    cluster = whole_cluster
    before = len(cluster.proxy_requests())
    with Workflow() as wf:
        wps = wf.birdy(cluster.url("flyingpigeon"))
        links = wps.multiple_outputs(count=3).get(asobj=True)
        assert len(links.output) == len(links.output_meta3) == 3
        assert all(text.startswith("text ") for text in links.output)
        wps.echo(text="x").get()
    # What a proxy publishes is asked for before there is an id to tell.
    requests = cluster.proxy_requests()[before:]
    requests = [r for r in requests if not r.uri.startswith("/.well-known/")]
    assert {request.machineid for request in requests} == {wf.machineid}
    # two metalinks, and three files of each
    assert sum("/outputs/" in request.uri for request in requests) == 8


def test_nothing_leaves_by_another_way_than_the_session(cluster, monkeypatch):
    import urllib.request

    from requests.adapters import HTTPAdapter

    from pavics_affinity.transport.connections import WireAdapter

    def refused(*args, **options):
        raise AssertionError("a request past the session")

    def only_ours(self, *args, **options):
        return send(self, *args, **options) if isinstance(self, WireAdapter) else refused()

    send = HTTPAdapter.send
    monkeypatch.setattr(HTTPAdapter, "send", only_ours)
    monkeypatch.setattr(urllib.request.OpenerDirector, "open", refused)
    with Workflow() as wf:
        malleefowl, flyingpigeon = (
            wf.birdy(cluster.url(name)) for name in ("malleefowl", "flyingpigeon")
        )
        [path] = malleefowl.download(cluster.sample_url).get(asobj=True).output
        flyingpigeon.subset_bbox(resource=path, **BOX).get(asobj=True).output.close()
        flyingpigeon.multiple_outputs(count=1).get(asobj=True)


def test_ctrl_c_ends_the_wait_and_means_the_same_afterwards(cluster):
    before = signal.getsignal(signal.SIGINT)
    with Workflow() as wf:
        wps = wf.birdy(cluster.url("flyingpigeon"), progress=True)
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            wps.sleep(delay=2)
        assert signal.getsignal(signal.SIGINT) is before
        [execution] = wf.executions  # it continues, and can be waited for
        assert execution.wait().output("sleep_output").text().startswith("slept")


def test_progress_is_shown_and_stays_on_the_node(cluster, capsys):
    with Workflow() as wf:
        other, wps = (wf.birdy(cluster.url("flyingpigeon"), progress=True) for _ in range(2))
        result = wps.sleep(delay=0.3).get()
        assert result.sleep_output.startswith("slept on node")
        assert len(nodes_of(cluster, wf.machineid)) == 1
    shown = capsys.readouterr().out.splitlines()
    assert re.search(r"^20\d\d-.*: sleep \[\d+/100\] - ", shown[0])
    assert len({line.split(": ", 1)[1] for line in shown}) == len(shown)
    # once, however many clients there are
    assert [line.split(": ")[1] for line in shown].count("sleep done.") == 1
    assert logging.getLogger("WPSClient").handlers == []
    assert other.logger is not wps.logger


def test_progress_in_other_threads(cluster, capsys):
    """birdy's own monitor sets a signal handler, which only the main thread may."""

    def run(delay):
        with Workflow() as wf:
            wps = wf.birdy(cluster.url("flyingpigeon"), progress=True)
            return wps.sleep(delay=delay).get().sleep_output

    with ThreadPoolExecutor(3) as pool:
        assert all(said.startswith("slept") for said in pool.map(run, (0.1, 0.2, 0.3)))
    assert capsys.readouterr().out.count("sleep done.") == 3


def test_in_asyncio_each_workflow_has_its_own_id(cluster):
    async def chain():
        with Workflow() as wf:
            wps = await asyncio.to_thread(wf.birdy, cluster.url("flyingpigeon"), processes="echo")
            said = await asyncio.gather(
                *(asyncio.to_thread(lambda text: wps.echo(text).get(), str(n)) for n in range(3))
            )
            assert [text.text for text in said] == ["0", "1", "2"]
            return wf.machineid, {text.node for text in said}

    async def run():
        return await asyncio.gather(chain(), chain(), chain())

    for machineid, nodes in asyncio.run(run()):
        assert nodes_of(cluster, machineid) == nodes
        assert len(nodes) == 1


NOTEBOOK = """
import birdy, IPython, sys
from birdy.client import notebook
from pavics_affinity import Workflow
wf = Workflow("in-a-notebook")
wps = wf.birdy({url!r}, progress=True)
result = wps.sleep(delay=0.3)
shown = result.status
wf.executions[0].wait(progress=False)
assert result.get().sleep_output.startswith("slept")

# Up to birdy 0.10, its form calls the module IPython.display, and so fails by itself.
class Display:
    display = staticmethod(IPython.display.display)
    def __call__(self, *shown):
        self.display(*shown)
notebook.IPython.display = Display()
form = birdy.client.gui(wps.sleep)
print(type(form).__name__, form.process.identifier)
"""


def test_progress_and_form_in_a_notebook(cluster):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    cell = nbformat.v4.new_code_cell(NOTEBOOK.format(url=cluster.url("flyingpigeon")))
    notebook = nbformat.v4.new_notebook(cells=[cell])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [output.data["text/plain"] for output in cell.outputs if "data" in output]
    assert "Processing" in shown[0]
    assert shown[1].startswith("AppLayout")
    assert "Form sleep" in "".join(output.get("text", "") for output in cell.outputs)
    assert len(nodes_of(cluster, "in-a-notebook")) == 1


# ---- what users of birdy know ----


def test_it_is_a_birdy_client_with_birdys_methods(cluster, wf):
    theirs = birdy.WPSClient(cluster.url("flyingpigeon"))
    ours = wf.birdy(cluster.url("flyingpigeon"))
    assert isinstance(ours, birdy.WPSClient)
    assert ours.__doc__ == theirs.__doc__
    for name in ("subset_bbox", "echo", "sleep", "multiple_outputs"):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert inspect.signature(one) == inspect.signature(other)
        assert one.__doc__ == other.__doc__
        assert one.__name__ == other.__name__
        assert one.__self__ is ours


def test_arguments_and_defaults_are_birdys(cluster, wf):
    wps = wf.birdy(cluster.url("flyingpigeon"))
    assert wps.sleep(0.01).get().sleep_output.startswith("slept")
    assert wps.echo(text=["a", "b"]).get().text == "a b"
    with pytest.raises(TypeError, match=r"echo\(\) missing 1 required positional argument: 'text'"):
        wps.echo()
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'") as caught:
        wps.echo(text="a", other="b")
    assert caught.value.__context__ is None  # one short traceback
    assert repr(wps) == f"<WPSClient {cluster.url('flyingpigeon')}>"


def test_only_the_processes_asked_for(cluster, wf):
    wps = wf.birdy(cluster.url("flyingpigeon"), processes=["echo", "sleep"])
    assert wps.echo(text="x").get().text == "x"
    assert not hasattr(wps, "subset_bbox")
    with pytest.raises(ValueError, match="not found on the WPS server: nothing"):
        wf.birdy(cluster.url("flyingpigeon"), processes="nothing")


def test_a_local_file_is_embedded(cluster, wf, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("four words in all")
    wps = wf.birdy(cluster.url("flyingpigeon"))
    assert wps.wordcounter(text=str(path)).get().output == 4
    assert wps.wordcounter(text=path).get().output == 4


def test_a_failing_process_is_birdys_own_error(cluster, wf):
    wps = wf.birdy(cluster.url("flyingpigeon"))
    with pytest.raises(ProcessFailed, match=r"'fail' failed.*: .*no such luck") as caught:
        wps.fail(message="no such luck").get()
    assert caught.value.__suppress_context__  # one traceback


@pytest.mark.usefixtures("no_waiting")
def test_a_result_that_has_not_ended_is_asked_about(service, client):
    running = service.xml(wpsdocs.response(wpsdocs.ACCEPTED, location=service.status_url))
    states = iter(
        [running, service.xml(wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.embedded("x")))]
    )
    service.status = lambda seen: next(states, Answer(404))
    result = client.step()
    with pytest.raises(ProcessIsNotComplete):
        result.get()
    assert result.get().output.value == "x"
    assert result.get().output.value == "x"
    lost = client.step()
    with pytest.raises(StatusLost):
        lost.get()


def test_documents_given_are_not_asked_for(service, wf):
    wps = wf.birdy(
        service.url(),
        caps_xml=wpsdocs.capabilities("step"),
        desc_xml=wpsdocs.description("step", wpsdocs.literal("delay", "float")),
    )
    with pytest.raises(InvalidRequest, match="'delay' is 'long'"):
        wps.step(delay="long")
    assert [seen for seen in service.seen if "request=" in seen.path] == []


def test_a_service_that_describes_one_process_at_a_time(service, wf):
    one = service.answer

    def answer(seen):
        if "identifier=all" in seen.path:
            return service.xml(wpsdocs.report("one at a time", "InvalidParameterValue"), 400)
        return one(seen)

    service.answer = answer
    wps = wf.birdy(service.url())
    assert callable(wps.step)
    assert callable(wps.subset_bbox)


def test_access_forbidden_is_birdys_own_error(service, wf):
    service.capabilities = service.xml(wpsdocs.report("go away", "AccessForbidden"), 403)
    with pytest.raises(UnauthorizedException, match="go away"):
        wf.birdy(service.url())


def test_the_error_for_a_url_that_is_not_a_service_says_so(service, wf):
    service.capabilities = Answer(200, b"<html><title>Welcome</title></html>")
    with pytest.raises(NotAService):
        wf.birdy(service.url())
    with pytest.raises(ServiceUnreachable), Workflow(deadline=0.2) as other:
        other.birdy("http://127.0.0.1:9/wps")


def test_the_language_is_the_services(service, wf):
    wps = wf.birdy(service.url(), language="fr-CA")
    assert wps.language == "fr-CA"
    assert wps.languages.supported == ["en-US", "fr-CA"]
    wps.language = "en-US"
    gives(service, wpsdocs.embedded("hello"))
    wps.step()
    assert b'language="en-US"' in service.asked("Execute")[0].body


# ---- nothing is shared, nothing is left ----


def test_nothing_reaches_other_birdy_clients(cluster):
    before = all_subclasses(BaseConverter)
    theirs = birdy.WPSClient(cluster.url("flyingpigeon"))
    with Workflow() as one, Workflow() as other:
        for wf in (one, other, one):
            wf.birdy(cluster.url("flyingpigeon")).multiple_outputs(count=1).get(asobj=True)
        mark = len(cluster.proxy_requests())
        theirs.echo(text="x").get()
        keys = [r.machineid for r in cluster.proxy_requests()[mark:]]
        assert None in keys
        assert not any(wf.machineid in (key or "") for wf in (one, other) for key in keys)
        assert nodes_of(cluster, one.machineid).isdisjoint({None})
    assert all_subclasses(BaseConverter) == before


def test_the_users_headers_stay_as_they_were(service, wf):
    headers = {"X-Own": "1"}
    wps = wf.birdy(service.url(), headers=headers, auth=("me", "secret"))
    assert headers == {"X-Own": "1"}
    asked = [seen for seen in service.seen if "request=" in seen.path]
    assert {seen.all("X-Own")[0] for seen in asked} == {"1"}
    assert all(seen.all("Authorization") for seen in asked)
    assert "secret" not in repr(wps)


def test_a_machineid_among_the_headers_is_the_workflows_or_refused(service):
    with Workflow() as wf:
        wf.birdy(service.url(), headers={"machineid": "mine"})
        assert wf.machineid == "mine"
        with pytest.raises(MachineIdConflict):
            wf.birdy(service.url(), headers={"machineid": "another"})


def test_temporary_files_end_with_the_workflow(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Workflow() as wf:
        wps = wf.birdy(cluster.url("flyingpigeon"))
        results = [wps.multiple_outputs(count=2), wps.echo(text="x")]
        results[0].get(asobj=True)
        assert len([p for p in tmp_path.iterdir() if p.is_dir()]) >= 2
    assert list(tmp_path.iterdir()) == []


def test_temporary_files_end_with_a_workflow_that_is_never_closed(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    wf = Workflow()
    wf.birdy(cluster.url("flyingpigeon")).echo(text="x")
    assert list(tmp_path.iterdir()) != []
    del wf
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_status_message_that_is_a_path_is_not_taken_for_a_temporary_one(service, tmp_path):
    """Only what birdy makes itself is removed."""
    keep = tmp_path / "keep"
    keep.mkdir()
    service.execute = lambda seen: service.xml(
        wpsdocs.response(f"<wps:ProcessSucceeded>{keep}</wps:ProcessSucceeded>")
    )
    with Workflow() as wf:
        result = wf.birdy(service.url()).step()
        assert result.statusMessage == str(keep)
    assert keep.is_dir()


class OtherBirdy:
    """What `attach` of another version of birdy might leave on a result."""

    def __init__(self, directory):
        self.directory = directory

    def attach(self, execution):
        execution._path = execution.somewhere = str(self.directory)


@pytest.mark.parametrize("files", [["precious"], []])
def test_a_directory_that_is_not_ours_is_never_removed(service, tmp_path, monkeypatch, files):
    keep = tmp_path / "keep"
    keep.mkdir()
    for name in files:
        (keep / name).touch()
    from birdy.client.outputs import WPSResult

    monkeypatch.setattr(
        WPSResult, "attach", lambda self, *args, **options: OtherBirdy(keep).attach(self)
    )
    gives(service)
    with Workflow() as wf:
        result = wf.birdy(service.url()).step()
        assert result.somewhere == str(keep)
        ours = Path(result._path)
        (ours / "file").touch()
        assert ours != keep
    assert [found.name for found in keep.iterdir()] == files
    assert not ours.exists()


# ---- results as inputs ----


def test_a_result_is_the_input_of_another_process(cluster):
    with Workflow(topology=cluster.topology) as wf:
        malleefowl, flyingpigeon = (
            wf.birdy(cluster.url(name)) for name in ("malleefowl", "flyingpigeon")
        )
        made = malleefowl.produce(megabytes=0.01, seed=3)
        expected = flyingpigeon.wordcounter(text=made).get().output
        assert expected > 0
        assert flyingpigeon.wordcounter(text=made.output("output")).get().output == expected
        node = cluster.node_url(wf.node, "malleefowl")[:-4]
        for url in (made, made.get(), made.get().output, made.output("output")):
            assert flyingpigeon.echo(text=url).get().text.startswith(f"{node}/outputs/")
        [fetched] = [r for r in cluster.requests(wf.node) if r.operation == "output"][-1:]
        assert fetched.machineid is None  # the service itself, at the node's own URL


def test_behind_a_plain_proxy_a_result_is_not_passed_on_as_a_url(cluster):
    with Workflow(embed_limit=0) as wf:
        malleefowl = wf.birdy(cluster.url("malleefowl"))
        flyingpigeon = wf.birdy(cluster.url("flyingpigeon"))
        made = malleefowl.produce(megabytes=0.01)
        before = len(cluster.executions())
        for value in (made, made.get(), made.get().output, [made.get().output]):
            for wps, process in ((flyingpigeon, "wordcounter"), (malleefowl, "echo")):
                with pytest.raises(ReferenceRefused, match=r"is http.*Nothing was executed"):
                    getattr(wps, process)(text=value)
        assert len(cluster.executions()) == before


def test_results_in_a_list_are_each_passed_on(cluster):
    with Workflow(topology=cluster.topology) as wf:
        wps = wf.birdy(cluster.url("flyingpigeon"))
        first = wps.produce(megabytes=0.01)
        values = [first, "plain", first.output("output")]
        texts = wps.echo(text=values).get().text.split()
        assert wps.echo(text=tuple(values)).get().text.split() == texts
        node = cluster.node_url(wf.node, "flyingpigeon")[:-4]
        assert texts[0] == texts[2]
        assert texts[0].startswith(f"{node}/outputs/")
        assert texts[1] == "plain"


def test_a_result_of_several_outputs_is_refused(cluster, wf):
    wps = wf.birdy(cluster.url("flyingpigeon"))
    result = wps.echo(text="x")
    for value in (result, result.get()):
        with pytest.raises(InvalidRequest, match="2 outputs"):
            wps.echo(text=value)


# ---- answers that are not results ----

FILES = {
    "text/plain": "x.txt",
    "application/json": "x.json",
    "application/geo+json": "x.geojson",
    "application/x-netcdf": "x.nc",
    "application/x-ogc-dods": "x",
    "application/zip": "x.zip",
    "application/metalink+xml; version=4.0": "x.meta4",
    "application/metalink4+xml": "x.meta4",
    "image/png": "x.png",
    "image/tiff; subtype=geotiff": "x.tif",
    "application/x-unheard-of": "x.foo",
}


@pytest.mark.parametrize("mimetype", FILES)
@pytest.mark.parametrize("status", [202, 204, 404, 429, 500])
def test_an_error_instead_of_a_result_is_not_a_result(service, mimetype, status):
    page = b"" if status == 204 else b"<html>slow down</html>"
    service.files = lambda seen: Answer(status, page, {"Content-Type": mimetype})
    gives(service, wpsdocs.reference(service.url(f"/o/{FILES[mimetype]}"), mimetype=mimetype))
    with Workflow(deadline=0.2) as hasty:
        result = hasty.birdy(service.url()).step()
        with pytest.raises(OutputUnavailable, match=f"HTTP {status}"):
            result.get(asobj=True)


@pytest.mark.parametrize("status", [404, 429, 503])
@pytest.mark.parametrize("how", ["metalink", "archive"])
def test_an_error_instead_of_a_linked_file_is_not_a_result(service, tmp_path, status, how):
    link = (
        '<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="x.txt">'
        f"<url>{service.url('/o/x.txt')}</url></file></metalink>"
    ).encode()
    served = {"/o/x.meta4": link}
    if how == "archive":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
            made.writestr("x.meta4", link)
        served["/o/x.zip"] = (tmp_path / "a.zip").read_bytes()
    name, kind = {
        "metalink": ("x.meta4", "metalink+xml; version=4.0"),
        "archive": ("x.zip", "zip"),
    }[how]
    service.files = lambda seen: (
        Answer(200, served[seen.path]) if seen.path in served else Answer(status, b"slow down")
    )
    gives(service, wpsdocs.reference(service.url(f"/o/{name}"), mimetype=f"application/{kind}"))
    with Workflow(deadline=0.2) as hasty:
        result = hasty.birdy(service.url()).step()
        with pytest.raises((OutputUnavailable, BackendUnavailable), match=str(status)):
            result.get(asobj=True)


def test_an_output_without_a_place_is_named(service, client):
    """The others can be had by name."""
    outputs = wpsdocs.reference("", "log") + wpsdocs.embedded("hello", "text")
    gives(service, outputs)
    result = client.step()
    with pytest.raises(OutputUnavailable, match=r"'log'.*names no place"):
        result.get(asobj=True)
    assert result.get().text.value == "hello"
    assert result.output("text").text() == "hello"


# ---- converters ----


def test_a_converter_of_the_users_own_is_asked_for_its_file(cluster, wf):
    class Shouting:
        mimetypes = ("text/plain", "application/metalink+xml; version=4.0")
        extensions = ("txt",)
        priority = 5
        nested = False

        def __init__(self, output=None, path=None, verify=True):
            self.output, self.path = output, path

        def convert(self):
            self.output.writeToDisk(path=self.path)
            return Path(self.output.filePath).read_text().upper()

    wps = wf.birdy(cluster.url("flyingpigeon"), converters=[Shouting])
    assert "<METALINK" in wps.multiple_outputs(count=1).get(asobj=True).output


def test_an_archive_is_unpacked_and_its_files_converted(service, client, tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("one.txt", "first")
        made.writestr("sub/", "")
        made.writestr("sub/two.json", "[1, 2]")
    service.files = lambda seen: Answer(200, archive.read_bytes())
    gives(service, wpsdocs.reference(service.url("/outputs/a.zip"), mimetype="application/zip"))
    assert client.step().get(asobj=True).output == ["first", [1, 2]]


@pytest.mark.parametrize("name", ["../../secret.txt", "/etc/hostname"])
def test_an_archive_reads_nothing_outside_of_itself(service, client, tmp_path, name):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr(name, "x")
    service.files = lambda seen: Answer(200, archive.read_bytes())
    gives(service, wpsdocs.reference(service.url("/outputs/a.zip"), mimetype="application/zip"))
    with pytest.raises(OutputUnavailable, match="outside of the directory"):
        client.step().get(asobj=True)


def test_a_metalink_in_an_archive_is_fetched_by_the_workflow(service, wf, tmp_path):
    link = f"""<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="x.txt">
      <metaurl>{service.url("/outputs/x.txt")}</metaurl>
      <url>{service.url("/outputs/x.txt")}</url></file></metalink>"""
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("links.meta4", link)
    service.files = lambda seen: Answer(
        200, archive.read_bytes() if "a.zip" in seen.path else b"linked"
    )
    gives(service, wpsdocs.reference(service.url("/outputs/a.zip"), mimetype="application/zip"))
    assert wf.birdy(service.url()).step().get(asobj=True).output == [["linked"]]
    [asked] = service.asked("/outputs/x.txt")
    assert asked.all("machineid") == [wf.machineid]


def test_a_picture_is_fetched_by_the_workflow(service, client, wf):
    pytest.importorskip("IPython")
    pixel = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360000000000200015e0d0a2db4"
    )
    service.files = lambda seen: Answer(200, pixel)
    gives(service, wpsdocs.reference(service.url("/o/x.png"), mimetype="image/png"))
    assert client.step().get(asobj=True).output.data == pixel
    [asked] = service.asked("/o/x.png")
    assert asked.all("machineid") == [wf.machineid]


# ---- without birdy ----


def test_without_birdy_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **options):
        if name == "birdy" or name.startswith("birdy."):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.delitem(sys.modules, "pavics_affinity.clients.birdy.client", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    with (
        Workflow() as wf,
        pytest.raises(MissingExtra, match=r"pip install 'pavics-affinity\[birdy\]'"),
    ):
        wf.birdy("http://127.0.0.1:9/wps")


def test_birdy_is_loaded_only_when_it_is_used():
    import subprocess

    script = "import sys, pavics_affinity; sys.exit('birdy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0

"""Chains through real PyWPS nodes: every way to an output leads to the node that wrote it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import netCDF4
import pytest
from owslib.wps import ComplexDataInput, monitorExecution

from pavics_affinity import Workflow
from pavics_affinity.clients.wps.service import ASYNC, SYNC
from pavics_affinity.discovery import WELL_KNOWN
from pavics_affinity.errors import (
    BackendUnavailable,
    ExecutionFailed,
    NotAService,
    ServiceUnreachable,
    StatusLost,
    UnknownInput,
    UnknownProcess,
)
from pavics_affinity.testing import produced_sha256

BOX = [("lon0", -80), ("lon1", -60), ("lat0", 30), ("lat1", 50)]


def chain(cluster, wf, mode=ASYNC):
    """Download and subset; return the execution of the second step."""
    malleefowl, flyingpigeon = (wf.wps(cluster.url(s)) for s in ("malleefowl", "flyingpigeon"))
    download = malleefowl.execute("download", [("resource", cluster.sample_url)], mode=mode).wait()
    [path] = download.output("output").json()
    return flyingpigeon.execute("subset_bbox", [("resource", path), *BOX], mode=mode).wait()


def is_the_box(path):
    with netCDF4.Dataset(path) as dataset:
        return len(dataset.dimensions["longitude"]) < 30


def runs_after(cluster, identifier, before):
    end = time.monotonic() + 30
    while not (runs := cluster.executions(identifier=identifier)[before:]):
        assert time.monotonic() < end, "it was not started"
        time.sleep(0.05)
    return runs


def by_get_output(execution, directory):
    execution.getOutput(str(directory / "x.nc"), "output")
    return directory / "x.nc"


def by_retrieve_data(execution, directory):
    (directory / "x.nc").write_bytes(execution.output("output").retrieveData())
    return directory / "x.nc"


def by_write_to_disk(execution, directory):
    output = execution.output("output")
    output.writeToDisk(str(directory))
    return output.filePath


def by_download(execution, directory):
    return execution.output("output").download(directory)


def by_monitor_execution(execution, directory):
    monitorExecution(execution, download=True, filepath=str(directory / "x.nc"))
    return directory / "x.nc"


WAYS = (by_get_output, by_retrieve_data, by_write_to_disk, by_download, by_monitor_execution)


@pytest.mark.parametrize("mode", [SYNC, ASYNC])
def test_every_chain_through_nginx_succeeds_with_every_way_to_fetch_its_output(
    cluster, tmp_path, mode
):
    nodes = set()
    for number, fetch in enumerate(WAYS * 2):
        directory = tmp_path / str(number)
        directory.mkdir()
        with Workflow() as wf:
            assert is_the_box(fetch(chain(cluster, wf, mode), directory))
            seen = cluster.requests(machineid=wf.machineid)
            assert len({request.node for request in seen}) == 1
            assert {request.operation for request in seen} >= {"Execute", "output"}
            nodes |= {request.node for request in seen}
    assert len(nodes) > 1


def test_not_one_request_of_a_chain_is_without_its_machineid(whole_cluster, tmp_path):
    cluster = whole_cluster
    before = len(cluster.requests())
    with Workflow() as wf:
        by_download(chain(cluster, wf), tmp_path)
        seen = [r for r in cluster.requests()[before:] if r.path != WELL_KNOWN]
        assert len(seen) == len(wf.record)
        assert {tuple(r.values("machineid")) for r in seen} == {(wf.machineid,)}


def test_an_output_opens_as_a_dataset(cluster):
    with Workflow() as wf:
        execution = chain(cluster, wf)
    # a closed workflow fetches nothing more, so open before its end
    with Workflow(wf.machineid) as again:
        attached = again.wps(cluster.url("flyingpigeon")).attach(execution.statusLocation)
        with attached.output("output").open_dataset() as dataset:
            assert float(dataset.longitude.max()) <= 300


def test_a_metalink_of_pywps_is_a_list_of_outputs(cluster, tmp_path):
    with Workflow() as wf:
        wps = wf.wps(cluster.url("flyingpigeon"))
        execution = wps.execute("multiple_outputs", [("count", 3)]).wait()
        metalinks = [o for o in execution.processOutputs if "metalink" in (o.mimeType or "")]
        assert metalinks
        for number, listing in enumerate(metalinks):
            directory = tmp_path / str(number)
            directory.mkdir()
            fetched = [file.download(directory).path for file in listing.files()]
            assert len(set(fetched)) == 3
            assert all(path.stat().st_size for path in fetched)


def test_a_large_output_comes_whole(cluster, tmp_path):
    import hashlib

    with Workflow() as wf:
        execution = wf.wps(cluster.url("flyingpigeon")).execute("produce", {"megabytes": 12})
        done = execution.wait().output("output").download(tmp_path / "large")
    assert hashlib.sha256(done.path.read_bytes()).hexdigest() == produced_sha256(12)


def test_a_process_that_fails_is_raised_in_its_own_words(cluster):
    with Workflow() as wf:
        wps = wf.wps(cluster.url("flyingpigeon"))
        missing = [("resource", "file:///not/there.nc"), *BOX]
        for mode in (SYNC, ASYNC):
            with pytest.raises(ExecutionFailed, match="file not in the cache") as failed:
                wps.execute("subset_bbox", missing, mode=mode).wait()
            assert failed.value.code == "NoApplicableCode"
            assert "another one" in str(failed.value)


def test_what_does_not_fit_is_never_executed(cluster):
    with Workflow() as wf:
        wps = wf.wps(cluster.url("flyingpigeon"))
        with pytest.raises(UnknownInput, match="did you mean 'delay'"):
            wps.execute("sleep", [("delya", 2)])  # PyWPS itself runs with the default
        with pytest.raises(UnknownProcess, match="did you mean 'sleep'"):
            wps.execute("sleap", [])
        assert "Execute" not in {r.operation for r in cluster.requests(machineid=wf.machineid)}


def test_a_url_of_the_proxy_that_is_not_a_wps_is_named(cluster):
    with Workflow() as wf, pytest.raises(NotAService):
        wf.wps(cluster.data_url + "/E1_north_america.nc")


def test_a_short_job_is_polled_seldom_and_its_end_seen_soon(cluster):
    with Workflow() as wf:
        execution = wf.wps(cluster.url("flyingpigeon")).execute("sleep", [("delay", 3)])
        assert execution.status == "ProcessAccepted"  # without output=, too
        used = time.thread_time()
        execution.wait()
        assert time.thread_time() - used < 0.3
        [run] = [r for r in cluster.executions(identifier="sleep") if r.inputs["delay"] == [3.0]]
        polls = [r for r in wf.record if r.operation == "status"]
        assert 5 <= len(polls) <= 16
        assert polls[-1].started - run.ended < 2


def test_a_status_document_that_pywps_is_rewriting_does_not_end_the_wait(cluster):
    """Eight clients ask about jobs of theirs as fast as the client lets them."""
    errors = []

    def ask():
        try:
            with Workflow() as wf:
                wps = wf.wps(cluster.url("flyingpigeon"))
                for _ in range(3):
                    execution = wps.execute("sleep", [("delay", 0.5)])
                    while not execution.isComplete():
                        execution.checkStatus(sleepSecs=0)
                    execution.wait()
        except Exception as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_local_file_is_embedded_as_owslib_does(cluster, tmp_path):
    with Workflow() as wf:
        words = ComplexDataInput("to be or not to be")
        execution = wf.wps(cluster.url("flyingpigeon")).execute("wordcounter", [("text", words)])
        assert execution.wait().processOutputs[0].text() == "6"


@pytest.mark.filterwarnings("ignore:the proxy at")  # there is none, by design
@pytest.mark.parametrize("site", ["whole_cluster", "cluster_no_proxy"])
def test_a_node_killed_under_a_job_ends_the_wait_with_an_error(request, site):
    cluster = request.getfixturevalue(site)
    before = len(cluster.executions(identifier="sleep"))
    with Workflow(topology=cluster.topology) as wf:
        execution = wf.wps(cluster.url("flyingpigeon")).execute("sleep", [("delay", 60)])
        [run] = runs_after(cluster, "sleep", before)
        cluster.kill(run.node)
        asked = len(wf.record.rows())
        with pytest.raises((BackendUnavailable, StatusLost, ServiceUnreachable)) as lost:
            execution.wait()
        # Not the hundreds that a loop without pauses makes of it.
        assert sum(row["attempts"] for row in wf.record.rows()[asked:]) < 100
        assert lost.value.machineid == wf.machineid
        assert len(cluster.executions(identifier="sleep")) == before + 1


def test_clients_leave_no_file_behind(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Workflow() as wf:
        chain(cluster, wf).output("output").read_bytes()
    assert list(Path.cwd().iterdir()) == []

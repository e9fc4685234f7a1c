"""Faults in the middle of a chain, on real nodes: an error that says so, never a hang."""

from __future__ import annotations

import threading

import pytest

from pavics_affinity import Workflow
from pavics_affinity.discovery import WELL_KNOWN
from pavics_affinity.errors import (
    AffinityError,
    AffinityWarning,
    BackendUnavailable,
    ExecuteOutcomeUnknown,
    ServiceUnreachable,
)

BOX = [("lon0", "-100"), ("lon1", "-80"), ("lat0", "35"), ("lat1", "50")]


def download(workflow: Workflow, cluster) -> str:
    malleefowl = workflow.wps(cluster.url("malleefowl"))
    execution = malleefowl.execute("download", [("resource", cluster.sample_url)]).wait()
    [path] = execution.output("output").json()
    return path


def test_a_node_that_dies_after_the_download_is_named(cluster_no_proxy):
    cluster = cluster_no_proxy
    before = cluster.executions(identifier="subset_bbox")
    with Workflow(topology=cluster.topology, route="direct", deadline=1) as wf:
        flyingpigeon = wf.wps(cluster.url("flyingpigeon"))
        path = download(wf, cluster)
        cluster.kill(wf.node)
        with pytest.raises(BackendUnavailable, match=f"node '{wf.node}'") as caught:
            flyingpigeon.execute("subset_bbox", [("resource", path), *BOX]).wait()
        assert caught.value.machineid == wf.machineid
    assert cluster.executions(identifier="subset_bbox") == before


def test_behind_a_plain_proxy_the_error_says_that_the_files_were_not_there(whole_cluster):
    cluster = whole_cluster
    with Workflow(deadline=1) as wf:
        flyingpigeon = wf.wps(cluster.url("flyingpigeon"))
        path = download(wf, cluster)
        cluster.kill(cluster.executions(identifier="download")[-1].node)
        asked = len(wf.record.rows())
        with pytest.raises(AffinityError, match="file not in the cache") as caught:
            flyingpigeon.execute("subset_bbox", [("resource", path), *BOX]).wait()
        assert sum(row["attempts"] for row in wf.record.rows()[asked:]) < 100
    told = str(caught.value) + "".join(getattr(caught.value, "__notes__", []))
    assert "only on the node that ran the step" in told


def test_a_job_whose_proxy_dies_is_not_said_never_to_have_run(whole_cluster):
    cluster = whole_cluster
    with Workflow(deadline=0.5) as wf:
        job = wf.wps(cluster.url("flyingpigeon")).execute("sleep", [("delay", "30")])
        cluster.stop_proxy()
        with pytest.raises(ServiceUnreachable, match="ask again when it is back") as caught:
            job.wait(timeout=10)
    assert "Nothing was executed" not in str(caught.value)


def test_an_execute_whose_proxy_dies_is_not_sent_again(whole_cluster):
    cluster = whole_cluster
    before = len(cluster.executions(identifier="sleep"))
    with Workflow(deadline=1) as wf:
        wps = wf.wps(cluster.url("flyingpigeon"))
        wps.describeprocess("sleep")
        killer = threading.Timer(1.0, cluster.stop_proxy)
        killer.start()
        with pytest.raises(ExecuteOutcomeUnknown, match="may have run, or not"):
            wps.execute("sleep", [("delay", "4")], mode="sync")
        killer.join()
    assert len(cluster.executions(identifier="sleep")) == before + 1


def test_a_proxy_that_dies_leaves_a_running_chain_on_its_node(whole_cluster):
    cluster = whole_cluster
    before = len(cluster.executions())
    with Workflow(topology=cluster.topology) as wf:
        flyingpigeon = wf.wps(cluster.url("flyingpigeon"))
        path = download(wf, cluster)
        cluster.stop_proxy()
        with pytest.warns(UserWarning, match="does not answer"):
            subset = flyingpigeon.execute("subset_bbox", [("resource", path), *BOX]).wait()
        assert subset.output("output").data is not None or subset.output("output").reference
        assert {run.node for run in cluster.executions()[before:]} == {wf.node}


def test_a_node_that_restarts_within_the_deadline_continues(cluster_no_proxy):
    cluster = cluster_no_proxy
    with Workflow(topology=cluster.topology, route="direct", deadline=60) as wf:
        flyingpigeon = wf.wps(cluster.url("flyingpigeon"))
        path = download(wf, cluster)
        cluster.kill(wf.node)
        starter = threading.Timer(0.5, cluster.start, (wf.node,))
        starter.start()
        flyingpigeon.execute("subset_bbox", [("resource", path), *BOX]).wait()
        starter.join()


def test_the_machineid_is_seen_by_no_other_host(whole_cluster):
    cluster = whole_cluster
    before, fetched = len(cluster.requests()), len(cluster.data_requests())
    with Workflow() as wf:
        download(wf, cluster)
        with pytest.warns(AffinityWarning, match="without the machineid"):
            wf.session.get(cluster.sample_url)
    by_data_server = cluster.data_requests()[fetched:]
    assert by_data_server
    assert all(seen.values("machineid") == [] for seen in by_data_server)
    for seen in cluster.requests()[before:]:
        # What every client may ask of any proxy says nothing of the workflow.
        asks_for_topology = seen.path == WELL_KNOWN
        assert seen.values("machineid") == ([] if asks_for_topology else [wf.machineid])

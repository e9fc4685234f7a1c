"""The same chain function over threads, processes and a Dask cluster."""

from __future__ import annotations

import multiprocessing
import traceback
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import distributed
import pytest

from pavics_affinity import map_workflows
from pavics_affinity.errors import ChainFailed, InvalidRequest
from support import chains

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="module")
def dask():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address=":0"
        ) as workers,
        distributed.Client(workers) as client,
    ):
        yield client.get_executor()


@pytest.fixture
def processes():
    with ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        yield pool


def test_threads_processes_and_dask_give_the_same(cluster, dask, processes):
    urls = {name: cluster.url(name) for name in cluster.services}
    chain = partial(chains.echo_twice, urls=urls)
    with ThreadPoolExecutor(4) as threads:
        runs = {
            name: list(
                map_workflows(
                    chain, range(12), topology=cluster.topology, order="input", executor=executor
                )
            )
            for name, executor in {
                "own": None,
                "threads": threads,
                "processes": processes,
                "dask": dask,
            }.items()
        }
    here = {result.value["process"] for result in runs["own"] + runs["threads"]}
    assert len(here) == 1
    for results in runs.values():
        assert [result.item for result in results] == list(range(12))
        assert [result.value["item"] for result in results] == list(range(12))
        assert all(result.value["nodes"] == [result.node] * 2 for result in results)
        assert {result.node for result in results} == set(cluster.nodes)
    for name in ("processes", "dask"):
        there = {result.value["process"] for result in runs[name]}
        assert len(there) == 2
        assert not there & here


def test_dask_does_not_run_a_chain_twice_if_its_worker_dies(cluster, tmp_path):
    chain = partial(
        chains.execute_and_die, url=cluster.url("malleefowl"), log=str(tmp_path / "runs")
    )
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as workers,
        distributed.Client(workers) as client,
    ):
        [result] = map_workflows(
            chain,
            ["one"],
            topology=cluster.topology,
            executor=client.get_executor(),
            on_error="return",
        )
    assert isinstance(result.error, ChainFailed)
    assert "worker that ran this chain died" in str(result.error)
    assert (tmp_path / "runs").read_text() == "one\n"


def test_the_topology_that_a_proxy_publishes_reaches_other_processes(strict_cluster, processes):
    urls = {name: strict_cluster.url(name) for name in strict_cluster.services}
    results = map_workflows(
        partial(chains.echo_twice, urls=urls), range(12), topology=[], executor=processes
    )
    assert all(result.value["nodes"] == [result.node] * 2 for result in results)
    assert set(results.weights) == set(strict_cluster.nodes)


def test_a_chain_that_cannot_travel_is_refused_before_anything_is_sent(processes):
    def inner(wf, item):
        return item

    for chain in (inner, lambda wf, item: item):
        with pytest.raises(InvalidRequest, match="at the top of a module"):
            map_workflows(chain, [1], executor=processes, topology=[])


def test_a_value_that_cannot_travel_back_fails_its_own_item_only(processes, cluster):
    results = {
        result.item: result
        for result in map_workflows(
            chains.misbehave,
            ["good", "stubborn", "lock", "fail", "also good"],
            topology=cluster.topology,
            executor=processes,
            on_error="return",
        )
    }
    assert [results[item].value for item in ("good", "also good")] == ["good", "also good"]
    for item, said in (("stubborn", "Stubborn: can not"), ("lock", "lock")):
        error = results[item].error
        assert isinstance(error, ChainFailed)
        assert said in str(error)
        assert "pickle can hold" in str(error)
    # An error that does travel brings the lines in which it was raised.
    failed = results["fail"].error
    assert isinstance(failed, ValueError)
    assert "raise ValueError" in "".join(traceback.format_exception(failed))


def test_a_worker_that_dies_ends_the_batch_and_the_error_says_why(cluster):
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        results = map_workflows(
            chains.misbehave,
            ["die", *"abcdefgh"],
            topology=cluster.topology,
            executor=pool,
            per_node=1,
            on_error="return",
        )
        errors = []
        with pytest.raises(BrokenProcessPool) as caught:
            errors.extend(result.error for result in results)
    begun = len(results.chains)
    assert 1 <= begun < 9
    assert "Define that in a module" in "".join(caught.value.__notes__)
    assert {chain.state for chain in results.chains} == {"failed"}


def test_the_errors_of_a_pool_name_each_its_own_item(cluster):
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        results = map_workflows(
            chains.misbehave,
            ["die", "good"],
            topology=cluster.topology,
            executor=pool,
            on_error="return",
        )
        for result in results:
            assert isinstance(result.error, BrokenProcessPool)
            [why, where] = result.error.__notes__
            assert "ended abruptly" in why
            assert repr(result.item) in where

"""Many workflows over real nodes."""

from __future__ import annotations

from collections import Counter

import pytest

from pavics_affinity import map_workflows
from pavics_affinity.errors import InvalidRequest, NothingSentWarning, UnevenLoadWarning


@pytest.fixture
def echo(cluster):
    """A chain of two steps on two services, which gives the nodes that ran them."""

    def chain(wf, item):
        nodes = []
        for service in ("malleefowl", "flyingpigeon"):
            wps = wf.wps(cluster.url(service), skip_caps=True)
            execution = wps.execute("echo", [("text", str(item))], mode="sync")
            nodes.append(execution.output("node").data[0])
        return nodes

    return chain


def test_each_item_runs_on_one_node_and_the_nodes_share_them(cluster, echo):
    results = list(map_workflows(echo, range(24), topology=cluster.topology))
    assert sorted(result.item for result in results) == list(range(24))
    assert all(result.value == [result.node] * 2 for result in results)
    assert all(given >= 6 for given in Counter(result.node for result in results).values())
    assert len({result.machineid for result in results}) == 24
    ran = cluster.requests(machineid=results[0].machineid)
    assert {request.node for request in ran} == {results[0].node}


def test_an_executor_that_cannot_run_anything_is_refused_before_any_chain(echo):
    with pytest.raises(InvalidRequest, match="executor is 'dask': expected an executor, such as"):
        map_workflows(echo, "ab", executor="dask")


def test_results_come_in_the_order_of_the_items_if_that_is_asked_for(cluster, echo):
    results = map_workflows(echo, "abcdefghij", topology=cluster.topology, order="input")
    assert "".join(result.item for result in results) == "abcdefghij"


def test_without_a_topology_the_hash_decides_and_a_warning_says_so(cluster, echo):
    results = map_workflows(echo, range(6), topology=[])
    with pytest.warns(UnevenLoadWarning, match="at most 8 chains at a time"):
        values = [result.value for result in results]
    assert all(first == second for first, second in values)
    assert results.weights == {}


def test_it_says_what_was_begun(cluster, echo):
    results = map_workflows(echo, ["x"], topology=cluster.topology)
    assert results.chains == []
    [result] = results
    [chain] = results.chains
    assert (chain.number, chain.item, chain.state) == (1, "'x'", "succeeded")
    assert (chain.node, chain.machineid) == (result.node, result.machineid)
    assert chain.started < chain.ended
    assert results.rows() == [chain.row()]
    assert results.running == []
    assert repr(results) == "<WorkflowResults 1 of 1 given>"
    assert repr(result).startswith(f"<WorkflowResult 'x' -> ['{result.node}', '{result.node}']")


@pytest.mark.parametrize(
    "arguments",
    [
        {"order": "random"},
        {"on_error": "ignore"},
        {"per_node": 0},
        {"restart": -1},
        {"patience": 0},
        {"machineid": "a1b2"},
    ],
)
def test_invalid_arguments_raise_at_once(arguments):
    with pytest.raises(InvalidRequest, match=next(iter(arguments))):
        map_workflows(print, [1], **arguments)


def test_results_that_are_never_asked_for_warn():
    results = map_workflows(print, [1])
    with pytest.warns(NothingSentWarning, match="nothing was sent"):
        del results

"""Nodes that die under a batch, and come back."""

from __future__ import annotations

import threading
from collections import Counter
from functools import partial

import pytest

from pavics_affinity import map_workflows
from pavics_affinity.batch import recovery
from pavics_affinity.errors import BackendUnavailable, TransportError
from support import chains


@pytest.fixture
def site(strict_cluster):
    return strict_cluster


def two_steps(wf, item, *, urls, first_done=None):
    """Two executions at two services, 0.1 s each; the second needs the first one's node."""
    nodes = []
    for url in urls.values():
        wps = wf.wps(url, skip_caps=True)
        slept = wps.execute("sleep", [("delay", "0.1")], mode="sync")
        nodes.append(slept.output("sleep_output").data[0].rpartition(" ")[2])
        if first_done is not None:
            first_done(item, nodes)
    return nodes


def urls_of(cluster):
    return {name: cluster.url(name) for name in cluster.services}


def test_thirty_repeatable_chains_survive_a_killed_node(site):
    results = map_workflows(
        partial(two_steps, urls=urls_of(site)),
        range(30),
        topology=site.topology,
        restart=1,
        deadline=1,
        on_error="return",
    )
    ended = []
    for result in results:
        ended.append(result)
        if len(ended) == 9:
            site.kill("node2")
    assert sorted(result.item for result in ended) == list(range(30))
    assert [result.error for result in ended] == [None] * 30
    assert all(result.value == [result.node] * 2 for result in ended)
    lost = [chain for chain in results.chains if chain.state == "lost"]
    assert {chain.node for chain in lost} == {"node2"}
    assert max(result.attempts for result in ended) == 2
    after = {result.node for result in ended if result.attempts == 2}
    assert after <= {"node1", "node3"}


def test_a_chain_that_executed_something_fails_with_its_node_unless_it_may_repeat(site):
    killed, before = threading.Event(), len(site.requests())

    def kill_after_a_first_step(item, nodes):
        if nodes == ["node2"] and not killed.is_set():
            killed.set()
            site.kill("node2")

    results = list(
        map_workflows(
            partial(two_steps, urls=urls_of(site), first_done=kill_after_a_first_step),
            range(24),
            topology=site.topology,
            deadline=1,
            on_error="return",
        )
    )
    assert len(results) == 24
    failed = [result for result in results if result.error is not None]
    assert 1 <= len(failed) <= 4  # those that ran on the node at that moment
    for result in failed:
        assert isinstance(result.error, TransportError)
        assert result.node == "node2"
        [note] = result.error.__notes__
        assert f"item {result.number}, {result.item}, in workflow '{result.machineid}'" in note
        assert "on node 'node2'" in note
    # Nothing was executed twice, and nothing else was lost.
    executed = Counter(
        request.machineid
        for request in site.requests()[before:]
        if request.operation == "Execute" and request.service == "malleefowl"
    )
    assert set(executed.values()) == {1}


def test_a_lost_node_gets_nothing_until_it_answers_again(site, monkeypatch):
    monkeypatch.setattr(recovery, "LONGEST_PAUSE", 0.5)
    urls = urls_of(site)
    site.kill("node2")
    nodes = []
    chain = partial(chains.echo_twice, urls=urls)
    with map_workflows(chain, range(400), topology=site.topology, deadline=1) as results:
        for result in results:
            nodes.append(result.node)
            if len(nodes) == 40:
                assert set(nodes) == {"node1", "node3"}
                site.start("node2")
            if nodes[-1] == "node2":
                break
    assert nodes[-1] == "node2"


def test_a_batch_waits_for_a_site_without_a_node_that_answers(site):
    for node in site.nodes:
        site.kill(node)
    back = threading.Timer(3, lambda: [site.start(node) for node in site.nodes])
    back.start()
    results = list(
        map_workflows(
            partial(chains.echo_twice, urls=urls_of(site)),
            range(6),
            topology=site.topology,
            deadline=0.5,
        )
    )
    back.join()
    assert [result.error for result in results] == [None] * 6


def test_a_site_that_stays_away_is_given_up_in_the_end(site):
    for node in site.nodes:
        site.kill(node)
    results = map_workflows(
        partial(chains.echo_twice, urls=urls_of(site)),
        range(6),
        topology=site.topology,
        deadline=0.5,
        patience=1,
        on_error="return",
    )
    errors = []
    with pytest.raises(BackendUnavailable, match="no node takes any chain"):
        errors.extend(result.error for result in results)
    assert errors
    assert all(isinstance(error, BackendUnavailable) for error in errors)


def test_an_error_of_the_chain_itself_never_restarts_it(cluster):
    begun = []

    def chain(wf, item):
        begun.append(item)
        raise ValueError("a mistake")

    results = map_workflows(chain, "ab", topology=cluster.topology, restart=3, on_error="return")
    assert [type(result.error) for result in results] == [ValueError] * 2
    assert sorted(begun) == ["a", "b"]

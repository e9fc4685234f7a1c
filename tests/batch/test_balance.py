"""How the work spreads over the nodes, and how long it takes; for figures: benchmarks/makespan."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from itertools import pairwise

import pytest

from pavics_affinity import Backend, Node, Service, Topology, map_workflows
from pavics_affinity.errors import ServiceBusy, TopologyError, UnknownService
from support import chains, wpsdocs
from support.scriptedwps import ScriptedWPS

WEIGHTS = {"node1": 1, "node2": 2, "node3": 5}
SITE = Topology(
    nodes=[Node(name, f"127.0.0.1{n}", weight) for n, (name, weight) in enumerate(WEIGHTS.items())],
    services=[Service("fp", url="http://127.0.0.10:58093/wps", port=8093)],
)


def step(wf, item, *, url):
    return wf.wps(url).execute("step", [])


def where(wf, item):
    return wf.node


@pytest.mark.parametrize("per_node", [None, 5])
def test_weights_give_the_nodes_their_shares_of_light_chains(per_node):
    results = map_workflows(where, range(400), topology=SITE, per_node=per_node)
    landed = Counter(result.value for result in results)
    for node, weight in WEIGHTS.items():
        assert landed[node] / 400 == pytest.approx(weight / 8, abs=0.05)


def test_the_nodes_are_kept_busy_to_the_end(make_cluster):
    """A node that has room gets its next chain before the others have ended several."""
    cluster = make_cluster(proxy="nginx", workers=1, services=("malleefowl",))
    chain = partial(chains.nap, url=cluster.url("malleefowl"), delay=0.5)
    results = list(map_workflows(chain, range(18), topology=cluster.topology, per_node=1))
    assert min(Counter(result.node for result in results)[node] for node in cluster.nodes) >= 4
    for node in cluster.nodes:
        own = sorted((r for r in results if r.node == node), key=lambda r: r.started)
        for one, following in pairwise(own):
            assert one.ended <= following.started
            elsewhere = [r for r in results if r.node != node]
            meanwhile = sum(one.ended < r.ended < following.started for r in elsewhere)
            assert meanwhile <= len(cluster.nodes)


def test_no_node_runs_more_chains_at_a_time_than_it_may(cluster):
    chain = partial(chains.nap, url=cluster.url("malleefowl"), delay=0.1)
    results = list(map_workflows(chain, range(18), topology=cluster.topology, per_node=2))
    for node in cluster.nodes:
        times = [(r.started, 1) for r in results if r.node == node]
        times += [(r.ended, -1) for r in results if r.node == node]
        at_once = most = 0
        for _, change in sorted(times):
            at_once += change
            most = max(most, at_once)
        assert most == 2


def test_drained_nodes_get_none_also_when_they_are_drained_meanwhile(tmp_path):
    toml = tmp_path / "site.toml"
    drained = Topology(
        nodes=[Node("node1", "127.0.0.11"), Node("node2", "127.0.0.12", drain=True)],
        services=SITE.services,
    )
    open_ = Topology(nodes=[Node(n.name, n.host) for n in drained.nodes], services=SITE.services)
    open_.dump(toml)

    def chain(wf, item):
        time.sleep(0.01)
        return wf.node

    nodes = []
    for result in map_workflows(chain, range(60), topology=toml, per_node=1):
        nodes.append(result.value)
        if len(nodes) == 20:
            drained.dump(toml)
    assert set(nodes[:20]) == {"node1", "node2"}
    assert set(nodes[-20:]) == {"node1"}


def test_only_nodes_that_offer_what_the_chain_uses_get_chains():
    site = Topology(
        nodes=[Node("node1", "127.0.0.11"), Node("node2", "127.0.0.12")],
        services=[
            *SITE.services,
            Service(
                "mf", url="http://127.0.0.10:58091/wps", port=8091, backends=[Backend("node2")]
            ),
        ],
    )
    for services, nodes in (
        (None, {"node2"}),
        (["mf"], {"node2"}),
        (["fp"], {"node1", "node2"}),
    ):
        results = map_workflows(where, range(20), topology=site, services=services)
        assert {result.value for result in results} == nodes
    with pytest.raises(UnknownService, match="finch"):
        map_workflows(where, [1], topology=site, services=["finch"])


def test_a_site_that_takes_no_new_workflows_is_an_error_at_once():
    site = Topology(nodes=[Node("node1", "127.0.0.11", drain=True)], services=SITE.services)
    with pytest.raises(TopologyError, match="drained"):
        map_workflows(where, [1], topology=site)


def test_a_hash_that_cannot_be_predicted_decides_by_itself():
    site = Topology(nodes=[Node("node1"), Node("node2")], services=SITE.services)
    results = map_workflows(where, range(3), topology=site)
    with pytest.warns(UserWarning, match="is not known here.* at most 8 chains at a time"):
        list(results)


def test_a_busy_server_is_waited_out(make_cluster):
    cluster = make_cluster(
        proxy="nginx", services=("malleefowl",), parallelprocesses=1, maxprocesses=1
    )
    urls = {"one": cluster.url("malleefowl")}
    chain = partial(chains.job, urls=urls, delay=0.3)
    results = list(map_workflows(chain, range(15), topology=cluster.topology, per_node=5))
    assert all(result.value["nodes"] == [result.node] for result in results)
    refused = [step for step in cluster.requests() if step.operation == "Execute"]
    assert len(refused) > 15


@pytest.mark.usefixtures("no_waiting")
def test_a_chain_that_finds_no_place_within_the_patience_is_service_busy():
    with ScriptedWPS() as server:
        server.execute = lambda seen: server.xml(wpsdocs.report("later", code="ServerBusy"), 400)
        backends = (Backend("n1", address=f"127.0.0.1:{server.port}"),)
        service = Service("malleefowl", url="http://proxy.example/wps", backends=backends)
        site = Topology(nodes=[Node("n1")], services=[service])
        chain = partial(step, url="http://proxy.example/wps")
        options = {"route": "direct", "patience": 0.5, "on_error": "return"}
        results = list(map_workflows(chain, range(2), topology=site, **options))
    for result in results:
        assert isinstance(result.error, ServiceBusy)
        assert "Nothing was executed" in str(result.error)
    assert len(server.asked("Execute")) > 2

"""Steering, evidence and failover through a real nginx: chains end on the node they began on."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import owslib.wps
import pytest

from pavics_affinity import Topology, Workflow
from pavics_affinity.errors import (
    AffinityLost,
    AffinityWarning,
    BackendUnavailable,
    ExecuteOutcomeUnknown,
    TransportError,
)
from pavics_affinity.testing import Upstream

SERVICES = ("malleefowl", "flyingpigeon")


def echo(workflow: Workflow, cluster, service: str) -> str:
    """Execute at a service; return the node that says that it ran it."""
    wps = workflow.wps(cluster.url(service), skip_caps=True)
    return wps.execute("echo", [("text", "x")], mode="sync").output("node").data[0]


def by_bare_header(cluster, machineid: str) -> set[str]:
    """Name the nodes that a bare header reaches at the two services."""
    topology = cluster.topology
    return {topology.first_node(service, machineid) for service in SERVICES}


@pytest.mark.parametrize(
    "flyingpigeon",
    [
        Upstream(servers=("node2", "node3", "node1")),
        Upstream("hash $http_machineid consistent;"),
    ],
    ids=["another order of servers", "consistent on another port"],
)
def test_chains_keep_together_across_services_that_hash_differently(whole_cluster, flyingpigeon):
    cluster = whole_cluster
    cluster.reload(upstreams={"flyingpigeon": flyingpigeon})
    topology = cluster.topology

    def chain(number: int) -> set[str]:
        with Workflow(topology=topology) as wf:
            nodes = {echo(wf, cluster, service) for service in SERVICES}
            assert nodes == {wf.node}
            return nodes

    with ThreadPoolExecutor(4) as pool:
        chains = list(pool.map(chain, range(20)))
    assert {len(nodes) for nodes in chains} == {1}
    assert set.union(*chains) == set(cluster.nodes)
    # Without steering they would not have: the bare header parts most of them.
    ids = [Workflow(topology=topology).machineid for _ in range(300)]
    assert sum(len(by_bare_header(cluster, machineid)) == 1 for machineid in ids) < 150


def test_the_node_asked_for_is_the_node_that_answers(cluster_with_evidence):
    cluster = cluster_with_evidence
    for node in cluster.nodes:
        with Workflow("kept-id", node=node, topology=cluster.topology) as wf:
            assert {echo(wf, cluster, service) for service in SERVICES} == {node}
            assert (wf.node, wf.node_known) == (node, "proved")


def test_a_kept_machineid_leads_another_process_to_the_same_node(cluster, tmp_path):
    toml = cluster.dump_topology(tmp_path / "site.toml")
    code = (
        "import sys; from pavics_affinity import Workflow\n"
        "wf = Workflow(sys.argv[1], topology=sys.argv[2], route=sys.argv[3])\n"
        "wps = wf.wps(sys.argv[4], skip_caps=True)\n"
        "e = wps.execute('echo', [('text', 'x')], mode='sync')\n"
        "print(e.output('node').data[0], wf.node)\n"
    )
    for machineid in ("alice", "bob", "carol"):
        with Workflow(machineid, topology=toml) as wf:
            here = echo(wf, cluster, "flyingpigeon")
        for route in ("proxy", "direct"):
            arguments = [machineid, str(toml), route, cluster.url("malleefowl")]
            ran = subprocess.run(
                [sys.executable, "-c", code, *arguments],
                capture_output=True,
                text=True,
                check=True,
            )
            assert ran.stdout.split() == [here, here]


def test_a_minted_id_leads_other_tools_to_the_workflows_node(cluster):
    with Workflow(topology=cluster.topology) as wf:
        here = echo(wf, cluster, "flyingpigeon")
        plain = owslib.wps.WebProcessingService(
            cluster.url("malleefowl"), headers={"machineid": wf.machineid}, skip_caps=True
        )
        execution = plain.execute("echo", [("text", "x")], mode="sync")
        [there] = [o.data[0] for o in execution.processOutputs if o.identifier == "node"]
        assert there == here == wf.node


def test_the_proxy_dies_under_sixteen_chains_and_they_end_where_they_began(whole_cluster):
    cluster = whole_cluster
    topology = cluster.topology
    begun, gone = threading.Barrier(17), threading.Event()

    def chain(number: int) -> bool:
        with Workflow(topology=topology) as wf:
            nodes = {echo(wf, cluster, "malleefowl")}
            begun.wait(60)
            if number % 2:  # these have no Execute in flight when the proxy dies
                assert gone.wait(60)
            try:
                for service in (*SERVICES, *SERVICES):
                    nodes.add(echo(wf, cluster, service))
            except ExecuteOutcomeUnknown:
                return False
            assert nodes == {wf.node}
            return True

    def run() -> list[bool]:
        with ThreadPoolExecutor(16) as pool:
            chains = [pool.submit(chain, number) for number in range(16)]
            begun.wait(60)
            cluster.stop_proxy()
            gone.set()
            return [future.result() for future in chains]

    with pytest.warns(AffinityWarning, match="does not answer"):
        ended = run()
    assert all(ended[1::2])


def test_a_changed_server_list_moves_no_chain_whose_topology_file_is_renewed(
    make_cluster, tmp_path
):
    cluster = make_cluster(proxy="nginx", evidence="X-Pavics-Node")
    toml = cluster.dump_topology(tmp_path / "site.toml")
    chains = [Workflow(topology=toml) for _ in range(12)]
    begun = [echo(wf, cluster, "malleefowl") for wf in chains]
    before = cluster.topology
    cluster.add_node()
    cluster.dump_topology(toml)
    assert [echo(wf, cluster, "flyingpigeon") for wf in chains] == begun
    moved = sum(
        before.first_node("malleefowl", wf.machineid)
        != cluster.topology.first_node("malleefowl", wf.machineid)
        for wf in chains
    )
    assert moved > 0


def test_an_unannounced_change_of_the_server_list_is_never_a_result(cluster_with_evidence):
    cluster = cluster_with_evidence
    topology: Topology = cluster.topology
    chains = [Workflow(topology=topology) for _ in range(12)]
    begun = [echo(wf, cluster, "malleefowl") for wf in chains]
    cluster.reload(servers=["node3", "node1", "node2"])
    lost: list[AffinityLost] = []
    for wf, node in zip(chains, begun, strict=True):
        try:
            assert echo(wf, cluster, "malleefowl") == node
        except AffinityLost as error:
            lost.append(error)
    assert lost
    assert all(error.answered_by in set(cluster.nodes) - {error.node} for error in lost)


def test_a_node_marked_as_failed_by_nginx_is_found_out(cluster_with_evidence):
    cluster = cluster_with_evidence
    with Workflow(topology=cluster.topology, deadline=1) as wf:
        node = echo(wf, cluster, "flyingpigeon")
        cluster.kill(node)
        with pytest.raises(TransportError):
            echo(wf, cluster, "flyingpigeon")
        cluster.start(node)
        # nginx passes the node over for fail_timeout, 10 s, although it is up again.
        with pytest.raises(AffinityLost) as caught:
            echo(wf, cluster, "flyingpigeon")
        assert caught.value.node == node


def test_a_node_killed_for_good_costs_its_own_chains_only(cluster_no_proxy):
    cluster = cluster_no_proxy
    topology = cluster.topology
    chains = [Workflow(topology=topology, route="direct", deadline=1) for _ in range(12)]
    begun = [echo(wf, cluster, "malleefowl") for wf in chains]
    cluster.kill("node2")
    for wf, node in zip(chains, begun, strict=True):
        if node == "node2":
            with pytest.raises(BackendUnavailable, match="node2"):
                echo(wf, cluster, "flyingpigeon")
        else:
            assert echo(wf, cluster, "flyingpigeon") == node
    assert "node2" in begun


def test_a_draining_node_gets_no_new_workflows_and_keeps_its_own(make_cluster):
    cluster = make_cluster(proxy="nginx", drain=("node2",))
    topology = cluster.topology
    fresh = [Workflow(topology=topology) for _ in range(20)]
    assert {echo(wf, cluster, "malleefowl") for wf in fresh} == {"node1", "node3"}
    with Workflow("kept-id", node="node2", topology=topology) as wf:
        assert echo(wf, cluster, "malleefowl") == "node2"

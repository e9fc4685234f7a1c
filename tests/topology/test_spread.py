"""Figures of balance and change, held against what is known of the hashes."""

import pytest

from pavics_affinity import derive_machineid
from pavics_affinity.errors import PlacementUndetermined
from pavics_affinity.topology import Backend, Node, Service, Topology
from pavics_affinity.topology.spread import MOST_NODES, SAMPLE, measure_spread

KEYS = [derive_machineid("key", i) for i in range(6000)]


def site(*services, nodes=3, weights=(1, 1, 1)):
    names = [
        Node(f"node{i}", f"10.0.0.{i}", weights[i - 1] if i <= len(weights) else 1)
        for i in range(1, nodes + 1)
    ]
    return Topology(names, services)


def finch(method="hash", **more):
    return Service("finch", port=8093, method=method, **more)


def service(topology, keys=KEYS):
    return measure_spread(topology, keys).services[0]


def near(value):
    return pytest.approx(value, abs=0.03)  # 6,000 keys: 0.006 standard deviation


@pytest.mark.parametrize("method", ["hash", "hash consistent", "rendezvous"])
def test_shares_follow_the_weights(method):
    found = service(site(finch(method), weights=(1, 2, 5)))
    assert [node.weight for node in found.nodes.values()] == [1, 2, 5]
    assert [node.expected for node in found.nodes.values()] == [1 / 8, 2 / 8, 5 / 8]
    even = 0.1 if method == "hash consistent" else 0.03
    for node in found.nodes.values():
        assert node.share == pytest.approx(node.expected, abs=even)
    assert sum(node.share for node in found.nodes.values()) == pytest.approx(1)


def test_the_plain_hash_moves_most_ids_when_its_list_changes():
    found = service(site(finch()))
    # One of n nodes gone: 1 - 1/n move where the hash is taken modulo the weight.
    assert found.nodes["node2"].removed.moved == near(2 / 3)
    assert found.nodes["node2"].removed.needless == near(1 / 3)
    assert found.added.moved == near(3 / 4)


@pytest.mark.parametrize("method", ["hash consistent", "rendezvous"])
def test_the_others_move_only_what_they_must(method):
    found = service(site(finch(method)))
    for node in found.nodes.values():
        assert node.removed.moved == node.share
        assert node.removed.needless == 0
    assert found.added.needless == 0
    assert 0.15 < found.added.moved < 0.35


@pytest.mark.parametrize("method", ["hash", "hash consistent", "rendezvous"])
def test_marking_a_node_down_moves_its_own_ids_only(method):
    found = service(site(finch(method)))
    for node in found.nodes.values():
        assert (node.down.moved, node.down.needless) == (node.share, 0)


def test_a_node_that_is_down_expects_and_gets_nothing():
    down = finch(backends=[Backend("node1"), Backend("node2", down=True), Backend("node3")])
    nodes = service(site(down)).nodes
    assert (nodes["node2"].expected, nodes["node2"].share) == (0, 0)
    assert nodes["node1"].expected == 0.5
    assert nodes["node1"].share == near(0.5)


def test_the_last_node_cannot_go():
    found = service(site(finch(), nodes=1))
    assert (found.nodes["node1"].removed, found.nodes["node1"].down) == (None, None)
    assert found.nodes["node1"].share == 1


def test_services_keep_together_as_their_lists_agree():
    names = ["node1", "node2", "node3"]
    rotated = [Backend(name) for name in ("node2", "node3", "node1")]
    topology = site(
        finch(),
        Service("same", port=1),
        Service("rotated", port=2, backends=rotated),
        Service("ring", port=3, method="hash consistent"),
    )
    found = measure_spread(topology, KEYS)
    assert found.pairs["finch", "same"] == 1
    assert found.pairs["finch", "rotated"] == 0
    assert found.pairs["finch", "ring"] == near(1 / 3)
    assert len(found.pairs) == 6
    assert found.together == 0
    assert list(found.services[2].nodes) == [names[1], names[2], names[0]]


def test_a_service_alone_is_together():
    found = measure_spread(site(finch()), KEYS)
    assert (found.together, found.pairs, found.keys) == (1, {}, 6000)


def test_only_a_sample_of_many_nodes_is_tried():
    nodes = MOST_NODES + 1
    found = service(site(finch(), nodes=nodes), KEYS[:500])
    tried = [name for name, node in found.nodes.items() if node.removed is not None]
    assert len(found.nodes) == nodes
    assert len(tried) == SAMPLE


def test_what_cannot_be_predicted_is_not_measured():
    topology = Topology([Node("a"), Node("b")], [finch()])
    with pytest.raises(PlacementUndetermined):
        measure_spread(topology, KEYS)

"""Addresses and ports that belong to one cluster."""

import socket

import pytest
import requests

from pavics_affinity.testing import LocalCluster, ports
from pavics_affinity.testing.control import AddressInUse
from pavics_affinity.testing.live import Live
from support.by_hand import node_of


def test_two_blocks_of_addresses_do_not_overlap(monkeypatch):
    # Even where both would choose the same.
    choices = iter([77, 7, 77, 7, 77, 8])
    monkeypatch.setattr(ports._RANDOM, "randint", lambda *_: next(choices))
    one, two = ports.AddressBlock(), ports.AddressBlock()
    try:
        assert (one.host(11), two.host(11)) == ("127.77.7.11", "127.77.8.11")
    finally:
        one.close()
        two.close()


def test_a_port_that_is_taken_on_one_host_is_not_chosen():
    block = ports.AddressBlock()
    hosts = [block.host(1), block.host(2)]
    with socket.socket() as taken:
        taken.bind((hosts[1], 8093))
        taken.listen()
        assert block.port([hosts[0]], 8093) == 8093
        assert block.port(hosts, 8093) != 8093
    block.close()


def test_an_address_that_was_taken_meanwhile_is_replaced(monkeypatch):
    starts = []

    class Unlucky(Live):
        def __init__(self, options):
            starts.append(self)
            if len(starts) == 1:
                with socket.socket() as taken, monkeypatch.context() as patch:
                    patch.setattr(ports, "_can_bind", lambda *_: True)
                    taken.bind(("127.0.0.1", 0))
                    taken.listen()
                    wanted = taken.getsockname()[1]
                    patch.setattr(ports.AddressBlock, "host", lambda *_: "127.0.0.1")
                    patch.setattr(ports.AddressBlock, "port", lambda *_: wanted)
                    super().__init__(options)
            super().__init__(options)

    monkeypatch.setattr("pavics_affinity.testing.cluster.Live", Unlucky)
    with LocalCluster(1, proxy="none", services=["malleefowl"]) as cluster:
        assert len(starts) == 2
        assert requests.get(cluster.node_url("node1", "malleefowl"), timeout=30).status_code == 400


def test_a_socket_that_stays_taken_is_an_error(make_cluster):
    cluster = make_cluster(1, proxy="none", services=["malleefowl"])
    cluster.kill("node1")
    host, port = cluster.node_url("node1", "malleefowl").split("/")[2].split(":")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, int(port)))
        taken.listen()
        with pytest.raises(AddressInUse, match=f"{host}:{port}"):
            cluster.start("node1")
    cluster.start("node1")


def test_where_only_one_address_exists_the_ports_differ(monkeypatch, make_cluster):
    real = ports._can_bind
    monkeypatch.setattr(ports, "_can_bind", lambda h, p: h == "127.0.0.1" and real(h, p))
    cluster = make_cluster(2, layout="paths")
    topology = cluster.topology
    for service in topology.services:
        addresses = {backend.address for backend in topology.backends(service)}
        assert len(addresses) == 2
        for node in cluster.nodes:
            assert topology.backend_url(service, node) == cluster.node_url(node, service.name)
            assert node_of(cluster.node_url(node, service.name), None) == node
    if cluster.proxy:
        where = {service: node_of(cluster.url(service), "an-id") for service in cluster.services}
        assert len(set(where.values())) == 1
    assert cluster.add_node(reload=False) == "node3"

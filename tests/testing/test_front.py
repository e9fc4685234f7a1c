"""Twitcher in front of a cluster: what it needs, and what happens to it with its node."""

import pytest
import requests

from pavics_affinity.errors import MissingExtra, TopologyError
from pavics_affinity.testing import ClusterError, LocalCluster

FRONTS = ["twitcher", "twitcher-per-node"]


def status(cluster, machineid):
    query = {"service": "WPS", "request": "GetCapabilities"}
    url, headers = cluster.url("malleefowl"), {"machineid": machineid}
    return requests.get(url, params=query, headers=headers, timeout=30).status_code


@pytest.mark.parametrize("front", FRONTS)
def test_a_missing_twitcher_is_named_with_its_extra(monkeypatch, front):
    there = lambda name: None if name == "twitcher" else name  # noqa: E731 # one line is enough
    monkeypatch.setattr("importlib.util.find_spec", there)
    with pytest.raises(MissingExtra, match=r"pip install 'pavics-affinity\[twitcher\]'"):
        LocalCluster(front=front)


@pytest.mark.parametrize("front", FRONTS)
def test_twitcher_needs_nginx(front):
    with pytest.raises(ClusterError, match="needs nginx"):
        LocalCluster(front=front, proxy="none")


def test_files_that_lead_past_the_twitcher_of_each_node_are_refused():
    with pytest.raises(ClusterError, match="use front='twitcher'"):
        LocalCluster(front="twitcher-per-node", proxy_config={})


def test_a_twitcher_dies_and_comes_back_with_its_node(make_cluster):
    cluster = make_cluster(1, front="twitcher-per-node", services=["malleefowl"])
    assert status(cluster, "a1") == 200
    cluster.kill("node1", "malleefowl")
    assert status(cluster, "a1") == 400
    cluster.kill("node1")
    assert status(cluster, "a1") == 502
    cluster.start("node1")
    assert status(cluster, "a1") == 200
    cluster.add_node()
    assert {status(cluster, f"id{number}") for number in range(20)} == {200}
    assert {request.node for request in cluster.requests()} == {"node1", "node2"}
    cluster.reload(directive="hash $http_machineid consistent;")
    with pytest.raises(TopologyError, match="leave out 'consistent'"):
        _ = cluster.topology

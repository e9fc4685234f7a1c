"""What a cluster is asked for, and cannot give."""

import pytest

from pavics_affinity.errors import MissingExtra, TopologyError
from pavics_affinity.testing import ClusterError, LocalCluster, Upstream


def test_a_directive_without_a_hash_has_no_topology(make_cluster):
    cluster = make_cluster(2, proxy="none", upstreams={"malleefowl": Upstream("least_conn;")})
    with pytest.raises(TopologyError, match="least_conn"):
        _ = cluster.topology


def test_missing_packages_are_named_with_their_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'pavics-affinity\[testing\]'"):
        LocalCluster()


def test_nginx_is_asked_for_by_name(monkeypatch):
    monkeypatch.setattr("pavics_affinity.testing.cluster.find_nginx", lambda: None)
    with pytest.raises(ClusterError, match="nginx was not found"):
        LocalCluster(proxy="nginx")
    with LocalCluster(1, services=["malleefowl"]) as cluster:
        assert cluster.proxy is None

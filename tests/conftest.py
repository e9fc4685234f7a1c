"""Clusters for the tests of this repository; the fixtures come with the package."""

import pytest


@pytest.fixture(scope="session")
def cluster(affinity_cluster):
    """Three nodes behind nginx. Others use it, too: leave it as it was."""
    return affinity_cluster


@pytest.fixture(scope="session")
def cluster_no_proxy(affinity_cluster_no_proxy):
    """Three nodes without a proxy. Others use it, too: leave it as it was."""
    return affinity_cluster_no_proxy


@pytest.fixture
def make_cluster(make_affinity_cluster):
    """Start a cluster of the test's own."""
    return make_affinity_cluster

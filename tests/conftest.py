"""Clusters for the tests of this repository; the fixtures come with the package."""

import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard():
    """Hear Ctrl-C, which tests press: a shell's background job begins with a deaf ear to it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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

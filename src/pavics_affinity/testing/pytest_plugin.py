"""The pytest plugin: fixtures that come with the package.

``affinity_cluster``
    A `pavics_affinity.testing.LocalCluster` of three nodes, for the session,
    with nginx in front; skipped where nginx is not found.
``affinity_cluster_no_proxy``
    The same without a proxy.
``make_affinity_cluster``
    Starts clusters with other arguments; they end with the test.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

# The fixtures import everything else, because pytest loads this plugin in every project.
if TYPE_CHECKING:
    from .cluster import LocalCluster


@pytest.fixture(scope="session")
def affinity_cluster() -> Iterator[LocalCluster]:
    """Three nodes behind nginx, configured as in the deployment's manual."""
    from .cluster import LocalCluster
    from .nginx import find_nginx

    if find_nginx() is None:
        pytest.skip("nginx is not installed")
    with LocalCluster(proxy="nginx") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def affinity_cluster_no_proxy() -> Iterator[LocalCluster]:
    """Three nodes without a proxy."""
    from .cluster import LocalCluster

    with LocalCluster(proxy="none") as cluster:
        yield cluster


@pytest.fixture
def make_affinity_cluster() -> Iterator[Callable[..., LocalCluster]]:
    """Start clusters, with the arguments of `LocalCluster`, that end with the test."""
    from .cluster import LocalCluster
    from .nginx import find_nginx

    with contextlib.ExitStack() as clusters:

        def make(nodes: int = 3, **options: Any) -> LocalCluster:
            if options.get("proxy") == "nginx" and find_nginx() is None:
                pytest.skip("nginx is not installed")
            return clusters.enter_context(LocalCluster(nodes, **options))

        yield make

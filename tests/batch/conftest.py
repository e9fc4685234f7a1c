"""A cluster whose proxy takes nodes' names, names the node that answered, and publishes both."""

from __future__ import annotations

import pytest

from pavics_affinity.testing import LocalCluster
from pavics_affinity.testing.nginx import find_nginx
from support.batch_site import STRICT


@pytest.fixture(scope="package")
def strict_cluster():
    """Three nodes behind a rendered proxy. Others use it, too: leave it as it was."""
    if find_nginx() is None:
        pytest.skip("nginx is not installed")
    with LocalCluster(**STRICT) as cluster:
        yield cluster

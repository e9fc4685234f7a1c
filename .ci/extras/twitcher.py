"""Twitcher is there for a cluster's front; a cluster without nginx says that it needs one."""

import twitcher
import waitress

from pavics_affinity.errors import AffinityError
from pavics_affinity.testing import LocalCluster
from pavics_affinity.testing.nginx import find_nginx

try:
    with LocalCluster(2, front="twitcher") as cluster:
        print(f"starts {cluster.url('malleefowl')}")
except AffinityError:
    assert find_nginx() is None
    print(f"has {twitcher.__name__} and {waitress.__name__}; nginx is not installed")

"""Bring a cluster that a test broke back to what it was."""

from __future__ import annotations

from pavics_affinity.testing import ClusterError, LocalCluster


def start_what_is_killed(cluster: LocalCluster) -> None:
    """Start the nodes that do not run."""
    for node in cluster.nodes:
        try:
            cluster.start(node)
        except ClusterError as error:
            if "running already" not in str(error):
                raise


def repair(cluster: LocalCluster) -> None:
    """Start what does not run, and reload the proxy: its new workers know of no failed node."""
    start_what_is_killed(cluster)
    try:
        cluster.start_proxy()
    except ClusterError as error:
        if "running already" not in str(error):
            raise
    cluster.reload(servers=list(cluster.nodes), parameters="")

"""Clusters that tests break, and how the next test gets them whole."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from pavics_affinity.testing import ClusterError, LocalCluster, Upstream
from support.batch_site import STRICT
from support.live_site import nginx

KINDS: dict[str, dict[str, Any]] = {
    "plain": {"proxy": "nginx"},
    "evidence": {"proxy": "nginx", "evidence": "X-Pavics-Node"},
    "strict": STRICT,
    "direct": {"proxy": "none"},
}


class Broken(contextlib.ExitStack):
    """One cluster of three nodes for each kind, started when a test first needs it."""

    def __init__(self) -> None:
        super().__init__()
        self._running: dict[str, LocalCluster] = {}

    def repaired(self, kind: str) -> LocalCluster:
        """Return the cluster of a kind with all nodes, and the proxy as it was at first."""
        if kind not in self._running:
            if KINDS[kind]["proxy"] == "nginx":
                nginx()
            self._running[kind] = self.enter_context(LocalCluster(**KINDS[kind]))
        else:
            repair(self._running[kind])
        return self._running[kind]


def repair(cluster: LocalCluster) -> None:
    """Start what does not run, and reload the proxy: its new workers know of no failed node."""
    for node in cluster.nodes:
        _start(cluster.start, node)
    if cluster.proxy is not None:
        _start(cluster.start_proxy)
        cluster.reload(upstreams={service: Upstream() for service in cluster.services})


def _start(start: Callable[..., object], *what: str) -> None:
    try:
        start(*what)
    except ClusterError as error:
        if "running already" not in str(error):
            raise

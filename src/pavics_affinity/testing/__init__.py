"""Real WPS nodes on loopback, for demonstrations and for anyone's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cluster import LocalCluster
    from .control import ClusterError
    from .dataserver import DataRequest, DataServer
    from .nginx import ProxyRequest
    from .nodes import Execution, NodeRequest
    from .services.produce import produced_chunks, produced_sha256
    from .upstream import Upstream

__all__ = [
    "ClusterError",
    "DataRequest",
    "DataServer",
    "Execution",
    "LocalCluster",
    "NodeRequest",
    "ProxyRequest",
    "Upstream",
    "produced_chunks",
    "produced_sha256",
]

_ROOMS = {
    "ClusterError": "control",
    "DataRequest": "dataserver",
    "DataServer": "dataserver",
    "Execution": "nodes",
    "LocalCluster": "cluster",
    "NodeRequest": "nodes",
    "ProxyRequest": "nginx",
    "Upstream": "upstream",
    "produced_chunks": "services.produce",
    "produced_sha256": "services.produce",
}


def __getattr__(name: str) -> Any:
    # The pytest plugin is loaded in everyone's pytest: what it does not use stays unloaded.
    if name in _ROOMS:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

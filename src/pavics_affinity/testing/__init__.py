"""Real WPS nodes on loopback, for demonstrations and for your own tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cluster import LocalCluster
    from .control import ClusterError
    from .dataserver import DataRequest, DataServer
    from .nginx import ProxyRequest
    from .nodes import Execution, NodeRequest
    from .options import Upstream
    from .services.shared import produced_chunks, produced_sha256

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

_MODULES = {
    "ClusterError": "control",
    "DataRequest": "dataserver",
    "DataServer": "dataserver",
    "Execution": "nodes",
    "LocalCluster": "cluster",
    "NodeRequest": "nodes",
    "ProxyRequest": "nginx",
    "Upstream": "options",
    "produced_chunks": "services.shared",
    "produced_sha256": "services.shared",
}


def __getattr__(name: str) -> Any:
    # Loaded when first used, because pytest loads this package's plugin in every project.
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

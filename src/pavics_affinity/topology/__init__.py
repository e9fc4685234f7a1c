"""A site's nodes and services: frozen data, TOML in and out.

A name is loaded when it is first used: a workflow at a proxy that publishes no topology needs none.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from .matching import Match
    from .model import Topology
    from .parts import Backend, Node, Outputs, Service, Tls
    from .sources import FileSource, FixedSource, TopologySource

__all__ = [
    "Backend",
    "FileSource",
    "FixedSource",
    "Match",
    "Node",
    "Outputs",
    "Service",
    "Tls",
    "Topology",
    "TopologySource",
]

_HOMES = {
    "Match": "matching",
    "Topology": "model",
    **dict.fromkeys(["Backend", "Node", "Outputs", "Service", "Tls"], "parts"),
    **dict.fromkeys(["FileSource", "FixedSource", "TopologySource"], "sources"),
}

# Unseen by type checkers, as in the package's own.
if not typing.TYPE_CHECKING:

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = found
        return found

    def __dir__():
        return sorted({*globals(), *__all__})

"""A site's nodes and services: frozen data, TOML in and out."""

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

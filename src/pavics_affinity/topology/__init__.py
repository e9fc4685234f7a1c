"""A site's nodes and services: frozen data, TOML in and out."""

from .model import Backend, Match, Node, Outputs, Service, Topology
from .source import FileSource, FixedSource, TopologySource

__all__ = [
    "Backend",
    "FileSource",
    "FixedSource",
    "Match",
    "Node",
    "Outputs",
    "Service",
    "Topology",
    "TopologySource",
]

"""URLs that hold a routing key, for programs that do not send a header."""

from __future__ import annotations

from ..protocol import has_key
from ..topology import Topology


def leads_by_itself(topology: Topology, url: str) -> bool:
    """Tell whether the URL holds a routing key where the site's proxy looks for one."""
    return topology.proxy == "strict" and has_key(url)

"""A topology that a proxy publishes, and that may change while a workflow runs."""

from __future__ import annotations

from ..topology import Topology
from ..topology.urls import Origin
from .finder import FINDER, Found, Trust

SHORTEST_PAUSE = 1.0
"""Seconds between two questions to one proxy, whoever asks."""


class DiscoveredSource:
    """What the proxy at one origin publishes of its own host.

    Parameters
    ----------
    origin : Origin
        Where it was found.
    trust : Trust
        How it was asked.
    found : Found
        What it said.
    """

    def __init__(self, origin: Origin, trust: Trust, found: Found) -> None:
        self.origin = origin
        self.current: Topology = found.topology
        self._trust = trust
        self._version = found.version

    def renew(self, *, thorough: bool = False) -> bool:
        """Ask again, if that was asked for and the last answer is not quite fresh.

        A proxy that does not answer, or publishes nothing at this instant, is being
        changed: what is known stays in force.
        """
        if not thorough:
            return False
        found = FINDER.find(self.origin, self._trust, not_older_than=SHORTEST_PAUSE)
        if found is None or found.version == self._version:
            return False
        self.current, self._version = found.topology, found.version
        return True

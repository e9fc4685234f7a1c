"""One site's pin: which node, how it is known, and the key that leads there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..errors import BackendUnavailable, PlacementUndetermined, UnknownNode
from ..placement import name_key
from ..record import NodeKnown
from ..topology import Match, Topology, TopologySource
from . import usage


@dataclass(frozen=True, slots=True)
class Target:
    """Where one attempt of a request goes, and what is expected of the answer.

    Attributes
    ----------
    url : str
        The URL on the wire.
    header, key : str, str or None
        Name and value of the routing header; no key out of scope.
    node : str or None
        The node that is expected to answer.
    route : {"proxy", "direct", "outside"}
        Through the proxy, to the node itself, or out of scope.
    service : str or None
        Name of the service in the topology.
    site : Site or None
        The pin concerned; None out of scope.
    pinned : bool
        Whether the workflow was pinned when the request was routed.
    """

    url: str
    header: str = "machineid"
    key: str | None = None
    node: str | None = None
    route: Literal["proxy", "direct", "outside"] = "outside"
    service: str | None = None
    site: Site | None = None
    pinned: bool = False


class Site:
    """The pin of one workflow at one site.

    Parameters
    ----------
    machineid : str
        The workflow's.
    source : TopologySource, optional
        What is known of the site; nothing, for a plain proxy.
    wanted : str, optional
        Node that the user asked for.
    given : bool
        Whether the user gave the machineid: then the node is the one that
        other tools sending it reach.
    """

    def __init__(
        self, machineid: str, source: TopologySource | None, *, wanted: str | None, given: bool
    ) -> None:
        self.machineid = machineid
        self.source = source
        self.given = given
        self.pinned = wanted is not None
        self.node: str | None = wanted
        self.known: NodeKnown = "unknown" if wanted is None else "predicted"
        self.direct = False
        self.lock = threading.RLock()
        self._wanted = wanted
        self._passed: list[str] = []
        self._keys: dict[str, str] = {}
        self._counted: tuple[Topology, str] | None = None
        if wanted is not None and self.topology is not None:
            self.topology.node(wanted)
            self._count(wanted)

    @property
    def topology(self) -> Topology | None:
        """The nodes and services, as known now."""
        return None if self.source is None else self.source.current

    def rename(self, machineid: str) -> None:
        """Take the machineid that the user turns out to have given."""
        with self.lock:
            self.machineid, self.given = machineid, True
            self._keys.clear()
            if not self.pinned:
                self._uncount()
                self.node, self.known = None, "unknown"

    def renew(self, *, thorough: bool = False) -> bool:
        """Look whether the topology has changed; return whether it has.

        The node stays; the keys that lead there are found anew.
        """
        if self.source is None or not self.source.renew(thorough=thorough):
            return False
        with self.lock:
            self._keys.clear()
        return True

    def choose(self, match: Match) -> None:
        """Settle the node, if it is not, for the first service that is used."""
        with self.lock:
            if match.node is not None and self.node is None:
                self.settle(match.node, "proved")
            if self.topology is None:
                return
            offered = any(b.node == self.node for b in self.topology.backends(match.service))
            if self.node is not None and not self.pinned and not offered:
                self._uncount()
                self.node = None
            if self.node is not None:
                return
            if self.given:
                try:
                    order = self.topology.order(match.service, self.machineid)
                    chosen = next((n for n in order if n not in self._passed), None)
                except PlacementUndetermined:
                    return
            else:
                chosen = usage.choose(self.topology, self.machineid, self._takers(match))
                if chosen is not None:
                    self._counted = (self.topology, chosen)
            if chosen is not None:
                self.node, self.known = chosen, "predicted"

    def settle(self, node: str, known: NodeKnown) -> None:
        """Take the node that answered as the workflow's."""
        with self.lock:
            if node != self.node:
                self._uncount()
                self.node = node
                self._keys.clear()
                self._count(node)
            self.known = known

    def pass_over(self, node: str | None) -> bool:
        """Leave a node that does not answer, while nothing is lost by it.

        Returns
        -------
        bool
            Whether there is another node to try.
        """
        with self.lock:
            if self.pinned or self.topology is None or node is None:
                return False
            if self.node != node:
                return True
            self._passed.append(node)
            self._uncount()
            self.node, self.known = None, "unknown"
            self._keys.clear()
            left = any(n.name not in self._passed for n in self.topology.nodes if not n.drain)
            if not left:
                self._passed.clear()
            return left

    def key_for(self, match: Match) -> str:
        """Return the routing key that makes the service's proxy choose the node."""
        topology = self.topology
        if topology is None or self.node is None:
            return self.machineid
        if topology.proxy == "strict":
            return name_key(self.machineid, self.node)
        with self.lock:
            key = self._keys.get(match.service.name)
            if key is None:
                key = self._keys[match.service.name] = self._steer(topology, match)
        return key

    def uncovered_key(self) -> str:
        """Return the key for a URL of the site's hosts that no service covers."""
        if self.topology is not None and self.topology.proxy == "strict" and self.node:
            return name_key(self.machineid, self.node)
        return self.machineid

    def close(self) -> None:
        """Give the place on the node back."""
        with self.lock:
            self._uncount()

    def _steer(self, topology: Topology, match: Match) -> str:
        if self.node is None:
            return self.machineid
        try:
            return topology.routing_key(match.service, self.machineid, self.node)
        except PlacementUndetermined:
            return self.machineid

    def backend_must_exist(self, match: Match) -> None:
        """Raise if the pinned node does not offer the service (any more)."""
        topology = self.topology
        if topology is None or self.node is None:
            return
        if all(b.node != self.node for b in topology.backends(match.service)):
            offers = ", ".join(b.node for b in topology.backends(match.service))
            kind = BackendUnavailable if self._wanted is None else UnknownNode
            raise kind(
                f"service {match.service.name!r} has no backend on node {self.node!r}, where the "
                f"files of workflow {self.machineid!r} are; it is on: {offers}",
                machineid=self.machineid,
                node=self.node,
            )

    def _takers(self, match: Match) -> Iterator[str]:
        topology = self.topology
        if topology is None:
            return
        drained = {node.name for node in topology.nodes if node.drain}
        seen = set(self._passed)
        for backend in topology.backends(match.service):
            if backend.node in drained or backend.down or backend.backup or backend.node in seen:
                continue
            seen.add(backend.node)
            yield backend.node

    def _count(self, node: str) -> None:
        if self.topology is not None and any(n.name == node for n in self.topology.nodes):
            usage.take(self.topology, node)
            self._counted = (self.topology, node)

    def _uncount(self) -> None:
        if self._counted is not None:
            usage.release(*self._counted)
            self._counted = None

"""One site's pin: which node, how it is known, and the key that leads there."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..errors import BackendUnavailable, PlacementUndetermined, UnknownNode
from ..protocol import DEFAULT_HEADER, name_key
from ..record import NodeKnown
from ..topology import Match, Service, Topology, TopologySource
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
        Whether the workflow was pinned when the request was routed; an Execute that was
        on its way then does not count.
    execute : bool
        Whether the request executes something.
    """

    url: str
    header: str = DEFAULT_HEADER
    key: str | None = None
    node: str | None = None
    route: Literal["proxy", "direct", "outside"] = "outside"
    service: str | None = None
    site: Site | None = None
    pinned: bool = False
    execute: bool = False


class Site:
    """The pin of one workflow at one site.

    Parameters
    ----------
    machineid : str
        The workflow's.
    source : TopologySource, optional
        What is known of the site; nothing, for a plain proxy.
    given : bool
        Whether the user gave the machineid: then the node is the one that
        other tools sending it reach.

    Attributes
    ----------
    settled : bool
        Whether something was executed on the node, as far as is known, or it was asked for.
    under_way : int
        Executes that have been sent and are not answered yet.
    firm : bool
        Whether something rests on the pin already, so that even the first
        document to name another node is one too late.
    direct : bool
        Whether the node itself is asked, for the proxy does not answer.
    reached : bool
        Whether a node has answered itself.
    """

    def __init__(self, machineid: str, source: TopologySource | None, *, given: bool) -> None:
        self.machineid = machineid
        self.source = source
        self.given = given
        self.settled = False
        self.under_way = 0
        self.firm = False
        self.node: str | None = None
        self.known: NodeKnown = "unknown"
        self.direct = False
        self.reached = False
        self.lock = threading.RLock()
        self._wanted: str | None = None
        self._passed: list[str] = []
        self._keys: dict[str, str] = {}
        self._keys_of: Topology | None = None
        self._leave: weakref.finalize[..., Site] | None = None

    @property
    def pinned(self) -> bool:
        """Whether the node stays: it is settled, or an Execute is on its way there."""
        return self.settled or self.under_way > 0

    @property
    def topology(self) -> Topology | None:
        """The nodes and services, as known now."""
        return None if self.source is None else self.source.current

    def rename(self, machineid: str) -> None:
        """Take the machineid that the user turns out to have given."""
        with self.lock:
            self.machineid, self.given = machineid, True
            self._keys_of = None
            if not self.pinned:
                self._uncount()
                self.node, self.known = None, "unknown"

    def has(self, node: str) -> bool:
        """Tell whether the site is known to have a node of this name."""
        return self.topology is not None and any(n.name == node for n in self.topology.nodes)

    def want(self, node: str) -> None:
        """Take the node that the user asks for."""
        with self.lock:
            self.settle(node, "predicted")
            self._wanted = node
            self.settled = self.firm = True

    def mint(self, wanted: str | None) -> str | None:
        """Mint a machineid that lands by itself on the node wanted, else on a little used one.

        Without a node wanted, the one that is found is settled, so that the next
        workflow takes another.

        Returns
        -------
        str or None
            None where nothing can be said before a service is used.
        """
        topology = self.topology
        if topology is None:
            return None
        for service in topology.services:
            takers = list(self._takers(topology, service, drained=wanted is not None))
            if wanted is not None and wanted in takers:
                return usage.mint_for(topology, service, wanted)
            if wanted is None and takers:
                minted = usage.mint(topology, service, takers)
                if minted is None:
                    return None
                self.machineid, self.node = minted
                self.known = "predicted"
                self._count_on(usage.site_name(topology), self.node)
                return self.machineid
        return None

    def renew(self, *, thorough: bool = False) -> bool:
        """Look whether the topology has changed; return whether it has.

        The node stays; the keys that lead there are found anew.
        """
        return self.source is not None and self.source.renew(thorough=thorough)

    def choose(self, match: Match) -> None:
        """Settle the node, if it is not, for the first service that is used."""
        with self.lock:
            if match.node is not None and self.node is None:
                self.settle(match.node, "predicted")
            if self.topology is None:
                return
            offered = self.topology.offers(match.service, self.node)
            if self.node is not None and not self.pinned and not offered:
                self._uncount()
                self.node = None
            if self.node is not None:
                return
            chosen = self._first_in_order(self.topology, match.service)
            if self.given or self.pinned:
                if chosen is not None:
                    self.settle(chosen, "predicted")
                return
            takers = list(self._takers(self.topology, match.service))
            if chosen in takers:
                # Whoever keeps the id and comes back with it comes to this node.
                self.settle(chosen, "predicted")
                return
            chosen = usage.choose(self.topology, self.machineid, takers)
            if chosen is not None:
                self.node, self.known = chosen, "predicted"
                self._count_on(usage.site_name(self.topology), chosen)

    def settle(self, node: str, known: NodeKnown) -> None:
        """Take a node as the workflow's."""
        with self.lock:
            if node != self.node:
                self._uncount()
                self.node = node
                self._keys_of = None
                if self.topology is not None and self.has(node):
                    site = usage.site_name(self.topology)
                    usage.take(site, node)
                    self._count_on(site, node)
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
            self._keys_of = None
            left = any(n.name not in self._passed for n in self.topology.nodes if not n.drain)
            if not left:
                self._passed.clear()
            return left

    def abandon(self, node: str | None) -> bool:
        """Leave the pinned node for another one, as only a workflow that is not strict does.

        Returns
        -------
        bool
            Whether there is another node; else it stays.
        """
        with self.lock:
            if node is None or self.topology is None or self.node != node:
                return node is not None and self.topology is not None
            known, self.settled = self.known, False
            if self.pass_over(node):
                self.firm = False
                return True
            self.settle(node, known)
            self.settled = True
            return False

    def key_for(self, match: Match) -> str:
        """Return the routing key that makes the service's proxy choose the node."""
        with self.lock:
            topology = self.topology
            if topology is None or self.node is None:
                return self.machineid
            if topology.proxy == "strict":
                return name_key(self.machineid, self.node)
            if topology is not self._keys_of:
                self._keys, self._keys_of = {}, topology
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
        if not topology.offers(match.service, self.node):
            offers = ", ".join(b.node for b in topology.backends(match.service))
            kind = BackendUnavailable if self._wanted is None else UnknownNode
            raise kind(
                f"service {match.service.name!r} has no backend on node {self.node!r}, where the "
                f"files of workflow {self.machineid!r} are; it is on: {offers}",
                machineid=self.machineid,
                node=self.node,
            )

    def _first_in_order(self, topology: Topology, service: Service) -> str | None:
        """Name the node that the bare id leads to, those passed over left out."""
        try:
            order = topology.order(service, self.machineid)
            return next((node for node in order if node not in self._passed), None)
        except PlacementUndetermined:
            return None

    def _takers(
        self, topology: Topology, service: Service, *, drained: bool = False
    ) -> Iterator[str]:
        """Yield the nodes of a service that may be taken; drained ones only if asked for."""
        drains = {node.name for node in topology.nodes if node.drain and not drained}
        seen = {*self._passed, *drains}
        for backend in topology.backends(service):
            if backend.down or backend.backup or backend.node in seen:
                continue
            seen.add(backend.node)
            yield backend.node

    def _count_on(self, site: str, node: str) -> None:
        """Give the place back when the workflow is closed, or forgotten without being closed."""
        self._leave = weakref.finalize(self, usage.release, site, node)

    def _uncount(self) -> None:
        if self._leave is not None:
            self._leave()
            self._leave = None

"""One site's pin: which node, how it is known, and the key that leads there."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..errors import AffinityError, BackendUnavailable, PlacementUndetermined, UnknownNode
from ..protocol import DEFAULT_HEADER, name_key
from ..record import NodeKnown
from ..topology.urls import Origin
from . import load
from .policy import Hold

if TYPE_CHECKING:
    from ..topology import Match, Service, Topology, TopologySource

ServiceURL = tuple[Origin | None, str, str]
"""Origin, service, and path; all outputs and jobs of a service are one."""


class Target(NamedTuple):
    """Where one attempt of a request goes, and what is expected of the answer."""

    url: str  # on the wire
    header: str = DEFAULT_HEADER
    key: str | None = None  # None out of scope
    node: str | None = None  # that is expected to answer
    route: Literal["proxy", "direct", "outside"] = "outside"
    origin: Origin | None = None  # of the URL as the caller knows it
    site: Site | None = None  # None out of scope
    topology: Topology | None = None
    match: Match | None = None
    pinned: bool = False  # when it was routed; an Execute on its way then does not count
    execute: bool = False

    @property
    def service(self) -> str | None:
        """Name of the service in the topology."""
        return None if self.match is None else self.match.service.name

    @property
    def is_named(self) -> bool:
        """Whether the URL itself names the node."""
        return self.match is not None and self.match.node is not None


class Site:
    """The pin of one workflow at one site; only the modules of `pin` change it.

    `hold` says whether the node may still change, `via` which way requests take now. `given` is
    whether the user gave the machineid: then the node is the one that other tools sending it reach.
    """

    def __init__(self, machineid: str, source: TopologySource | None, *, given: bool) -> None:
        self.machineid = machineid
        self.source = source
        self.given = given
        self.node: str | None = None
        self.known: NodeKnown = "unknown"
        self.hold: Hold = "free"
        self.executes_under_way = 0
        self.via: Literal["proxy", "direct"] = "proxy"
        self.node_answered_directly = False
        #: Where an answer has named its node.
        self.named_nodes: set[ServiceURL] = set()
        self.lock = threading.RLock()
        self._asked_for = False
        self._passed: list[str] = []
        self._keys: dict[str, str] = {}
        self._keys_of: Topology | None = None
        self._leave_count: weakref.finalize[..., Site] | None = None

    @property
    def pinned(self) -> bool:
        """Whether the node stays: something was executed there, or is being executed now."""
        return self.hold != "free" or self.executes_under_way > 0

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
                self._forget()

    def has(self, node: str) -> bool:
        """Return whether the site is known to have a node of this name."""
        return self.topology is not None and any(n.name == node for n in self.topology.nodes)

    def knows(self, node: str) -> bool:
        """Return whether the site has a node of this name, if need be by a look for changes."""
        return self.has(node) or (self.renew(thorough=True) and self.has(node))

    def want(self, node: str) -> None:
        """Take the node that the user asks for."""
        with self.lock:
            self.settle(node, "predicted")
            self.hold, self._asked_for = "firm", True

    def keep(self, node: str) -> None:
        """Stay on a node on which an earlier process executed something."""
        with self.lock:
            self.settle(node, "predicted")
            self.hold = "firm"

    def executed(self, target: Target) -> None:
        """Stay on the node: something was executed there, or a link leads there."""
        with self.lock:
            self.hold = "firm" if target.pinned or self.hold == "firm" else "pinned"

    def mint(self, wanted: str | None) -> str | None:
        """Mint a machineid that lands by itself on the node wanted, else on a little used one.

        Without a node wanted, the one that is found is settled, so that the next workflow takes
        another. None if nothing can be said before a service is used.
        """
        topology = self.topology
        if topology is None:
            return None
        for service in topology.services:
            takers = list(self._takers(topology, service, drained=wanted is not None))
            if wanted is not None and wanted in takers:
                return load.mint_for(topology, service, wanted)
            if wanted is None and takers:
                minted = load.mint(topology, service, takers)
                if minted is None:
                    return None
                self.machineid, self.node = minted
                self.known = "predicted"
                self._count_on(load.site_name(topology), self.node)
                return self.machineid
        return None

    def renew(self, *, thorough: bool = False) -> bool:
        """Look whether the topology has changed; return whether it has.

        The node stays; the keys that lead there are found again.
        """
        return self.source is not None and self.source.renew(thorough=thorough)

    def choose(self, topology: Topology, match: Match) -> None:
        """Settle the node, if it is not, for the first service that is used.

        Raises if the pinned node does not offer the service (any more).
        """
        with self.lock:
            if topology.offers(match.service, self.node):
                return
            if self.node is not None and self.pinned:
                raise self._not_offered(topology, match.service)
            self._forget()
            if not any(self._nodes_for(topology, match)):
                self._passed.clear()  # other services may have nodes left, this one has none
            chosen = next(self._in_order(topology, match.service), None)
            if self.given or self.pinned:
                if chosen is not None:
                    self.settle(chosen, "predicted")
                return
            takers = list(self._takers(topology, match.service))
            if chosen in takers:
                # The id leads to this node in later processes, too.
                self.settle(chosen, "predicted")
                return
            chosen = load.choose(topology, self.machineid, takers)
            if chosen is not None:
                self.node, self.known = chosen, "predicted"
                self._count_on(load.site_name(topology), chosen)

    def settle(self, node: str, known: NodeKnown) -> None:
        """Take a node as the workflow's."""
        with self.lock:
            if node != self.node:
                self._uncount()
                self.node = node
                self._keys_of = None
                if self.topology is not None and self.has(node):
                    site = load.site_name(self.topology)
                    load.take(site, node)
                    self._count_on(site, node)
            self.known = known

    def other_node(self, target: Target) -> bool:
        """Return whether `pass_over` would leave another node to try."""
        with self.lock:
            return not self.pinned and self._others(target)

    def may_leave(self, target: Target) -> bool:
        """Return whether `abandon` would find another node."""
        with self.lock:
            if not self._others(target):
                return False
            if self.node != target.node:
                return self.pinned  # another thread has left it
            return self.hold != "free" and not self.executes_under_way

    def _others(self, target: Target) -> bool:
        """Return whether another node may answer: none does at a URL that names its node."""
        if self.topology is None or target.node is None or target.is_named:
            return False
        return self.node != target.node or any(
            name != target.node for name in self._nodes_for(self.topology, target.match)
        )

    def _nodes_for(self, topology: Topology, match: Match | None) -> Iterator[str]:
        """Yield the nodes that may be taken, those passed over left out."""
        taken_up = [node.name for node in topology.nodes if not node.drain]
        if match is None:
            return (name for name in taken_up if name not in self._passed)
        if self.given:
            return (n for n in self._in_order(topology, match.service) if n in taken_up)
        return self._takers(topology, match.service)

    def pass_over(self, target: Target) -> bool:
        """Leave a node that does not answer; return whether there is another one to try.

        A pinned workflow stays. If no node is left, all may be tried again.
        """
        with self.lock:
            if self.pinned or self.topology is None or target.node is None or target.is_named:
                return False
            if self.node != target.node:
                return True
            left = self._others(target)
            self._passed.append(target.node)
            self._forget()
            if not left:
                self._passed.clear()
            return left

    def abandon(self, target: Target) -> bool:
        """Leave a pinned node that does not answer; return whether there is another one to try."""
        with self.lock:
            if self.node is None or self.node != target.node:
                return self._others(target)
            node, known, hold = self.node, self.known, self.hold
            self.hold = "free"
            if self.pass_over(target):
                return True
            self.settle(node, known)
            self.hold = hold
            return False

    def key_for(self, topology: Topology, match: Match) -> str:
        """Return the routing key that makes the service's proxy choose the node."""
        with self.lock:
            if self.node is None:
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

    def _forget(self) -> None:
        """Leave the node, if there is one, for any other."""
        self._uncount()
        self.node, self.known, self._keys_of = None, "unknown", None

    def _steer(self, topology: Topology, match: Match) -> str:
        if self.node is None:
            return self.machineid
        try:
            return topology.routing_key(match.service, self.machineid, self.node)
        except PlacementUndetermined:
            return self.machineid

    def _not_offered(self, topology: Topology, service: Service) -> AffinityError:
        offers = ", ".join(b.node for b in topology.backends(service))
        kind = UnknownNode if self._asked_for else BackendUnavailable
        return kind(
            f"service {service.name!r} has no backend on node {self.node!r}, where the "
            f"files of workflow {self.machineid!r} are. It is on: {offers}. Run the chain again in "
            "a new workflow, on a node that offers every service of the chain: node=...",
            machineid=self.machineid,
            node=self.node,
        )

    def _in_order(self, topology: Topology, service: Service) -> Iterator[str]:
        """Yield the nodes that the bare id leads to, those passed over left out."""
        with contextlib.suppress(PlacementUndetermined):
            for node in topology.order(service, self.machineid):
                if node not in self._passed:
                    yield node

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
        self._leave_count = weakref.finalize(self, load.release, site, node)

    def _uncount(self) -> None:
        if self._leave_count is not None:
            self._leave_count()
            self._leave_count = None

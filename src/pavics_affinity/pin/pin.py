"""The pin of one workflow: routes each request, and checks the evidence in each answer.

One module, because one lock guards the scope and the sites, and every question needs both. What is
decided without them is in `policy`, what concerns one site in `site`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from ..errors import InvalidRequest, TopologyError, UnknownNode
from ..machineid import mint_machineid, validate_machineid
from ..protocol import Form, has_key, is_header_name, name_key, with_key
from ..record import NodeKnown, Step
from ..topology.urls import Origin, as_servers_read, origin_of
from .evidence import EvidenceCheck, WarningsLog, unknown_node
from .places import Places, is_of_an_execution
from .policy import Situation, Turn
from .site import Site, Target

if TYPE_CHECKING:
    from ..topology import Match, Topology, TopologySource

Route = Literal["auto", "proxy", "direct"]


class Found(NamedTuple):
    """What is known of a URL."""

    origin: Origin | None
    site: Site | None = None
    topology: Topology | None = None  # the site's, now
    match: Match | None = None


class Pin:
    """Machineid and node of one workflow, at each site that it uses.

    Without a machineid, one is minted; `given` is whether the user gave it, so that other tools
    may be sending it, too. `node` is for the first site that is used. If `strict`, an answer of
    the wrong node raises, else it warns. `header` is used where no topology names one.
    """

    def __init__(
        self,
        machineid: str | None,
        *,
        given: bool = True,
        node: str | None = None,
        sources: Iterable[TopologySource] = (),
        route: Route = "auto",
        strict: bool = True,
        header: str = "machineid",
    ) -> None:
        self.machineid = mint_machineid() if machineid is None else validate_machineid(machineid)
        self.given = given and machineid is not None
        self._check_options(route, strict, header)
        self.route_policy: Route = route
        self.strict = strict
        self.header = header
        self._wanted = node
        self._wanted_at: Site | None = None
        self._lock = threading.RLock()
        self._scope: set[str] = set()
        self._known: list[Site] = []
        self._bare: dict[str, Site] = {}
        self._used: list[Site] = []
        self._log = WarningsLog()
        #: Compares the node that answered with the workflow's.
        self.evidence = EvidenceCheck(self._log, strict=strict)
        self.places = Places()
        sources = list(sources)
        if node is not None and sources:
            self._check_wanted(node, sources)
        for source in sources:
            self.add_source(source)
        if machineid is None and len(self._known) == 1:
            self.machineid = self._known[0].mint(node) or self.machineid
            self._known[0].machineid = self.machineid
        if route == "direct" and not sources:
            raise TopologyError(
                "route='direct' needs a topology that names the nodes; pass topology="
            )

    @staticmethod
    def _check_options(route: object, strict: object, header: object) -> None:
        if route not in get_args(Route):
            raise InvalidRequest(f"route is {route!r}; expected 'auto', 'proxy' or 'direct'")
        if not isinstance(strict, bool):
            raise InvalidRequest(f"strict is {strict!r}; expected True or False")
        if not is_header_name(header):
            raise InvalidRequest(
                f"header is {header!r}; expected the name of a request header, such as 'machineid'"
            )

    @staticmethod
    def _check_wanted(node: str, sources: list[TopologySource]) -> None:
        names = [n.name for source in sources for n in source.current.nodes]
        if node not in names:
            raise UnknownNode(f"no node {node!r} here; there are: {', '.join(names)}", node=node)

    # ---- what is known ----

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites used so far, in the order of their first use; else those that are known."""
        with self._lock:
            return tuple(self._used or self._known)

    @property
    def sources(self) -> tuple[TopologySource, ...]:
        """What is known of sites, used or not."""
        with self._lock:
            return tuple(site.source for site in self._known if site.source is not None)

    @property
    def _topologies(self) -> list[Topology]:
        return [source.current for source in self.sources]

    @property
    def node(self) -> str | None:
        """Node at the first site that was used; None while it is not known."""
        if self._wanted is not None and not self._used:
            return self._wanted
        site = self._first_site()
        return None if site is None else site.node

    @property
    def node_known(self) -> NodeKnown:
        """How the node is known."""
        if self._wanted is not None and not self._used:
            return "predicted"
        site = self._first_site()
        return "unknown" if site is None or site.node is None else site.known

    @property
    def pinned(self) -> bool:
        """Whether something was executed, or a node asked for, so that the node stays."""
        return self._wanted is not None or any(site.pinned for site in self.sites)

    def add_source(self, source: TopologySource) -> None:
        """Learn a site's topology; a site in use as a bare proxy keeps its state."""
        with self._lock:
            hosts = source.current.service_hosts
            for host in [h for h in self._bare if h in hosts]:
                site = self._bare.pop(host)
                site.source = source
                self._known.append(site)
                return
            self._known.append(Site(self.machineid, source, given=self.given))

    def add_scope(self, url_or_host: str) -> None:
        """Let a host receive the machineid, on every port; a URL is taken for a service's."""
        origin = origin_of(url_or_host)
        self.places.add_service_origin(url_or_host)
        with self._lock:
            self._scope.add(origin.host if origin else url_or_host.rstrip(".").lower())

    @property
    def has_scope(self) -> bool:
        """Whether any host may receive the machineid yet."""
        return bool(self._scope or self._known)

    def in_scope(self, url: str) -> bool:
        """Return whether the URL's host may receive the machineid."""
        return self.receives(origin_of(url))

    def receives(self, origin: Origin | None) -> bool:
        """Return whether the host of an origin may receive the machineid."""
        if origin is None:
            return False
        return origin.host in self._scope or self._site_of(origin.host) is not None

    def node_of_url(self, url: str) -> str | None:
        """Name the node that the URL names, by its origin or its path; None if it names none."""
        names = (topology.node_of_url(url) for topology in self._topologies)
        return next((name for name in names if name is not None), None)

    def is_local(self, url: str) -> bool:
        """Return whether the URL leads, without a machineid, to any node, and so to the wrong one.

        It does at the origins of services, and where their documents put outputs, unless a
        topology says that the outputs of the services there are elsewhere. At another port of
        their hosts, what the path of an execution leads to does: it may be of an earlier workflow.
        """
        read = as_servers_read(url)
        _, site, topology, match = self._find(read)
        if site is not None and topology is not None and match is not None:
            leads_by_itself = topology.proxy == "strict" and has_key(url)
            if leads_by_itself or (match.node is not None and site.has(match.node)):
                return False
            if match.is_output:
                return True
        if self.places.is_service(read):
            return False
        if self.places.has_outputs(read):
            return True
        stated = {topology.states_outputs(read) for topology in self._topologies}
        if True in stated:
            return False
        own = False in stated or self.places.has_services(read)
        return own or (is_of_an_execution(read) and self.in_scope(read))

    def adopt(self, machineid: str) -> bool:
        """Take a machineid that an existing script brings; return whether it could be taken.

        It could not if the user gave another one, or something was sent with another one.
        """
        with self._lock:
            if machineid == self.machineid:
                return True
            if self.given or self._used:
                return False
            self.machineid, self.given = machineid, True
            for site in [*self._known, *self._bare.values()]:
                site.rename(machineid)
            return True

    def state(self) -> dict[str, Any]:
        """Return what is needed to make an equal pin in another process."""
        return {
            "machineid": self.machineid,
            "node": None if self._wanted_at is not None else self._wanted,
            "sources": list(self.sources),
            "nodes": [site.node for site in self._known],
            "route": self.route_policy,
            "strict": self.strict,
            "header": self.header,
            "scope": sorted(self._scope),
            "places": self.places.state,
        }

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Pin:
        """Make a pin from another one's `state`."""
        options = dict(state)
        scope, places, nodes = (options.pop(name) for name in ("scope", "places", "nodes"))
        pin = cls(**options)
        for site, node in zip(pin._known, nodes, strict=True):
            if node is not None:
                site.want(node)
        pin.places = Places(places)
        for host in scope:
            pin.add_scope(host)
        return pin

    def restore(self, url: str, node: str) -> None:
        """Stay on the node on which an earlier process executed something at this URL."""
        with self._lock:
            found = self._find(url)
            if found.site is not None and found.match is not None and found.site.has(node):
                found.site.keep(node)

    # ---- the way out ----

    def peek(self, url: str) -> Match | None:
        """Return how a topology covers the URL; None if none does. Nothing changes by it."""
        return self._find(url).match

    def is_outside(self, url: str) -> bool:
        """Return whether a request for the URL would go out without the machineid."""
        found = self._find(url)
        return found.site is None and not self.receives(found.origin)

    def hold(self, url: str) -> Target:
        """Route a URL, and stay on its node: a link or header that is handed out leads there."""
        target = self.route(url)
        self.executed(target)
        return target

    def route(self, url: str, *, execute: bool = False) -> Target:
        """Decide where a request goes and which routing key it carries.

        For an Execute the topology is looked at thoroughly.

        Raises
        ------
        AffinityLost
            The URL names another node than the workflow's.
        BackendUnavailable, SteeringImpossible, TopologyError
            No way leads to the workflow's node.
        """
        found = self._find(url)
        _, site, topology, match = found
        if match is None or site is None or topology is None:
            return self._uncovered(url, found, execute)
        # A strict proxy receives the node's name: no other server list can lead it astray.
        thorough = execute and topology.proxy != "strict"
        if site.renew(thorough=thorough or not (match.node is None or site.has(match.node))):
            topology = site.topology or topology
            match = topology.covering(url) or match
        if site not in self._used:
            self._mark_used(site)
        with site.lock:
            if match.node is not None:
                self.evidence.own_url(site, match.node, url)
            if not topology.offers(match.service, site.node):
                site.choose(topology, match)
            node = match.node or site.node
            direct = url if match.at_node else None
            if direct is None and self._goes_direct(site):
                direct = self._direct_url(match, node, url)
            return Target(
                url=url if direct is None else direct,
                header=topology.header,
                key=site.key_for(topology, match) if direct is None else self.machineid,
                node=node,
                route="proxy" if direct is None else "direct",
                origin=found.origin,
                site=site,
                topology=topology,
                match=match,
                pinned=site.hold != "free",
                execute=execute,
            )

    def _direct_url(self, match: Match, node: str | None, url: str) -> str | None:
        """Return the URL on the node; None if it is not known, and the proxy may be asked."""
        direct = match.to_node(node) if node else None
        if direct is None and self.route_policy == "direct":
            raise TopologyError(
                f"route='direct', but the topology has no address of service "
                f"{match.service.name!r} on node {node!r}. Give the node a host and the "
                "service a port",
                url=url,
                node=node,
            )
        return direct

    def _goes_direct(self, site: Site) -> bool:
        """Return whether requests to the site's proxy go to the node itself now."""
        return self.route_policy == "direct" or site.via == "direct"

    def _uncovered(self, url: str, found: Found, execute: bool) -> Target:
        """Route what no topology covers: with the bare id in scope, without it elsewhere."""
        origin, site, topology, _ = found
        if site is None and origin is not None and self.receives(origin):
            with self._lock:
                site = self._bare.setdefault(
                    origin.host, Site(self.machineid, None, given=self.given)
                )
        if site is None:
            return Target(url, origin=origin, execute=execute)
        if self._wanted is not None and not any(known.has(self._wanted) for known in self._known):
            raise TopologyError(
                f"no topology is known for {origin}, so the request cannot be led to node "
                f"{self._wanted!r}. Pass topology=, or leave out node=",
                machineid=self.machineid,
                node=self._wanted,
                url=url,
            )
        if site not in self._used:
            self._mark_used(site)
        return Target(
            url=url,
            header=self.header if topology is None else topology.header,
            key=site.uncovered_key(),
            node=site.node,
            route="proxy",
            origin=origin,
            site=site,
            topology=topology,
            pinned=site.hold != "free",
            execute=execute,
        )

    def link(self, url: str, *, form: Form = "path", ask_node: bool = False) -> str | None:
        """Return a URL of the same resource that leads to the node, which stays from now on.

        `form` says where a strict proxy finds the routing key; with `ask_node` the node's own URL
        is preferred. None if only a header leads to the node: behind a plain proxy, if the
        topology does not have the nodes' addresses. A URL that names a node leads to that one.
        Raises as `route` does.
        """
        if self.node_of_url(url) is not None:
            found = self._find(url)
            named = None if found.match is None else found.match.node
            if found.site is not None and named is not None and not found.site.knows(named):
                raise unknown_node(named, url, found.site.topology)
            return self._at_named_node(url, found)
        target = self.hold(url)
        topology = target.topology
        if target.route == "direct":
            return target.url
        if topology is None or target.node is None or target.key is None:
            return None
        if target.match is None and topology.states_outputs(url) is None:
            return None  # another server than the proxy
        own = None if target.match is None else target.match.to_node(target.node)
        if topology.proxy != "strict" or (ask_node and own is not None):
            return own
        return with_key(url, target.key, form)

    def _at_named_node(self, url: str, found: Found) -> str:
        """Return a URL that names a node, or the node's own if there is no way by the proxy."""
        site, match = found.site, found.match
        if site is None or match is None or match.node is None or match.at_node:
            return url
        return (match.to_node(match.node) if self._goes_direct(site) else None) or url

    def shown_link(self, url: str) -> str | None:
        """Return a URL of the same resource for a browser; None if only a header leads to the node.

        Nothing is decided, requested or changed by it.
        """
        if self.node_of_url(url) is not None or not self.in_scope(url):
            return self._at_named_node(url, self._find(url))
        for site in self.sites:
            topology, node = site.topology, site.node or self.node
            match = None if topology is None else topology.covering(url)
            if topology is None or match is None:
                continue
            if node is None or not site.has(node):
                return None
            if self._goes_direct(site) or topology.proxy != "strict":
                return match.to_node(node)
            return with_key(url, name_key(self.machineid, node), "path")
        return None

    # ---- which ways are open, and taking them ----

    def can_go_direct(self, target: Target) -> bool:
        """Return whether the node itself may be asked, because the proxy does not answer.

        Never from https to http, and only if the topology has the node's address.
        """
        site, match, public = target.site, target.match, target.origin
        if self.route_policy != "auto" or target.route != "proxy":
            return False
        if site is None or site.node is None or match is None:
            return False
        direct = match.to_node(site.node)
        origin = origin_of(direct) if direct else None
        if public is None or origin is None or origin == public:
            return False
        return not (public.scheme == "https" and origin.scheme == "http")

    def situation(
        self,
        target: Target,
        *,
        body_is_there: bool,
        seconds_left: float,
        patience_left: float,
        went_back: bool,
        unheard_for: float = 0.0,
    ) -> Situation:
        """Describe for `policy.decide` where the workflow stands; nothing changes by it."""
        site = target.site
        may_return = site is not None and site.via == "direct" and not site.node_answered_directly
        return Situation(
            execute=target.execute,
            body_is_there=body_is_there,
            route=target.route,
            pinned=site is not None and site.pinned,
            strict=self.strict,
            seconds_left=seconds_left,
            covered=target.topology is not None,
            can_go_direct=self.can_go_direct(target),
            can_go_back=target.route == "direct" and may_return,
            went_back=went_back,
            other_node=site is not None and site.other_node(target),
            may_leave=site is not None and not self.strict and site.may_leave(target),
            given=self.given,
            patience_left=patience_left,
            unheard_for=unheard_for,
        )

    def turn(self, target: Target, turn: Turn, what: str) -> bool:
        """Take another way, as `policy.decide` says; return whether a pinned node was left."""
        site = target.site
        if site is None:
            return False
        if turn.via != "same":
            site.via = turn.via
        if turn.node == "other":
            site.pass_over(target)
        return turn.node == "leave" and self.leave(target, what)

    @contextlib.contextmanager
    def under_way(self, target: Target, step: Step) -> Iterator[bool]:
        """Hold the node while the Execute of a step is on its way; for good if it may have run.

        Yields False, and holds nothing, if the workflow has left the target's node since it was
        routed: another thread found the node away or its queue full.
        """
        site = target.site
        if site is None:
            yield True
            return
        with site.lock:
            is_there = site.node == target.node or target.is_named
            site.executes_under_way += is_there
        if not is_there:
            yield False
            return
        try:
            yield True
        finally:
            with site.lock:
                site.executes_under_way -= 1
                if step.ran:
                    site.executed(target)

    def executed(self, target: Target) -> None:
        """Note that something was executed on the node, so that it stays."""
        if target.site is not None:
            target.site.executed(target)

    def leave(self, target: Target, what: str) -> bool:
        """Move from a pinned node that does not answer; a strict workflow never does.

        Returns whether there is another node to ask.
        """
        site = target.site
        if self.strict or site is None or not site.pinned or not site.abandon(target):
            return False
        self._log.warn(
            f"left {target.node}",
            f"node {target.node!r} does not answer: {what}. Workflow {self.machineid!r} is not "
            "strict and continues with another node. The files that it has written so far stay "
            "where they are",
        )
        return True

    # ---- the way back ----

    def note_reference(self, url: str) -> None:
        """Take a status location or output as evidence, where its origin or path names a node."""
        self.note_place(url)
        self.check_reference(url)

    def check_reference(self, url: str) -> None:
        """Compare the node that a URL in a document names with the workflow's."""
        self.evidence.reference(self.sites, url)

    def note_place(self, url: str) -> None:
        """Learn where a document puts a status document or an output.

        The whole origin is the workflow's own from now on, unless a topology knows
        the place already.
        """
        match = self.peek(url)
        if match is None or not (match.is_output or match.node is not None):
            self.places.add_output(url)

    def warn_once(self, topic: str, message: str) -> None:
        """Warn, but only once per workflow and topic."""
        self._log.warn(topic, message, once=True)

    def warn_if_outside(self, url: str) -> None:
        """Warn, once per host, of a URL that is requested without the machineid."""
        origin = origin_of(url)
        if origin is not None and self.is_outside(url):
            self.warn_once(
                f"outside {origin}",
                f"{url} belongs to no known service: it is requested without the machineid. If "
                f"its host belongs to the site, add it to the topology, or call "
                f"wf.add_scope({origin.host!r}); if it does not, ignore this warning",
            )

    @property
    def warned(self) -> list[str]:
        """What the user was warned of, once each."""
        return self._log.texts

    def close(self) -> None:
        """Give the places on the nodes back."""
        for site in {*self._known, *self._bare.values()}:
            site.close()

    # ---- inside ----

    def _first_site(self) -> Site | None:
        with self._lock:
            if self._used:
                return self._used[0]
            return next((site for site in self._known if site.node is not None), None)

    def _find(self, url: str) -> Found:
        """Look for the site that a URL belongs to; nothing changes by it."""
        origin = origin_of(url)
        with self._lock:
            for site in self._known:
                topology = site.topology
                match = None if topology is None else topology.covering(url)
                if match is not None and (not match.by_port or self.receives(origin)):
                    return Found(origin, site, topology, match)
            if origin is None or not self.receives(origin):
                return Found(origin)
            of_host = self._site_of(origin.host) or self._bare.get(origin.host)
            return Found(origin, of_host, None if of_host is None else of_host.topology)

    def _site_of(self, host: str) -> Site | None:
        """Return the site whose topology names a host."""
        for site in self._known:
            topology = site.topology
            if topology is not None and host in topology.service_hosts:
                return site
        return None

    def _mark_used(self, site: Site) -> None:
        with self._lock:
            if site in self._used:
                return
            wanted = self._wanted
            if wanted is not None and self._wanted_at is None and site.has(wanted):
                if not site.pinned:
                    site.want(wanted)
                if site.node == wanted:
                    self._wanted_at = site
            self._used.append(site)

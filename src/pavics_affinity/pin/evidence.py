"""Compares the node that answered with the workflow's: settles it, or reports that it was lost."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ..errors import (
    AffinityLost,
    AffinityLostWarning,
    AffinityWarning,
    EvidenceStrippedWarning,
    UnknownNode,
)
from ..markup import some, without_login
from ..warn import warn
from .policy import GATEWAY, Evidence, Verdict, weigh, weigh_reference
from .site import ServiceURL, Site, Target

if TYPE_CHECKING:
    from ..topology import Topology

_NAMES_DIFFER = (
    "Either the topology lacks the node, or the service's outputurl has another name than the "
    "topology"
)


class WarningsLog:
    """The warnings of a workflow; the last one of each topic is kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: dict[str, str] = {}

    @property
    def texts(self) -> list[str]:
        """The last warning of each topic."""
        with self._lock:
            return list(self._texts.values())

    def warn(
        self,
        topic: str,
        message: str,
        category: type[AffinityWarning] = AffinityWarning,
        *,
        once: bool = False,
    ) -> None:
        """Warn each time, or only once per topic."""
        text = without_login(message)
        with self._lock:
            if once and topic in self._texts:
                return
            self._texts[topic] = text
        warn(text, category)


class Seen(NamedTuple):
    """What an answer shows of the node that it came from."""

    node: str | None = None  # None if it shows nothing, or a node that the site does not have
    name: str | None = None  # of the header that should show it; None if none is promised
    value: str | None = None  # the header's


NOTHING = Seen()


def seen_in(target: Target, status: int, headers: Mapping[str, str]) -> Seen:
    """Read the evidence in an answer, with the renewed topology if need be."""
    site = target.site
    topology = None if site is None else site.topology
    if site is None or topology is None or status in GATEWAY:
        return NOTHING
    if target.route == "direct":
        return Seen(target.node)
    if topology.evidence is None:
        return NOTHING
    value = headers.get(topology.evidence)
    node = None if value is None else topology.node_of_evidence(value)
    if value is not None and node is None and site.renew(thorough=True):
        node = None if site.topology is None else site.topology.node_of_evidence(value)
    return Seen(node, topology.evidence, value)


def unknown_node(node: str, url: str, topology: Topology | None) -> UnknownNode:
    """Return the error for a URL whose path names a node that the topology does not have."""
    names = some(n.name for n in topology.nodes) if topology is not None else "none"
    return UnknownNode(
        f"{url} names a node {node!r}, and the nodes here are: {names}. Nothing was requested. "
        f"{_NAMES_DIFFER}",
        node=node,
        url=url,
    )


class EvidenceCheck:
    """Acts on what `weigh` says; what is lost raises, or warns if the workflow is not strict."""

    def __init__(self, log: WarningsLog, *, strict: bool) -> None:
        self._log = log
        self._strict = strict

    def answer(self, target: Target, seen: Seen, url: str, *, success: bool) -> str | None:
        """Compare the node that answered with the workflow's.

        Returns the node that answered, if it is another one and the topology turned out to have
        changed: the request may be sent again, if it may be repeated.

        Raises
        ------
        AffinityLost
            Another node answered, or evidence that came before is missing.
        """
        site = target.site
        if site is None:
            return None
        if seen.name is None:
            if seen.node is not None and site.node == seen.node:  # it was asked itself
                site.known, site.node_answered_directly = "proved", True
            return None
        place = _service_url(target, url)
        came_before = place in site.named_nodes
        verdict = self._weigh(target, site, seen, came_before, success)
        if verdict == "look":
            renewed = site.renew(thorough=True)
            verdict = self._weigh(target, site, seen, came_before, success, renewed)
        if seen.node is not None:
            site.named_nodes.add(place)
        if verdict == "again":
            return seen.node
        if verdict == "stripped" and target.match is not None:
            self._stripped(site, seen.name, url)
        if verdict == "lost":
            self.lost(site, seen.node, _in_words(seen), url)
        return None

    def reference(self, sites: Iterable[Site], url: str) -> None:
        """Check a URL in a document, which may name a node by its origin or its path."""
        for site in sites:
            node = site.topology.node_of_url(url) if site.topology is not None else None
            if node is None:
                continue
            if not site.knows(node):
                self._raise_or_warn(
                    site,
                    node,
                    f"the answer names {url}, and no node of the site is called {node!r}. "
                    f"{_NAMES_DIFFER}",
                    url,
                )
                return
            with site.lock:
                verdict = weigh_reference(
                    node,
                    site.node,
                    site.known,
                    site.hold,
                    under_way=site.executes_under_way > 0,
                )
                if verdict == "proved":
                    site.settle(node, "proved")
            if verdict == "lost":
                self.lost(site, node, f"the answer names {url}, which is on node {node!r}", url)
            return

    def own_url(self, site: Site, node: str, url: str) -> None:
        """Check a URL that names a node, before it is requested."""
        if site.node == node:
            return
        if not site.has(node):
            raise unknown_node(node, url, site.topology)
        if not site.pinned:
            site.settle(node, "predicted")
            return
        self._raise_or_warn(
            site,
            node,
            f"{url} is on node {node!r}, and workflow {site.machineid!r} is pinned to node "
            f"{site.node!r}. To use that node, make another workflow: Workflow(node={node!r})",
            url,
        )

    def lost(self, site: Site, answered: str | None, what: str, url: str) -> None:
        """Raise or warn: another node answered, or no node can be proved to have answered."""
        advice = "The answer was not used. Try again later, or run the chain again"
        self._raise_or_warn(
            site,
            answered,
            f"{what}, but the files of workflow {site.machineid!r} are on node {site.node!r} "
            f"({url}). The proxy sent the request to the wrong node: its server list may have "
            "changed, or it has marked the node as failed for a while (nginx: fail_timeout, 10 s). "
            + (advice if self._strict else ""),
            url,
        )

    def _stripped(self, site: Site, name: str, url: str) -> None:
        """Warn once per site: what is behind the same proxy loses its evidence in the same way."""
        self._log.warn(
            f"stripped {id(site)}",
            f"the topology promises the response header {name}, and the answers of "
            f"{url.partition('?')[0]} arrive without it: something on the way, such as Twitcher, "
            f"removes it. So nothing proves that node {site.node!r} answers there; it is predicted "
            "from the topology. To prove it, put the names of nodes into the outputs' URLs, or "
            "take `evidence` out of the topology if no answer ever has the header",
            EvidenceStrippedWarning,
            once=True,
        )

    def _weigh(
        self,
        target: Target,
        site: Site,
        seen: Seen,
        came_before: bool,
        success: bool,
        renewed: bool | None = None,
    ) -> Verdict:
        with site.lock:
            verdict = weigh(
                Evidence(
                    seen.node,
                    missing=seen.value is None,
                    came_before=came_before,
                    success=success,
                    execute=target.execute,
                    expected=target.node,
                    was_pinned=target.pinned,
                    node=site.node,
                    hold=site.hold,
                    under_way=site.executes_under_way > 0,
                    renewed=renewed,
                )
            )
            new = (seen.node, "proved") != (site.node, site.known)
            if verdict == "proved" and seen.node is not None and new:
                site.settle(seen.node, "proved")
        return verdict

    def _raise_or_warn(self, site: Site, answered: str | None, message: str, url: str) -> None:
        if self._strict:
            raise AffinityLost(
                message, machineid=site.machineid, node=site.node, url=url, answered_by=answered
            )
        self._log.warn("lost", message, AffinityLostWarning)


def _service_url(target: Target, url: str) -> ServiceURL:
    """Return the service's URL by which evidence is judged: each may have its own way here."""
    match, path = target.match, urlsplit(url).path
    if match is None:
        return target.origin, "", path
    return target.origin, match.service.name, "outputs" if match.is_output else path


def _in_words(seen: Seen) -> str:
    if seen.value is None:
        return f"the answer has no {seen.name} header"
    if seen.node is None:
        return f"the answer came from {seen.value[:200]!r}, which is not a node of this site"
    return f"node {seen.node!r} answered"

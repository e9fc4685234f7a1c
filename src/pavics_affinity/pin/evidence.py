"""Compares the node that answered with the workflow's: settles it, or reports that it was lost."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..errors import (
    AffinityLost,
    AffinityLostWarning,
    AffinityWarning,
    EvidenceStrippedWarning,
    UnknownNode,
)
from ..markup import without_login
from ..topology import Topology
from ..topology.parts import some
from ..topology.urls import split_url
from ..warn import warn
from .policy import GATEWAY, Evidence, Verdict, weigh, weigh_reference
from .site import ServiceURL, Site, Target

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
        self, topic: str, message: str, category: type[AffinityWarning] = AffinityWarning
    ) -> None:
        """Warn, each time."""
        text = without_login(message)
        with self._lock:
            self._texts[topic] = text
        warn(text, category)

    def once(
        self, topic: str, message: str, category: type[AffinityWarning] = AffinityWarning
    ) -> None:
        """Warn, but only once per topic."""
        with self._lock:
            if topic in self._texts:
                return
            text = self._texts[topic] = without_login(message)
        warn(text, category)


def node_named(target: Target, status: int, headers: Mapping[str, str]) -> str | None:
    """Return the node that answered; None without evidence."""
    topology = None if target.site is None else target.site.topology
    if topology is None or status in GATEWAY:
        return None
    if target.route == "direct":
        return target.node
    value = headers.get(topology.evidence or "")
    return None if value is None else topology.node_of_evidence(value)


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

    def answer(
        self, target: Target, status: int, headers: Mapping[str, str], url: str
    ) -> str | None:
        """Check an answer by its headers; see `Pin.check_evidence`."""
        site = target.site
        if site is None or site.topology is None or status in GATEWAY:
            return None
        if target.route == "direct":
            if target.node is not None and site.node == target.node:
                site.known, site.node_answered_directly = "proved", True
            return None
        name = site.topology.evidence
        if name is None:
            return None
        value = headers.get(name)
        answered = None if value is None else _node_of(site, value)
        place = _service_url(target, url)
        found = Evidence(
            answered,
            missing=value is None,
            came_before=site.has_named_nodes(place),
            success=200 <= status < 300,
            execute=target.execute,
            expected=target.node,
            was_pinned=target.pinned,
        )
        verdict = self._weigh(site, found)
        if verdict == "look":
            found = replace(found, renewed=site.renew(thorough=True))
            verdict = self._weigh(site, found)
        if answered is not None:
            site.note_evidence(place)
        if verdict == "again":
            return answered
        if verdict == "stripped" and target.match is not None:
            self._stripped(site, name, url)
        if verdict == "lost":
            self.lost(site, answered, _in_words(name, value, answered), url)
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
        self._log.once(
            f"stripped {id(site)}",
            f"the topology promises the response header {name}, and the answers of "
            f"{url.partition('?')[0]} arrive without it: something on the way, such as Twitcher, "
            f"removes it. So nothing proves that node {site.node!r} answers there; it is predicted "
            "from the topology. To prove it, put the names of nodes into the outputs' URLs, or "
            "take `evidence` out of the topology if no answer ever has the header",
            EvidenceStrippedWarning,
        )

    def _weigh(self, site: Site, found: Evidence) -> Verdict:
        with site.lock:
            verdict = weigh(
                replace(
                    found,
                    node=site.node,
                    hold=site.hold,
                    under_way=site.executes_under_way > 0,
                )
            )
            if verdict == "proved" and found.answered is not None:
                site.settle(found.answered, "proved")
        return verdict

    def _raise_or_warn(self, site: Site, answered: str | None, message: str, url: str) -> None:
        if self._strict:
            raise AffinityLost(
                message, machineid=site.machineid, node=site.node, url=url, answered_by=answered
            )
        self._log.warn("lost", message, AffinityLostWarning)


def _service_url(target: Target, url: str) -> ServiceURL:
    """Return the service's URL by which evidence is judged: each may have its own way here."""
    match, split = target.match, split_url(url)
    origin, path = ("", "") if split is None else (str(split[0]), split[1].path)
    if match is None:
        return origin, "", path
    return origin, match.service.name, "outputs" if match.is_output else path


def _node_of(site: Site, value: str) -> str | None:
    """Return the node that an evidence header names, in the renewed topology if need be."""
    topology = site.topology
    answered = None if topology is None else topology.node_of_evidence(value)
    if answered is None and site.renew(thorough=True) and site.topology is not None:
        answered = site.topology.node_of_evidence(value)
    return answered


def _in_words(name: str, value: str | None, answered: str | None) -> str:
    if value is None:
        return f"the answer has no {name} header"
    if answered is None:
        return f"the answer came from {value[:200]!r}, which is not a node of this site"
    return f"node {answered!r} answered"

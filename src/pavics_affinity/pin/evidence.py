"""Holds evidence of the node that answered against the node that a workflow is pinned to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import AffinityLost, AffinityLostWarning
from .site import Site, Target
from .warnings_log import Remarks

_GATEWAY = frozenset({502, 503, 504})


class Judge:
    """Settles a site's node by evidence, or says that it was lost.

    Parameters
    ----------
    remarks : Remarks
        Where a workflow that is not strict is warned.
    strict : bool
        Whether a wrong turn raises `AffinityLost`.
    """

    def __init__(self, remarks: Remarks, *, strict: bool) -> None:
        self._remarks = remarks
        self._strict = strict

    def answer(
        self, target: Target, status: int, headers: Mapping[str, str], url: str
    ) -> str | None:
        """Judge an answer by its headers; see `Pin.judge`."""
        site = target.site
        if site is None or site.topology is None or status in _GATEWAY:
            return None
        if target.route == "direct":
            if target.node is not None and site.node == target.node:
                site.known, site.reached = "proved", True
            return None
        name = site.topology.evidence
        if name is None:
            return None
        value = headers.get(name)
        if value is None:
            if 200 <= status < 300 and site.node is not None:
                self.lost(site, None, f"no {name} header came with the answer", url)
            return None
        answered = site.topology.node_of_evidence(value)
        if answered is None and site.renew(thorough=True):
            answered = site.topology.node_of_evidence(value)
        if answered is None:
            self.lost(
                site, value, f"the answer came from {value[:200]!r}, which is no node here", url
            )
            return None
        wrong = target.node is not None and answered != target.node == site.node
        if wrong and target.pinned and site.renew(thorough=True):
            return answered
        if not (target.pinned or target.execute) and site.pinned and answered != site.node:
            # It was asked before the Execute left. Ask again, once it is known where that ran.
            return answered if site.settled else None
        moved = site.node != target.node and not target.execute
        firm = target.pinned or site.settled or moved
        self._compare(site, answered, firm, f"node {answered!r} answered", url)
        return None

    @staticmethod
    def named(target: Target, status: int, headers: Mapping[str, str]) -> str | None:
        """Name the node that answered; None where no evidence says so."""
        topology = None if target.site is None else target.site.topology
        if topology is None or status in _GATEWAY:
            return None
        if target.route == "direct":
            return target.node
        value = headers.get(topology.evidence or "")
        return None if value is None else topology.node_of_evidence(value)

    def reference(self, sites: Iterable[Site], url: str) -> None:
        """Judge a URL in an answer, whose origin may name a node; see `Pin.note_reference`."""
        for site in sites:
            node = site.topology.node_of_url(url) if site.topology is not None else None
            if node is not None:
                proved = site.settled and site.known == "proved"
                firm = site.firm or proved or (site.pinned and not site.settled)
                what = f"the answer names {url}, which is on node {node!r}"
                self._compare(site, node, firm, what, url)
                return

    def place(self, site: Site, node: str, url: str) -> None:
        """Judge a URL that is a node's own, before it is asked."""
        if site.node == node:
            return
        if not site.pinned:
            site.settle(node, "predicted")
            return
        self._raise_or_warn(
            site,
            node,
            f"{url} is on node {node!r}, and workflow {site.machineid!r} is pinned to node "
            f"{site.node!r}. A workflow of its own reaches it: Workflow(node={node!r})",
            url,
        )

    def lost(self, site: Site, answered: str | None, what: str, url: str) -> None:
        """Raise or warn: another node answered, or none can be proved to have."""
        self._raise_or_warn(
            site,
            answered,
            f"{what}, and the files of workflow {site.machineid!r} are on node {site.node!r} "
            f"({url}); the proxy sent the request astray: its server list may have changed, or it "
            "has marked the node as failed for a while (nginx: fail_timeout, 10 s). "
            + "Nothing of the answer was used; try again later, or run the chain anew"
            * self._strict,
            url,
        )

    def _compare(self, site: Site, answered: str, firm: bool, what: str, url: str) -> None:
        with site.lock:
            if site.node == answered or site.node is None or not firm:
                site.settle(answered, "proved")
                return
        self.lost(site, answered, what, url)

    def _raise_or_warn(self, site: Site, answered: str | None, message: str, url: str) -> None:
        if self._strict:
            raise AffinityLost(
                message, machineid=site.machineid, node=site.node, url=url, answered_by=answered
            )
        self._remarks.warn("lost", message, AffinityLostWarning)

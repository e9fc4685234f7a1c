"""Asks a proxy for its topology, so that its users need to know nothing but a URL."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..errors import TopologyError, UnknownNode
from ..protocol import WELL_KNOWN
from ..topology import Topology
from ..topology.urls import origin_of
from .document import document, document_text, topology_of
from .finder import FINDER, TIMEOUT, Trust, ask
from .source import DiscoveredSource

if TYPE_CHECKING:
    from ..transport import AffinitySession

__all__ = [
    "WELL_KNOWN",
    "DiscoveredSource",
    "discover",
    "document",
    "document_text",
    "find",
    "introduce",
    "topology_of",
]

_ADDING = threading.Lock()


def discover(
    url: str,
    *,
    verify: bool | str | None = None,
    cert: str | tuple[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> Topology:
    """Ask a proxy for its topology.

    Clients do so by themselves. This is for looking at it, for keeping it as a file
    (`Topology.dump`), and for nodes' addresses: a proxy may publish them (``direct =
    true``), and clients by themselves do not believe them, for they are other hosts.

    Parameters
    ----------
    url : str
        Any URL at the proxy; its scheme, host and port count.
    verify : bool or path, optional
        As requests takes it.
    cert : path or (path, path), optional
        Client certificate.
    timeout : float, default 2.0
        Seconds, for everything together.

    Returns
    -------
    Topology
        What the proxy says of its own host.

    Raises
    ------
    ServiceUnreachable
        Nothing answers there in time.
    NotAService
        Something answers, but publishes no topology: a plain proxy, or none.
    TopologyError
        `url` is no http or https URL.
    """
    origin = origin_of(url)
    if origin is None:
        raise TopologyError(
            f"{url!r} is no http or https URL; expected a service's, such as "
            "'http://proxy.example:58093/wps'"
        )
    return ask(origin, Trust(verify, cert), timeout=timeout, addresses=True).topology


def find(session: AffinitySession, url: str) -> DiscoveredSource | None:
    """Return the topology that the proxy at a URL publishes; None if there is none.

    Asked once for a while per process and proxy, and again soon where it did not answer; see
    `finder.FOUND_FOR`, `finder.ABSENT_FOR` and `finder.FIRST_PAUSE`.

    Parameters
    ----------
    session : AffinitySession
        Its TLS settings for this origin hold; nothing else of it is told.
    url : str
        A service's URL.
    """
    origin = origin_of(url)
    if origin is None:
        return None
    settings = session.affinity.origins.of(url)
    verify = session.verify if settings.verify is None else settings.verify
    cert = session.cert if settings.cert is None else settings.cert
    trust = Trust(verify, tuple(cert) if isinstance(cert, list) else cert)
    found = FINDER.find(origin, trust)
    return None if found is None else DiscoveredSource(origin, trust, found)


def introduce(session: AffinitySession, url: str) -> None:
    """Learn the topology of a service's proxy, where nothing is known that covers it.

    Clients call this when they are made. What the user said of a host counts more
    than what the host says of itself.

    Parameters
    ----------
    session : AffinitySession
        The workflow's.
    url : str
        The service's URL.

    Raises
    ------
    UnknownNode
        The workflow asks for a node that the proxy does not have.
    """
    if _is_known(session, url):
        return
    source = find(session, url)
    if source is None or source.current.covering(url) is None:
        return
    with _ADDING:
        # Another thread may have brought it meanwhile.
        if not _is_known(session, url):
            _check_wanted(session, source)
            session.pin.add_source(source)


def _is_known(session: AffinitySession, url: str) -> bool:
    origin = origin_of(url)
    if origin is None:
        return True
    for source in session.pin.sources:
        if source.current.covering(url) is not None:
            return True
        if not isinstance(source, DiscoveredSource) and origin.host in source.current.service_hosts:
            return True
    return False


def _check_wanted(session: AffinitySession, source: DiscoveredSource) -> None:
    pin = session.pin
    wanted = pin.node if not pin.sites else None
    names = [node.name for node in source.current.nodes]
    if wanted is not None and wanted not in names:
        raise UnknownNode(
            f"no node {wanted!r} at {source.origin}; there are: {', '.join(names)}", node=wanted
        )

"""Ask a proxy for its topology, so that users need only a URL."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..brief import brief
from ..errors import TopologyError, UnknownNode
from ..protocol import WELL_KNOWN
from ..topology.urls import origin_of
from .finder import FINDER, TIMEOUT, DiscoveredSource, Trust, ask

if TYPE_CHECKING:
    from ..topology import Topology
    from ..transport import AffinitySession

__all__ = [
    "WELL_KNOWN",
    "DiscoveredSource",
    "discover",
    "find",
    "introduce",
]

_ADDING = threading.Lock()


@brief
def discover(
    url: str,
    *,
    verify: bool | str | None = None,
    cert: str | tuple[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> Topology:
    """Ask a proxy for its topology.

    Clients do this themselves. Call it to look at the topology, to write it to a file
    (`Topology.dump`), or to get the nodes' addresses: a proxy may publish them (``direct =
    true``), but clients do not use them without being asked, because they are other hosts.

    Parameters
    ----------
    url : str
        Any URL at the proxy; only its scheme, host and port are used.
    verify : bool or path, optional
        As in requests.
    cert : path or (path, path), optional
        Client certificate.
    timeout : float, default 2.0
        Seconds in total.

    Returns
    -------
    Topology
        The topology that the proxy publishes, as far as it is about its own host.

    Raises
    ------
    ServiceUnreachable
        The proxy does not answer in time.
    NotAService
        It answers but publishes no topology: it is a plain proxy, or not a proxy.
    TopologyError
        `url` is not an http or https URL.
    """
    origin = origin_of(url)
    if origin is None:
        raise TopologyError(
            f"{url!r} is not an http or https URL; expected a service's, such as "
            "'http://proxy.example:58093/wps'"
        )
    return ask(origin, Trust(verify, cert), timeout=timeout, addresses=True).topology


def find(session: AffinitySession, url: str) -> DiscoveredSource | None:
    """Return the topology that the proxy at a URL publishes; None if there is none.

    A process asks a proxy once and keeps the answer for a while; see the pauses in `finder`. Only
    the session's TLS settings for this origin are used.
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
    """Learn the topology of a service's proxy, unless a known one covers its URL.

    Clients call this when they are made. A topology that the user passed takes precedence over
    one that the host publishes. Raises `UnknownNode` if the workflow wants a node that the proxy
    does not have.
    """
    if _is_known(session, url):
        return
    source = find(session, url)
    if source is None or source.current.covering(url) is None:
        return
    with _ADDING:
        # Another thread may have added it since.
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

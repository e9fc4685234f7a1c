"""The document that a proxy publishes for its clients: written, and read with suspicion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ..errors import TopologyError
from ..protocol import (
    DEFAULT_HEADER,
    DOCUMENT_FORMAT,
    DOCUMENT_MARK,
    PATH_PREFIX,
    QUERY_NAME,
    is_free_header,
)
from ..topology import Backend, Node, Outputs, Service, Topology
from ..topology.urls import Origin, origin_of

LARGEST = 1_000_000
"""Most bytes that are read of a document."""

_MOST_NODES = 2_000
_MOST_SERVICES = 2_000
_MOST_BACKENDS = 20_000
_LONGEST_TEXT = 2_000
_LARGEST_WEIGHT = 1_000_000


def document(topology: Topology, *, evidence: str | None = None) -> dict[str, Any]:
    """Make the document of a site; the manual has its schema.

    Parameters
    ----------
    topology : Topology
        The site. Addresses are told only where it says ``direct = true``.
    evidence : str, optional
        Name of the evidence header, where the topology has none.

    Returns
    -------
    dict
        What JSON can hold. ``version`` changes with everything else in it.
    """
    content: dict[str, Any] = {
        DOCUMENT_MARK: DOCUMENT_FORMAT,
        "site": topology.site,
        "proxy": "strict",
        "header": topology.header,
        "evidence": topology.evidence or evidence,
        "keys": {
            "header": topology.header,
            "path": PATH_PREFIX,
            "query": QUERY_NAME,
            "cookie": QUERY_NAME,
        },
        "nodes": [_node(node, topology.direct) for node in topology.nodes],
        "services": [_service(topology, service) for service in topology.services],
    }
    return {**content, "version": _version(content)}


def document_text(topology: Topology, *, evidence: str | None = None) -> str:
    """Return the document as JSON in ASCII, without line breaks."""
    return json.dumps(document(topology, evidence=evidence), separators=(",", ":"))


def topology_of(data: object, origin: Origin | str, *, addresses: bool = False) -> Topology:
    """Read a document: what it says of the host that it came from, and nothing else.

    Parameters
    ----------
    data : object
        What was parsed from JSON.
    origin : Origin or str
        Where it came from; of a URL, its origin. Services, outputs and
        aliases on other hosts are left out.
    addresses : bool, default False
        Take the nodes' addresses, too. They name other hosts, so only who asked for
        the document, and looks at it, may want that.

    Returns
    -------
    Topology

    Raises
    ------
    TopologyError
        It is no such document, makes no sense, or says nothing of that host.
    """
    where = origin_of(origin) if isinstance(origin, str) else origin
    if where is None:
        raise TopologyError(f"{origin!r} is no http or https URL")
    try:
        return _Reader(where, addresses).topology(_table(data, "the document"))
    except (TypeError, ValueError, OverflowError, RecursionError) as bad:
        if isinstance(bad, TopologyError):
            raise
        raise TopologyError(f"the document of {where} makes no sense: {bad}") from bad


def version_of(data: object) -> str:
    """Return what tells one document from another; its own word for it is not relied upon."""
    return _version(data)


def _version(content: object) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


# ---- writing ----


def _node(node: Node, direct: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"name": node.name, "weight": node.weight, "drain": node.drain}
    if direct and node.host is not None:
        told["host"] = node.host
    return told


def _service(topology: Topology, service: Service) -> dict[str, Any]:
    told: dict[str, Any] = {"name": service.name, "method": service.method}
    if service.url is not None:
        told["url"] = service.url
    else:
        told["port"] = service.publish or service.listen_port
    if service.outputs is not None:
        told["outputs"] = service.outputs.public
    if service.aliases:
        told["aliases"] = list(service.aliases)
    told["backends"] = [_backend(b, topology.direct) for b in topology.backends(service)]
    if topology.direct:
        told["path"] = service.backend_path
        told["tls"] = service.tls
        if service.outputs is not None:
            told["outputs_path"] = service.outputs.backend
    return told


def _backend(backend: Backend, direct: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"node": backend.node, "weight": backend.weight}
    told |= {mark: True for mark in ("down", "backup") if getattr(backend, mark)}
    if direct and backend.address is not None:
        told["address"] = backend.address
    return told


# ---- reading ----


class _Reader:
    """Takes a document apart for one host."""

    def __init__(self, origin: Origin, addresses: bool) -> None:
        self._origin = origin
        self._addresses = addresses

    def topology(self, data: Mapping[str, Any]) -> Topology:
        if data.get(DOCUMENT_MARK) != DOCUMENT_FORMAT or isinstance(data.get(DOCUMENT_MARK), bool):
            raise TopologyError(
                f"{self._origin} publishes no document of format {DOCUMENT_FORMAT} for "
                "pavics-affinity"
            )
        nodes = tuple(self._node(each) for each in _list(data, "nodes", _MOST_NODES))
        services = [self._service(each) for each in _list(data, "services", _MOST_SERVICES)]
        ours = tuple(service for service in services if service is not None)
        if not ours:
            raise TopologyError(
                f"the document of {self._origin} names no service on host {self._origin.host!r}, "
                "and is believed for no other"
            )
        if sum(len(service.backends) for service in ours) > _MOST_BACKENDS:
            raise TopologyError(f"the document of {self._origin} has too many backends")
        evidence = _text(data, "evidence")
        return Topology(
            nodes=nodes,
            services=ours,
            header=_header(_text(data, "header") or DEFAULT_HEADER, "header"),
            evidence=None if evidence is None else _header(evidence, "evidence"),
            site=_text(data, "site"),
            proxy=data.get("proxy", "plain"),
            direct=self._addresses,
        )

    def _node(self, value: Any) -> Node:
        told = _table(value, "a node")
        host = _text(told, "host") if self._addresses else None
        return Node(
            told.get("name", ""),
            host=host,
            weight=_weight(told.get("weight", 1)),
            drain=told.get("drain", False),
        )

    def _service(self, value: Any) -> Service | None:
        told = _table(value, "a service")
        url, port = _text(told, "url"), told.get("port")
        if url is None and isinstance(port, int) and 0 < port < 65536:
            url = str(Origin(self._origin.scheme, self._origin.host, port))
        outputs = _text(told, "outputs")
        aliases = [_checked_text(alias, "aliases") for alias in _list(told, "aliases", 100, [])]
        if url is None:
            raise TopologyError("a service of the document has neither url nor port")
        if not self._is_ours(url):
            url, outputs = self._under_our_name(url, outputs, aliases)
        if url is None:
            return None
        public_path = urlsplit(url).path
        path = _text(told, "path") if self._addresses else None
        at_backend = _text(told, "outputs_path") if self._addresses else None
        kept = None
        if outputs is not None and self._is_ours(outputs):
            kept = Outputs(outputs, at_backend or urlsplit(outputs).path or "/")
        return Service(
            told.get("name", ""),
            url=url,
            path=path if path and path != public_path else None,
            outputs=kept,
            aliases=tuple(alias for alias in aliases if self._is_ours(alias)),
            method=told.get("method", "hash"),
            backends=tuple(self._backend(each) for each in _list(told, "backends", _MOST_BACKENDS)),
            tls=told.get("tls", False) if self._addresses else False,
        )

    def _under_our_name(
        self, url: str, outputs: str | None, aliases: Sequence[str]
    ) -> tuple[str | None, str | None]:
        """Return the URLs as an alias on this host has them: the proxy has several names."""
        for alias in aliases:
            if not self._is_ours(alias):
                continue
            bare = alias.rstrip("/")
            if urlsplit(bare).path:
                return bare, None
            public = None if outputs is None else bare + urlsplit(outputs).path
            return bare + urlsplit(url).path, public
        return None, None

    def _backend(self, value: Any) -> Backend:
        told = _table(value, "a backend")
        address = _text(told, "address") if self._addresses else None
        return Backend(
            told.get("node", ""),
            address=address,
            weight=_weight(told.get("weight")),
            down=told.get("down", False),
            backup=told.get("backup", False),
        )

    def _is_ours(self, url: str) -> bool:
        origin = origin_of(url)
        if origin is None:
            raise TopologyError(f"the document names {url[:200]!r}, which is no http or https URL")
        # What is asked over TLS is not answered by a promise to be found in clear.
        downgraded = self._origin.scheme == "https" and origin.scheme == "http"
        return origin.host == self._origin.host and not downgraded


def _table(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TopologyError(f"{what} should be a JSON object, not {str(value)[:80]!r}")
    return value


def _list(
    told: Mapping[str, Any], key: str, most: int, default: list[Any] | None = None
) -> list[Any]:
    value = told.get(key, default)
    if not isinstance(value, list) or len(value) > most:
        raise TopologyError(f"{key} should be a list of at most {most}")
    return value


def _text(told: Mapping[str, Any], key: str) -> str | None:
    value = told.get(key)
    return None if value is None else _checked_text(value, key)


def _checked_text(value: object, key: str) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise TopologyError(f"{key} should be a text of at most {_LONGEST_TEXT} characters")
    return value


def _header(name: str, key: str) -> str:
    if not is_free_header(name):
        raise TopologyError(f"{key} = {name!r}: no header for this use")
    return name


def _weight(value: Any) -> Any:
    if isinstance(value, int | float) and value > _LARGEST_WEIGHT:
        raise TopologyError(f"a weight above {_LARGEST_WEIGHT}")
    return value

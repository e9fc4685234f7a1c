"""Write the document that a proxy publishes for its clients, and read it without trusting it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ..errors import TopologyError, message_of
from ..markup import quoted
from ..protocol import (
    DOCUMENT_FORMAT,
    DOCUMENT_MARK,
    HEADER_RULE,
    PATH_PREFIX,
    QUERY_NAME,
    is_free_header,
)
from ..topology import Backend, Node, Outputs, Service, Topology
from ..topology.schema import NODE_SEGMENT, PORT, KeyPath, Reader
from ..topology.urls import Origin, origin_of

_MOST_NODES = 2_000
_MOST_SERVICES = 2_000
_MOST_BACKENDS = 20_000
_MOST_ALIASES = 100
_LONGEST_TEXT = 2_000
_LARGEST_WEIGHT = 1_000_000


def document(topology: Topology, *, evidence: str | None = None) -> dict[str, Any]:
    """Return the document of a site; the manual has its schema.

    It contains addresses only if the topology says ``direct = true``. `evidence` names the
    evidence header if the topology does not. ``version`` changes with the rest of the document.
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
    return {**content, "version": version_of(content)}


def document_text(topology: Topology, *, evidence: str | None = None) -> str:
    """Return the document as JSON in ASCII, without line breaks."""
    return json.dumps(document(topology, evidence=evidence), separators=(",", ":"))


def version_of(content: object) -> str:
    """Return a digest of a document's content; its own ``version`` is not trusted."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _node(node: Node, direct: bool) -> dict[str, Any]:
    published: dict[str, Any] = {"name": node.name, "weight": node.weight, "drain": node.drain}
    if direct and node.host is not None:
        published["host"] = node.host
    return published


def _service(topology: Topology, service: Service) -> dict[str, Any]:
    published: dict[str, Any] = {"name": service.name, "method": service.method}
    if service.url is not None:
        published["url"] = service.url
    else:
        published["port"] = service.publish or service.listen_port
    if service.outputs is not None:
        published["outputs"] = service.outputs.public
    if service.aliases:
        published["aliases"] = list(service.aliases)
    published["backends"] = [_backend(b, topology.direct) for b in topology.backends(service)]
    if topology.direct:
        published["path"] = service.backend_path
        published["tls"] = service.tls
        if service.outputs is not None:
            published["outputs_path"] = service.outputs.backend
    return published


def _backend(backend: Backend, direct: bool) -> dict[str, Any]:
    published: dict[str, Any] = {"node": backend.node, "weight": backend.weight}
    published |= {mark: True for mark in ("down", "backup") if getattr(backend, mark)}
    if direct and backend.address is not None:
        published["address"] = backend.address
    return published


def topology_of(data: object, origin: Origin | str, *, addresses: bool = False) -> Topology:
    """Return the topology in a document, parsed JSON, as far as it is about the host it came from.

    `origin` may be any URL there. Services, outputs and aliases on other hosts are left out. So
    are the nodes' addresses, which name other hosts, unless `addresses` is true. Only set it for
    a user who asked for the document and looks at it. Raises `TopologyError` if the document is
    not valid, or has no service on that host.
    """
    where = origin_of(origin) if isinstance(origin, str) else origin
    if where is None:
        raise TopologyError(f"{origin!r} is not an http or https URL; expected the proxy's")
    try:
        return _DocumentReader(where, addresses).topology(data)
    except (TypeError, ValueError, OverflowError, RecursionError) as bad:
        if isinstance(bad, TopologyError):
            raise
        raise TopologyError(f"the document of {where} is not valid: {message_of(bad)}") from bad


class _DocumentReader:
    """Reads the parts of a document that are about one host."""

    def __init__(self, origin: Origin, addresses: bool) -> None:
        self._origin = origin
        self._addresses = addresses
        self._reader = Reader(lambda path, item: (f"the document of {origin}", None))

    def topology(self, data: object) -> Topology:
        document = self._reader.table(data, ())
        if document.get(DOCUMENT_MARK) != DOCUMENT_FORMAT or document[DOCUMENT_MARK] is True:
            raise TopologyError(
                f"{self._origin} publishes no document of format {DOCUMENT_FORMAT} for "
                "pavics-affinity"
            )
        nodes = [self._node(*each) for each in self._items(document, (), "nodes", _MOST_NODES)]
        services = [
            service
            for each in self._items(document, (), "services", _MOST_SERVICES)
            if (service := self._service(*each)) is not None
        ]
        if not services:
            raise TopologyError(
                f"the document of {self._origin} names no service on host {self._origin.host!r}, "
                "and services on other hosts are ignored"
            )
        if sum(len(service.backends) for service in services) > _MOST_BACKENDS:
            self._reader.fail(("services",), f"more than {_MOST_BACKENDS:,} backends")
        settings = self._picked(document, (), "header", "evidence", "site", "proxy")
        for key in ("header", "evidence"):
            name = settings.get(key)
            if isinstance(name, str) and not is_free_header(name):
                self._reader.fail(
                    (key,), f"{name!r}: expected {HEADER_RULE}, that has no other meaning in HTTP"
                )
        values = {**settings, "nodes": nodes, "services": services, "direct": self._addresses}
        return self._reader.made(Topology, values, ())

    def _node(self, value: object, path: KeyPath) -> Node:
        keys = ["name", "weight", "drain", *["host"] * self._addresses]
        return self._reader.made(Node, self._picked(value, path, *keys), path)

    def _backend(self, value: object, path: KeyPath) -> Backend:
        keys = ["node", "weight", "down", "backup", *["address"] * self._addresses]
        return self._reader.made(Backend, self._picked(value, path, *keys), path)

    def _service(self, value: object, path: KeyPath) -> Service | None:
        given = self._reader.table(value, path)
        url, outputs = self._text(given, path, "url"), self._text(given, path, "outputs")
        aliases = [
            self._checked(alias, inner)
            for alias, inner in self._items(given, path, "aliases", _MOST_ALIASES, [])
        ]
        if url is None:
            if not PORT.fits(given.get("port")):
                self._reader.fail(path, "a service needs a url, or a port of 1 to 65535")
            url = str(Origin(self._origin.scheme, self._origin.host, given["port"]))
        if not self._is_ours(url):
            url, outputs = self._under_our_name(url, outputs, aliases)
        if url is None:
            return None
        values = self._picked(given, path, "name", "method", *["tls"] * self._addresses)
        values["url"] = url
        values["aliases"] = [alias for alias in aliases if self._is_ours(alias)]
        values["backends"] = [
            self._backend(*each) for each in self._items(given, path, "backends", _MOST_BACKENDS)
        ]
        own_path = self._text(given, path, "path") if self._addresses else None
        if own_path and own_path != urlsplit(url).path:
            values["path"] = own_path
        if outputs is not None and self._is_ours(outputs):
            backend = self._text(given, path, "outputs_path") if self._addresses else None
            backend = backend or urlsplit(outputs).path.replace(f"/{NODE_SEGMENT}", "") or "/"
            where = (*path, "outputs")
            values["outputs"] = self._reader.made(
                Outputs, {"public": outputs, "backend": backend}, where
            )
        return self._reader.made(Service, values, path)

    def _under_our_name(
        self, url: str, outputs: str | None, aliases: Sequence[str]
    ) -> tuple[str | None, str | None]:
        """Return a service's URLs below its alias on this host, if the proxy has several names."""
        for alias in aliases:
            if not self._is_ours(alias):
                continue
            bare = alias.rstrip("/")
            if urlsplit(bare).path:
                return bare, None
            public = None if outputs is None else bare + urlsplit(outputs).path
            return bare + urlsplit(url).path, public
        return None, None

    def _is_ours(self, url: str) -> bool:
        origin = origin_of(url)
        if origin is None:
            raise TopologyError(
                f"the document of {self._origin} names {url[:200]!r}, which is not an http or "
                "https URL"
            )
        # A document fetched over TLS cannot lead to an unencrypted service.
        downgraded = self._origin.scheme == "https" and origin.scheme == "http"
        return origin.host == self._origin.host and not downgraded

    # ---- untrusted values: their size is limited, and unknown keys are ignored ----

    def _picked(self, value: object, path: KeyPath, *keys: str) -> dict[str, Any]:
        given = self._reader.table(value, path)
        picked = {key: given[key] for key in keys if key in given}
        for key, each in picked.items():
            if isinstance(each, str):
                self._checked(each, (*path, key))
            elif isinstance(each, int | float) and each > _LARGEST_WEIGHT:
                self._reader.fail((*path, key), f"expected at most {_LARGEST_WEIGHT:,}")
        return picked

    def _items(
        self, given: Mapping[str, Any], path: KeyPath, key: str, most: int, default: Any = None
    ) -> list[tuple[object, KeyPath]]:
        """Return the items of a list, each with its path."""
        items = self._reader.items(given.get(key, default), (*path, key))
        if len(items) > most:
            self._reader.fail((*path, key), f"expected at most {most:,} items")
        return [(item, (*path, key, str(i))) for i, item in enumerate(items)]

    def _text(self, given: Mapping[str, Any], path: KeyPath, key: str) -> str | None:
        value = given.get(key)
        return None if value is None else self._checked(value, (*path, key))

    def _checked(self, value: object, path: KeyPath) -> str:
        if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
            self._reader.fail(
                path,
                f"expected a text of at most {_LONGEST_TEXT:,} characters, not "
                f"{quoted(value)[:80]}",
            )
        return value

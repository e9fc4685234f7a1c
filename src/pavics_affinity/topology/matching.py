"""Find the service and the node of a URL, in tables that are made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from urllib.parse import urlsplit

from ..errors import TopologyError
from .parts import Backend, Service
from .schema import NODE_SEGMENT
from .urls import Origin, is_plain_path, origin_of, split_address, split_url, tail_of


@dataclass(frozen=True, slots=True)
class Match:
    """The service that a URL belongs to, and the same resource on its nodes.

    Attributes
    ----------
    service : Service
        The service.
    path : str
        Path, query and fragment of the same resource on a backend.
    node : str or None
        The node that the URL names, by its origin or its path. A node named by the path may
        not exist.
    at_node : bool
        Whether the URL's origin is the address of a backend.
    by_port : bool
        Only the port identifies the service. The topology does not name the host, so it
        does not show whether the host can be trusted.
    bases : mapping of str to str
        By node, the origin of the service there, as far as it is known.
    is_output : bool
        Whether it is below the service's outputs or jobs, so that only one node has it.
    """

    service: Service
    path: str
    node: str | None = None
    at_node: bool = False
    by_port: bool = False
    bases: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    is_output: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_output", _is_output(self.service, self.path))

    def to_node(self, node: str) -> str | None:
        """Return the URL of the same resource on a node; None if the node's address is not known.

        Also return None if the path names another node, because only that one has the resource.
        """
        elsewhere = self.node is not None and not self.at_node and node != self.node
        base = None if elsewhere else self.bases.get(node)
        return None if base is None else base + self.path


def _is_output(service: Service, tail: str) -> bool:
    """Return whether a path on a backend, with its query, is that of an output or a job.

    Jobs are below the service's own path. The outputs of a service without `outputs` can be
    anywhere at its origin.
    """
    path = tail.partition("?")[0].partition("#")[0].rstrip("/")
    own = service.backend_path.rstrip("/")
    outputs = "" if service.outputs is None else service.outputs.backend.rstrip("/")
    if not outputs:
        return path != own
    return path.startswith(outputs + "/") or (own != "" and path.startswith(own + "/"))


_Row = tuple[str, Service, str | None]
"""A path on a backend, its service, and the node that the public path names."""


@dataclass(slots=True)
class _Prefixes:
    """Path prefixes at one origin, without trailing slash, each with its service and node.

    `by_node` holds the texts before and after the node's name in prefixes that have one.
    """

    rows: dict[str, _Row] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()
    by_node: dict[tuple[str, str], tuple[str, Service]] = field(default_factory=dict)

    def add(
        self, public: str, backend: str, service: Service, node: str | None = None
    ) -> Service | None:
        """Add a prefix; return another service that already has it."""
        stem, backend = public.rstrip("/"), backend.rstrip("/")
        if NODE_SEGMENT in stem:
            before, _, after = stem.partition(NODE_SEGMENT)
            self.by_node.setdefault((before, after), (backend, service))
            return None
        _, owner, _ = self.rows.setdefault(stem, (backend, service, node))
        self.lengths = tuple(sorted({*self.lengths, len(stem)}, reverse=True))
        return None if owner is service else owner

    def longest(self, path: str) -> _Row | None:
        """Return the backend's path, the service, and the node that the path names."""
        for length in self.lengths:
            if len(path) == length or path[length : length + 1] == "/":
                row = self.rows.get(path[:length])
                if row is not None:
                    unknown = None if row[2] else self._of_unknown_node(path, length)
                    backend, service, node = row
                    return unknown or ((backend + path[length:]) or "/", service, node)
        return self._of_unknown_node(path, -1)

    def _of_unknown_node(self, path: str, longer_than: int) -> _Row | None:
        """Return the row of a path that has an unknown name instead of a node's."""
        for (before, after), (backend, service) in self.by_node.items():
            if not path.startswith(before) or len(before) <= longer_than:
                continue
            name = path[len(before) :].partition("/")[0]
            rest = path[len(before) + len(name) :]
            if name and f"{rest}/".startswith(f"{after}/"):
                return (backend + rest[len(after) :]) or "/", service, name
        return None


class UrlIndex:
    """Finds the service and the node of each URL of a topology.

    Raises `TopologyError` if two services have one URL.
    """

    def __init__(
        self, services: Sequence[Service], backends: Mapping[str, Sequence[Backend]]
    ) -> None:
        self._services = services
        self._backends = backends
        self._prefixes: dict[Origin, _Prefixes] = {}
        self._owners: dict[Origin, dict[str, Service]] = {}
        for service in services:
            nodes = dict.fromkeys(backend.node for backend in backends[service.name])
            for url, backend, key in _names_of(service):
                self._add(url, backend, key, service)
                for node in nodes if NODE_SEGMENT in url else ():
                    self._add(url.replace(NODE_SEGMENT, node), backend, key, service, node)
        #: See `Topology.covering`. The URL of a status document is looked up many times.
        self.covering: Callable[[str], Match | None] = lru_cache(maxsize=512)(self._match)

    def _match(self, url: str) -> Match | None:
        split = split_url(url)
        if split is None or not is_plain_path(split[1].path):
            return None
        origin, parts = split
        tail = tail_of(parts)
        if origin in self._owners:
            return self._at_proxy(origin, parts.path, tail)
        if origin in self._at_nodes:
            node, first, prefixes = self._at_nodes[origin]
            found = prefixes.longest(parts.path)
            service = found[1] if found else first
            return self._made(service, (parts.path or "/") + tail, node, at_node=True)
        service_by_port = self._by_port.get(origin.port)
        if service_by_port is not None:
            return self._made(service_by_port, (parts.path or "/") + tail, by_port=True)
        return None

    def node_of_url(self, url: str) -> str | None:
        """See `Topology.node_of_url`."""
        origin = origin_of(url)
        if origin is not None and origin in self._at_nodes:
            return self._at_nodes[origin][0]
        match = self.covering(url)
        return None if match is None else match.node

    def states_outputs(self, url: str) -> bool | None:
        """See `Topology.states_outputs`."""
        origin = origin_of(url)
        owners = {} if origin is None else self._owners.get(origin, {})
        return all(service.outputs for service in owners.values()) if owners else None

    def bases(self, service: Service) -> Mapping[str, str]:
        """Return, by node, the origin of a service there, if it is known."""
        return self._bases[service.name]

    @cached_property
    def hosts(self) -> frozenset[str]:
        """Hosts of public URLs, aliases and nodes."""
        return frozenset(origin.host for origin in (*self._owners, *self._at_nodes))

    def _add(
        self, url: str, backend: str | None, key: str, service: Service, node: str | None = None
    ) -> None:
        split = split_url(url)
        if split is None:
            return
        origin, parts = split
        self._owners.setdefault(origin, {})[service.name] = service
        if backend is None:
            return
        prefixes = self._prefixes.setdefault(origin, _Prefixes())
        other = prefixes.add(parts.path, backend, service, node)
        # Services often share one place for their outputs.
        if other is not None and key != "outputs":
            raise TopologyError(
                f"services {other.name!r} and {service.name!r} have the same URL, {url}; "
                "give each its own URL",
                key=f"services.{service.name}.{key}",
            )

    def _at_proxy(self, origin: Origin, path: str, tail: str) -> Match | None:
        prefixes = self._prefixes.get(origin)
        found = prefixes.longest(path) if prefixes is not None else None
        if found is not None:
            backend_path, service, node = found
            return self._made(service, backend_path + tail, node)
        owners = self._owners[origin]
        if len(owners) == 1:
            return self._made(next(iter(owners.values())), (path or "/") + tail)
        return None

    def _made(
        self,
        service: Service,
        path: str,
        node: str | None = None,
        *,
        at_node: bool = False,
        by_port: bool = False,
    ) -> Match:
        return Match(service, path, node, at_node, by_port, self._bases[service.name])

    @cached_property
    def _bases(self) -> Mapping[str, Mapping[str, str]]:
        bases: dict[str, dict[str, str]] = {service.name: {} for service in self._services}
        for service in self._services:
            scheme = "https" if service.tls else "http"
            for backend in self._backends[service.name]:
                parsed = None if backend.address is None else split_address(backend.address)
                if parsed is not None:
                    bases[service.name].setdefault(backend.node, str(Origin(scheme, *parsed)))
        return bases

    @cached_property
    def _at_nodes(self) -> Mapping[Origin, tuple[str, Service, _Prefixes]]:
        """The node, the first service and the paths at each backend's origin."""
        found: dict[Origin, tuple[str, Service, _Prefixes]] = {}
        for service in self._services:
            for node, base in self._bases[service.name].items():
                origin = origin_of(base)
                if origin is None or origin in self._owners:
                    continue
                _, _, prefixes = found.setdefault(origin, (node, service, _Prefixes()))
                prefixes.add(service.backend_path, service.backend_path, service)
                if service.outputs is not None:
                    prefixes.add(service.outputs.backend, service.outputs.backend, service)
        return found

    @cached_property
    def _by_port(self) -> Mapping[int, Service]:
        """Services without a URL, by port, except those that share a port."""
        owners: dict[int, list[Service]] = {}
        for service in self._services:
            if service.url is None and service.listen_port is not None:
                owners.setdefault(service.listen_port, []).append(service)
        return {port: found[0] for port, found in owners.items() if len(found) == 1}


def _names_of(service: Service) -> Iterator[tuple[str, str | None, str]]:
    """Yield each public URL, its path on a backend, and the key that it comes from."""
    outputs = service.outputs
    if service.url is not None:
        yield service.url, service.backend_path, "url"
    if outputs is not None:
        yield outputs.public, outputs.backend, "outputs"
    for alias in service.aliases:
        bare = alias.rstrip("/")
        if urlsplit(bare).path:
            yield bare, service.backend_path, "aliases"
            continue
        # Only an origin: the service's known paths are valid there, too.
        yield bare, None, "aliases"
        if service.url is not None:
            yield bare + urlsplit(service.url).path, service.backend_path, "aliases"
        if outputs is not None:
            yield bare + urlsplit(outputs.public).path, outputs.backend, "outputs"

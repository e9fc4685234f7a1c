"""Which service and node a URL belongs to: tables made once, for a lookup per request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from urllib.parse import urlsplit

from ..errors import TopologyError
from .parts import Backend, Service
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
        The node, if the URL's origin is the address of a backend.
    by_port : bool
        Only the port shows that it is the service: the topology does not name the
        host, so whether it can be trusted must come from elsewhere.
    bases : mapping of str to str
        By node, the origin of the service there, as far as it is known.
    """

    service: Service
    path: str
    node: str | None = None
    by_port: bool = False
    bases: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def to_node(self, node: str) -> str | None:
        """Return the URL of the same resource on a node; None if its address is not known."""
        base = self.bases.get(node)
        return None if base is None else base + self.path

    @property
    def is_output(self) -> bool:
        """Whether it is below the service's outputs or jobs, so that only one node has it.

        Jobs are below the service's own path. The outputs of a service without
        `outputs` can be anywhere at its origin.
        """
        path = self.path.partition("?")[0].partition("#")[0].rstrip("/")
        own = self.service.backend_path.rstrip("/")
        if self.service.outputs is None:
            return path != own
        outputs = self.service.outputs.backend.rstrip("/")
        return path.startswith(outputs + "/") or (own != "" and path.startswith(own + "/"))


@dataclass(slots=True)
class _Prefixes:
    """Path prefixes at one origin, without trailing slash, each with backend path and service."""

    rows: dict[str, tuple[str, Service]] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()

    def add(self, public: str, backend: str, service: Service) -> Service | None:
        """Add a prefix; return another service that already has it."""
        stem = public.rstrip("/")
        _, owner = self.rows.setdefault(stem, (backend.rstrip("/"), service))
        self.lengths = tuple(sorted({*self.lengths, len(stem)}, reverse=True))
        return None if owner is service else owner

    def longest(self, path: str) -> tuple[Service, str] | None:
        """Return the service and the backend's path, by whole segments."""
        for length in self.lengths:
            if len(path) == length or path[length : length + 1] == "/":
                row = self.rows.get(path[:length])
                if row is not None:
                    backend, service = row
                    return service, (backend + path[length:]) or "/"
        return None


class UrlIndex:
    """Which service and node each URL of a topology belongs to.

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
            for url, backend, key in _names_of(service):
                self._add(url, backend, key, service)
        # The URL of a status document is looked up many times.
        self._matches = lru_cache(maxsize=512)(self._match)

    def covering(self, url: str) -> Match | None:
        """See `Topology.covering`."""
        return self._matches(url)

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
            service = found[0] if found else first
            return self._made(service, (parts.path or "/") + tail, node)
        service_by_port = self._by_port.get(origin.port)
        if service_by_port is not None:
            return self._made(service_by_port, (parts.path or "/") + tail, by_port=True)
        return None

    def node_of_url(self, url: str) -> str | None:
        """See `Topology.node_of_url`."""
        origin = origin_of(url)
        return self._at_nodes[origin][0] if origin and origin in self._at_nodes else None

    def states_outputs(self, url: str) -> bool:
        """See `Topology.states_outputs`."""
        origin = origin_of(url)
        owners = {} if origin is None else self._owners.get(origin, {})
        return bool(owners) and all(service.outputs for service in owners.values())

    def bases(self, service: Service) -> Mapping[str, str]:
        """Return, by node, the origin of a service there, as far as it is known."""
        return self._bases[service.name]

    @cached_property
    def hosts(self) -> frozenset[str]:
        """Hosts of public URLs, aliases and nodes."""
        return frozenset(origin.host for origin in (*self._owners, *self._at_nodes))

    def _add(self, url: str, backend: str | None, key: str, service: Service) -> None:
        split = split_url(url)
        if split is None:
            return
        origin, parts = split
        self._owners.setdefault(origin, {})[service.name] = service
        if backend is None:
            return
        other = self._prefixes.setdefault(origin, _Prefixes()).add(parts.path, backend, service)
        # Services often share one place for their outputs.
        if other is not None and key != "outputs":
            raise TopologyError(
                f"services {other.name!r} and {service.name!r} have one URL, {url}; "
                "give each a URL of its own",
                key=f"services.{service.name}.{key}",
            )

    def _at_proxy(self, origin: Origin, path: str, tail: str) -> Match | None:
        prefixes = self._prefixes.get(origin)
        found = prefixes.longest(path) if prefixes is not None else None
        if found is not None:
            service, backend_path = found
            return self._made(service, backend_path + tail)
        owners = self._owners[origin]
        if len(owners) == 1:
            return self._made(next(iter(owners.values())), (path or "/") + tail)
        return None

    def _made(
        self, service: Service, path: str, node: str | None = None, *, by_port: bool = False
    ) -> Match:
        return Match(service, path, node, by_port, self._bases[service.name])

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
        """Node, first service and paths of each backend's origin."""
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
        """Services without a URL; none of several on one port, which cannot be told apart."""
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
        # The origin alone: the service's known paths are valid there too.
        yield bare, None, "aliases"
        if service.url is not None:
            yield bare + urlsplit(service.url).path, service.backend_path, "aliases"
        if outputs is not None:
            yield bare + urlsplit(outputs.public).path, outputs.backend, "outputs"

"""The options of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

from ..errors import UnknownService
from ..topology import Topology
from .control import ClusterError

Files = Mapping[str, str]
ProxyConfig = str | Path | Files | Callable[[Topology], "str | Path | Files"]

_MOST_NODES = 150


@dataclass(frozen=True)
class Upstream:
    """The options of nginx's upstream for one service.

    Parameters
    ----------
    directive : str, default "hash $http_machineid;"
        The directive that chooses the server; empty for round robin.
    servers : tuple of str, optional
        Names of nodes in nginx's order, each with its parameters, as
        ``"node3 weight=5 max_fails=0"``. By default all nodes, with their
        weights.
    parameters : str, default ""
        Added to every server line.
    upstream, location, server : str, default ""
        Further directives in these blocks.
    """

    directive: str = "hash $http_machineid;"
    servers: tuple[str, ...] | None = None
    parameters: str = ""
    upstream: str = ""
    location: str = ""
    server: str = ""


@dataclass(frozen=True)
class ClusterOptions:
    """The parameters of `LocalCluster`, which documents them."""

    nodes: int = 3
    _: KW_ONLY
    proxy: Literal["auto", "nginx", "none"] = "auto"
    services: Sequence[str] | Mapping[str, str] = ("malleefowl", "flyingpigeon")
    workers: int = 2
    directive: str = "hash $http_machineid;"
    upstreams: Mapping[str, Upstream] | None = None
    weights: Mapping[str, int] | None = None
    drain: Sequence[str] = ()
    evidence: str | None = None
    announce: Literal["proxy", "node"] = "proxy"
    outputs: Literal["common", "by-node"] = "common"
    layout: Literal["ports", "paths"] = "ports"
    front: Literal["none", "twitcher", "twitcher-per-node"] = "none"
    proxy_config: ProxyConfig | None = None
    proxy_style: Literal["plain", "strict"] = "plain"
    proxy_workers: int = 1
    parallelprocesses: int = 4
    maxprocesses: int = 30

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= _MOST_NODES:
            raise ClusterError(f"{self.nodes} nodes: expected 1 to {_MOST_NODES}")
        for name, kind in get_type_hints(type(self)).items():
            choices = get_args(kind) if get_origin(kind) is Literal else ()
            if choices and (value := getattr(self, name)) not in choices:
                *others, last = map(repr, choices)
                raise ClusterError(f"{name}={value!r}: expected {', '.join(others)} or {last}")
        if self.front != "none":
            # Twitcher tells services by their paths.
            object.__setattr__(self, "layout", "paths")
        if self.front == "twitcher-per-node" and self.proxy_config is not None:
            raise ClusterError(
                "front='twitcher-per-node' needs the cluster's own files for nginx: other files "
                "would bypass Twitcher. Leave out proxy_config, or use front='twitcher'"
            )
        if unknown := set(self.upstreams or ()) - set(self.services):
            raise UnknownService(
                f"upstreams for {', '.join(sorted(unknown))}: the services are "
                f"{', '.join(self.services)}"
            )
        for name, factory in self.factories.items():
            module, _, function = factory.partition(":")
            if not module or not function.isidentifier():
                raise ClusterError(
                    f"service {name!r}: {factory!r} is not 'module:function', such as "
                    "'emu.wsgi:create_app'"
                )

    @property
    def factories(self) -> dict[str, str]:
        """The functions that make the WSGI applications of other services, by service."""
        return dict(self.services) if isinstance(self.services, Mapping) else {}

"""LocalCluster: a site of several nodes on one machine.

It is long because the methods of this public class have full docstrings.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import inspect
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Concatenate, ParamSpec

from ..errors import MissingExtra
from ..topology import Topology
from .control import AddressInUse, ClusterError
from .dataserver import DataRequest, DataServer
from .live import Live
from .nginx import ProxyRequest, find_nginx
from .nodes import Execution, NodeRequest
from .options import ClusterOptions, ProxyConfig, Upstream

_PACKAGES = ("gunicorn", "netCDF4", "pywps", "werkzeug", "xarray")
_START_TRIES = 3
_SAMPLE = "E1_north_america.nc"

_P = ParamSpec("_P")
_Init = Callable[["LocalCluster", ClusterOptions], None]


def _takes(
    options: Callable[_P, ClusterOptions],
) -> Callable[[_Init], Callable[Concatenate[LocalCluster, _P], None]]:
    """Give ``__init__`` the parameters of the options, so that they are defined once."""

    def decorate(init: _Init) -> Callable[Concatenate[LocalCluster, _P], None]:
        def from_options(self: LocalCluster, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
            init(self, options(*args, **kwargs))

        signature = inspect.signature(ClusterOptions.__init__)
        from_options.__signature__ = signature  # type: ignore[attr-defined] # see PEP 362
        return from_options

    return decorate


class LocalCluster:
    """Several real WPS nodes on loopback, behind a real nginx if it is installed.

    Every node has its own address and its own disk, and runs real PyWPS
    services under gunicorn. The other nodes do not see the files that it
    writes. Nothing is left behind, even if the owner is killed. Use it as a
    context manager, or call `start` and `stop`. The first cluster of a program
    starts a process that imports PyWPS and stays until the program ends, so
    later clusters start faster.

    Parameters
    ----------
    nodes : int, default 3
        Number of nodes; their names are ``node1``, ``node2`` ...
    proxy : {"auto", "nginx", "none"}, default "auto"
        ``"auto"`` uses nginx if it is found. Without a proxy, nothing answers
        at the services' public URLs.
    services : sequence of str, or mapping, default ("malleefowl", "flyingpigeon")
        Their names. malleefowl offers ``download``, flyingpigeon ``subset_bbox``
        and ``subset_bbox_complex``, and a service with any other name offers all
        of these. All services offer ``sleep``, ``echo``, ``fail``, ``produce``,
        ``multiple_outputs`` and ``wordcounter``. For other PyWPS services, pass
        a mapping of name to the function that makes the application from a
        list of configuration files, such as ``{"emu": "emu.wsgi:create_app"}``;
        birdhouse's services have such functions. Each is imported once;
        `executions` does not include runs of these services.
    workers : int, default 2
        Number of requests that a backend answers at a time.
    directive : str, default "hash $http_machineid;"
        The directive that chooses the server, in every upstream.
    upstreams : mapping of str to Upstream, optional
        Upstreams, by service, that differ in the order of servers, the weights
        or the directive.
    weights : mapping of str to int, optional
        Weights by node; 1 if not given.
    drain : sequence of str, default ()
        Nodes that take no new workflows.
    evidence : str, optional
        Response header in which nginx names the node that answered.
    announce : {"proxy", "node"}, default "proxy"
        The address that nodes write into their documents: the public address,
        as on real sites, or their own.
    outputs : {"common", "by-node"}, default "common"
        ``"common"``: the outputs of all nodes have one URL prefix. ``"by-node"``: each
        node writes its name into the path of its output URLs, and nginx sends that path
        to the node.
    layout : {"ports", "paths"}, default "ports"
        ``"ports"``, as in the manual: the proxy has a port for each service.
        ``"paths"``: one port, services below ``/twitcher/ows/proxy/NAME/wps``
        and their outputs below ``/wpsoutputs/NAME``.
    front : {"none", "twitcher", "twitcher-per-node"}, default "none"
        Puts Twitcher, the security proxy of birdhouse sites, in front of the
        services; it needs the extra ``twitcher``. ``"twitcher"``: one in front
        of the proxy, behind another nginx that sends only ``/twitcher/`` to it
        and everything else past it. ``"twitcher-per-node"``: one on each node,
        behind the proxy. The layout is then ``"paths"``.
    proxy_config : path, mapping or callable, optional
        Your own configuration files for nginx: a directory that contains
        ``nginx.conf`` or ``conf.d/*.conf``, also below ``config/proxy``; a
        mapping of relative path to text; or a callable that takes the topology
        and returns one of these.
    proxy_style : {"plain", "strict"}, default "plain"
        The style that the topology declares; ``"strict"`` needs a
        `proxy_config` that is strict.
    proxy_workers : int, default 1
        nginx's ``worker_processes``.
    parallelprocesses, maxprocesses : int, default 4 and 30
        PyWPS's settings: how many jobs a backend runs at a time, and how many wait in
        its queue.

    Raises
    ------
    MissingExtra
        Packages of the extra ``testing``, or ``twitcher``, are not installed.
    ClusterError
        nginx is not found for ``proxy="nginx"`` or a `front`, the system cannot fork, or
        an option has a wrong value.

    Examples
    --------
    >>> with LocalCluster() as cluster:  # doctest: +SKIP
    ...     cluster.url("flyingpigeon")
    'http://127.77.12.1:58093/wps'
    """

    @_takes(ClusterOptions)
    def __init__(self, options: ClusterOptions) -> None:
        if any(importlib.util.find_spec(name) is None for name in _PACKAGES):
            raise MissingExtra.of("testing", "LocalCluster")
        if not hasattr(os, "fork"):
            raise ClusterError("LocalCluster needs a system that can fork; use Linux or macOS")
        found = options.proxy != "none" and find_nginx() is not None
        if options.proxy == "nginx" and not found:
            raise ClusterError("nginx was not found; install it, or use proxy='none'")
        if options.front != "none":
            if importlib.util.find_spec("twitcher") is None:
                raise MissingExtra.of("twitcher", f"LocalCluster(front={options.front!r})")
            if not found:
                raise ClusterError(
                    f"front={options.front!r} needs nginx; install it, and leave out proxy='none'"
                )
        self._options = dataclasses.replace(options, proxy="nginx" if found else "none")
        self._running: Live | None = None

    # ---- start and stop ----

    def start(self, node: str | None = None) -> LocalCluster:
        """Start the cluster, or start one node again, and wait until it answers.

        A node that is started again has its old address and its old disk.
        Returns the cluster itself.

        Raises
        ------
        ClusterError
            A process does not start, or is already running.
        """
        if node is not None:
            self._live.start_node(self._live.site.node(node))
            return self
        if self._running is not None:
            raise ClusterError("the cluster is running already")
        for left in reversed(range(_START_TRIES)):
            try:
                self._running = Live(self._options)
                break
            except AddressInUse:
                # Another program took the address after it was chosen: choose another one.
                if not left:
                    raise
        return self

    def stop(self) -> None:
        """End every process and remove every file; safe to call twice."""
        live, self._running = self._running, None
        if live is not None:
            live.close()

    def __enter__(self) -> LocalCluster:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ---- what clients need ----

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes, whether they run or not."""
        return tuple(self._live.site.nodes)

    @property
    def services(self) -> tuple[str, ...]:
        """Names of the services."""
        return tuple(self._options.services)

    @property
    def proxy(self) -> str | None:
        """``"nginx"``, or None without a proxy."""
        return "nginx" if self._options.proxy == "nginx" else None

    @property
    def directory(self) -> Path:
        """The directory of everything that the cluster writes; removed when it stops."""
        return self._live.directory

    def url(self, service: str) -> str:
        """Return a service's public URL, whether a proxy answers there or not."""
        return self._live.site.url(service)

    def outputs_url(self, service: str, node: str | None = None) -> str:
        """Return the public URL prefix of a service's outputs and status documents.

        With ``outputs="by-node"`` it is the prefix of one node, or contains ``{node}``.
        """
        found = self._live.site.outputs_url(service)
        return found if node is None else found.replace("{node}", self._live.site.node(node).name)

    def node_url(self, node: str, service: str) -> str:
        """Return the URL of a service on a node, without the proxy."""
        self._live.site.check_service(service)
        return f"http://{self._live.site.node(node).address(service)}/wps"

    @property
    def topology(self) -> Topology:
        """The topology of this site with the proxy's current configuration.

        Raises
        ------
        TopologyError
            An upstream's directive is not a hash of a header, or two upstreams hash different
            headers.
        """
        return self._live.site.topology()

    def topology_toml(self) -> str:
        """Return the topology as TOML text."""
        return self.topology.dumps()

    def dump_topology(self, path: str | os.PathLike[str]) -> Path:
        """Write the topology to a TOML file, and return its path."""
        self.topology.dump(path)
        return Path(path)

    # ---- faults and changes ----

    def kill(self, node: str, service: str | None = None) -> None:
        """Kill a node as a power cut does; return when none of its processes runs.

        Its disk stays, its address refuses connections, and running jobs are lost.
        With a service, only the processes of that service are killed.
        """
        self._live.kill(node, service)

    def pause(self, node: str, service: str | None = None) -> None:
        """Stop a node's processes: it accepts connections and never answers."""
        self._live.signal(node, service, signal.SIGSTOP)

    def resume(self, node: str, service: str | None = None) -> None:
        """Let a paused node continue."""
        self._live.signal(node, service, signal.SIGCONT)

    def add_node(self, *, reload: bool = True) -> str:
        """Start one more node, and return its name.

        The node is appended to every upstream, and the proxy is reloaded. With
        ``reload=False`` no upstream has the node until a `reload` with `servers`
        that name it.
        """
        node = self._live.add_node(listed=reload)
        if reload:
            self.reload()
        return node.name

    def reload(
        self,
        *,
        servers: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        directive: str | Mapping[str, str] | None = None,
        parameters: str | None = None,
        upstreams: Mapping[str, Upstream] | None = None,
        proxy_config: ProxyConfig | None = None,
    ) -> None:
        """Change the proxy's configuration as an operator would: write, test, reload.

        Returns when only nginx's new workers accept connections. Without a
        proxy, only the topology changes; a stopped proxy starts later with the
        new files.

        Parameters
        ----------
        servers : sequence of str, or mapping of str to it, optional
            Nodes with their parameters, in nginx's order, as
            ``["node2", "node1 weight=5"]``; for all services or by service.
        directive : str, or mapping of str to str, optional
            The directive that chooses the server; for all services or by service.
        parameters : str, optional
            Added to every server line.
        upstreams : mapping of str to Upstream, optional
            Whole upstreams, by service.
        proxy_config : optional
            Other files, as for the cluster itself.

        Raises
        ------
        ClusterError
            nginx refuses the configuration, and still uses the old one.
        """
        site = self._live.site
        changed = site.upstreams | dict(upstreams or {})
        for service, upstream in changed.items():
            own = servers.get(service) if isinstance(servers, Mapping) else servers
            line = directive.get(service) if isinstance(directive, Mapping) else directive
            changed[service] = dataclasses.replace(
                upstream,
                servers=upstream.servers if own is None else tuple(own),
                directive=upstream.directive if line is None else line,
                parameters=upstream.parameters if parameters is None else parameters,
            )
        config = site.proxy_config if proxy_config is None else proxy_config
        self._live.change_proxy(changed, config)

    def stop_proxy(self) -> None:
        """Kill the proxy at once; its address refuses connections."""
        self._live.stop_proxy()

    def start_proxy(self) -> None:
        """Start the proxy again, at its old address."""
        self._live.start_proxy()

    # ---- logs ----

    def requests(
        self, node: str | None = None, *, machineid: str | None = None
    ) -> list[NodeRequest]:
        """Return the requests that one node or all nodes received, by time of arrival.

        With a machineid, only the requests with it in their header, steered (``~``) or not.
        """
        site = self._live.site
        names = site.nodes if node is None else (node,)
        seen = [request for name in names for request in site.node(name).requests()]
        if machineid is not None:
            seen = [request for request in seen if _is_of(request.machineid, machineid)]
        return sorted(seen, key=lambda request: request.time)

    def executions(
        self, node: str | None = None, *, identifier: str | None = None
    ) -> list[Execution]:
        """Return the runs of processes on one node or all nodes, by time of start.

        A refused Execute has no run, and one that was sent twice has two. With
        an identifier, only the runs of this process.
        """
        site = self._live.site
        names = site.nodes if node is None else (node,)
        runs = [run for name in names for run in site.node(name).executions()]
        if identifier is not None:
            runs = [run for run in runs if run.identifier == identifier]
        return sorted(runs, key=lambda run: run.started)

    def proxy_requests(self, *, machineid: str | None = None) -> list[ProxyRequest]:
        """Return the proxy's access log, in the order of the answers.

        With a machineid, only the requests with it in their header, steered (``~``) or not.
        """
        site = self._live.site
        seen = self._live.nginx.requests(site.service_of, site.nodes_by_address())
        if machineid is not None:
            seen = [request for request in seen if _is_of(request.machineid, machineid)]
        return seen

    def proxy_errors(self) -> str:
        """Return the proxy's error log, from level notice."""
        return self._live.nginx.errors()

    def cache(self, node: str) -> Path:
        """Return the directory of a node's downloads."""
        return self._live.site.node(node).disk / "cache"

    def log(self, node: str) -> str:
        """Return everything that a node's processes printed and logged."""
        return self._live.site.node(node).log()

    # ---- data to download ----

    def serve(self, directory: str | os.PathLike[str]) -> DataServer:
        """Serve a directory from its own address until the cluster stops."""
        return self._live.serve(directory)

    @property
    def data_url(self) -> str:
        """URL of the directory of iris-sample-data, without a slash at the end."""
        with contextlib.suppress(KeyError):
            return self._live.data[_sample_directory()].url
        return self._live.serve(_sample_directory()).url

    @property
    def sample_url(self) -> str:
        """URL of a real climate model's output, 1.8 MB of NetCDF over North America."""
        return f"{self.data_url}/{_SAMPLE}"

    def data_requests(self) -> list[DataRequest]:
        """Return the requests that all data servers received, by time."""
        seen = [request for server in self._live.data.values() for request in server.requests]
        return sorted(seen, key=lambda request: request.time)

    @property
    def _live(self) -> Live:
        if self._running is None:
            raise ClusterError(
                "the cluster is not running; call start(), or use it as a context manager"
            )
        return self._running


def _sample_directory() -> str:
    try:
        import iris_sample_data
    except ImportError as error:
        raise MissingExtra.of("testing", "LocalCluster.data_url") from error
    return str(iris_sample_data.path)


def _is_of(header: str | None, machineid: str) -> bool:
    return header is not None and header.split("~")[0] == machineid

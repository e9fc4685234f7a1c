"""A cluster that runs: its processes, from the first to the last."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Literal

from .control import ClusterError, Warden
from .dataserver import DataServer
from .nginx import Nginx
from .nodes import NodeState
from .ports import AddressBlock
from .services.settings import READY_PATH, BackendSettings
from .site import ProxyConfig, Site
from .upstream import Upstream

# The deployment's manual: on each node; the proxy publishes the same and 50000.
_MANUAL_PORTS = {"malleefowl": 8091, "flyingpigeon": 8093}
_FIRST_FREE_PORT = 8094
_PUBLISHED = 50_000
_ONE_PORT = 58_080
_PROXY_HOST, _FIRST_NODE_HOST, _FIRST_DATA_HOST = 1, 11, 201
_READY_SECONDS = 60.0


@dataclass(frozen=True)
class Plan:
    """What a cluster is to be; the parameters are those of `LocalCluster`."""

    nodes: int
    services: tuple[str, ...]
    nginx: bool
    upstreams: dict[str, Upstream]
    weights: dict[str, int]
    drain: frozenset[str]
    evidence: str | None
    announce: Literal["proxy", "node"]
    layout: Literal["ports", "paths"]
    proxy_config: ProxyConfig | None
    proxy_style: Literal["plain", "strict"]
    proxy_workers: int
    workers: int
    parallelprocesses: int
    maxprocesses: int


class Live:
    """The processes of a cluster, its addresses and its directory.

    Parameters
    ----------
    plan : Plan
        What it is to be.

    Attributes
    ----------
    directory : pathlib.Path
        Everything that the cluster writes.
    site : Site
        Nodes, services, proxy.
    data : dict of str to DataServer
        By the directory that is served.

    Raises
    ------
    AddressInUse
        An address was taken between choosing and using it.
    ClusterError
        Something does not come up.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lock = threading.RLock()
        self._running: set[str] = set()
        self._nginx: Nginx | None = None
        self.data: dict[str, DataServer] = {}
        with contextlib.ExitStack() as resources:
            self._start(resources)
            self._resources = resources.pop_all()
        # Also where nobody calls close: at the end of the interpreter, or when collected.
        self._finalizer = weakref.finalize(self, _end, os.getpid(), self._resources)

    def close(self) -> None:
        """End every process and remove every file; safe to call twice."""
        self._finalizer()

    @property
    def nginx(self) -> Nginx:
        """The proxy."""
        if self._nginx is None:
            raise ClusterError("this cluster has no proxy; it needs proxy='nginx'")
        return self._nginx

    # ---- nodes ----

    def start_node(self, node: NodeState) -> None:
        """Start what is not running of a node, and wait until it answers."""
        with self._lock:
            missing = [name for name in node.ports if f"{node.name}/{name}" not in self._running]
            if not missing:
                raise ClusterError(f"{node.name} is running already")
            for service in missing:
                self._spawn(node, service)
            self._wait_ready(node)

    def add_node(self, *, listed: bool) -> NodeState:
        """Start one node more, at the end of every upstream or in none."""
        with self._lock:
            node = self._new_node(len(self.site.nodes) + 1)
            self.site.add(node, listed=listed)
            self.start_node(node)
            return node

    def kill(self, node: str, service: str | None) -> None:
        """Kill a node's processes; return when they are gone."""
        with self._lock:
            groups = self._groups(node, service)
            self._warden.ask("kill", names=groups)
            self._running.difference_update(groups)

    def signal(self, node: str, service: str | None, number: int) -> None:
        """Send a signal to all of a node's processes."""
        with self._lock:
            for group in self._groups(node, service):
                self._warden.ask("signal", name=group, number=int(number))

    # ---- the proxy ----

    def start_proxy(self) -> None:
        """Start it and wait until it serves."""
        with self._lock:
            if "proxy" in self._running:
                raise ClusterError("the proxy is running already")
            site = self.site
            self.nginx.start([(site.proxy_host, port) for port in {*site.published.values()}])
            self._running.add("proxy")

    def stop_proxy(self) -> None:
        """Kill it."""
        with self._lock:
            self.nginx.kill()
            self._running.discard("proxy")

    def change_proxy(self, upstreams: Mapping[str, Upstream], config: ProxyConfig | None) -> None:
        """Give the proxy other files; on an error everything is as before."""
        with self._lock:
            site = self.site
            before = site.upstreams, site.proxy_config
            site.upstreams, site.proxy_config = dict(upstreams), config
            try:
                site.check()
                if self._nginx is not None:
                    self._nginx.write(site.proxy_files())
            except BaseException:
                site.upstreams, site.proxy_config = before
                raise
            if "proxy" in self._running:
                self.nginx.reload()

    # ---- data ----

    def serve(self, directory: str | os.PathLike[str]) -> DataServer:
        """Serve a directory from an address of its own."""
        with self._lock:
            host = self._addresses.host(_FIRST_DATA_HOST + len(self.data))
            server = DataServer(directory, host)
            self._resources.callback(server.close)
            self.data[os.fspath(directory)] = server
            return server

    # ---- how it begins ----

    def _start(self, resources: contextlib.ExitStack) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pavics-affinity-")).resolve()
        resources.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self._warden = Warden(self.directory)
        resources.callback(self._warden.stop)
        self._addresses = AddressBlock()
        resources.callback(self._addresses.close)
        self.site = self._new_site()
        if self._plan.nginx:
            self._nginx = Nginx(self._warden, self.directory / "nginx", self._plan.proxy_workers)
            self._nginx.write(self.site.proxy_files())
        for node in self.site.nodes.values():
            for service in node.ports:
                self._spawn(node, service)
        if self._plan.nginx:
            self.start_proxy()
        for node in self.site.nodes.values():
            self._wait_ready(node)

    def _new_site(self) -> Site:
        plan, addresses = self._plan, self._addresses
        numbers = range(1, plan.nodes + 1)
        hosts = [addresses.host(_FIRST_NODE_HOST + number - 1) for number in numbers]
        proxy_host = addresses.host(_PROXY_HOST)
        free = _FIRST_FREE_PORT
        self._ports: dict[str, int] = {}
        published: dict[str, int] = {}
        for service in plan.services:
            wanted = _MANUAL_PORTS.get(service)
            if wanted is None:
                wanted, free = free, free + 1
            self._ports[service] = addresses.port(hosts, wanted)
            if plan.layout == "ports":
                published[service] = addresses.port([proxy_host], wanted + _PUBLISHED)
        if plan.layout == "paths":
            published = dict.fromkeys(plan.services, addresses.port([proxy_host], _ONE_PORT))
        site = Site(
            proxy_host=proxy_host,
            published=published,
            layout=plan.layout,
            upstreams={},
            weights=plan.weights,
            drain=plan.drain,
            evidence=plan.evidence,
            style=plan.proxy_style,
            proxy_config=plan.proxy_config,
            distinct_hosts=addresses.distinct,
        )
        for number in numbers:
            site.add(self._new_node(number), listed=True)
        # Upstreams that list their servers know from the start which.
        site.upstreams = dict(plan.upstreams)
        site.check()
        return site

    def _new_node(self, number: int) -> NodeState:
        host = self._addresses.host(_FIRST_NODE_HOST + number - 1)
        ports = dict(self._ports)
        if not self._addresses.distinct:
            ports = {service: self._addresses.port([host]) for service in ports}
        disk = self.directory / f"node{number}"
        (disk / "cache").mkdir(parents=True)
        return NodeState(f"node{number}", host, ports, disk)

    def _spawn(self, node: NodeState, service: str) -> None:
        urls = {"url": self.site.url(service), "outputurl": self.site.outputs_url(service)}
        if self._plan.announce == "node":
            origin = f"http://{node.address(service)}"
            urls = {"url": f"{origin}/wps", "outputurl": f"{origin}/outputs"}
        settings = BackendSettings(
            node=node.name,
            service=service,
            disk=str(node.disk),
            **urls,
            workers=self._plan.workers,
            parallelprocesses=self._plan.parallelprocesses,
            maxprocesses=self._plan.maxprocesses,
        )
        self._warden.ask(
            "backend",
            name=f"{node.name}/{service}",
            host=node.host,
            port=node.ports[service],
            log=str(node.disk / f"{service}.log"),
            settings=dataclasses.asdict(settings),
        )
        self._running.add(f"{node.name}/{service}")

    def _wait_ready(self, node: NodeState) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        for service, port in node.ports.items():
            while not _answers(node.host, port, deadline):
                status = self._warden.ask("status", name=f"{node.name}/{service}")
                if status["exit"] is not None or time.monotonic() > deadline:
                    raise ClusterError(
                        f"{service} of {node.name} did not start: {node.log()[-2000:]}"
                    )
                time.sleep(0.01)

    def _groups(self, node: str, service: str | None) -> list[str]:
        state = self.site.node(node)
        if service is not None:
            self.site.check_service(service)
        groups = [f"{node}/{name}" for name in state.ports if service in {None, name}]
        return [group for group in groups if group in self._running]


def _end(owner: int, resources: contextlib.ExitStack) -> None:
    # A fork of the owner ends with a copy of this; what it copies is not its own.
    if os.getpid() == owner:
        resources.close()


def _answers(host: str, port: int, deadline: float) -> bool:
    seconds = max(0.1, deadline - time.monotonic())
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request("GET", READY_PATH)
        return connection.getresponse().status == HTTPStatus.NO_CONTENT
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

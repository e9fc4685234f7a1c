"""A running cluster: its processes, its addresses and its directory."""

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
from http import HTTPStatus
from pathlib import Path
from typing import Any

from .control import ClusterError, Supervisor
from .dataserver import DataServer
from .nginx import Nginx
from .nodes import ClusterNode
from .options import ClusterOptions, ProxyConfig, Upstream
from .ports import AddressBlock
from .services.shared import READY_PATH, BackendSettings
from .site import TWITCHER, ClusterSite

_FIRST_DATA_HOST = 201
_READY_SECONDS = 300.0  # finch takes a minute to start on a busy machine


class Live:
    """The processes of a cluster, its addresses and its directory.

    `data` holds the data servers by the directory that they serve. Raises `AddressInUse` if
    another program took an address after it was chosen.
    """

    def __init__(self, options: ClusterOptions) -> None:
        self._options = options
        self._lock = threading.RLock()
        self._running: set[str] = set()
        self._nginx: Nginx | None = None
        self.data: dict[str, DataServer] = {}
        with contextlib.ExitStack() as resources:
            self._start(resources)
            self._resources = resources.pop_all()
        # Without a call of close: at the end of the interpreter, or when collected.
        self._finalizer = weakref.finalize(self, _end, os.getpid(), self._resources)

    def close(self) -> None:
        """End every process and remove every file; safe to call twice."""
        self._finalizer()

    @property
    def nginx(self) -> Nginx:
        """The proxy."""
        if self._nginx is None:
            raise ClusterError("this cluster has no proxy; make it with proxy='nginx'")
        return self._nginx

    # ---- nodes ----

    def start_node(self, node: ClusterNode) -> None:
        """Start the services of a node that are not running, and wait until they answer."""
        with self._lock:
            missing = [name for name in node.ports if f"{node.name}/{name}" not in self._running]
            if not missing:
                raise ClusterError(f"{node.name} is running already")
            for service in missing:
                self._spawn(node, service)
            self._wait_ready(node)

    def add_node(self, *, listed: bool) -> ClusterNode:
        """Start one more node, at the end of every upstream or in none."""
        with self._lock:
            node = self.site.add_node(listed=listed)
            self.start_node(node)
            return node

    def kill(self, node: str, service: str | None) -> None:
        """Kill a node's processes; return when they are gone."""
        with self._lock:
            groups = self._groups(node, service)
            self._supervisor.ask("kill", names=groups)
            self._running.difference_update(groups)

    def signal(self, node: str, service: str | None, number: int) -> None:
        """Send a signal to all of a node's processes."""
        with self._lock:
            for group in self._groups(node, service):
                self._supervisor.ask("signal", name=group, number=int(number))

    # ---- the proxy ----

    def start_proxy(self) -> None:
        """Start it and wait until it serves."""
        with self._lock:
            if "proxy" in self._running:
                raise ClusterError("the proxy is running already")
            site = self.site
            self.nginx.start([(site.proxy_host, port) for port in site.proxy_ports])
            self._running.add("proxy")

    def stop_proxy(self) -> None:
        """Kill it."""
        with self._lock:
            self.nginx.kill()
            self._running.discard("proxy")

    def change_proxy(self, upstreams: Mapping[str, Upstream], config: ProxyConfig | None) -> None:
        """Give the proxy other files; if that fails, nothing changes."""
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
        """Serve a directory from its own address."""
        with self._lock:
            host = self._addresses.host(_FIRST_DATA_HOST + len(self.data))
            server = DataServer(directory, host)
            self._resources.callback(server.close)
            self.data[os.fspath(directory)] = server
            return server

    # ---- starting ----

    def _start(self, resources: contextlib.ExitStack) -> None:
        options = self._options
        self.directory = Path(tempfile.mkdtemp(prefix="pavics-affinity-")).resolve()
        resources.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self._supervisor = Supervisor(self.directory)
        resources.callback(self._supervisor.stop)
        self._addresses = AddressBlock()
        resources.callback(self._addresses.close)
        self.site = ClusterSite(options, self._addresses, self.directory)
        if options.proxy == "nginx":
            self._nginx = Nginx(self._supervisor, self.directory / "nginx", options.proxy_workers)
            self._nginx.write(self.site.proxy_files())
        nodes = [*self.site.nodes.values(), *filter(None, [self.site.front])]
        for node in nodes:
            for service in node.ports:
                self._spawn(node, service)
        if self._nginx is not None:
            self.start_proxy()
        for node in nodes:
            self._wait_ready(node)

    def _spawn(self, node: ClusterNode, service: str) -> None:
        name = f"{node.name}/{service}"
        if service == TWITCHER:
            do, given = "twitcher", {"urls": self.site.behind_twitcher(node)}
        else:
            do, given = "backend", {"settings": self._settings(node, service)}
        self._supervisor.ask(
            do,
            name=name,
            host=node.host,
            port=node.ports[service],
            log=str(node.disk / f"{service}.log"),
            **given,
        )
        self._running.add(name)

    def _settings(self, node: ClusterNode, service: str) -> dict[str, Any]:
        options = self._options
        if options.announce == "node":
            origin = f"http://{node.address(service)}"
            url, outputurl = f"{origin}/wps", f"{origin}/outputs"
        else:
            url = self.site.url(service)
            outputurl = self.site.outputs_url(service).replace("{node}", node.name)
        settings = BackendSettings(
            node=node.name,
            service=service,
            disk=str(node.disk),
            url=url,
            outputurl=outputurl,
            workers=options.workers,
            parallelprocesses=options.parallelprocesses,
            maxprocesses=options.maxprocesses,
            factory=options.factories.get(service),
        )
        return dataclasses.asdict(settings)

    def _wait_ready(self, node: ClusterNode) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        for service, port in node.ports.items():
            while not _answers(node.host, port, deadline):
                status = self._supervisor.ask("status", name=f"{node.name}/{service}")
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
    # A fork of the owner has a copy of this finalizer, and must leave the cluster alone.
    if os.getpid() == owner:
        resources.close()


def _answers(host: str, port: int, deadline: float) -> bool:
    seconds = max(0.1, deadline - time.monotonic())
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request("GET", READY_PATH)
        # 204 of a backend, 404 of Twitcher.
        return connection.getresponse().status < HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

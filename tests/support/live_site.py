"""A real nginx on loopback in front of backends that say who they are and what they were asked."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from pavics_affinity.testing.nginx import find_nginx
from pavics_affinity.testing.ports import AddressBlock
from pavics_affinity.topology import Node, Outputs, Service, Topology
from support.loopback import Answer, Seen, Server

KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
MANUAL = {"malleefowl": 8091, "flyingpigeon": 8093, "hummingbird": 8094}


def nginx() -> str:
    """Return the path of nginx; skip the test where there is none."""
    found = find_nginx()
    if found is None:
        pytest.skip("nginx is not installed")
    return found


class Site:
    """Addresses for a proxy and its nodes; backends and nginx are started on demand."""

    def __init__(self, nodes: int = 3, services: Mapping[str, int] = MANUAL) -> None:
        self.block = AddressBlock()
        self.host = self.block.host(1)
        self.services = dict(services)
        self.nodes = {f"node{i}": self.block.host(10 + i) for i in range(1, nodes + 1)}
        self.backends: dict[tuple[str, str], Server] = {}

    def topology(self, **options: Any) -> Topology:
        """What an operator would write."""
        return Topology(
            nodes=[Node(name, host) for name, host in self.nodes.items()],
            services=[
                Service(
                    name,
                    url=f"http://{self.host}:{port}/wps",
                    port=port,
                    listen=f"{self.host}:{port}",
                    publish=50000 + port,
                    outputs=Outputs(f"http://{self.host}:{port}/outputs", "/outputs"),
                )
                for name, port in self.services.items()
            ],
            **options,
        )

    def url(self, service: str = "flyingpigeon", path: str = "/wps") -> str:
        return f"http://{self.host}:{self.services[service]}{path}"

    def start_backends(self) -> None:
        for node, host in self.nodes.items():
            for service, port in self.services.items():
                self.start_backend(node, service, host, port)

    def start_backend(self, node: str, service: str, host: str, port: int) -> Server:
        server = Server(host, port)
        server.answer = lambda seen: _answer(node, service, seen)
        self.backends[node, service] = server
        return server

    def kill(self, node: str, service: str) -> None:
        """Stop a backend, its kept connections included."""
        server = self.backends.pop((node, service))
        server.answer = lambda seen: Answer(cut=-1)
        server.stop()
        time.sleep(1.2)  # longer than nginx keeps them

    def stop(self) -> None:
        for server in self.backends.values():
            server.stop()
        self.backends.clear()
        self.block.close()


def _answer(node: str, service: str, seen: Seen) -> Answer:
    told = {"node": node, "service": service, "path": seen.path, "headers": seen.headers}
    return Answer(body=json.dumps(told).encode(), headers={"Content-Type": "application/json"})


@contextlib.contextmanager
def site(nodes: int = 3, services: Mapping[str, int] = MANUAL) -> Iterator[Site]:
    made = Site(nodes, services)
    try:
        yield made
    finally:
        made.stop()


class RealNginx:
    """nginx with its own directory, unprivileged paths, and files that can be replaced."""

    def __init__(self, directory: Path, files: Mapping[str, str], *, workers: int = 1) -> None:
        self.directory = directory
        self.workers = workers
        self.process: subprocess.Popen[bytes] | None = None
        (directory / "logs").mkdir(parents=True, exist_ok=True)
        self.write(files)

    def write(self, files: Mapping[str, str]) -> None:
        """Replace the files; without nginx.conf, use the usual one."""
        for old in [*self.directory.glob("conf.d/*"), *self.directory.glob("nginx.conf")]:
            old.unlink()
        for name, text in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._moved(text))
        main = files.get("nginx.conf")
        if main is None:
            main = "events {}\nhttp {\n  access_log off;\n  include /etc/nginx/conf.d/*.conf;\n}\n"
            main = f"worker_processes {self.workers};\n{main}"
        (self.directory / "nginx.conf").write_text(self._adapted(main))

    def test(self) -> tuple[bool, str]:
        done = subprocess.run(
            [*self._command(), "-t"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
        return done.returncode == 0, done.stderr

    def start(self, address: tuple[str, int]) -> None:
        self.process = subprocess.Popen(
            [*self._command(), "-g", "daemon off;"], stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
                return
            assert self.process.poll() is None, self.log()
            time.sleep(0.01)
        raise AssertionError(f"nginx did not start: {self.log()}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def log(self) -> str:
        path = self.directory / "logs" / "error.log"
        return path.read_text() if path.exists() else ""

    def _command(self) -> list[str]:
        return [nginx(), "-p", f"{self.directory}/", "-c", f"{self.directory}/nginx.conf"]

    def _moved(self, text: str) -> str:
        return text.replace("/etc/nginx/", f"{self.directory}/").replace(
            "/var/log/nginx/", f"{self.directory}/logs/"
        )

    def _adapted(self, main: str) -> str:
        own = [f"pid {self.directory}/nginx.pid;", f"error_log {self.directory}/logs/error.log;"]
        if os.geteuid() == 0:
            group = grp.getgrgid(os.getegid()).gr_name
            own.append(f"user {pwd.getpwuid(0).pw_name} {group};")
        paths = "".join(f"  {k}_temp_path {self.directory}/{k};\n" for k in KINDS)
        text = re.sub(r"(?m)^(user|pid|error_log)\s[^;]*;", "", self._moved(main))
        return "\n".join([*own, text.replace("http {\n", "http {\n" + paths, 1)])


@contextlib.contextmanager
def running(
    site: Site, files: Mapping[str, str], *, workers: int = 1, backends: bool = True
) -> Iterator[RealNginx]:
    """Serve a site by these files."""
    with tempfile.TemporaryDirectory() as directory:
        proxy = RealNginx(Path(directory), files, workers=workers)
        if backends and not site.backends:
            site.start_backends()
        first = next(iter(site.services.values()))
        proxy.start((site.host, first))
        try:
            yield proxy
        finally:
            proxy.stop()


def ask(url: str, machineid: str | None = None, **headers: str) -> requests.Response:
    if machineid is not None:
        headers["machineid"] = machineid
    return requests.get(url, headers=headers, timeout=20, allow_redirects=False)


def node_of(url: str, machineid: str | None = None, **headers: str) -> str:
    response = ask(url, machineid, **headers)
    assert response.status_code == 200, (response.status_code, response.text)
    return str(response.json()["node"])

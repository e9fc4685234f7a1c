"""A real nginx on loopback, with one upstream per case and its own backends."""

from __future__ import annotations

import grp
import http.client
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pavics_affinity.testing.nginx import find_nginx
from support.loopback import free_port

BACKENDS = 100


def backend(i: int) -> str:
    return f"127.0.77.{i + 1}"


@dataclass(frozen=True)
class Case:
    """An upstream: `servers` may hold {0} ... {99}, backends that listen, {other} and {dead}."""

    name: str
    directive: str
    servers: tuple[str, ...]
    extra: str = ""


@dataclass
class Nginx:
    front: int
    port: int
    other: int
    dead: int
    sockets: Path

    def servers(self, case: Case) -> list[str]:
        listening = [f"{backend(i)}:{self.port}" for i in range(BACKENDS)]
        return [
            line.format(*listening, other=self.other, dead=self.dead, sockets=self.sockets)
            for line in case.servers
        ]

    def ask(self, case: Case, keys: list[bytes], uri: str = "/") -> Iterator[tuple[int, list[str]]]:
        """Send each key, and give the status and the addresses that nginx tried."""
        connection = http.client.HTTPConnection("127.0.0.1", self.front, timeout=60)
        try:
            for key in keys:
                connection.putrequest("GET", f"/{case.name}{uri}")
                connection.putheader("machineid", key)
                connection.endheaders()
                response = connection.getresponse()
                response.read()
                tried = response.headers["X-Tried"].split(", ")
                yield response.status, [address for address in tried if address != case.name]
        finally:
            connection.close()


def configuration(nginx: Nginx, cases: list[Case]) -> str:
    upstreams = "\n".join(
        f"upstream {case.name} {{\n"
        + "".join(f"  server {line};\n" for line in nginx.servers(case) if "backup" in line)
        # nginx refuses a backup behind the hash line, and keeps the order of the others.
        + f"  {case.directive}\n"
        + "".join(f"  server {line};\n" for line in nginx.servers(case) if "backup" not in line)
        + f"  {case.extra}\n}}"
        for case in cases
    )
    locations = "\n".join(
        f"location /{case.name}/ {{ proxy_pass http://{case.name}; }}" for case in cases
    )
    ports = (nginx.port, nginx.other)
    listens = "\n".join(f"listen {backend(i)}:{p};" for i in range(BACKENDS) for p in ports)
    owner = f"{pwd.getpwuid(os.getuid()).pw_name} {grp.getgrgid(os.getgid()).gr_name}"
    return f"""
user {owner};
worker_processes 1;
daemon off;
pid {nginx.sockets}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {nginx.sockets}/body;
  proxy_temp_path {nginx.sockets}/proxy;
  fastcgi_temp_path {nginx.sockets}/fastcgi;
  uwsgi_temp_path {nginx.sockets}/uwsgi;
  scgi_temp_path {nginx.sockets}/scgi;
  keepalive_requests 1000000;
  server_names_hash_bucket_size 128;
  {upstreams}
  server {{
    {listens}
    listen unix:{nginx.sockets}/alive.sock;
    return 200 "$server_addr:$server_port";
  }}
  server {{
    listen 127.0.0.1:{nginx.front};
    add_header X-Tried $upstream_addr always;
    {locations}
  }}
}}
"""


@contextmanager
def running(directory: Path, cases: list[Case]) -> Iterator[Nginx]:
    executable = find_nginx()
    if executable is None:
        raise RuntimeError(
            "these tests compare placements with a real nginx, and there is none on this machine; "
            "install it (apt-get install nginx-light, conda install nginx)"
        )
    with ExitStack() as stack:
        # Bound and not listening: connections to it are refused, and no other program gets it.
        reserved = stack.enter_context(socket.socket())
        reserved.bind(("0.0.0.0", 0))
        nginx = Nginx(
            front=free_port("127.0.0.1"),
            port=free_port(backend(0)),
            other=free_port(backend(1)),
            dead=int(reserved.getsockname()[1]),
            sockets=directory,
        )
        (directory / "nginx.conf").write_text(configuration(nginx, cases))
        log = directory / "error.log"
        process = subprocess.Popen(
            [executable, "-p", directory, "-e", log, "-c", directory / "nginx.conf"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        stack.callback(stop, process)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"nginx did not start:\n{log.read_text()[-3000:]}")
            try:
                socket.create_connection(("127.0.0.1", nginx.front), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield nginx


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

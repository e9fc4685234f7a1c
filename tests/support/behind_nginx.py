"""Some real servers behind a real nginx with ``hash $http_machineid;``, sharing nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import requests

from pavics_affinity.testing.nginx import find_nginx
from pavics_affinity.testing.ports import AddressBlock

BY_NODE = "/of/{node}"


class BehindNginx:
    """Nodes with an address each, all on one port, and the proxy before them on the same."""

    def __init__(self, directory: Path, nodes: int = 3) -> None:
        self.directory = directory
        self._block = AddressBlock()
        self._processes: list[subprocess.Popen[bytes]] = []
        hosts = [self._block.host(number + 2) for number in range(nodes)]
        self.port = self._block.port([self._block.host(1), *hosts])
        self.url = f"http://{self._block.host(1)}:{self.port}"
        self.nodes = {f"node{n + 1}": host for n, host in enumerate(hosts)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def node_url(self, node: str) -> str:
        return f"http://{self.nodes[node]}:{self.port}"

    def start_server(
        self, node: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        """Start a node's server in its own directory."""
        disk = self.disk(node)
        with (disk / "log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(
                    command,
                    env=os.environ | dict(environment),
                    cwd=disk,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def disk(self, node: str) -> Path:
        made = self.directory / node
        made.mkdir(parents=True, exist_ok=True)
        return made

    def start_nginx(self, ready: str) -> None:
        """Start the proxy, and wait until it and each node answer at this path."""
        here = self.directory
        names = "".join(
            f'"~{re.escape(host)}:{self.port}$" {name}; ' for name, host in self.nodes.items()
        )
        servers = "".join(f"server {host}:{self.port}; " for host in self.nodes.values())
        by_node = "".join(
            f"location {BY_NODE.format(node=name)}/ {{ proxy_pass http://{host}:{self.port}/; }} "
            for name, host in self.nodes.items()
        )
        temp = "".join(
            f"{kind}_temp_path {here}/temp_{kind}; "
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (here / "nginx.conf").write_text(f"""
daemon off; pid {here}/nginx.pid; error_log {here}/error.log;
{"user root;" if os.geteuid() == 0 else ""}
events {{}}
http {{
  {temp}
  client_max_body_size 1g;
  log_format seen escape=json '{{"uri":"$request_uri","method":"$request_method",'
    '"machineid":"$http_machineid","node":"$node","status":"$status"}}';
  access_log {here}/access.jsonl seen;
  map $upstream_addr $node {{ {names} }}
  upstream nodes {{ hash $http_machineid; {servers} }}
  server {{
    listen {self.url[7:]};
    add_header X-Pavics-Node $node always;
    location / {{ proxy_pass http://nodes; }}
    {by_node}
  }}
}}
""")
        nginx = find_nginx()
        assert nginx is not None, "nginx is not installed"
        self._processes.append(
            subprocess.Popen(
                [nginx, "-p", f"{here}/", "-c", f"{here}/nginx.conf", "-e", "stderr"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        for url in [self.url, *map(self.node_url, self.nodes)]:
            self._wait_for(url + ready)

    def requests(self) -> list[dict[str, str]]:
        """Return the proxy's log, once it has been quiet for a moment."""
        log, size = self.directory / "access.jsonl", -1
        while size != (size := log.stat().st_size):
            time.sleep(0.05)
        return [json.loads(line) for line in log.read_text().splitlines()]

    def close(self) -> None:
        for process in self._processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._block.close()

    def _wait_for(self, url: str) -> None:
        deadline = time.monotonic() + 90
        while True:
            try:
                if requests.get(url, timeout=10).ok:
                    return
            except requests.RequestException:
                pass
            if time.monotonic() > deadline:
                logs = "\n".join(p.read_text()[-2000:] for p in self.directory.glob("node*/log"))
                raise RuntimeError(f"{url} does not answer\n{logs}")
            time.sleep(0.1)


@contextmanager
def closed_if_it_fails(site: BehindNginx) -> Iterator[None]:
    """Leave no server behind where one of the others does not come up."""
    try:
        yield
    except BaseException:
        site.close()
        raise

"""Real pygeoapi servers behind a real nginx; jobs and results are not shared."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import requests

from pavics_affinity import Node, Service, Topology
from pavics_affinity.testing.nginx import find_nginx
from pavics_affinity.testing.ports import AddressBlock

HERE = Path(__file__).parent
PROCESSES = {"hello-world": "HelloWorld"} | {
    name.lower(): f"oapi_processors.{name}" for name in ("Where", "Fail", "Raw", "Words")
}
SERVER = """
import json, os
from pathlib import Path
from pygeoapi.openapi import generate_openapi_document
config = Path(os.environ["PYGEOAPI_CONFIG"])
Path(os.environ["PYGEOAPI_OPENAPI"]).write_text(generate_openapi_document(config, "json"))
from gunicorn.app.wsgiapp import run
run()
"""


class OGCSite:
    """Some nodes, each with one pygeoapi, and nginx with ``hash $http_machineid``."""

    def __init__(self, directory: Path, nodes: int = 3) -> None:
        self.directory = directory
        self._block = AddressBlock()
        self._processes: list[subprocess.Popen] = []
        hosts = [self._block.host(number + 2) for number in range(nodes)]
        self.port = self._block.port([self._block.host(1), *hosts])
        self.url = f"http://{self._block.host(1)}:{self.port}"
        self.nodes = {f"node{n + 1}": host for n, host in enumerate(hosts)}
        for name, host in self.nodes.items():
            self._start_node(name, host)
        self._start_nginx()
        for host in [self._block.host(1), *hosts]:
            self._wait_for(f"http://{host}:{self.port}/conformance?f=json")

    @property
    def topology(self) -> Topology:
        return Topology(
            nodes=tuple(Node(name, host=host) for name, host in self.nodes.items()),
            services=(Service("oapi", url=self.url, port=self.port),),
            evidence="X-Pavics-Node",
        )

    def node_url(self, node: str) -> str:
        return f"http://{self.nodes[node]}:{self.port}"

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

    def _start_node(self, name: str, host: str) -> None:
        disk = self.directory / name
        (disk / "out").mkdir(parents=True)
        config = {
            "server": {
                "bind": {"host": host, "port": self.port},
                "url": self.url,  # the proxy's, as sites do
                "mimetype": "application/json; charset=UTF-8",
                "encoding": "utf-8",
                "languages": ["en-US"],
                "limits": {"default_items": 10, "max_items": 50},
                "map": {"url": "http://127.0.0.1/", "attribution": "none"},
                "manager": {
                    "name": "TinyDB",
                    "connection": str(disk / "jobs.json"),
                    "output_dir": str(disk / "out"),
                },
            },
            "logging": {"level": "ERROR"},
            "metadata": {
                "identification": {
                    "title": name,
                    "description": "A node",
                    "keywords": ["test"],
                    "keywords_type": "theme",
                    "terms_of_service": "none",
                    "url": "http://example.org",
                },
                "license": {"name": "none", "url": "http://example.org"},
                "provider": {"name": "us", "url": "http://example.org"},
                "contact": {"name": "us", "email": "a@example.org"},
            },
            "resources": {
                identifier: {"type": "process", "processor": {"name": processor}}
                for identifier, processor in PROCESSES.items()
            },
        }
        (disk / "config.yml").write_text(json.dumps(config))  # JSON is YAML
        environment = os.environ | {
            "PYGEOAPI_CONFIG": str(disk / "config.yml"),
            "PYGEOAPI_OPENAPI": str(disk / "openapi.json"),
            "PYTHONPATH": str(HERE),
            "OAPI_NODE": name,
        }
        arguments = ["-b", f"{host}:{self.port}", "-k", "gthread", "--threads", "8"]
        arguments += ["--worker-tmp-dir", str(disk), "pygeoapi.flask_app:APP"]
        with (disk / "log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", SERVER, *arguments],
                    env=environment,
                    cwd=disk,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def _start_nginx(self) -> None:
        here = self.directory
        names = "".join(
            f'"~{re.escape(host)}:{self.port}$" {name}; ' for name, host in self.nodes.items()
        )
        servers = "".join(f"server {host}:{self.port}; " for host in self.nodes.values())
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
  log_format seen escape=json '{{"uri":"$request_uri","method":"$request_method",'
    '"machineid":"$http_machineid","node":"$node","status":"$status"}}';
  access_log {here}/access.jsonl seen;
  map $upstream_addr $node {{ {names} }}
  upstream oapi {{ hash $http_machineid; {servers} }}
  server {{
    listen {self.url[7:]};
    add_header X-Pavics-Node $node always;
    location / {{ proxy_pass http://oapi; }}
  }}
}}
""")
        nginx = find_nginx()
        self._processes.append(
            subprocess.Popen(
                [nginx, "-p", f"{here}/", "-c", f"{here}/nginx.conf", "-e", "stderr"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )

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

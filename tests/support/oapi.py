"""Real pygeoapi servers behind a real nginx; jobs and results are not shared."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pavics_affinity import Node, Service, Topology
from pavics_affinity.topology import Outputs
from support.behind_nginx import BY_NODE, BehindNginx, closed_if_it_fails

HERE = Path(__file__).parent
PROCESSES = {"hello-world": "HelloWorld"} | {
    name.lower(): f"oapi_processors.{name}" for name in ("Where", "Fail", "Raw", "Words", "Link")
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


class OGCSite(BehindNginx):
    """Some nodes, each with one pygeoapi, and nginx with ``hash $http_machineid``.

    With `by_node`, links to outputs name their node.
    """

    def __init__(self, directory: Path, nodes: int = 3, *, by_node: bool = False) -> None:
        super().__init__(directory, nodes)
        self.outputs = f"{self.url}{BY_NODE}" if by_node else self.url
        with closed_if_it_fails(self):
            for name in self.nodes:
                self._start_node(name)
            self.start_nginx("/conformance?f=json")

    @property
    def topology(self) -> Topology:
        outputs = Outputs(self.outputs, "/") if self.outputs != self.url else None
        return Topology(
            nodes=tuple(Node(name, host=host) for name, host in self.nodes.items()),
            services=(Service("oapi", url=self.url, port=self.port, outputs=outputs),),
            evidence="X-Pavics-Node",
        )

    def _start_node(self, name: str) -> None:
        host, disk = self.nodes[name], self.disk(name)
        (disk / "out").mkdir()
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
        environment = {
            "PYGEOAPI_CONFIG": str(disk / "config.yml"),
            "PYGEOAPI_OPENAPI": str(disk / "openapi.json"),
            "PYTHONPATH": str(HERE),
            "OAPI_NODE": name,
            "OAPI_URL": self.outputs.replace("{node}", name),
        }
        arguments = ["-b", f"{host}:{self.port}", "-k", "gthread", "--threads", "8"]
        arguments += ["--worker-tmp-dir", str(disk), "pygeoapi.flask_app:APP"]
        self.start_server(name, [sys.executable, "-c", SERVER, *arguments], environment)

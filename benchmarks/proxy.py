"""A real nginx on loopback that answers by itself, so that only the client's cost counts."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pavics_affinity import Node, Service, Topology
from pavics_affinity.testing.nginx import find_nginx
from pavics_affinity.testing.ports import AddressBlock
from pavics_affinity.topology import Outputs

NODES = ("node1", "node2", "node3")

# Each node's name comes back as evidence, as a strict proxy's does.
_CONF = """
daemon off; pid {directory}/pid; error_log {directory}/error.log warn; {user}
worker_processes 1;
events {{ worker_connections 2048; }}
http {{
  access_log off; keepalive_requests 1000000; sendfile on;
  client_body_temp_path {directory}/temp1; proxy_temp_path {directory}/temp2;
  fastcgi_temp_path {directory}/temp3; uwsgi_temp_path {directory}/temp4;
  scgi_temp_path {directory}/temp5;
  map $http_machineid $node {{ default ""; "~[~](?<named>[a-z0-9-]+)$" $named; }}
  map $arg_request$arg_identifier $document {{ default ""; {documents} }}
  server {{
    listen {host}:{port} backlog=1024;
    root {directory}/html;
    add_header X-Pavics-Node $node always;
    default_type application/octet-stream;
    location ~ [.]xml$ {{ default_type text/xml; }}
    location = /wps {{
      default_type text/xml;
      if ($document) {{ rewrite ^ /$document last; }}
      return 200 "<hello/>\\n";
    }}
    location /.well-known/ {{ return 404; }}
  }}
}}
"""


@dataclass(frozen=True)
class Proxy:
    """Where it listens, and what a client knows of it.

    Attributes
    ----------
    url : str
        Of a service; answers 200 with a dozen bytes, or a document.
    files : str
        URL of what lies in `directory`.
    directory : pathlib.Path
        Served as it is.
    topology : Topology
        Three nodes behind it, with evidence.
    """

    url: str
    files: str
    directory: Path
    topology: Topology


@contextlib.contextmanager
def proxy(documents: dict[str, bytes] | None = None) -> Iterator[Proxy]:
    """Run nginx until the block ends.

    Parameters
    ----------
    documents : dict of str to bytes
        What ``/wps`` answers, by the query's ``request`` and ``identifier``, joined.
    """
    found = find_nginx()
    if found is None:
        raise SystemExit("nginx was not found; install it (Debian: apt-get install nginx-light)")
    documents = documents or {}
    with tempfile.TemporaryDirectory() as temporary:
        directory, block = Path(temporary), AddressBlock()
        host = block.host(1)
        port = block.port([host], 8093)
        html = directory / "html"
        html.mkdir()
        for name, content in documents.items():
            (html / f"{name}.xml").write_bytes(content)
        configuration = directory / "nginx.conf"
        configuration.write_text(
            _CONF.format(
                directory=directory,
                host=host,
                port=port,
                user="user root;" if os.geteuid() == 0 else "",
                documents=" ".join(f'"{name}" "{name}.xml";' for name in documents),
            )
        )
        process = subprocess.Popen(
            [found, "-p", f"{directory}/", "-e", "stderr", "-c", str(configuration)]
        )
        try:
            _wait(process, host, port)
            base = f"http://{host}:{port}"
            yield Proxy(f"{base}/wps", base, html, _topology(base, block))
        finally:
            process.terminate()
            process.wait()
            block.close()


def _wait(process: subprocess.Popen[bytes], host: str, port: int) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError(f"nginx ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection((host, port)):
            return
        time.sleep(0.05)
    raise RuntimeError("nginx does not listen")


def _topology(base: str, block: AddressBlock) -> Topology:
    service = Service("service", url=f"{base}/wps", port=8093, outputs=Outputs(base, "/"))
    return Topology(
        nodes=[Node(name, block.host(10 + i)) for i, name in enumerate(NODES)],
        services=[service],
        evidence="X-Pavics-Node",
        proxy="strict",
    )

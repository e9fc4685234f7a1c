"""The site of the matrix: two small nodes, a real nginx that hashes, and links that can break."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from faults.link import Line, Link
from faults.nodes import Node, Run
from pavics_affinity import Node as Named
from pavics_affinity import Service, Topology
from pavics_affinity.testing.ports import AddressBlock
from pavics_affinity.topology import Outputs
from support.live_site import RealNginx

NODES = ("node1", "node2")


@dataclass
class Site:
    """Addresses of the links, and the nodes behind them.

    Attributes
    ----------
    public : str
        Origin that every document names; a link to nginx.
    direct : Topology
        Names of the nodes, each behind a separate link.
    forward : str
        Origin of a forward proxy that can break, too.
    """

    line: Line
    nodes: list[Node]
    public: str
    direct: Topology
    forward: str

    def clear(self) -> None:
        for node in self.nodes:
            node.clear()

    @property
    def runs(self) -> list[Run]:
        return [run for node in self.nodes for run in node.runs]


@contextlib.contextmanager
def faulty_site() -> Iterator[Site]:
    block, line = AddressBlock(), Line()
    with contextlib.ExitStack() as ends:
        ends.callback(block.close)
        hosts = {name: block.host(11 + at) for at, name in enumerate(NODES)}
        links = {name: block.host(21 + at) for at, name in enumerate(NODES)}
        front, inner = block.host(1), block.host(2)
        port = block.port([front, inner, *hosts.values(), *links.values()])
        public = f"http://{front}:{port}"
        nodes = [Node(name, host, port, public) for name, host in hosts.items()]
        for node in nodes:
            ends.callback(node.stop)
        nginx = _nginx(Path(ends.enter_context(tempfile.TemporaryDirectory())), inner, port, hosts)
        nginx.start((inner, port))
        ends.callback(nginx.stop)
        for name in NODES:
            ends.callback(Link((links[name], port), (hosts[name], port), line).close)
        ends.callback(Link((front, port), (inner, port), line).close)
        forward = Link((block.host(3), 0), (inner, port), line)
        ends.callback(forward.close)
        topology = Topology(
            nodes=[Named(name, host=links[name]) for name in NODES],
            services=[
                Service(
                    "wps",
                    url=f"{public}/wps",
                    port=port,
                    method="rendezvous",
                    outputs=Outputs(f"{public}/outputs", "/outputs"),
                )
            ],
        )
        yield Site(line, nodes, public, topology, forward.url)


def _nginx(directory: Path, host: str, port: int, nodes: dict[str, str]) -> RealNginx:
    servers = " ".join(f"server {address}:{port};" for address in nodes.values())
    return RealNginx(
        directory,
        {
            "nginx.conf": f"""worker_processes 1;
events {{}}
http {{
  access_log off;
  upstream nodes {{ hash $http_machineid; {servers} }}
  server {{ listen {host}:{port}; location / {{ proxy_pass http://nodes; }} }}
}}
"""
        },
    )


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set variables of the environment for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

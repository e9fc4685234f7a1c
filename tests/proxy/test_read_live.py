"""What was read from a running nginx's own files is what it does."""

import http.client
import socket
import subprocess
import time

import pytest

from pavics_affinity import mint_machineid
from pavics_affinity.proxy.read import read_nginx
from pavics_affinity.testing.nginx import find_nginx

NODES = [f"127.0.78.{i}" for i in (1, 2, 3)]
KEYS = [mint_machineid() for _ in range(300)]

MAIN = """\
daemon off;
pid {base}/nginx.pid;
worker_processes 1;
events {{}}
http {{
  access_log off;
  client_body_temp_path {base}/body;
  proxy_temp_path {base}/proxy;
  fastcgi_temp_path {base}/fastcgi;
  uwsgi_temp_path {base}/uwsgi;
  scgi_temp_path {base}/scgi;
  map $http_machineid $key {{ "" $arg_machineid; default $http_machineid; }}
  map $upstream_addr $node {{ {names} default unknown; }}
  add_header X-Node $node always;
  add_header X-Tried $upstream_addr always;
  include conf.d/*.conf;
  server {{ {listens} add_header X-Other 1; return 200; }}
}}
"""
SERVICE = """\
upstream {name} {{
  {hash}
{servers}
}}
server {{
  listen 127.0.78.100:{port};
  location / {{ proxy_pass http://{name}; }}
}}
"""


def free_port(host):
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Directory of an nginx that runs, and the ports of its three services."""
    executable = find_nginx()
    if executable is None:
        pytest.fail("this test asks a real nginx; install it (apt-get install nginx-light)")
    base = tmp_path_factory.mktemp("nginx")
    backend = free_port(NODES[0])
    names = " ".join(f'"~^{host.replace(".", "[.]")}:" west{host[-1]};' for host in NODES)
    listens = " ".join(f"listen {host}:{backend};" for host in NODES)
    (base / "nginx.conf").write_text(MAIN.format(base=base, names=names, listens=listens))
    (base / "conf.d").mkdir()
    services = {
        "finch": ("hash $key;", [f"{host}:{backend}" for host in NODES]),
        "emu": (
            "hash $key consistent;",
            [f"{NODES[2]}:{backend} weight=3", *(f"{host}:{backend}" for host in NODES[:2])],
        ),
        "heron": (
            "hash $http_machineid;",
            [
                f"{NODES[1]}:{backend} down",
                f"{NODES[2]}:{backend} weight=2",
                f"{NODES[0]}:{backend}",
            ],
        ),
    }
    ports = {}
    for name, (directive, servers) in services.items():
        ports[name] = free_port("127.0.78.100")
        lines = "\n".join(f"  server {server};" for server in servers)
        (base / "conf.d" / f"{name}.conf").write_text(
            SERVICE.format(name=name, hash=directive, servers=lines, port=ports[name])
        )
    log = base / "error.log"
    process = subprocess.Popen([executable, "-p", base, "-e", log, "-c", base / "nginx.conf"])
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.78.100", ports["finch"]), 1).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
        yield base, ports
    finally:
        process.terminate()
        process.wait(30)


def tried(topology, service, key):
    return [address for _, address in topology.tries(service, key)]


def ask(port, key, header=True):
    connection = http.client.HTTPConnection("127.0.78.100", port, timeout=60)
    try:
        path, headers = ("/", {"machineid": key}) if header else (f"/?machineid={key}", {})
        connection.request("GET", path, headers=headers)
        return connection.getresponse().headers
    finally:
        connection.close()


@pytest.mark.parametrize("name", ["finch", "emu", "heron"])
def test_each_key_lands_where_the_files_say(site, name):
    base, ports = site
    topology = read_nginx(base)
    service = topology.service(name)
    assert service.listen == f"127.0.78.100:{ports[name]}"
    assert topology.evidence == "X-Node"
    for key in KEYS:
        headers = ask(ports[name], key)
        answered = topology.node_of_evidence(headers[topology.evidence])
        assert answered == topology.first_node(name, key)
        assert headers["X-Tried"] == tried(topology, service, key)[0]


def test_routing_keys_lead_to_one_node_in_every_service_by_header_and_query(site):
    base, ports = site
    topology = read_nginx(base)
    for i, key in enumerate(KEYS):
        node = ("west1", "west3")[i % 2]
        for name, port in ports.items():
            routing_key = topology.routing_key(topology.service(name), key, node)
            by_header = name == "heron" or i % 3 > 0
            assert ask(port, routing_key, by_header)["X-Node"] == node

"""Where TLS ends: files that say so, real HTTPS, and what ``check`` and ``read_nginx`` see."""

import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
import requests

from pavics_affinity import Workflow, read_nginx
from pavics_affinity.discovery.document import document
from pavics_affinity.errors import TopologyError
from pavics_affinity.proxy.check import check
from pavics_affinity.proxy.render import render, render_proxy
from pavics_affinity.proxy.write import write
from pavics_affinity.testing import LocalCluster
from pavics_affinity.testing.site import ClusterSite
from pavics_affinity.topology import Node, Outputs, Service, Tls, Topology
from support.live_site import RealNginx, running, site

CHAINS = 10
BOX = [("lon0", "-100"), ("lon1", "-80"), ("lat0", "35"), ("lat1", "50")]
HTTPS = Topology(
    nodes=[Node("node1", "10.0.0.1"), Node("node2", "10.0.0.2")],
    services=[
        Service(
            "finch",
            url="https://pavics.example/ows/finch/wps",
            port=8093,
            listen=443,
            path="/wps",
            outputs=Outputs("https://pavics.example/wpsoutputs", "/outputs"),
        )
    ],
    evidence="X-Pavics-Node",
    proxy="strict",
)
UPSTREAM = "upstream finch { hash $http_machineid; server 10.0.0.1:8093; server 10.0.0.2:8093; }\n"
SERVER = "server {{ {} location / {{ proxy_pass http://finch; }} }}\n"


@pytest.fixture
def issue(authority, tmp_path):
    """Issue a certificate for a host; return what a topology says, and the authority's file."""

    def issued(host):
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        made = authority.issue_cert(host)
        (tmp_path / "chain.pem").write_bytes(b"".join(p.bytes() for p in made.cert_chain_pems))
        made.private_key_pem.write_to_path(tmp_path / "key.pem")
        return Tls(str(tmp_path / "chain.pem"), str(tmp_path / "key.pem")), tmp_path / "ca.pem"

    return issued


# ---- the topology ----


@pytest.mark.parametrize("style", ["plain", "strict"])
@pytest.mark.parametrize("without", ["url", "outputs"])
def test_an_https_url_needs_to_know_where_tls_ends(style, without):
    service = HTTPS.services[0]
    if without == "outputs":
        service = replace(service, url="http://pavics.example/ows/finch/wps")
    with pytest.raises(TopologyError) as caught:
        render(HTTPS.with_services([service]), style)
    assert 'tls = { certificate = "/...", key = "/..." }' in str(caught.value)
    assert 'tls = "in front"' in str(caught.value)
    assert caught.value.key == f"services.finch.{without}"


@pytest.mark.parametrize(
    ("line", "key", "words"),
    [
        ('tls = "behind"', "tls", 'or "in front"'),
        ("tls = true", "tls", 'or "in front"'),
        ('tls = { certificate = "/a.pem" }', "tls", "'key' is missing"),
        ('tls = { certificate = "a.pem", key = "/b" }', "tls.certificate", "absolute path"),
        ('tls = { certificate = "/a", key = "/b; x" }', "tls.key", "absolute path"),
        ('tls = { certificate = "/a", key = "$ssl" }', "tls.key", "absolute path"),
        ('tls = { certificate = "/a", key = "/b", dh = "/c" }', "tls.dh", "unknown key"),
    ],
)
def test_a_value_that_is_not_valid_is_refused_with_its_line(line, key, words):
    with pytest.raises(TopologyError, match="line 1") as caught:
        Topology.loads(f"{line}\n[nodes]\nnode1 = {{}}\n")
    assert (caught.value.key, words in str(caught.value)) == (key, True)


@pytest.mark.parametrize("tls", [Tls("/etc/ssl/a.pem", "/etc/ssl/b.pem"), "in front", None])
def test_it_is_kept_by_the_file_and_never_published(tls):
    topology = replace(HTTPS, tls=tls, direct=True)
    assert Topology.loads(topology.dumps()) == topology
    assert document(topology) == document(replace(topology, tls=None))
    assert "/etc/ssl" not in json.dumps(document(topology))


# ---- the files ----


def test_one_port_cannot_speak_both():
    plain = Service("emu", url="http://pavics.example:443/ows/emu/wps", port=8091, listen=443)
    both = replace(
        HTTPS.with_services([*HTTPS.services, plain]), tls=Tls("/etc/ssl/a", "/etc/ssl/b")
    )
    with pytest.raises(TopologyError, match="a port speaks TLS or not"):
        render(both)
    apart = [*HTTPS.services, replace(plain, url="http://pavics.example/emu", listen=80)]
    files = render(both.with_services(apart))
    assert "  listen 443 ssl http2;\n" in files["config/proxy/conf.d/finch.conf"]
    assert "  listen 80;\n" in files["config/proxy/conf.d/emu.conf"]


@pytest.mark.parametrize("style", ["plain", "strict"])
def test_rendered_tls_is_accepted_checked_and_read_back(tmp_path, issue, style):
    tls, _ = issue("pavics.example")
    topology = replace(HTTPS, tls=tls, proxy=style)
    files = render(topology, style)
    passed, words = RealNginx(tmp_path / "nginx", render_proxy(topology, style)).test()
    assert (passed, "warn" in words) == (True, False), words
    write(files, tmp_path)
    topology.dump(tmp_path / "site.toml")
    found = check(tmp_path, topology=tmp_path / "site.toml")
    assert [each for each in found if each.severity == "error"] == []
    assert found == [] or style == "plain"
    back = read_nginx(tmp_path, urls={"finch": HTTPS.services[0].url})
    assert back.tls == tls
    assert f"      - {tls.key}:{tls.key}:ro\n" in files["docker-compose.yml"]


def test_a_proxy_behind_the_one_that_ends_tls_is_read_and_rendered_as_such(tmp_path):
    inner = [replace(service, listen=8080) for service in HTTPS.services]
    topology = replace(HTTPS.with_services(inner), tls="in front")
    write(render(topology), tmp_path)
    assert "  listen 8080;\n" in (tmp_path / "config/proxy/conf.d/finch.conf").read_text()
    topology.dump(tmp_path / "site.toml")
    assert check(tmp_path, topology=tmp_path / "site.toml") == []
    assert read_nginx(tmp_path, urls={"finch": HTTPS.services[0].url}).tls == "in front"


# ---- check ----


@pytest.mark.parametrize(
    ("servers", "found"),
    [
        (SERVER.format("listen 443;"), True),
        (SERVER.format("listen [::]:443;"), True),
        (SERVER.format("listen 80;"), False),
        (SERVER.format("listen 443 ssl;"), False),
        (SERVER.format("listen 443; ssl on;"), False),
        ("ssl on;\n" + SERVER.format("listen 443;"), False),
        ("ssl on;\n" + SERVER.format("listen 443; ssl off;"), True),
        (SERVER.format("listen 443 quic; listen 443 ssl;"), False),
        (SERVER.format("listen 443 proxy_protocol;"), False),
        # nginx merges the listen lines of one address.
        (SERVER.format("listen 443; server_name a.b;") + "server { listen 443 ssl; }", False),
        (SERVER.format("listen 443; server_name a.b;") + "server { listen 444 ssl; }", True),
    ],
)
def test_check_finds_plain_http_on_the_port_of_https(tmp_path, servers, found):
    (tmp_path / "finch.conf").write_text(UPSTREAM + servers)
    rules = {each.rule: each.severity for each in check(tmp_path)}
    assert rules.get("listen-tls") == ("error" if found else None)


@pytest.mark.parametrize(
    ("tls", "port", "severity"),
    [
        (None, 8443, "warning"),
        (None, 443, "error"),
        (Tls("/etc/ssl/a", "/etc/ssl/b"), 8443, "error"),
        ("in front", 8443, None),
        ("in front", 443, None),
    ],
)
def test_check_compares_the_port_with_what_the_topology_says(tmp_path, tls, port, severity):
    service = replace(HTTPS.services[0], url=f"https://pavics.example:{port}/wps", listen=port)
    topology = replace(HTTPS.with_services([service]), tls=tls)
    (tmp_path / "finch.conf").write_text(UPSTREAM + SERVER.format(f"listen {port};"))
    topology.dump(tmp_path / "site.toml")
    found = check(tmp_path / "finch.conf", topology=tmp_path / "site.toml")
    rules = {each.rule: each.severity for each in found}
    assert rules.get("listen-tls") == severity


# ---- real HTTPS ----


def https_site(made, tls):
    """A topology like the site's own, with https URLs."""
    topology = made.topology(tls=tls)
    return topology.with_services(
        replace(
            service,
            url=service.url.replace("http:", "https:"),
            outputs=None,
        )
        for service in topology.services
    )


@pytest.mark.parametrize("style", ["plain", "strict"])
def test_backends_learn_that_clients_use_https_whatever_a_client_says(issue, style):
    with site() as made:
        tls, ca = issue(made.host)
        with running(made, render_proxy(https_site(made, tls), style)):
            url = made.url().replace("http:", "https:")
            told = requests.get(url, headers={"X-Forwarded-Proto": "ftp"}, verify=ca, timeout=20)
            schemes = [value for name, value in told.json()["headers"] if "Proto" in name]
            assert schemes == ["https"]
            if shutil.which("curl"):
                command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_version}", "--http2"]
                done = subprocess.run(
                    [*command, "--cacert", ca, url], capture_output=True, text=True, check=True
                )
                assert done.stdout == "2"


def test_behind_the_proxy_that_ends_tls_its_word_counts_and_else_it_is_https():
    with site() as made, running(made, render_proxy(https_site(made, "in front"))):
        for sent, seen in (("", "https"), ("http", "http"), ("https", "https"), ("x", "https")):
            headers = {"X-Forwarded-Proto": sent} if sent else {}
            told = requests.get(made.url(), headers=headers, timeout=20).json()
            assert ["X-Forwarded-Proto", seen] in told["headers"], sent


OUTER = """
events {{ }}
http {{
  access_log off;
  server {{
    listen {host}:{port} ssl;
    ssl_certificate {tls.certificate};
    ssl_certificate_key {tls.key};
    location / {{
      proxy_pass http://{host}:{inner};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_read_timeout 3600s;
      client_max_body_size 1g;
    }}
  }}
}}
"""


@contextmanager
def https_cluster(directory, issue, where, monkeypatch):
    """A cluster whose services announce https URLs; TLS ends at its proxy or in front of it."""
    monkeypatch.setattr(ClusterSite, "_origin", lambda self, name: f"https://{self._listen(name)}")
    outer = []

    def files(found):
        [service] = found.services
        host, port = service.listen.split(":")
        tls, _ = issue(host)
        if where == "here":
            return render_proxy(replace(found, tls=tls))
        main = OUTER.format(host=host, port=port, inner=int(port) + 1, tls=tls)
        outer.append((RealNginx(directory / "outer", {"nginx.conf": main}), (host, int(port))))
        outer[0][0].start(outer[0][1])
        inner = [replace(service, listen=f"{host}:{int(port) + 1}")]
        return render_proxy(replace(found.with_services(inner), tls="in front"))

    try:
        with LocalCluster(
            3,
            proxy="nginx",
            services=["finch"],
            evidence="X-Pavics-Node",
            proxy_config=files,
            proxy_style="strict",
        ) as cluster:
            yield cluster
    finally:
        for proxy, _ in outer:
            proxy.stop()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("where", ["here", "in front"])
def test_ten_chains_succeed_over_https(tmp_path, issue, monkeypatch, where):
    with https_cluster(tmp_path, issue, where, monkeypatch) as cluster:

        def chain(_):
            with Workflow() as wf:  # knows nothing but the URL and the authority
                verify = str(tmp_path / "ca.pem")
                wps = wf.wps(cluster.url("finch"), skip_caps=True, verify=verify)
                made = wps.execute("download", [("resource", cluster.sample_url)], mode="sync")
                [path] = made.output("output").json()
                subset = wps.execute("subset_bbox", [("resource", path), *BOX]).wait()
                output = subset.output("output")
                assert output.reference.startswith("https://")
                return wf.node, wf.node_known, output.read_bytes()[1:4]

        with ThreadPoolExecutor(6) as pool:
            done = list(pool.map(chain, range(CHAINS)))
        assert {(known, magic) for _, known, magic in done} == {("proved", b"HDF")}
        assert len({node for node, *_ in done}) > 1
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(cluster.url("finch"), timeout=20)

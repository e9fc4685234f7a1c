"""What is rendered, held against real nginx and a real docker-compose."""

import http.client
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pavics_affinity import read_nginx
from pavics_affinity.errors import AffinityError, TopologyError
from pavics_affinity.proxy.check import check
from pavics_affinity.proxy.render import render, render_proxy
from pavics_affinity.proxy.write import write
from pavics_affinity.topology import Backend, Node, Outputs, Service, Topology
from support.live_site import RealNginx, ask, node_of, running, site

MANUAL = """\
upstream flyingpigeon {
  hash $http_machineid;
  server 10.0.0.1:8093;
  server 10.0.0.2:8093;
  server 10.0.0.3:8093;
}
server {
  listen 8093;
  location / { proxy_pass http://flyingpigeon; }
}
"""
NODES = tuple(Node(f"node{i}", f"10.0.0.{i}") for i in (1, 2, 3))


def manual_topology(**options):
    return Topology(
        nodes=NODES,
        services=[
            Service(
                name,
                url=f"http://proxy.example:5{port}/wps",
                port=port,
                publish=50000 + port,
                outputs=Outputs(f"http://proxy.example:5{port}/outputs", "/outputs"),
            )
            for name, port in (("malleefowl", 8091), ("flyingpigeon", 8093), ("hummingbird", 8094))
        ],
        **options,
    )


PATHS = Topology(
    nodes=NODES,
    services=[
        Service(
            name,
            url=f"http://proxy.example/twitcher/ows/proxy/{name}/wps",
            port=port,
            listen=80,
            path="/wps",
            outputs=Outputs(f"http://proxy.example/wpsoutputs/{name}", "/outputs"),
            backends=[Backend(node) for node in nodes],
        )
        for name, port, nodes in (
            ("finch", 8094, ("node1", "node2", "node3")),
            ("raven", 8095, ("node2", "node1")),
        )
    ],
)


@pytest.fixture(scope="module")
def strict_site():
    with site() as made:
        files = render_proxy(made.topology(), "strict")
        with running(made, files):
            yield made


# ---- the files ----


def test_the_plain_style_is_the_manual_line_for_line():
    assert render_proxy(manual_topology(), "plain")["conf.d/flyingpigeon.conf"] == MANUAL


@pytest.mark.parametrize("style", ["plain", "strict"])
@pytest.mark.parametrize("topology", [manual_topology(), PATHS], ids=["ports", "paths"])
def test_nginx_takes_the_files(tmp_path, style, topology):
    passed, words = RealNginx(tmp_path, render_proxy(topology, style)).test()
    assert passed, words


@pytest.mark.parametrize("style", ["plain", "strict"])
def test_rendered_files_can_be_read_back(tmp_path, style):
    topology = manual_topology()
    write(render(topology, style), tmp_path)
    back = read_nginx(tmp_path / "config" / "proxy")
    assert {s.name: s.listen_port for s in back.services} == {
        "malleefowl": 8091, "flyingpigeon": 8093, "hummingbird": 8094
    }  # fmt: skip
    hosts = {node.host: node.name for node in back.nodes}
    assert list(hosts) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    for key in ("a1", "b2", "c3", "d4"):
        one, other = topology.services[1], back.service("flyingpigeon")
        addresses = [hosts[topology.node(n).host] for n in topology.order(one, key)]
        assert list(back.order(other, key)) == addresses
    if style == "strict":
        assert (back.proxy, back.evidence) == ("strict", "X-Pavics-Node")
        assert list(hosts.values()) == ["node1", "node2", "node3"]


def test_weights_marks_and_methods_are_kept(tmp_path):
    topology = Topology(
        nodes=NODES,
        services=[
            Service(
                "finch",
                port=8094,
                method="hash consistent",
                backends=[Backend("node1", weight=5), Backend("node2", down=True)],
            ),
            Service("raven", port=8095, backends=[Backend("node3"), Backend("node1", backup=True)]),
        ],
    )
    plain = render_proxy(topology, "plain")
    assert (
        "  hash $http_machineid consistent;\n  server 10.0.0.1:8094 weight=5;\n"
        in (plain["conf.d/finch.conf"])
    )
    assert "  server 10.0.0.2:8094 down;\n" in plain["conf.d/finch.conf"]
    assert "backup;\n  hash" in plain["conf.d/raven.conf"]
    for style in ("plain", "strict"):
        passed, words = RealNginx(tmp_path / style, render_proxy(topology, style)).test()
        assert passed, words


def test_workers_and_connections_come_from_the_topology():
    for style in ("plain", "strict"):
        main = render_proxy(manual_topology(workers=4, connections=2048), style)["nginx.conf"]
        assert "worker_processes 4;" in main
        assert "worker_connections 2048;" in main


def test_the_plain_style_shows_the_evidence_that_a_topology_promises():
    with site() as made, running(made, render_proxy(made.topology(evidence="X-Who"), "plain")):
        answers = [ask(made.url(), f"id{i}") for i in range(12)]
        assert {a.headers["X-Who"] for a in answers} == {"node1", "node2", "node3"}
        assert all(a.headers["X-Who"] == a.json()["node"] for a in answers)


def test_a_big_site_fits_nginx(tmp_path):
    nodes = [Node(f"n{i}-{'x' * 50}", f"10.1.{i // 200}.{i % 200 + 1}") for i in range(300)]
    services = [Service(f"service{i}", port=8000 + i) for i in range(5)]
    topology = Topology(nodes=nodes, services=services, site='it\'s $5 \\ "big" é')
    passed, words = RealNginx(tmp_path, render_proxy(topology, "strict")).test()
    assert passed, words


def docker_compose_config(directory):
    """Let the real docker-compose read, merge and print what is in a directory."""
    compose = shutil.which("docker-compose")
    if compose is None:
        assert not os.environ.get("CI"), "CI installs docker-compose"
        pytest.skip("docker-compose is not installed")
    done = subprocess.run(
        [compose, "config"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for port in (8091, 8093, 8094):
        # Version 1 writes published and target apart, version 2 quotes what was published.
        assert re.search(rf"\b5{port}\b", done.stdout)
        assert re.search(rf"\b{port}\b", done.stdout)
    return done.stdout


@pytest.mark.parametrize("style", ["plain", "strict"])
def test_docker_compose_takes_the_file(tmp_path, style):
    write(render(manual_topology(), style), tmp_path)
    docker_compose_config(tmp_path)


@pytest.mark.parametrize("version", ["version: '3.4'\n", "version: '2.1'\n", ""])
def test_docker_compose_takes_it_as_an_override_of_a_sites_own_file(tmp_path, version):
    own = f"{version}services:\n  proxy:\n    container_name: front\n  other:\n    image: busybox\n"
    (tmp_path / "docker-compose.yml").write_text(own)
    write(render(manual_topology(), compose="docker-compose.override.yml"), tmp_path)
    merged = docker_compose_config(tmp_path)
    assert "container_name: front" in merged
    assert "busybox" in merged


def test_the_compose_file_follows_the_manual():
    yaml = pytest.importorskip("yaml")
    proxy = yaml.safe_load(render(manual_topology())["docker-compose.yml"])["services"]["proxy"]
    assert proxy == {
        "image": "nginx",
        "ports": ["58091:8091", "58093:8093", "58094:8094"],
        "volumes": [
            "./config/proxy/nginx.conf:/etc/nginx/nginx.conf:ro",
            "./config/proxy/conf.d:/etc/nginx/conf.d:ro",
        ],
        "restart": "always",
    }


# ---- the strict proxy at work ----


@pytest.mark.parametrize("node", ["node1", "node2", "node3"])
def test_a_key_that_names_a_node_goes_there(strict_site, node):
    for number in range(5):
        answer = ask(strict_site.url(), f"id{number}~{node}")
        assert answer.json()["node"] == answer.headers["X-Pavics-Node"] == node


def test_a_bare_key_goes_by_the_hash_to_where_the_topology_says(strict_site):
    topology = strict_site.topology(proxy="strict")
    service = topology.service("flyingpigeon")
    for key in [f"id{i}" for i in range(30)] + ["id1~3", "0", "a.b-c_d"]:
        assert node_of(strict_site.url(), key) == next(topology.order(service, key))


@pytest.mark.parametrize(
    "key", ["a b", "a~", "a~0", "a~Node1", "a~node1~node2", "~node1", "x" * 201, "é", "a,b", 'a"b']
)
def test_an_ill_formed_key_is_refused(strict_site, key):
    connection = http.client.HTTPConnection(strict_site.host, 8093, timeout=20)
    connection.request("GET", "/wps", headers={"machineid": key.encode()})
    response = connection.getresponse()
    assert (response.status, response.getheader("X-Pavics-Node")) == (400, None)
    connection.close()


def test_two_headers_are_one_or_refused_but_never_mixed(strict_site):
    connection = http.client.HTTPConnection(strict_site.host, 8093, timeout=20)
    connection.putrequest("GET", "/wps")
    connection.putheader("machineid", "a~node1")
    connection.putheader("machineid", "a~node2")
    connection.endheaders()
    response = connection.getresponse()
    # nginx takes the first, and since 1.23 joins them into an invalid key.
    assert (response.status, response.getheader("X-Pavics-Node")) in {(200, "node1"), (400, None)}
    connection.close()


def test_a_node_that_is_not_there_is_answered_421(strict_site):
    answer = ask(strict_site.url(), "a1~node9")
    assert answer.status_code == 421
    assert "X-Pavics-Node" not in answer.headers


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/.affinity/a1~node2/outputs/x.nc?q=1", "/outputs/x.nc?q=1"),
        ("/.affinity/a1%7Enode2/outputs/x.nc", "/outputs/x.nc"),
        ("/.affinity/0~node2/a%2Fb%20c/d%3Fe?x=%2F&y=a+b", "/a%2Fb%20c/d%3Fe?x=%2F&y=a+b"),
        ("/.affinity/a1~node2/", "/"),
        ("/outputs/x.nc?machineid=a1~node2", "/outputs/x.nc?machineid=a1~node2"),
        ("/outputs/x.nc?machineid=a1%7enode2", "/outputs/x.nc?machineid=a1%7enode2"),
    ],
)
def test_a_link_leads_to_its_node_and_the_backend_sees_the_plain_path(strict_site, path, seen):
    connection = http.client.HTTPConnection(strict_site.host, 8093, timeout=20)
    connection.request("GET", path)
    told = json.loads(connection.getresponse().read())
    connection.close()
    assert (told["node"], told["path"]) == ("node2", seen)
    # Whatever the key came by, the backend has it.
    key = [value for name, value in told["headers"] if name.lower() == "machineid"]
    assert key in (["a1~node2"], ["0~node2"])


@pytest.mark.parametrize(
    "path",
    [
        "/.affinity/a1~node2", "/.affinity/", "/.affinity", "/%2Eaffinity/a1~node2/wps",
        "//.affinity/a1~node2/wps", "/.affinity//wps", "/.affinity/a1~node2/../wps",
        "/x/../.affinity/a1~node2/wps", "/.affinity/a%20b/wps",
    ],
)  # fmt: skip
def test_an_ambiguous_link_is_refused(strict_site, path):
    connection = http.client.HTTPConnection(strict_site.host, 8093, timeout=20)
    connection.request("GET", path)
    assert connection.getresponse().status == 400
    connection.close()


def test_header_before_path_before_query_before_cookie(strict_site):
    path = strict_site.url(path="/.affinity/a~node2/wps?machineid=a~node3")
    assert node_of(path, "a~node1", Cookie="machineid=a~node1") == "node1"
    assert node_of(path, Cookie="machineid=a~node1") == "node2"
    query = strict_site.url(path="/wps?machineid=a~node3")
    assert node_of(query, Cookie="machineid=a~node1") == "node3"
    assert node_of(strict_site.url(), Cookie="machineid=a~node1") == "node1"


def test_the_backend_gets_host_key_and_scheme(strict_site):
    told = ask(strict_site.url(), "a1~node1").json()
    headers = {name.lower(): value for name, value in told["headers"]}
    assert headers["host"] == f"{strict_site.host}:8093"
    assert headers["machineid"] == "a1~node1"
    assert headers["x-forwarded-proto"] == "http"
    told = ask(strict_site.url(), "a1", **{"X-Forwarded-Proto": "https"}).json()
    assert ["X-Forwarded-Proto", "https"] in told["headers"]


def test_no_address_of_a_node_gets_out(strict_site):
    for path in ("/wps", "/.well-known/pavics-affinity"):
        answer = ask(strict_site.url(path=path), "a1~node2")
        for host in strict_site.nodes.values():
            assert host not in str(answer.headers)
            assert path == "/wps" or host not in answer.text


def test_a_dead_node_is_a_502_with_its_name_and_its_ids_never_move():
    with site() as made, running(made, render_proxy(made.topology(), "strict"), workers=2):
        ids = [f"id{i}" for i in range(30)]
        before = {key: node_of(made.url(), key) for key in ids}
        made.kill("node2", "flyingpigeon")
        for _ in range(3):
            answer = ask(made.url(), "a1~node2")
            assert answer.status_code == 502
            assert answer.headers["X-Pavics-Node"] == "node2"
            assert not answer.headers["X-Pavics-Connect"].strip("-")
            for key, node in before.items():
                now = ask(made.url(), key)
                assert now.headers["X-Pavics-Node"] == node
                assert now.status_code == (502 if node == "node2" else 200)
        made.start_backend("node2", "flyingpigeon", made.nodes["node2"], 8093)
        assert {key: node_of(made.url(), key) for key in ids} == before


def test_the_log_is_json_with_machineid_and_node():
    with site() as made, running(made, render_proxy(made.topology(), "strict")) as proxy:
        ask(made.url(path='/wps?x="y'), "a1~node2")
        ask(made.url(), 'bad "key')
        proxy.stop()
        text = (proxy.directory / "logs" / "access.log").read_text()
        proxy.process = None
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["machineid"], line["node"], line["status"]) for line in lines] == [
        ("a1~node2", "node2", "200"), ('bad "key', "", "400")
    ]  # fmt: skip


def test_services_below_paths_of_one_port():
    with site(services={"finch": 8094, "raven": 8095}) as made:
        port = 8080
        topology = replace(
            PATHS,
            nodes=tuple(Node(name, host) for name, host in made.nodes.items()),
            services=tuple(
                replace(service, listen=f"{made.host}:{port}") for service in PATHS.services
            ),
        )
        made.start_backends()
        made.services["front"] = port
        for style in ("plain", "strict"):
            files = render_proxy(topology, style)
            made.services = {"front": port}
            with running(made, files):
                for name in ("finch", "raven"):
                    base = made.url("front", f"/twitcher/ows/proxy/{name}/wps")
                    told = ask(f"{base}?service=WPS", "a1").json()
                    assert (told["service"], told["path"]) == (name, "/wps?service=WPS")
                    assert ask(f"{base}/x%20y", "a1").json()["path"] == "/wps/x%20y"
                    out = ask(made.url("front", f"/wpsoutputs/{name}/u/x.nc"), "a1").json()
                    assert (out["service"], out["path"]) == (name, "/outputs/u/x.nc")
                assert ask(made.url("front", "/else"), "a1").status_code == 404
                if style == "strict":
                    link = "/.affinity/a1~node2/wpsoutputs/finch/u/x.nc?q=1"
                    told = ask(made.url("front", link)).json()
                    assert (told["node"], told["path"]) == ("node2", "/outputs/u/x.nc?q=1")
                    elsewhere = made.url("front", "/twitcher/ows/proxy/raven/wps")
                    assert ask(elsewhere, "a1~node3").status_code == 421
                    assert node_of(elsewhere, "a1~node1") == "node1"


# ---- outputs that name their node ----


def by_node(topology, place="/wpsoutputs/{node}"):
    """Let the nodes of a topology write their names into the URLs of their outputs."""
    return topology.with_services(
        replace(s, outputs=Outputs(s.url.replace("/wps", place, 1), "/outputs"))
        for s in topology.services
    )


@pytest.mark.parametrize("style", ["plain", "strict"])
@pytest.mark.parametrize("place", ["/wpsoutputs/{node}", "/{node}/out", "/of/{node}/out/"])
def test_outputs_that_name_their_node_are_fetched_from_it_whatever_the_key(style, place):
    with site(services={"finch": 8094}) as made:
        topology = by_node(made.topology(evidence="X-Pavics-Node"), place)
        made.start_backends()
        with running(made, render_proxy(topology, style)):
            for node in made.nodes:
                path = place.format(node=node).rstrip("/")
                for key in (None, "a1", "b2", "c3"):
                    answer = ask(made.url("finch", f"{path}/u/x%20y.nc?q=1"), key)
                    assert answer.headers["X-Pavics-Node"] == node
                    assert answer.json()["node"] == node
                    assert answer.json()["path"] == "/outputs/u/x%20y.nc?q=1"
            if style == "strict":
                path = place.format(node="node2").rstrip("/")
                link = made.url("finch", f"/.affinity/a1~node2{path}/x.nc")
                assert (ask(link).json()["node"], ask(link).json()["path"]) == (
                    "node2",
                    "/outputs/x.nc",
                )
                assert ask(made.url("finch", f"{path}/x.nc"), "a1~node1").status_code == 421
                assert ask(made.url("finch", f"{path}/x.nc"), "a1~node9").status_code == 421


@pytest.mark.parametrize(("style", "status"), [("plain", 404), ("strict", 421)])
def test_a_path_of_a_node_that_does_not_exist_reaches_no_service(style, status):
    with (
        site(services={"finch": 8094}) as made,
        running(made, render_proxy(by_node(made.topology()), style)),
    ):
        for name in ("node9", "node11", "5f0c", "node1x", ""):
            answer = ask(made.url("finch", f"/wpsoutputs/{name}/x.nc"), "a1")
            assert answer.status_code == status
        assert ask(made.url("finch", "/wpsoutputsx/x.nc"), "a1").status_code == 200


@pytest.mark.parametrize("style", ["plain", "strict"])
def test_services_may_share_a_place_for_outputs_that_name_their_node(tmp_path, style):
    outputs = Outputs("http://proxy.example/wpsoutputs/{node}", "/outputs")
    services = [replace(service, outputs=outputs) for service in PATHS.services]
    text = render_proxy(PATHS.with_services(services), style)["conf.d/01-listen-80.conf"]
    assert text.count("location /wpsoutputs/node1/ ") == 1
    passed, words = RealNginx(
        tmp_path, {**render_proxy(PATHS.with_services(services), style)}
    ).test()
    assert passed, words


def test_a_node_behind_a_socket_is_reached_by_its_outputs(tmp_path):
    topology = Topology(
        nodes=NODES[:1],
        services=[
            Service(
                "finch",
                url="http://proxy.example/wps",
                listen=8093,
                outputs=Outputs("http://proxy.example/out/{node}", "/outputs"),
                backends=[Backend("node1", "unix:/run/finch.sock")],
            )
        ],
    )
    plain = render_proxy(topology, "plain")
    assert "proxy_pass http://unix:/run/finch.sock:/outputs/;" in plain["conf.d/finch.conf"]
    passed, words = RealNginx(tmp_path, plain).test()
    assert passed, words


@pytest.mark.parametrize("style", ["plain", "strict"])
@pytest.mark.parametrize("topology", [manual_topology(), PATHS], ids=["ports", "paths"])
def test_check_finds_no_fault_in_outputs_that_name_their_node(tmp_path, style, topology):
    topology = by_node(replace(topology, proxy=style))
    write(render(topology, style), tmp_path)
    topology.dump(tmp_path / "site.toml")
    found = {each.rule for each in check(tmp_path, topology=tmp_path / "site.toml")}
    assert not found & {"bypass", "outputs-bypass", "topology-path", "unused-upstream", "no-hash"}
    passed, words = RealNginx(tmp_path / "nginx", render_proxy(topology, style)).test()
    assert passed, words
    assert "[warn]" not in words


@pytest.mark.parametrize("style", ["plain", "strict"])
def test_outputs_that_name_their_node_are_read_back(tmp_path, style):
    topology = by_node(manual_topology())
    write(render(topology, style), tmp_path)
    urls = {service.name: service.url for service in topology.services}
    back = read_nginx(tmp_path / "config" / "proxy", urls=urls)
    assert [node.name for node in back.nodes] == ["node1", "node2", "node3"]
    assert {s.name: s.outputs for s in back.services} == {
        s.name: s.outputs for s in topology.services
    }


# ---- what cannot be rendered ----


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"services": ()}, "no service"),
        ({"header": "machine_id"}, "nginx drops"),
        ({"header": "Host"}, "another meaning"),
        ({"evidence": "X_Node"}, "nginx drops"),
        ({"nodes": (Node("node1"), *NODES[1:])}, "no address of node 'node1'"),
        ({"services": (Service("a", port=1, method="rendezvous"),)}, "no method 'rendezvous'"),
        ({"services": (Service("a-b", port=1), Service("a_B", port=2))}, "the same name for nginx"),
        ({"services": (Service("a", url="http://h/x", listen=80),)}, "no address"),
        ({"services": (Service("a", url="http://h/x", backends=(Backend("node1", "h:1"),)),)},
         "proxy's own port"),
        ({"services": (Service("a", port=1, listen=80), Service("b", port=2, listen=80))},
         "both want path|no separate path"),
        ({"services": (Service("a", url="http://h/a", port=1, listen=80),
                       Service("b", url="http://g/a", port=2, listen=80))}, "both want path"),
        ({"services": (Service("a", url="http://h/$x", port=1),)}, "cannot contain"),
        ({"services": (Service("a", url="http://h/a;b", port=1),)}, "cannot contain"),
        ({"services": (Service("a", url="http://h/a%7Bb", port=1),)}, "cannot contain"),
        ({"services": (Service("a", port=1, publish=99), Service("b", port=2, publish=99))},
         "port 99 is published"),
        ({"services": (Service("a", port=1, backends=(Backend("node1", "unix:/a!b/c"),)),)},
         "cannot contain"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("style", ["plain", "strict"])
def test_a_topology_that_nginx_cannot_take_is_refused(changes, words, style):
    with pytest.raises(TopologyError, match=words):
        render(replace(manual_topology(), **changes), style)


def test_an_unknown_style_is_refused():
    with pytest.raises(TopologyError, match="plain, strict"):
        render(manual_topology(), "loose")


WORDS = st.text(alphabet="ab1/.~%$;{}'\"\\ \n#é-_:@", max_size=8)


@settings(max_examples=300, deadline=None)
@given(url=WORDS, path=WORDS, header=WORDS, host=WORDS, out=WORDS, name=WORDS, text=WORDS)
def test_a_topology_of_any_text_renders_to_what_nginx_can_parse_or_is_refused(
    tmp_path_factory, url, path, header, host, out, name, text
):
    crossplane = pytest.importorskip("crossplane")
    try:
        topology = Topology(
            nodes=[Node("node1", "h" + host), Node("node2", "10.0.0.2")],
            services=[
                Service(
                    "s" + name,
                    url="http://h/" + url,
                    port=80,
                    path="/" + path,
                    outputs=Outputs("http://h/o" + out, "/o" + out),
                )
            ],
            header="m" + header,
            evidence="X" + header,
            site=text,
        )
        both = [render_proxy(topology, style) for style in ("strict", "plain")]
    except AffinityError:
        return
    for number, content in enumerate(text for files in both for text in files.values()):
        path = tmp_path_factory.getbasetemp() / f"any-{number}.conf"
        path.write_text(content)
        parsed = crossplane.parse(str(path), single=True, check_ctx=False)
        assert not parsed["errors"]
        # No text of the topology's opens or closes a block, or begins a directive.
        assert {d["directive"] for d in _all(parsed["config"][0]["parsed"])} <= DIRECTIVES


DIRECTIVES = {
    "access_log", "add_header", "client_max_body_size", "default_type", "error_log", "events",
    "hash", "http", "if", "include", "keepalive", "keepalive_timeout", "listen", "location",
    "log_format", "map", "map_hash_bucket_size", "proxy_connect_timeout", "proxy_http_version",
    "proxy_max_temp_file_size", "proxy_next_upstream", "proxy_pass", "proxy_read_timeout",
    "proxy_send_timeout", "proxy_set_header", "return", "rewrite", "server", "server_tokens",
    "upstream", "worker_connections", "worker_processes", "zone",
}  # fmt: skip


def _all(parsed):
    for directive in parsed:
        yield directive
        if directive["directive"] != "map":
            yield from _all(directive.get("block", ()))


@settings(max_examples=25, deadline=None)
@given(url=WORDS, header=WORDS, name=WORDS, text=st.text(max_size=30))
def test_nginx_takes_the_files_of_any_text(tmp_path_factory, url, header, name, text):
    try:
        topology = Topology(
            nodes=NODES,
            services=[Service("s" + name, url="http://h/" + url, port=8090)],
            header="m" + header,
            site=text,
        )
        files = render_proxy(topology, "strict")
    except AffinityError:
        return
    passed, words = RealNginx(tmp_path_factory.mktemp("any"), files).test()
    assert passed, words

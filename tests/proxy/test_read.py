"""A topology from nginx files: what they say, and what they cannot say."""

import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pavics_affinity.errors import (
    AffinityError,
    AffinityWarning,
    MissingExtra,
    NginxConfigError,
    TopologyError,
    UnknownService,
)
from pavics_affinity.placement import NginxConsistentHash, NginxHash
from pavics_affinity.proxy.read import read_nginx
from pavics_affinity.topology import Backend, Node, Outputs, Service, Topology

# As the deployment's manual prints it, for two services.
MANUAL = """\
upstream flyingpigeon {
  hash $http_machineid;
  server HOST1:8093;
  server HOST2:8093;
  server HOST3:8093;
}
server {
  listen 8093;
  location / { proxy_pass http://flyingpigeon; }
}
"""
SECOND = MANUAL.replace("8093", "8091").replace("flyingpigeon", "malleefowl")
HASH = "hash $http_machineid;"


def upstream(name="finch", servers=("10.0.0.1:8093", "10.0.0.2:8093"), key=HASH, extra=""):
    lines = "".join(f"  server {server};\n" for server in servers)
    return f"upstream {name} {{\n  {key}\n{lines}  {extra}\n}}\n"


def server(name="finch", listen="8093", location="/", more="", target=None):
    target = target or f"http://{name}"
    return f"server {{ listen {listen}; {more} location {location} {{ proxy_pass {target}; }} }}\n"


@pytest.fixture
def read(tmp_path):
    def read(*texts, **more):
        paths = []
        for i, text in enumerate(texts):
            paths.append(tmp_path / f"{i}.conf")
            paths[-1].write_text(text)
        return read_nginx(*paths, **more)

    return read


def tried(topology, service, key):
    return [address for _, address in topology.tries(service, key)]


def refused(read, *texts, **more):
    with pytest.raises(NginxConfigError) as caught:
        read(*texts, **more)
    return caught.value


# ---- what the manual prints ----


def test_the_manuals_files_give_the_manuals_site(read):
    topology = read(MANUAL, SECOND)
    nodes = ("host1", "host2", "host3")
    assert topology == Topology(
        nodes=[Node(name, name.upper()) for name in nodes],
        services=[
            Service(
                name,
                port=port,
                listen=port,
                backends=[Backend(node, f"{node.upper()}:{port}") for node in nodes],
            )
            for name, port in (("flyingpigeon", 8093), ("malleefowl", 8091))
        ],
    )
    assert topology.covering("http://proxy:8091/wps").service.name == "malleefowl"


def test_one_file_may_hold_it_all_with_or_without_http(read):
    expected = read(MANUAL, SECOND)
    assert read(MANUAL + SECOND) == expected
    assert read(f"events {{}}\nhttp {{ {MANUAL} {SECOND} }}") == expected


def test_what_was_read_can_be_dumped_and_loaded(read):
    topology = read(MANUAL, SECOND, urls={"malleefowl": "http://proxy:58091/wps"})
    assert Topology.loads(topology.dumps()) == topology


# ---- files ----


def site_directory(tmp_path):
    conf = tmp_path / "config" / "conf.d"
    conf.mkdir(parents=True)
    (conf / "flyingpigeon.conf").write_text(MANUAL)
    (conf / "malleefowl.conf").write_text(SECOND)
    (conf.parent / "nginx.conf").write_text(
        "events {}\nhttp {\n  include mime.types;\n  include /etc/nginx/conf.d/*.conf;\n}\n"
    )
    return conf.parent


def names(topology):
    return [service.name for service in topology.services]


def test_files_directories_patterns_and_includes_are_read(tmp_path, monkeypatch):
    directory = site_directory(tmp_path)
    both = ["flyingpigeon", "malleefowl"]
    for path in (
        directory,
        directory / "nginx.conf",  # its include names a path of the container
        directory / "conf.d",
        str(directory / "conf.d" / "*.conf"),
        str(directory / "conf.d" / "[fm]*.conf"),
    ):
        assert names(read_nginx(path)) == both
    (directory / "nginx.conf").write_text("http { include conf.d/*.conf; }")
    assert names(read_nginx(directory)) == both
    monkeypatch.chdir(directory)
    assert names(read_nginx("nginx.conf")) == names(read_nginx("conf.d")) == both
    (directory / "nginx.conf").unlink()
    assert names(read_nginx(directory)) == both


def test_a_file_that_another_one_includes_is_read_once(tmp_path):
    directory = site_directory(tmp_path)
    snippets = sorted((directory / "conf.d").iterdir())
    for paths in ([*snippets, directory / "nginx.conf"], [directory, *snippets], snippets * 2):
        assert names(read_nginx(*paths)) == ["flyingpigeon", "malleefowl"]


def test_an_include_inside_a_block_is_resolved_in_its_place(tmp_path):
    (tmp_path / "servers.inc").write_text("server 10.0.0.1:1; server 10.0.0.2:1;")
    (tmp_path / "proxy.inc").write_text("proxy_pass http://finch;")
    (tmp_path / "nginx.conf").write_text(
        f"upstream finch {{ {HASH} include servers.inc; }}\n"
        "server { listen 81; location / { include proxy.inc; } }"
    )
    topology = read_nginx(tmp_path / "nginx.conf")
    assert topology.services[0].listen == 81
    assert [node.name for node in topology.nodes] == ["node-10-0-0-1", "node-10-0-0-2"]


def test_other_parts_of_nginx_are_left_alone(read):
    topology = read(
        "user nginx;\nstream { upstream db { server 10.0.0.9:5432; } }\n"
        f"http {{ types {{ text/html html; }} gzip on; {MANUAL} "
        "upstream portal { server 10.0.0.9:80; }"
        "server { listen 80; location / { proxy_pass http://portal; } "
        "location /direct { proxy_pass http://10.0.0.9:81; } } }"
    )
    assert names(topology) == ["flyingpigeon"]


# ---- upstreams ----


def test_order_weight_and_marks_are_kept_per_service(read):
    servers = ("10.0.0.3:8093 weight=5", "10.0.0.1:8093 down", "10.0.0.2:8093 max_fails=0")
    text = (
        upstream(servers=servers)
        + upstream("emu", ("10.0.0.1", "10.0.0.2:81"), "hash $http_machineid consistent;")
        + server()
        + server("emu", "81")
    )
    topology = read(text)
    finch, emu = topology.services
    assert finch.backends == (
        Backend("node-10-0-0-3", "10.0.0.3:8093", weight=5),
        Backend("node-10-0-0-1", "10.0.0.1:8093", down=True),
        Backend("node-10-0-0-2", "10.0.0.2:8093"),
    )
    assert (finch.method, emu.method) == ("hash", "hash consistent")
    assert (finch.port, emu.port) == (8093, None)
    for key in map(str, range(200)):
        assert tried(topology, finch, key) == list(NginxHash(servers).order(key))
        assert topology.placement(emu).place(key) == (
            NginxConsistentHash(["10.0.0.1", "10.0.0.2:81"]).place(key)
        )


def test_backups_are_kept(read):
    text = "upstream finch { server 10.0.0.1:1; server 10.0.0.2:1 backup; hash $http_machineid; }"
    service = read(text + server()).services[0]
    assert service.backends[1] == Backend("node-10-0-0-2", "10.0.0.2:1", backup=True)


def test_a_server_listed_twice_is_one_node(read):
    topology = read(upstream(servers=["10.0.0.1:1", "10.0.0.1:1", "10.0.0.2:1"]) + server())
    assert len(topology.nodes) == 2
    reference = NginxHash(["10.0.0.1:1", "10.0.0.1:1", "10.0.0.2:1"])
    service = topology.services[0]
    for key in map(str, range(100)):
        assert tried(topology, service, key) == list(reference.order(key))
        assert len(set(topology.order(service, key))) == 2


def test_sockets_are_backends_without_a_host(read):
    topology = read(
        upstream(servers=["unix:/run/wps/node1.sock", "unix:/run/wps/2.sock"]) + server()
    )
    assert topology.nodes == (Node("node1"), Node("node-2"))


def test_the_last_of_several_hashes_decides_as_in_nginx(read):
    text = upstream(key="hash $remote_addr; hash $http_machineid consistent;") + server()
    assert read(text).services[0].method == "hash consistent"


def test_names_of_upstreams_become_names_of_services(read):
    text = upstream("wps.finch-1") + upstream("8093_wps") + upstream("wps_finch-1")
    assert names(read(text)) == ["wps-finch-1", "service-8093_wps", "wps_finch-1"]
    text = upstream("a.b") + upstream("a-b")
    assert names(read(text)) == ["a-b", "a-b-2"]


# ---- nodes ----


@pytest.mark.parametrize(
    ("servers", "nodes"),
    [
        (["HOST1:1", "HOST2:1"], ["host1", "host2"]),
        (["node1.site.example:1", "node2.site.example:1"], ["node1", "node2"]),
        (["wps.site1.example:1", "wps.site2.example"], ["wps-site1-example", "wps-site2-example"]),
        (["10.0.0.1:1", "10.0.0.12:1"], ["node-10-0-0-1", "node-10-0-0-12"]),
        (["3com_box:1", "UPPER_case:1"], ["node-3com-box", "upper-case"]),
        (["[::1]:1", "[1::]:1"], [f"node-{'0000-' * 7}0001", f"node-0001{'-0000' * 7}"]),
        (["[2001:db8::1]:1", "[2001:db8::2]:1"], ["node-2001-db8-1", "node-2001-db8-2"]),
        (["127.0.0.1:1", "127.0.0.1:2"], ["node-127-0-0-1", "node-127-0-0-1-2"]),
        (["10.0.0.1", "10.0.0.1:80"], ["node-10-0-0-1"]),
    ],
)
def test_nodes_have_the_names_of_their_hosts(read, servers, nodes):
    topology = read(upstream(servers=servers) + server())
    assert [node.name for node in topology.nodes] == nodes


def test_one_host_is_one_node_in_every_service(read):
    text = upstream(servers=["HOST2:8093", "HOST1:8093"]) + upstream(
        "emu", ["host1:8091", "HOST3:8091", "HOST2:8091"]
    )
    topology = read(text)
    assert [node.name for node in topology.nodes] == ["host2", "host1", "host3"]
    assert [b.node for b in topology.service("emu").backends] == ["host1", "host3", "host2"]


def test_names_stay_when_the_list_changes(read):
    before = read(upstream(servers=["HOST1:1", "10.0.0.2:1"]) + server()).nodes
    after = read(upstream(servers=["HOST0:1", "10.0.0.2:1", "HOST1:1"]) + server()).nodes
    assert set(before) < set(after)


def test_ports_of_one_host_pair_up_across_services(read):
    ports = [f"127.0.0.1:{port}" for port in (9001, 9002)]
    others = [f"127.0.0.1:{port}" for port in (9101, 9102)]
    text = upstream(servers=ports) + upstream("emu", others) + server() + server("emu", "81")
    topology = read(text)
    assert [b.node for b in topology.services[0].backends] == [
        b.node for b in topology.services[1].backends
    ]


# ---- where requests come in ----


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("8093", 8093),
        ("*:8093", 8093),
        ("0.0.0.0:8093", 8093),
        ("[::]:8093", 8093),
        ("127.0.0.5:8093", "127.0.0.5:8093"),
        ("[::1]:8093", "[::1]:8093"),
        ("8093 default_server", 8093),
        ("127.0.0.5", "127.0.0.5:80"),
        ("unix:/run/nginx.sock", 80),
    ],
)
def test_the_proxys_own_port_is_kept(read, listen, expected):
    service = read(upstream() + server(listen=listen)).services[0]
    assert service.listen == expected
    assert service.url is None


def test_a_server_without_listen_is_on_port_80(read):
    text = upstream() + "server { location / { proxy_pass http://finch; } }"
    assert read(text).services[0].listen == 80


def test_urls_are_what_the_user_says(read):
    topology = read(MANUAL, SECOND, urls={"malleefowl": "http://proxy:58091/wps"})
    assert topology.service("malleefowl").url == "http://proxy:58091/wps"
    assert topology.service("flyingpigeon").url is None
    assert topology.covering("http://proxy:58091/wps/x").service.name == "malleefowl"


def test_a_url_is_matched_with_its_location_and_port(read):
    text = upstream() + (
        "server { listen 80; location / { proxy_pass http://finch; } }\n"
        "server { listen 443 ssl; listen 8443 ssl;\n"
        "  location /ows/finch/ { proxy_pass http://finch/; }\n"
        "  location ^~ /wpsoutputs/finch { proxy_pass http://finch/outputs; }\n"
        "  location ~ \\.php$ { proxy_pass http://finch; }\n}\n"
    )
    service = read(text, urls={"finch": "https://pavics.example:8443/ows/finch/wps"}).services[0]
    assert service == Service(
        "finch",
        url="https://pavics.example:8443/ows/finch/wps",
        port=8093,
        listen=8443,
        path="/wps",
        outputs=Outputs("https://pavics.example:8443/wpsoutputs/finch", "/outputs"),
        backends=service.backends,
    )
    topology = read(text, urls={"finch": "https://pavics.example:8443/ows/finch/wps"})
    url = "https://pavics.example:8443/wpsoutputs/finch/x.nc"
    assert topology.to_node(url, "node-10-0-0-1") == "http://10.0.0.1:8093/outputs/x.nc"


def test_services_below_one_full_server_name_have_urls(read):
    text = (
        upstream()
        + upstream("emu", ("10.0.0.1:8091",))
        + "server { listen 443 ssl; server_name _ pavics.example *.example;\n"
        "  location /twitcher/ows/proxy/finch { proxy_pass http://finch; }\n"
        "  location /twitcher/ows/proxy/emu/ { proxy_pass https://emu/; } }"
    )
    topology = read(text)
    base = "https://pavics.example/twitcher/ows/proxy"
    assert [service.url for service in topology.services] == [f"{base}/finch", f"{base}/emu"]
    assert topology.covering(f"{base}/emu/wps?x").path == "/wps?x"
    assert topology.covering(f"{base}/finch/wps").path == "/twitcher/ows/proxy/finch/wps"
    assert topology.to_node(f"{base}/emu/wps", "node-10-0-0-1") == "https://10.0.0.1:8091/wps"


def test_services_below_one_port_without_a_name_are_not_guessed_between(read):
    text = (
        upstream()
        + upstream("emu")
        + "server { listen 80; location /finch { proxy_pass http://finch; } "
        "location =/emu { proxy_pass http://emu; } }"
    )
    topology = read(text)
    assert [service.url for service in topology.services] == [None, None]
    assert topology.covering("http://proxy/finch") is None


def test_an_upstream_alone_is_known_by_its_nodes_port_or_needs_a_url(read):
    assert read(upstream()).services[0].listen_port == 8093
    text = upstream(servers=["10.0.0.1:1", "10.0.0.2:2"])
    assert "urls={'finch': 'http://...'}" in str(refused(read, text))
    assert read(text, urls={"finch": "http://proxy/wps"}).services[0].url == "http://proxy/wps"


def test_a_url_for_an_unknown_upstream_is_refused(read):
    with pytest.raises(
        UnknownService, match="'finhc', which is not in the files; they have: flyingpigeon"
    ):
        read(MANUAL, urls={"finhc": "http://proxy/wps"})
    with pytest.raises(TopologyError, match="expected an http or https URL"):
        read(MANUAL, urls={"flyingpigeon": "proxy:58093"})


# ---- the key ----

BY_HEADER_OR_QUERY = 'map $http_machineid $key { "" $arg_machineid; default $http_machineid; }\n'


@pytest.mark.parametrize(
    ("maps", "key", "header"),
    [
        ("", "$http_machineid", "machineid"),
        ("", "${http_machineid}", "machineid"),
        ("", '"$http_machineid"', "machineid"),
        ("", "$HTTP_X_Workflow_Id", "x-workflow-id"),
        (BY_HEADER_OR_QUERY, "$key", "machineid"),
        (
            # header, path, query, cookie; an ill-formed value is not a key
            'map $request_uri $in_path { default ""; "~^/\\.affinity/(?<apk>[\\w.~-]+)/" $apk; }\n'
            'map $arg_machineid $k3 { "" $cookie_machineid; default $arg_machineid; }\n'
            'map $in_path $k2 { "" $k3; default $in_path; }\n'
            'map $http_machineid $k1 { "" $k2; default $http_machineid; }\n'
            'map $k1 $key { default ""; "~^[\\w.~-]{1,250}$" $k1; }\n',
            "$key",
            "machineid",
        ),
        ('map $http_machineid $key { "~^(?<id>[^~]+)" $id; }\n', "$key", "machineid"),
        ('map $http_machineid $key { "~^([^~]+)" $1; }\n', "$key", "machineid"),
    ],
)
def test_the_header_is_found_behind_the_key(read, maps, key, header):
    assert read(maps + upstream(key=f"hash {key};") + server()).header == header


@pytest.mark.parametrize(
    ("maps", "key", "words"),
    [
        ("", "$remote_addr", "no header that a workflow could send"),
        ("", "$request_uri", "no header that a workflow could send"),
        ("", "$cookie_machineid", "no header"),
        ("", "$arg_machineid", "no header"),
        ("", "$http_user_agent", "no header"),
        ("", "machineid", "no header"),
        ("", "$key", "no header"),
        ("map $http_machineid $key { default 1; }", "$key", "no header"),
        ("map $key $other { default $key; } map $other $key { default $other; }", "$key", "no h"),
        ("map $http_a $key { default $http_a; '' $http_b; }", "$key", "several headers (a, b)"),
        ("", "$http_machineid$request_uri", "no client can steer them"),
        ("", "x$http_machineid", "no client can steer them"),
        ("", "$http_machineid$http_other", "several headers"),
    ],
)
def test_a_hash_of_anything_else_is_refused(read, maps, key, words):
    error = refused(read, maps + "\n" + upstream(key=f"hash {key};") + server())
    assert words in str(error)
    assert "hash $http_machineid;" in str(error)
    assert (Path(error.file).name, error.line) == ("0.conf", 3)


def test_services_that_hash_different_headers_are_refused(read):
    error = refused(read, MANUAL, SECOND.replace("machineid", "other"))
    assert "'malleefowl' hashes the header other" in str(error)
    assert "0.conf, line 2" in str(error)
    assert (Path(error.file).name, error.line) == ("1.conf", 2)


# ---- evidence ----


def with_evidence(added, maps="", servers=("10.0.0.1:8093", "10.0.0.2:8093")):
    return maps + f"{added}\n" + upstream(servers=servers) + server()


def test_the_address_that_nginx_shows_is_the_evidence(read):
    topology = read(with_evidence("add_header X-Upstream $upstream_addr always;"))
    assert topology.evidence == "X-Upstream"
    assert topology.node_of_evidence("10.0.0.1:8093, 10.0.0.2:8093") == "node-10-0-0-2"


NODE_MAP = (
    "map $upstream_addr $node {\n"
    '  "~10\\.0\\.0\\.1:8093$" west; "~*10\\.0\\.0\\.2:[0-9]+$" east; "~(?P>odd)" no; }\n'
)


def test_a_map_over_the_address_is_the_evidence_and_names_the_nodes(read):
    topology = read(with_evidence("add_header X-Node $node always;", NODE_MAP))
    assert topology.evidence == "X-Node"
    assert topology.nodes == (Node("west", "10.0.0.1"), Node("east", "10.0.0.2"))
    assert topology.node_of_evidence("west, east") == "east"


def test_names_are_preferred_to_addresses(read):
    added = "add_header X-Addr $upstream_addr; add_header X-Node $node;"
    assert read(with_evidence(added, NODE_MAP)).evidence == "X-Node"


def test_a_literal_address_names_a_node_too_and_another_service_knows_it(read):
    maps = "map $upstream_addr $node { 10.0.0.1:8093 west; 10.0.0.2:8093 east; }\n"
    text = with_evidence("", maps) + upstream("emu", ("10.0.0.2:8093", "10.0.0.1:8093"))
    assert [b.node for b in read(text).service("emu").backends] == ["east", "west"]


def test_a_derived_name_does_not_take_one_that_the_map_gives_to_another(read):
    maps = 'map $upstream_addr $node { "~^10\\.0\\.0\\.1:" host2; }\n'
    for servers in (["10.0.0.1:1", "HOST2:1"], ["HOST2:1", "10.0.0.1:1"]):
        topology = read(maps + upstream(servers=servers) + server())
        assert {node.name: node.host for node in topology.nodes} == {
            "host2": "10.0.0.1",
            "host2-2": "HOST2",
        }


@pytest.mark.parametrize(
    "location",
    [
        "add_header X-Other 1; proxy_pass http://finch;",
        "if ($request_method = GET) { add_header X-Other 1; proxy_pass http://finch; }",
    ],
)
def test_headers_of_a_location_replace_those_around_it_as_in_nginx(read, location):
    text = (
        "add_header X-Upstream $upstream_addr always;\n"
        + upstream()
        + f"server {{ listen 80; location / {{ {location} }} }}"
    )
    assert read(text).evidence is None


def test_a_location_may_have_the_evidence_itself(read):
    text = upstream() + (
        "server { listen 80; add_header X-A 1; location / { add_header X-Up $upstream_addr; "
        "location /a { proxy_pass http://finch; } } }"
    )
    assert read(text).evidence == "X-Up"


def test_evidence_that_one_service_lacks_is_not_promised(read):
    more = "add_header X-Up $upstream_addr;"
    text = upstream() + upstream("emu") + server(more=more) + server("emu", "81")
    with pytest.warns(AffinityWarning, match="X-Up cannot be used .* not every location adds it"):
        assert read(text).evidence is None
    with pytest.warns(AffinityWarning, match="not every location"):
        assert read(upstream() + upstream("emu") + server(more=more)).evidence is None


def test_an_address_is_not_evidence_if_servers_have_names(read):
    text = with_evidence("add_header X-Up $upstream_addr;", servers=["HOST1:1", "HOST2:1"])
    with pytest.warns(AffinityWarning, match="does not show the node"):
        assert read(text).evidence is None
    table = {"HOST1": ["10.0.0.1"], "HOST2": ["10.0.0.2", "2001:db8::2"]}
    topology = read(text, resolve=table.__getitem__)
    assert topology.evidence == "X-Up"
    assert topology.node_of_evidence("[2001:db8::2]:1") == "host2"


def test_a_map_that_does_not_cover_all_servers_is_not_evidence(read):
    text = with_evidence("add_header X-Node $node;", NODE_MAP, ["10.0.0.1:8093", "10.0.0.9:8093"])
    with pytest.warns(AffinityWarning, match="does not show the node"):
        topology = read(text)
    assert [node.name for node in topology.nodes] == ["west", "node-10-0-0-9"]
    defaulted = text.replace("{\n", "{ default $upstream_addr;\n", 1)
    assert read(defaulted).evidence == "X-Node"


def test_a_map_may_name_hosts_as_they_are_named_here(read):
    maps = 'map $upstream_addr $node { "~10\\.9\\.9\\.1:" host1; "~10\\.9\\.9\\.2:" host2; }\n'
    text = with_evidence("add_header X-Node $node;", maps, ["HOST1:1", "HOST2:1"])
    assert read(text).evidence == "X-Node"


# ---- a strict proxy ----

STRICT = BY_HEADER_OR_QUERY + (
    'map $key $pool { default finch; "~[~]west$" finch_west; "~[~]node-2$" finch_2;\n'
    '  "~[~][a-z][a-z0-9-]*$" finch_unknown; }\n'
    "upstream finch { zone finch 64k; hash $key; server 10.0.0.1:1; server 10.0.0.2:1; }\n"
    "upstream finch_west { server 10.0.0.1:1; }\n"
    "upstream finch_2 { server 10.0.0.2:1; keepalive 8; }\n"
    "server { listen 80; if ($pool = finch_unknown) { return 421; }\n"
    "  location = /.well-known/pavics-affinity { return 200 '{}'; }\n"
    "  location /.affinity/ { rewrite ^/\\.affinity/[^/]+(/.*)$ $1 break;"
    " proxy_pass http://$pool; }\n"
    "  location / { proxy_pass http://$pool; } }\n"
)


def test_a_proxy_that_takes_names_of_nodes_is_strict_and_names_them(read):
    topology = read(STRICT, urls={"finch": "http://proxy/wps"})
    assert topology.proxy == "strict"
    assert topology.nodes == (Node("west", "10.0.0.1"), Node("node-2", "10.0.0.2"))
    assert topology.header == "machineid"
    [service] = topology.services
    assert (service.name, service.listen, service.outputs) == ("finch", 80, None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"~[~]node-2$" finch_2;', ""),  # not every node
        ("upstream finch_2 { server 10.0.0.2:1;", "upstream finch_2 { server 10.0.0.1:1;"),
        # a pool that reaches beyond its node
        (
            "upstream finch_2 { server 10.0.0.2:1;",
            "upstream finch_2 { server 10.0.0.2:1; server x;",
        ),
        ("upstream finch_2", "upstream finch_3"),
    ],
)
def test_a_proxy_that_takes_names_only_in_part_is_plain(read, old, new):
    assert old in STRICT
    assert read(STRICT.replace(old, new)).proxy == "plain"


def test_one_plain_service_makes_the_site_plain(read):
    assert read(STRICT, MANUAL).proxy == "plain"


# ---- mistakes ----


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("upstream a {\n  server b:1;\n", 2, 'expecting "}"'),
        ("}\n", 1, 'unexpected "}"'),
        ("upstream a { server b:1 }", 1, ""),
        ("user nginx\n", None, "ends in the middle"),
        ("upstream a;", 1, 'no opening "{"'),
        ("http {\n  include missing.conf;\n}", 2, "no file 'missing.conf' to include"),
        ("include 0.conf;", 1, "includes itself"),
        ("\nupstream finch { hash $http_machineid; }", 2, "'finch' has no server"),
        ("upstream finch {\n hash $http_machineid;\n server :8093;\n}", 3, "has no host"),
        ("upstream finch {\n hash $http_machineid;\n server 8093;\n}", 3, "0.0.1:8093;'"),
        (
            "upstream finch {\n hash $http_machineid;\n server a:b;\n}",
            3,
            "the port 'b' is not valid",
        ),
        ("upstream finch {\n hash $http_machineid;\n server a:1 x=1;\n}", 3, "refuses the parame"),
        ("upstream finch {\n hash $http_machineid\n server a:1;\n}", 2, "not a hash directive"),
        ("upstream finch {\n hash;\n server a:1;\n}", 2, "not a hash directive"),
        ("upstream f {\n hash $http_machineid;\n server a service=x resolve;\n}", 3, "asks DNS"),
        ("upstream f { server a backup; hash $http_machineid; }", 1, "backups only"),
        ("upstream finch { server a:1; }", 1, "add 'hash $http_machineid;'"),
        ("upstream finch { ip_hash; server a:1; }", 1, "add 'hash $http_machineid;'"),
        ("server { listen 80; }", None, "no upstream in"),
        ("", None, "no upstream in"),
        (upstream() + "server { listen 99999; }", 7, "no valid port"),
        (upstream() + upstream(), 7, "defined twice, first in"),
    ],
)
def test_a_mistake_names_file_and_line(read, text, line, words):
    error = refused(read, text)
    assert words in str(error)
    assert "0.conf" in str(error)
    assert error.line == line
    if line is not None:
        assert Path(error.file).name == "0.conf"
        assert f"0.conf, line {line}: " in str(error)


def test_a_mistake_in_an_included_file_is_found_there(tmp_path):
    (tmp_path / "inner.conf").write_text("\nupstream a { server b:1; ")
    (tmp_path / "nginx.conf").write_text("http { include inner.conf; }")
    with pytest.raises(NginxConfigError) as caught:
        read_nginx(tmp_path)
    assert (Path(caught.value.file).name, caught.value.line) == ("inner.conf", 2)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(NginxConfigError, match="no nginx file given"):
        read_nginx()
    for path in (tmp_path / "nginx.conf", tmp_path / "*.conf", "missing/*.conf"):
        with pytest.raises(NginxConfigError, match="there is no file") as caught:
            read_nginx(path)
        assert caught.value.file == str(path)
    with pytest.raises(NginxConfigError, match=r"has no nginx\.conf"):
        read_nginx(tmp_path)
    with pytest.raises(NginxConfigError, match="is not a path"):
        read_nginx(b"nginx.conf")


def test_the_extra_is_named_if_crossplane_is_missing(tmp_path, monkeypatch):
    (tmp_path / "a.conf").write_text(MANUAL)
    monkeypatch.setitem(sys.modules, "crossplane", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pavics-affinity\[nginx\]'"):
        read_nginx(tmp_path / "a.conf")


WHOLE = NODE_MAP + "add_header X-Node $node;\n" + STRICT + MANUAL
SPLICES = st.lists(
    st.tuples(
        st.integers(0, len(WHOLE)),
        st.integers(0, 12),
        st.sampled_from(
            ["", "{", "}", ";", '"', "'", "$", "\\", "~", "\n", "#", " ", "é", "server"]
        ),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=400, deadline=None)
@given(SPLICES)
def test_a_damaged_file_raises_our_error_and_no_other(tmp_path_factory, splices):
    text = WHOLE
    for position, length, insert in splices:
        text = text[:position] + insert + text[position + length :]
    path = tmp_path_factory.getbasetemp() / "damaged.conf"
    path.write_text(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AffinityWarning)
            topology = read_nginx(path)
    except AffinityError as error:
        assert str(error)  # noqa: PT017 - most are damaged beyond reading, some are not
    else:
        assert Topology.loads(topology.dumps()) == topology

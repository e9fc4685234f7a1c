"""The public URL of each service, and its path on a node, behind prefixes and rewrites."""

import pytest

from pavics_affinity import read_nginx
from pavics_affinity.proxy.nginx.servers import public_prefix
from pavics_affinity.proxy.nginx.statements import read_files
from pavics_affinity.topology import Outputs
from support.live_site import ask, running, site

BIRDS = {"finch": 5000, "raven": 9099}
BASE = "https://pavics.example/twitcher/ows/proxy"
# The old form of TLS, on two ports, as sites with a long history have it.
SERVER = """
server {{ listen 80; server_name pavics.example; {locations} }}
server {{
  listen 443;
  ssl on;
  server_name pavics.example;
  ssl_certificate /etc/nginx/cert.pem;
  ssl_certificate_key /etc/nginx/cert.pem;
  {locations}
}}
"""
FORMS = {
    "a prefix": "location /twitcher/ows/proxy/NAME/ { proxy_pass http://NAME/; }",
    "outputs first": "location /wpsoutputs/NAME/ { proxy_pass http://NAME; } "
    "location /twitcher/ows/proxy/NAME/ { proxy_pass http://NAME/; }",
    "a rewrite": "location /twitcher/ows/proxy/NAME { "
    "rewrite ^/twitcher/ows/proxy/NAME/?(.*)$ /$1 break; proxy_pass http://NAME; }",
    "a rewrite before the URI": "location /twitcher/ows/proxy/NAME/ { "
    "rewrite ^/twitcher/ows/proxy/NAME/(.*)$ /$1 break; proxy_pass http://NAME/ignored/; }",
    "an expression": "location ~ ^/twitcher/ows/proxy/NAME(/|$) { "
    "rewrite ^/twitcher/ows/proxy/NAME/?(.*)$ /$1 break; proxy_pass http://NAME; }",
    "a captured path": "location ~ ^/twitcher/ows/proxy/NAME/(.*)$ { "
    "proxy_pass http://NAME/$1$is_args$args; }",
    "a jump": "location /twitcher/ows/proxy/NAME/ { "
    "rewrite ^/twitcher/ows/proxy/NAME/(.*)$ /inner/NAME/$1 last; } "
    "location /inner/NAME/ { internal; proxy_pass http://NAME/; }",
}


def birds(locations):
    upstreams = "".join(
        f"upstream {name} {{ hash $http_machineid; "
        + "".join(f"server 10.0.0.{number}:{port}; " for number in (1, 2))
        + "}\n"
        for name, port in BIRDS.items()
    )
    every = " ".join(locations.replace("NAME", name) for name in BIRDS)
    return upstreams + SERVER.format(locations=every)


@pytest.fixture
def read(tmp_path):
    def reading(text, **options):
        (tmp_path / "site.conf").write_text(text)
        return read_nginx(tmp_path / "site.conf", **options)

    return reading


@pytest.mark.parametrize("form", FORMS)
def test_each_service_of_a_shared_server_has_its_public_url(read, form):
    topology = read(birds(FORMS[form]))
    assert {s.name: s.url for s in topology.services} == {n: f"{BASE}/{n}" for n in BIRDS}
    for name, port in BIRDS.items():
        on_node = topology.to_node(f"{BASE}/{name}/wps", "node-10-0-0-2")
        assert on_node == f"http://10.0.0.2:{port}/wps"


@pytest.mark.parametrize(
    ("locations", "path"),
    [
        ("location /twitcher/ows/proxy/NAME/wps { proxy_pass http://NAME/wps; }", "/wps"),
        (
            "location = /twitcher/ows/proxy/NAME/wps { proxy_pass http://NAME/ows; } "
            "location /twitcher/ows/proxy/NAME/wps/ { proxy_pass http://NAME/; }",
            "/ows",
        ),
        ("location ~ ^/twitcher/ows/proxy/NAME/wps$ { proxy_pass http://NAME/x$uri; }", None),
        ("location ~ ^/twitcher/ows/proxy/NAME/wps$ { proxy_pass http://NAME$uri; }", None),
    ],
)
def test_a_uri_in_proxy_pass_is_the_path_on_the_node(read, locations, path):
    finch = read(birds(locations)).service("finch")
    assert finch.url == f"{BASE}/finch/wps"
    if "/x$uri" in locations:
        path = "/x/twitcher/ows/proxy/finch/wps"
    assert (finch.path, finch.outputs) == (path, None)


def test_outputs_of_each_service_are_found_on_the_shared_server(read):
    both = FORMS["a prefix"] + " location /wpsoutputs/NAME { proxy_pass http://NAME/outputs; }"
    outputs = read(birds(both)).service("raven").outputs
    assert outputs == Outputs("https://pavics.example/wpsoutputs/raven", "/outputs")


def test_a_server_without_a_name_takes_the_urls_that_are_given(read):
    text = birds(FORMS["a prefix"]).replace("pavics.example", "localhost")
    assert [service.url for service in read(text).services] == [None, None]
    topology = read(text, urls={name: f"{BASE}/{name}/wps" for name in BIRDS})
    assert [(s.listen, s.path) for s in topology.services] == [(443, "/wps")] * 2


@pytest.mark.parametrize(
    ("location", "prefix"),
    [
        ("/a/", "/a/"),
        ("= /a", "/a"),
        ("~ ^/a\\.b/c", "/a.b/c"),
        ("~* ^/a/b?c", "/a/"),
        ("~ ^/a(/|$)", "/a"),
        ("~ ^/a|^/b", None),
        ("~ \\.nc$", None),
        ("~ ^(/a)", None),
        ("@spare", None),
    ],
)
def test_how_the_paths_of_a_location_begin(tmp_path, location, prefix):
    (tmp_path / "x.conf").write_text(f"server {{ location {location} {{ }} }}")
    [server] = read_files([str(tmp_path / "x.conf")]).statements
    assert public_prefix(server.block[0], server.block) == prefix


@pytest.mark.parametrize("form", ["a prefix", "a rewrite", "an expression", "a jump"])
def test_a_live_nginx_sends_the_path_that_was_read(tmp_path, form):
    with site(services=BIRDS) as made:
        text = birds(FORMS[form].replace("outputs", "o"))
        for number, host in enumerate(made.nodes.values(), 1):
            text = text.replace(f"10.0.0.{number}:", f"{host}:")
        text = text.partition("server { listen 80;")[0]
        every = " ".join(FORMS[form].replace("NAME", name) for name in BIRDS)
        text += f"server {{ listen {made.host}:5000; server_name pavics.example; {every} }}"
        with running(made, {"conf.d/site.conf": text}):
            (tmp_path / "site.conf").write_text(text)
            origin = f"http://{made.host}:5000"
            topology = read_nginx(
                tmp_path / "site.conf",
                urls={name: f"{origin}/twitcher/ows/proxy/{name}/wps" for name in BIRDS},
            )
            for service in topology.services:
                seen = ask(service.url, "a1").json()
                assert (seen["service"], seen["path"]) == (service.name, service.path)

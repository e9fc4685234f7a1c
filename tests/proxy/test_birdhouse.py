"""A component of birdhouse-deploy: what it adds, and what real requests meet behind it."""

import re
import subprocess
from contextlib import contextmanager
from dataclasses import replace

import pytest
import yaml

from pavics_affinity.discovery.document import topology_of
from pavics_affinity.errors import TopologyError
from pavics_affinity.proxy.render import render
from pavics_affinity.proxy.write import write
from pavics_affinity.topology import Backend, Outputs, Tls
from support.live_site import ask, running, site

BIRDS = {"finch": 5000, "raven": 9099}
FRONT = 8080
TWITCHER = 8001
HEADERS = "machineid"
# The shape of the site's own files: a server with the extension point, Twitcher, and outputs.
STACK = """
worker_processes 1;
events {{}}
http {{
  access_log off;
  include /etc/nginx/conf.extra-directives.d/*/*.conf;
  server {{
    listen {host}:{front};
    location / {{ return 200 "the site"; }}
    location = /auth {{
      internal;
      if ($request_uri ~ ^/wpsoutputs/[^/]+/private/) {{ return 403; }}
      return 204;
    }}
    location /twitcher/ {{ proxy_pass http://{host}:{twitcher}/; proxy_set_header Host $host; }}
    location /wpsoutputs/ {{ auth_request /auth; alias /nowhere/; }}
    include /etc/nginx/conf.extra-service.d/*/*.conf;
  }}
  server {{ # what Twitcher does: it finds the provider, and only Content-Type comes back
    listen {host}:{twitcher};
    proxy_hide_header X-Pavics-Node;
    proxy_hide_header X-Pavics-Connect;
{providers}
  }}
}}
"""


def topology(made, **options):
    """What the operator of a stack writes."""
    found = made.topology(proxy="strict", tls="in front", **options)
    return found.with_services(
        replace(
            service,
            url=f"https://pavics.example/twitcher/ows/proxy/{service.name}/wps",
            path="/wps",
            outputs=Outputs(
                f"https://pavics.example/wpsoutputs/{service.name}",
                f"/wpsoutputs/{service.name}",
            ),
            publish=None,
        )
        for service in found.services
    )


@contextmanager
def stack(made):
    files = render(topology(made), "birdhouse")
    providers = ""
    for name in BIRDS:
        text = yaml.safe_load(files[f"config/magpie/{name}-providers.cfg"])
        url = text["providers"][name]["url"].replace("//proxy:", f"//{made.host}:")
        providers += f"location /ows/proxy/{name} {{ proxy_pass {url}; }}\n"
    main = STACK.format(host=made.host, front=FRONT, twitcher=TWITCHER, providers=providers)
    inside = {
        re.sub(r"config/proxy/(conf\.\S+?\.d)/", r"\1/pavics-affinity/", name).removesuffix(
            ".template"
        ): text.replace("${SECURE_DATA_PROXY_AUTH_INCLUDE}", "auth_request /auth;")
        for name, text in files.items()
        if name.startswith("config/proxy/conf")
    }
    with running(made, {**inside, "nginx.conf": main}):
        yield f"http://{made.host}:{FRONT}"


@pytest.fixture(scope="module")
def front():
    with site(services=BIRDS) as made, stack(made) as url:
        yield url, list(made.nodes)


# ---- the files ----


def test_the_component_has_its_own_files_only_and_mounts_at_extension_points():
    with site(services=BIRDS) as made:
        inner = render(topology(made), "birdhouse")
        assert set(inner) == {
            "default.env",
            "config/proxy/docker-compose-extra.yml",
            "config/proxy/conf.extra-directives.d/00-affinity.conf",
            "config/proxy/conf.extra-directives.d/affinity-finch.conf",
            "config/proxy/conf.extra-directives.d/affinity-raven.conf",
            "config/proxy/conf.extra-service.d/pavics-affinity.conf.template",
            "config/magpie/docker-compose-extra.yml",
            "config/magpie/finch-providers.cfg",
            "config/magpie/raven-providers.cfg",
        }
        assert not any("log_format" in text or "access_log" in text for text in inner.values())
        targets = [
            mount.split(":")[1]
            for name, text in inner.items()
            if name.endswith(".yml")
            for service in yaml.safe_load(text)["services"].values()
            for mount in service["volumes"]
        ]
        assert sorted(targets) == [
            "${MAGPIE_PROVIDERS_CONFIG_PATH}/finch-providers.cfg",
            "${MAGPIE_PROVIDERS_CONFIG_PATH}/raven-providers.cfg",
            "/etc/nginx/conf.extra-directives.d/pavics-affinity",
            "/etc/nginx/conf.extra-service.d/pavics-affinity",
        ]


def test_the_outer_layout_publishes_its_own_ports(tmp_path):
    with site(services=BIRDS) as made:
        tls = Tls("/etc/nginx/cert.pem", "/etc/nginx/key.pem")
        services = [replace(each, listen=8443) for each in topology(made).services]
        outer = render(
            replace(topology(made).with_services(services), tls=tls), "birdhouse", layout="outer"
        )
        override = yaml.safe_load(outer["config/proxy/docker-compose-extra.yml"])
        proxy = override["services"]["proxy"]
        assert proxy["ports"] == ["8443:8443"]
        # The stack has its own certificate in the container.
        assert [mount.split(":")[1] for mount in proxy["volumes"]] == [
            "/etc/nginx/conf.extra-directives.d/pavics-affinity",
            "/etc/nginx/key.pem",
        ]
        assert "listen 8443 ssl http2;" in "".join(outer.values())
        assert not any(name.startswith("config/magpie") for name in outer)


def test_the_shell_that_reads_default_env_keeps_the_place_that_is_set(tmp_path):
    with site(services=BIRDS) as made:
        write(render(topology(made), "birdhouse"), tmp_path)
    for given, expected in (("/srv/x", "/srv/x"), ("", "./optional-components/pavics-affinity")):
        done = subprocess.run(
            ["sh", "-c", ". ./default.env; echo $PAVICS_AFFINITY_DIR"],
            cwd=tmp_path,
            env={"PAVICS_AFFINITY_DIR": given},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected


@pytest.mark.parametrize("layout", ["inner", "outer"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"listen": 443}, "the stack's own proxy listens on 443"),
        ({"listen": 80}, "give the service another port"),
    ],
)
def test_the_ports_of_the_stack_are_not_taken(layout, change, words):
    with site(services=BIRDS) as made:
        services = [replace(each, **change) for each in topology(made).services]
        with pytest.raises(TopologyError, match=words):
            render(topology(made).with_services(services), "birdhouse", layout=layout)


def test_what_a_component_cannot_be_made_of_is_refused():
    with site(services=BIRDS) as made:
        found = topology(made)
        with pytest.raises(TopologyError, match="where TLS ends"):
            render(replace(found, tls=None), "birdhouse")
        with pytest.raises(TopologyError, match="layout 'middle'"):
            render(found, "birdhouse", layout="middle")
        own = replace(found.services[0], port=None, backends=[Backend("node1", "127.0.0.1:5101")])
        with pytest.raises(TopologyError, match="the port of its container"):
            render(found.with_services([own]), "birdhouse")
        twice = [replace(each, publish=99) for each in found.services]
        with pytest.raises(TopologyError, match="port 99 is published"):
            render(found.with_services(twice), "birdhouse", layout="outer")


def test_a_service_that_is_removed_takes_its_upstream_with_it(tmp_path):
    with site(services=BIRDS) as made:
        found = topology(made)
        write(render(found, "birdhouse"), tmp_path)
        changes = write(render(found.with_services(found.services[:1]), "birdhouse"), tmp_path)
    assert changes.removed == ("config/proxy/conf.extra-directives.d/affinity-raven.conf",)


def test_a_backend_on_loopback_is_the_stacks_own_container():
    with site(services=BIRDS) as made:
        found = topology(made)
        finch = replace(
            found.services[0], backends=[Backend("node1", "127.0.0.1:5101"), Backend("node2")]
        )
        files = render(found.with_services([finch]), "birdhouse")
    text = files["config/proxy/conf.extra-directives.d/affinity-own-node.conf"]
    assert "listen 127.0.0.1:5101;" in text
    assert "proxy_pass http://finch:5000;" in text
    assert "location /wpsoutputs/finch/ { alias /data/wps_outputs/finch/; }" in text


# ---- requests ----


@pytest.mark.parametrize("name", BIRDS)
def test_a_key_leads_through_twitcher_to_its_node_and_its_outputs_come_from_there(front, name):
    url, nodes = front
    seen = set()
    for key in ["a1", "b2", "c3", "d4", "e5", *(f"x~{node}" for node in nodes)]:
        service = ask(f"{url}/twitcher/ows/proxy/{name}/wps", key)
        output = ask(f"{url}/wpsoutputs/{name}/a.nc", key)
        assert service.json()["node"] == output.json()["node"]
        assert output.json()["path"] == f"/wpsoutputs/{name}/a.nc"
        assert output.headers["X-Pavics-Node"] == output.json()["node"]
        assert "X-Pavics-Node" not in service.headers
        seen.add(service.json()["node"])
    assert seen == set(nodes)


def test_a_node_that_does_not_exist_is_refused_and_an_ill_formed_key_too(front):
    url, _ = front
    for path in ("/twitcher/ows/proxy/finch/wps", "/wpsoutputs/finch/a.nc"):
        assert ask(url + path, "a1~node9").status_code == 421
        assert ask(url + path, "a b").status_code == 400


def test_the_rest_of_the_site_is_as_before(front):
    url, _ = front
    assert ask(url).text == "the site"
    assert ask(f"{url}/wpsoutputs/other/a.nc").status_code == 404


def fetched(url):
    """Fetch as curl -L does; nothing ends TLS in front of this stack here."""
    answer = ask(url)
    if answer.status_code == 307:
        answer = ask(answer.headers["Location"].replace("https://", "http://", 1))
    return answer


def test_links_lead_to_the_node_and_never_past_the_sites_access_control(front):
    url, _ = front
    link = "/.affinity/x~node2/wpsoutputs/finch/a.nc"
    for query in ("", "?more=1"):
        assert fetched(url + link + query).json()["node"] == "node2"
    private = "/wpsoutputs/finch/private/a.nc"
    for path in (private, f"{private}?machineid=x~node2", f"/.affinity/x~node2{private}"):
        assert fetched(url + path).status_code == 403
    elsewhere = ask(f"{url}/.affinity/x//example.org/").headers["Location"]
    assert elsewhere.startswith(f"https://{url.removeprefix('http://')}//example.org/")


def test_the_front_publishes_the_document_without_evidence_that_twitcher_removes(front):
    url, nodes = front
    told = ask(f"{url}/.well-known/pavics-affinity").json()
    found = topology_of(told, "https://pavics.example/")
    assert (found.proxy, found.evidence) == ("strict", None)
    assert [node.name for node in found.nodes] == nodes
    assert {each.name: each.url for each in found.services} == {
        name: f"https://pavics.example/twitcher/ows/proxy/{name}/wps" for name in BIRDS
    }

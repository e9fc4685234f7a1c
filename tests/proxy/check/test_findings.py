"""Where a finding points, how severe it is, and what is not reported."""

import itertools

import pytest

from pavics_affinity.errors import MissingExtra, NginxConfigError, TopologyError
from pavics_affinity.proxy.check import RULES, check
from pavics_affinity.proxy.render import render
from pavics_affinity.proxy.write import write
from pavics_affinity.topology import Backend, Node, Outputs, Service, Topology

KEY = "hash $http_machineid;"
SOUND = """\
map $http_machineid $key { default $http_machineid; "" $arg_machineid; }
add_header X-Pavics-Node $upstream_addr always;
proxy_next_upstream off;
proxy_read_timeout 3600s;
client_max_body_size 1g;
"""


def upstream(name="finch", port=8093, *, key="hash $key;", servers=None, more=""):
    servers = servers or [f"10.0.0.{i}:{port} max_fails=0" for i in (1, 2, 3)]
    lines = "".join(f"  server {server};\n" for server in servers)
    return f"upstream {name} {{\n  {key}\n{lines}{more}}}\n"


def server(name="finch", port=8093, inside="", location="/"):
    passed = f"location {location} {{ proxy_pass http://{name}; }}"
    return f"server {{\n  listen {port};\n  {passed}\n  {inside}\n}}\n"


def front(inside, listen="8099"):
    return f"server {{ listen {listen}; {inside} }}\n"


PASS = "location / { proxy_pass http://finch; }"
SITE = SOUND + upstream() + server() + upstream("emu", 8091) + server("emu", 8091)


def line_of(text, words):
    return next(i for i, line in enumerate(text.splitlines(), 1) if words in line)


# ---- nothing to find ----


def test_sound_files_have_no_finding(found):
    assert found(SITE) == []


def topologies():
    nodes = [Node(f"node{i}", f"10.0.0.{i}", weight=w) for i, w in ((1, 1), (2, 2), (3, 1))]
    named = [Node("a", "a.example"), Node("b", "b.example")]
    drained = [*nodes[:2], Node("node3", "10.0.0.3", drain=True)]
    pairs = [Backend("node1"), Backend("node1", "10.0.0.1:9093"), Backend("node2")]

    def services(**more):
        return [
            Service(
                name,
                url=f"http://proxy.example:5{port}/wps",
                port=port,
                publish=50000 + port,
                outputs=Outputs(f"http://proxy.example:5{port}/outputs", "/outputs"),
                **more,
            )
            for name, port in (("malleefowl", 8091), ("flyingpigeon", 8093), ("hummingbird", 8094))
        ]

    paths = [
        Service(
            name,
            url=f"http://proxy.example/twitcher/ows/proxy/{name}/wps",
            port=port,
            listen=80,
            path="/wps",
            outputs=Outputs(f"http://proxy.example/wpsoutputs/{name}", "/outputs"),
        )
        for name, port in (("finch", 8094), ("raven", 8095))
    ]
    yield "manual", Topology(nodes=nodes, services=services())
    yield "names", Topology(nodes=named, services=services())
    yield "drained", Topology(nodes=drained, services=services(), workers=8)
    yield "paths", Topology(nodes=nodes, services=paths, header="X-Workflow", evidence="X-Node")
    yield "tls", Topology(nodes=nodes, services=services(tls=True))
    yield "one node", Topology(nodes=nodes[:1], services=services())
    yield "consistent", Topology(nodes=nodes, services=services(method="hash consistent")[:1])
    yield (
        "two backends of a node",
        Topology(nodes=nodes, services=[Service("finch", port=8093, backends=pairs)]),
    )
    down = [Backend("node1"), Backend("node2", down=True), Backend("node3")]
    yield "down", Topology(nodes=nodes, services=services(backends=down))


@pytest.mark.parametrize(("name", "topology"), list(topologies()), ids=lambda each: str(each)[:9])
def test_rendered_strict_files_have_no_findings(tmp_path, name, topology):
    write(render(topology), tmp_path)
    assert check(tmp_path) == []
    assert check(*sorted((tmp_path / "config" / "proxy" / "conf.d").glob("*.conf"))) == []


@pytest.mark.parametrize("style", ["strict", "plain"])
@pytest.mark.parametrize(("name", "topology"), list(topologies()), ids=lambda each: str(each)[:9])
def test_what_render_writes_agrees_with_its_topology(tmp_path, name, topology, style):
    topology = Topology.loads(f'proxy = "{style}"\n{topology.dumps().replace("proxy =", "#")}')
    write(render(topology, style), tmp_path)
    topology.dump(tmp_path / "site.toml")
    alone = set(check(tmp_path))
    assert alone.issuperset(check(tmp_path, topology=tmp_path / "site.toml"))


def test_the_plain_style_has_no_error_and_each_warning_once_per_service(tmp_path):
    topology = next(topologies())[1]
    write(render(topology, "plain"), tmp_path)
    counts = {}
    for each in check(tmp_path):
        assert each.severity != "error"
        counts[each.rule] = counts.get(each.rule, 0) + 1
    assert counts == dict.fromkeys(
        ["max-fails", "next-upstream", "no-zone", "read-timeout", "body-size", "no-evidence",
         "header-only"], 3,
    )  # fmt: skip


# ---- places ----


def test_the_manuals_snippet_as_printed_names_each_missing_host(found):
    text = upstream(servers=[":8093"] * 3, key=KEY) + server()
    errors = [each for each in found(text) if each.severity == "error"]
    assert [(each.rule, each.line) for each in errors] == [
        ("server-without-host", line) for line in (3, 4, 5)
    ]


def test_a_finding_points_into_the_included_file(tmp_path):
    conf = tmp_path / "conf.d"
    conf.mkdir()
    (tmp_path / "nginx.conf").write_text(
        f"http {{\n{SOUND}  include /etc/nginx/conf.d/*.conf;\n}}\n"
    )
    (conf / "finch.conf").write_text("\n\n" + upstream() + server())
    (conf / "emu.conf").write_text(
        "# a comment\n"
        + upstream("emu", 8091, servers=["10.0.0.1:8091", ":8091"])
        + "include emu.inc;"
    )
    (tmp_path / "emu.inc").write_text("# two\n# lines\n" + server("emu", 8091, "proxy_cache on;"))
    places = {each.rule: (each.file, each.line) for each in check(tmp_path)}
    assert places["server-without-host"] == (str(conf / "emu.conf"), 5)
    assert places["cache"] == (str(tmp_path / "emu.inc"), 6)


def test_one_broken_file_does_not_hide_the_others(tmp_path):
    (tmp_path / "a.conf").write_text("upstream a {\n  hash $x;\n  server\n")
    (tmp_path / "b.conf").write_text(upstream(key=KEY, servers=[":1", ":2"]) + server())
    (tmp_path / "c.conf").write_text("upstream c {\n  hash $x;\n  server 10.0.0.1:1\n}\n")
    rules = [
        (each.rule, each.file[-6:], each.line)
        for each in check(tmp_path)
        if each.severity == "error"
    ]
    assert rules == [
        ("syntax", "a.conf", rules[0][2]),
        ("server-without-host", "b.conf", 3),
        ("server-without-host", "b.conf", 4),
        ("syntax", "c.conf", 3),
    ]


def test_a_missing_include_is_reported_and_the_rest_is_read(found):
    [told] = found("include mime.types;\ninclude proxy_params;\ninclude nothing.inc;\n" + SITE)
    assert (told.rule, told.severity, told.line) == ("include", "warning", 3)


def test_findings_are_in_order_errors_first_and_none_twice(found):
    text = upstream(servers=[":8093", "10.0.0.1:8093", "10.0.0.2:8093"], key=KEY) + server()
    all_of_them = found(text)
    severities = [each.severity for each in all_of_them]
    assert [key for key, _ in itertools.groupby(severities)] == ["error", "warning", "note"]
    assert len(set(all_of_them)) == len(all_of_them)
    assert {each.rule for each in all_of_them} <= set(RULES)


def test_a_setting_that_services_share_is_reported_once(found):
    text = SITE.replace("proxy_next_upstream off;", "proxy_next_upstream error;")
    [told] = found(text)
    assert (told.rule, told.line) == ("next-upstream", line_of(text, "proxy_next_upstream"))
    missing = found(SITE.replace("proxy_next_upstream off;", ""))
    assert [each.line for each in missing] == [
        line_of(SITE, "http://finch"),
        line_of(SITE, "http://emu"),
    ]


def test_a_missing_setting_is_reported_once_for_each_server(found):
    text = SITE.replace("proxy_next_upstream off;", "").replace(
        "location / {", "location /a { proxy_pass http://finch; } location / {"
    )
    assert len(found(text, "next-upstream")) == 2


# ---- severities, and what is let pass ----


@pytest.mark.parametrize(
    ("text", "rule", "severities"),
    [
        (
            SITE + upstream("portal", 80, key="", servers=["10.9.9.1:80", "10.9.9.2:80"]),
            "no-hash",
            ["warning"],
        ),
        (SITE + upstream("out", 8080, key=""), "no-hash", ["error"]),
        (SITE + upstream("out", 8080, key="ip_hash;"), "no-hash", ["error"]),
        (SITE + upstream("db", 1, key="", servers=["10.9.9.1:1"]), "no-hash", []),
        (SITE.replace("$http_machineid", "$http_workflow"), "hash-other-variable", ["warning"] * 2),
        (SITE.replace("hash $key;", "hash $http_x_id;", 1), "hash-other-variable", ["error"]),
        (SITE.replace("hash $key;", "hash $remote_addr;", 1), "hash-other-variable", ["error"]),
        (
            "map $http_machineid $half { ~^[0-4] a; default b; }\n"
            + SITE.replace("$key;", "$half;"),
            "hash-other-variable",
            ["note"] * 2,
        ),
        (SITE.replace("hash $key;", "hash v1$key;", 1), "composite-key", ["note"]),
        (SITE.replace("hash $key;", "hash $key$remote_addr;", 1), "composite-key", ["error"]),
        (SITE.replace("hash $key;", "hash $key;\n  hash $key;", 1), "several-methods", ["warning"]),
        (
            SITE.replace("hash $key;", "least_conn;\n  hash $key;", 1),
            "several-methods",
            ["warning"],
        ),
        (SITE.replace(" max_fails=0", " max_fails=3", 1), "max-fails", ["warning"]),
        ("worker_processes auto;\n" + SITE, "no-zone", []),
        ("worker_processes 1;\n" + SITE.replace(" max_fails=0", ""), "no-zone", []),
        ("worker_processes auto;\n" + SITE.replace(" max_fails=0", ""), "no-zone", ["warning"] * 2),
        (
            SITE.replace("proxy_read_timeout 3600s", "proxy_read_timeout 1m"),
            "read-timeout",
            ["warning"],
        ),
        (SITE.replace("proxy_read_timeout 3600s", "proxy_read_timeout 1h5m"), "read-timeout", []),
        (SITE.replace("client_max_body_size 1g", "client_max_body_size 0"), "body-size", []),
        (
            SITE.replace("client_max_body_size 1g", "client_max_body_size 2m"),
            "body-size",
            ["warning"],
        ),
        (SITE + server("10.0.0.1", 8099), "bypass", []),
        (SITE + server("10.0.0.1:8093", 8099), "bypass", ["error"]),
        (
            SITE + server("10.0.0.1:8080", 8099, location="/wpsoutputs/"),
            "outputs-bypass",
            ["error"],
        ),
        (
            SITE + server("10.9.9.9:8080", 8099, location="/wpsoutputs/"),
            "outputs-bypass",
            ["warning"],
        ),
        (
            SITE + upstream("one", 8093, servers=["10.0.0.1:8093"], key="") + server("one", 8099),
            "bypass",
            ["error"],
        ),
        (
            SITE + server("finch", 8099, "location /data/output { root /srv; }"),
            "outputs-bypass",
            ["warning"],
        ),
        (SITE + server("finch", 8099, "location /static/ { root /srv; }"), "outputs-bypass", []),
        (
            SITE + server("finch", 8099, "location = /output { root /srv; return 404; }"),
            "outputs-bypass",
            [],
        ),
        (
            SITE + front("proxy_set_header machineid $http_machineid; " + PASS),
            "header-not-passed",
            [],
        ),
        (SITE + front("proxy_set_header machineid $key; " + PASS), "header-not-passed", []),
        (
            SITE + front("proxy_set_header MachineID $remote_addr; " + PASS),
            "header-not-passed",
            ["warning"],
        ),
        (SITE + front("server_name other.example; " + PASS, "8093"), "listen-twice", []),
        (SITE + front(PASS, "127.0.0.1:8093"), "listen-twice", []),
        (SITE + front("location / { return 404; }", "8093"), "listen-twice", ["error"]),
        (SITE.replace("10.0.0.1:8093", "127.0.0.2:8093"), "loop", ["error"]),
        (SITE.replace("10.0.0.1:8093", "127.0.0.2:8094"), "loop", []),
        (
            SITE.replace("listen 8093", "listen 127.0.0.1:8093").replace(
                "10.0.0.1:8093", "127.0.0.2:8093"
            ),
            "loop",
            [],
        ),
        (upstream() + upstream("emu", 8091), "unused-upstream", []),
        (SITE.replace("http://emu", "http://EMU"), "unused-upstream", []),
        (SITE + upstream("copy") + server("copy", 8099), "shared-server", []),
        (SITE + upstream("raven", 8097), "unused-upstream", ["warning"]),
        (SITE + front("location / { uwsgi_pass finch; }", "81"), "next-upstream", ["warning"]),
        (
            SITE + front("uwsgi_next_upstream off; location / { uwsgi_pass finch; }", "81"),
            "next-upstream",
            [],
        ),
        (
            SITE + 'server { listen 81; set $to "http://emu"; location / { proxy_pass $to; } }',
            "unused-upstream",
            [],
        ),
    ],
)
def test_severity_of_a_finding(found, text, rule, severities):
    assert [each.severity for each in found(text, rule)] == severities


def test_in_a_template_a_variable_is_what_envsubst_fills_in(tmp_path):
    path = tmp_path / "finch.conf.template"
    path.write_text(SOUND + upstream(servers=["$HOST1:8093", "10.0.0.2:8093"]) + server())
    assert [each.severity for each in check(path) if each.rule == "placeholder"] == ["note"]


def test_nodes_in_another_order_are_reported_with_the_share_of_ids_kept(found):
    rotated = upstream("emu", 8091, servers=[f"10.0.0.{i}:8091 max_fails=0" for i in (2, 3, 1)])
    [told] = found(SOUND + upstream() + server() + rotated + server("emu", 8091))
    assert (told.rule, told.severity) == ("order-differs", "error")
    assert "0% of the ids land on one node in both" in told.message


def test_the_upstream_of_one_node_with_two_servers_needs_no_hash(found):
    pool = 'map $key $pool { default finch; "~[~]node1$" finch.node1; }\n' + upstream(
        "finch.node1", key="", servers=["10.0.0.1:8093", "10.0.0.1:9093"]
    )
    assert found(pool + SITE.replace("http://finch", "http://$pool"), "no-hash") == []


def test_ids_that_are_left_to_chance_count_as_apart(found):
    servers = ["10.0.0.1:{} weight=500 down", "10.0.0.2:{}", "10.0.0.3:{}"]
    text = SOUND + "".join(
        upstream(name, port, servers=[each.format(port) for each in servers]) + server(name, port)
        for name, port in (("finch", 8093), ("emu", 8091))
    )
    [told] = found(text, "services-apart")
    assert "leave ids to chance" in told.message


def test_of_three_services_the_odd_one_is_named(found):
    odd = upstream("emu", 8091, servers=[f"10.0.0.{i}:8091" for i in (3, 2, 1)])
    text = (
        SOUND
        + odd
        + server("emu", 8091)
        + upstream()
        + server()
        + upstream("owl", 8094)
        + server("owl", 8094)
    )
    [told] = found(text, "order-differs")
    assert "'emu' and 'finch'" in told.message


def test_consistent_on_other_ports_keeps_about_one_in_three(found):
    text = (SOUND + upstream() + server() + upstream("emu", 8091) + server("emu", 8091)).replace(
        "hash $key;", "hash $key consistent;"
    )
    [told] = found(text, "consistent-ports")
    share = int(told.message.partition("%")[0].rpartition(" ")[2])
    assert 20 < share < 45


def test_on_a_proxy_that_takes_names_a_bare_id_is_a_warning(tmp_path):
    nodes = [Node(f"node{i}", f"10.0.0.{i}") for i in (1, 2, 3)]
    other = [Backend("node3"), Backend("node2"), Backend("node1")]
    services = [Service("finch", port=8093), Service("emu", port=8091, backends=other)]
    write(render(Topology(nodes=nodes, services=services)), tmp_path)
    [told] = check(tmp_path)
    assert (told.rule, told.severity) == ("order-differs", "warning")


# ---- compose ----


@pytest.mark.parametrize(
    ("ports", "severities"),
    [
        (["58093:8093", "58091:8091"], []),
        (['"58093:8093"', '"127.0.0.1:58091:8091/tcp"', '"1:1/udp"'], []),
        (["8091-8093:8091-8093"], ["error"]),
        (["8093", "8091"], []),
        (["58093:8093"], ["warning"]),
        (["58093:80", "58091:8091"], ["error", "warning"]),
        (["58093:8093", "58093:8091"], ["error"]),
        (["127.0.0.1:58093:8093", "127.0.0.2:58093:8091"], []),
        (["${FINCH:-58093}:8093", "58091:${EMU:-8091}"], []),
        (["58093:${FINCH}", "58091:8091"], ["note"]),
        (["{target: 8093, published: 58093}", "{target: 8091}"], []),
        (["'[::1]:58093:8093'", "8091"], []),
        ([], ["warning", "warning"]),
    ],
    ids=str,
)
def test_published_ports_are_compared_with_listening_ports(tmp_path, found, ports, severities):
    compose = tmp_path / "docker-compose.yml"
    lines = "".join(f"      - {port}\n" for port in ports)
    compose.write_text(
        f"services:\n  web:\n    image: docker.io/library/nginx:1.29\n    ports:\n{lines}"
    )
    (tmp_path / "site.conf").write_text(SITE)
    told = check(tmp_path / "site.conf", compose)
    assert [each.severity for each in told] == severities
    assert {each.rule for each in told} <= {"compose-ports"}
    assert all(each.line > 4 for each in told if each.file == str(compose))


def test_files_of_compose_add_up_and_other_services_do_not_count(tmp_path):
    (tmp_path / "site.conf").write_text(SITE)
    one, two = tmp_path / "docker-compose.yml", tmp_path / "docker-compose.override.yml"
    one.write_text(
        "services:\n  proxy:\n    ports: ['58093:8093']\n  geoserver:\n    image: geoserver\n"
        "    ports: ['8080:8080']\n"
    )
    two.write_text("services:\n  proxy:\n    ports: ['58091:8091']\n")
    assert check(tmp_path) == []
    two.write_text("services:\n  proxy:\n    ports: ['58091:8091', '58093:8093']\n")
    assert check(tmp_path) == []
    two.write_text("services:\n  proxy:\n    network_mode: host\n")
    assert check(tmp_path) == []
    one.write_text("services:\n  geoserver:\n    image: geoserver\n")
    two.unlink()
    [told] = check(tmp_path)
    assert (told.rule, told.severity) == ("compose-ports", "note")


def test_the_line_of_bad_yaml_is_reported(tmp_path):
    (tmp_path / "site.conf").write_text(SITE)
    (tmp_path / "docker-compose.yml").write_text("services:\n  proxy:\n    ports: [\n")
    [told] = check(tmp_path)
    assert (told.rule, told.severity) == ("syntax", "error")
    assert told.line in (3, 4)


# ---- against a topology ----


@pytest.fixture
def held(tmp_path):
    def held(toml, text=SITE):
        (tmp_path / "site.conf").write_text(text)
        (tmp_path / "site.toml").write_text(toml)
        return check(tmp_path / "site.conf", topology=tmp_path / "site.toml")

    return held


NODES = "[nodes]\n" + "".join(f'n{i} = {{ host = "10.0.0.{i}" }}\n' for i in (1, 2, 3))
SERVICES = "[services.finch]\nport = 8093\n[services.emu]\nport = 8091\n"
AGREEING = 'evidence = "X-Pavics-Node"\n' + NODES + SERVICES


@pytest.mark.parametrize(
    ("old", "new", "rule", "severity"),
    [
        ("", "", None, None),
        ("X-Pavics-Node", "X-Other", "topology-evidence", "error"),
        ("evidence", 'header = "machine-id"\nevidence', "topology-header", "error"),
        ("evidence", 'header = "machine_id"\nevidence', "header-underscore", "error"),
        ("evidence", 'proxy = "strict"\nevidence', "topology-style", "error"),
        ("[services.emu]\nport = 8091\n", "", "topology-extra", "note"),
        ("emu", "raven", None, None),  # recognised by its port
        ("emu]\nport = 8091", "raven]\nport = 8099", "topology-missing", "error"),
        ("port = 8091", 'port = 8091\nmethod = "hash consistent"', "topology-method", "error"),
        ("port = 8091", "port = 8091\nlisten = 81", "topology-listen", "error"),
        ("port = 8091", 'port = 8091\nbackends = ["n2", "n1", "n3"]', "topology-servers", "error"),
        ("port = 8091", 'port = 8091\nbackends = ["n1", "n2"]', "topology-servers", "error"),
        ('"10.0.0.3" }', '"10.0.0.3", weight = 2 }', "topology-servers", "error"),
        ("10.0.0.", "192.168.0.", "topology-servers", "note"),
        ("port = 8091", 'port = 8091\nurl = "http://p:1/emu/wps"', None, None),
    ],
)
def test_a_topology_is_compared_with_the_files(held, old, new, rule, severity):
    told = [(each.rule, each.severity) for each in held(AGREEING.replace(old, new))]
    if rule is None:
        assert told == []
    else:
        assert (rule, severity) in told


def test_under_consistent_the_addresses_themselves_must_agree(held):
    toml = NODES + '[services.finch]\nport = 8093\nmethod = "hash consistent"\n'
    text = (SOUND + upstream() + server()).replace("hash $key", "hash $key consistent")
    assert held(toml, text) == []
    told = held(toml.replace("10.0.0.", "192.168.0."), text)
    assert [(each.rule, each.severity) for each in told] == [("topology-servers", "error")]


def test_a_finding_about_the_topology_points_into_it(held, tmp_path):
    toml = AGREEING.replace("emu]\nport = 8091", "raven]\nport = 8099")
    [told] = [each for each in held(toml) if each.rule == "topology-missing"]
    assert (told.file, told.line) == (str(tmp_path / "site.toml"), line_of(toml, "services.raven"))


def test_a_header_of_the_topology_is_not_reported(held):
    text = SITE.replace("$http_machineid", "$http_x_workflow")
    assert [each.rule for each in held('header = "X-Workflow"\n' + AGREEING, text)] == []
    assert {each.rule for each in held(AGREEING, text)} == {"header-underscore", "topology-header"}


@pytest.mark.parametrize(
    ("locations", "paths"),
    [
        ("location / { proxy_pass http://finch; }", []),
        ("location /finch { proxy_pass http://finch; } location /out { root /x; }", ["/out/"]),
        ("location /out { proxy_pass http://finch; }", ["/finch/wps"]),
        ("location / { proxy_pass http://emu; }", ["/finch/wps"]),
        ("location / { proxy_pass http://$unknown; }", []),
        ("location / { return 404; } location /finch/ { proxy_pass http://finch; }", ["/out/"]),
        ("location ~ ^/(finch|out) { proxy_pass http://finch; }", []),
        ("location ~ (?<!x) { proxy_pass http://finch; }", []),
        ("location ~ (?1) { proxy_pass http://emu; }", []),
        ("location / { if ($arg_x) { proxy_pass http://finch; } }", []),
    ],
)
def test_the_paths_of_a_topology_are_followed_through_the_locations(held, locations, paths):
    text = SOUND + upstream() + upstream("emu", 8091) + server("emu", 8091)
    text += "server {\n  listen 8080 default_server;\n  return 404;\n}\n"
    text += f"server {{\n  listen 8080;\n  server_name p.example;\n{locations}\n}}\n"
    finch = '[services.finch]\nurl = "http://p.example/finch/wps"\nport = 8093\nlisten = 8080\n'
    finch += 'outputs = { public = "http://p.example/out", backend = "/out" }\n'
    told = held(AGREEING.replace("[services.finch]\nport = 8093\n", finch), text)
    told = [each for each in told if each.rule == "topology-path"]
    assert len(told) == len(paths)
    assert all(path in each.message for path, each in zip(paths, told, strict=True))


TO = "location /outputs/{}/ {{ proxy_pass http://10.0.0.{}:8093/outputs/; }}\n"
THREE = "".join(TO.format(f"n{i}", i) for i in (1, 2, 3))


@pytest.mark.parametrize(
    ("locations", "words"),
    [
        (THREE, None),
        (THREE.replace(":8093/outputs/", ":8080/files/"), None),  # a server of files on each node
        (THREE.replace("/outputs/n", "/outputs/finch/n"), None),
        (TO.format("n1", 1) + TO.format("n2", 2), "none to 10.0.0.3:8093"),
        (TO.format("n1", 1), "goes to one node and bypasses the hash"),
        (TO.format("n1", 1) + TO.format("n2", 1), "goes to one node and bypasses the hash"),
        (TO.format("n1", 1) + TO.format("emu", 2).replace("8093", "8091"), "bypasses the hash"),
    ],
)
def test_locations_that_lead_to_each_node_by_its_name_are_not_a_bypass(found, locations, words):
    text = SOUND + upstream() + upstream("emu", 8091) + server("emu", 8091)
    text += f"server {{\n  listen 8093;\nlocation / {{ proxy_pass http://finch; }}\n{locations}}}\n"
    told = found(text, "outputs-bypass")
    assert [words in each.message for each in told] == [True] * len(told)
    assert bool(told) == (words is not None)


@pytest.mark.parametrize(
    ("old", "new", "nodes"),
    [
        ("", "", []),
        ("/outputs/n2/", "/outputs/n4/", ["n2"]),
        ("10.0.0.2:8093/outputs", "10.0.0.1:8093/outputs", ["n2"]),
        (THREE, "", ["n1", "n2", "n3"]),
    ],
)
def test_the_output_urls_of_each_node_are_followed_to_that_node(held, old, new, nodes):
    text = SOUND + upstream() + upstream("emu", 8091) + server("emu", 8091)
    text += f"server {{\n  listen 8093;\nlocation / {{ proxy_pass http://finch; }}\n{THREE}}}\n"
    finch = '[services.finch]\nurl = "http://p.example/wps"\nport = 8093\n'
    finch += 'outputs = { public = "http://p.example/outputs/{node}", backend = "/outputs" }\n'
    told = held(AGREEING.replace("[services.finch]\nport = 8093\n", finch), text.replace(old, new))
    told = [each for each in told if each.rule == "topology-path"]
    assert len(told) == len(nodes)
    assert all(f"of node {n!r}" in each.message for n, each in zip(nodes, told, strict=True))


def test_a_node_that_a_strict_proxy_does_not_know_is_reported(tmp_path):
    nodes = [Node(f"node{i}", f"10.0.0.{i}") for i in (1, 2, 3)]
    services = [Service("finch", port=8093)]
    write(render(Topology(nodes=nodes[:2], services=services)), tmp_path)
    Topology(nodes=nodes, services=services, proxy="strict").dump(tmp_path / "site.toml")
    told = {each.rule: each for each in check(tmp_path, topology=tmp_path / "site.toml")}
    assert "node3" in told["topology-style"].message
    assert "topology-servers" in told


def test_the_published_port_is_compared_with_the_topology(tmp_path):
    nodes = [Node("node1", "10.0.0.1")]
    service = Service("finch", port=8093, publish=58093)
    write(render(Topology(nodes=nodes, services=[service])), tmp_path)
    toml = (
        '[nodes]\nnode1 = { host = "10.0.0.1" }\n[services.finch]\nport = 8093\npublish = 58000\n'
    )
    (tmp_path / "site.toml").write_text('proxy = "strict"\n' + toml)
    told = check(tmp_path, topology=tmp_path / "site.toml")
    assert [(each.rule, each.severity) for each in told] == [("topology-listen", "error")]


# ---- usage ----


def test_an_edited_file_is_noted(tmp_path):
    write(render(Topology([Node("n", "10.0.0.1")], [Service("finch", port=8093)])), tmp_path)
    path = tmp_path / "config" / "proxy" / "conf.d" / "finch.conf"
    path.write_text(path.read_text().replace("3600s", "7200s"))
    [told] = check(tmp_path)
    assert (told.rule, told.severity, told.file) == ("edited", "note", str(path))


def test_what_cannot_be_checked_is_refused(tmp_path, monkeypatch):
    for paths in ((), (tmp_path,), (tmp_path / "no.conf",), (b"x",), ("a\0b",)):
        with pytest.raises(NginxConfigError, match=r"no |path"):
            check(*paths)
    (tmp_path / "a.conf").write_text(SITE)
    with pytest.raises(TopologyError):
        check(tmp_path / "a.conf", topology=tmp_path / "missing.toml")
    (tmp_path / "docker-compose.yml").write_text("services: {}\n")
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(MissingExtra, match=r"pavics-affinity\[nginx\]"):
        check(tmp_path)

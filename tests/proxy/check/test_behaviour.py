"""What the findings say will happen, compared with what a real nginx does."""

import contextlib
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from pavics_affinity.proxy.check import check
from pavics_affinity.proxy.check.rules import Finding
from pavics_affinity.proxy.nginx.servers import location_for
from pavics_affinity.proxy.nginx.statements import read_files
from support.live_site import RealNginx, ask, running, site
from support.loopback import Answer

IDS = [f"id-{number}" for number in range(24)]
KEY = "hash $http_machineid;"
CLOSED_PORT = 9
"""A port at which nothing listens, on any node."""


class Place:
    """Three nodes with two services, and texts for a proxy in front of them."""

    def __init__(self, site):
        self.site = site
        self.hosts = list(site.nodes.values())
        self.listen = f"listen {site.host}:8093;"

    def upstream(
        self, first=KEY, *, name="finch", port=8093, ports=(), more="", last="", hosts=None
    ):
        ports = ports or [port] * 3
        lines = [
            f"  server {host}:{mine}{more};"
            for host, mine in zip(hosts or self.hosts, ports, strict=True)
        ]
        return "\n".join([f"upstream {name} {{", f"  {first}", *lines, f"  {last}", "}", ""])

    def server(self, inside="location / { proxy_pass http://finch; }", more="", listen=None):
        return f"server {{\n  {listen or self.listen}\n  {more}\n  {inside}\n}}\n"

    @contextlib.contextmanager
    def served(self, text):
        with running(self.site, {"conf.d/site.conf": text}, backends=False) as proxy:
            yield proxy

    def ask(self, machineid=None, path="/wps", **headers):
        return ask(self.site.url("finch", path), machineid, **headers)

    def nodes_of(self, machineid=None, path="/wps", times=6, **headers):
        """Name the nodes that answer the same request, again and again."""
        answers = [self.ask(machineid, path, **headers) for _ in range(times)]
        return {answer.json()["node"] for answer in answers if answer.status_code == 200}


@pytest.fixture(scope="module")
def place():
    with site(services={"finch": 8093, "emu": 8091}) as made:
        made.start_backends()
        yield Place(made)


def found_in(proxy, rule) -> Finding:
    """Return the finding of a rule in the files that a proxy has."""
    found = [each for each in check(proxy.directory / "nginx.conf") if each.rule == rule]
    assert found, f"check does not find {rule}"
    return found[0]


def is_sound(proxy, *rules):
    found = {each.rule for each in check(proxy.directory / "nginx.conf")}
    assert not found.intersection(rules), found


# ---- what nginx -t says ----


@pytest.mark.parametrize(
    ("lines", "rule", "words"),
    [
        ("server :8093;", "server-without-host", "no host in upstream"),
        ("server 10.0.0.1:1 weight=0;", "refused", "invalid parameter"),
        ("server ${HOST1}:8093;", "placeholder", "host not found in upstream"),
        ("", "refused", "no servers are inside upstream"),
        (f"{KEY} server 10.0.0.1:1; server 10.0.0.2:1 backup;", "backup", "does not support"),
        ("server 10.0.0.1:1; } upstream X { server 10.0.0.1:1;", "refused", "duplicate upstream"),
        ("server 10.0.0.1:1 backup;", "refused", "no servers in upstream"),
        (f"{KEY} server 10.0.0.1:1 slow_start=3s;", "refused", "invalid parameter"),
        ("${SERVERS}\n", "placeholder", "unexpected"),
        ("server 10.0.0.1:1; fair; server 10.0.0.2:1;", "not-judged", "unknown directive"),
    ],
)
def test_lines_that_check_calls_refused_are_refused_by_nginx(tmp_path, lines, rule, words):
    proxy = RealNginx(tmp_path, {"conf.d/a.conf": f"upstream x {{\n  {lines}\n}}\n"})
    passed, said = proxy.test()
    assert not passed
    assert words in said
    assert found_in(proxy, rule).severity == "error"


@pytest.mark.parametrize(
    ("lines", "rule", "words"),
    [
        (f"{KEY} server 8093; server 10.0.0.2:1;", "server-without-host", "successful"),
        (
            f"{KEY} least_conn; server 10.0.0.1:1; server 10.0.0.2:1;",
            "several-methods",
            "redefined",
        ),
        (f"keepalive 4; {KEY} server 10.0.0.1:1;", "keepalive-before-hash", "redefined"),
        (f"server 10.0.0.1:1; server 10.0.0.2:1 backup; {KEY}", "backup", "successful"),
    ],
)
def test_lines_that_check_says_nginx_accepts_are_accepted(tmp_path, lines, rule, words):
    text = f"upstream x {{\n  {lines}\n}}\n"
    proxy = RealNginx(tmp_path, {"conf.d/a.conf": text})
    passed, said = proxy.test()
    assert passed
    assert words in said
    found_in(proxy, rule)


def test_an_upstream_with_a_port_is_refused(tmp_path, place):
    text = place.upstream() + place.server("location / { proxy_pass http://finch:8093; }")
    proxy = RealNginx(tmp_path, {"conf.d/a.conf": text})
    passed, said = proxy.test()
    assert (passed, "may not have port 8093" in said) == (False, True)
    assert found_in(proxy, "bypass").severity == "error"


@pytest.mark.parametrize(
    ("encoding", "words"),
    [("utf-8-sig", "byte order mark"), ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16")],
)
def test_an_encoding_that_nginx_does_not_read_is_found_and_the_rest_is_read(
    tmp_path, place, encoding, words
):
    proxy = RealNginx(tmp_path, {"conf.d/a.conf": ""})
    text = "# the services\r\n" + place.upstream("") + place.server()
    (proxy.directory / "conf.d" / "a.conf").write_bytes(text.encode(encoding))
    passed, said = proxy.test()
    assert not passed
    assert "unknown directive" in said
    assert words in found_in(proxy, "syntax").message
    found_in(proxy, "no-hash")


# ---- the hash ----


def test_without_hash_one_id_is_on_all_nodes_and_with_it_on_one(place):
    with place.served(place.upstream("") + place.server()) as proxy:
        assert len(place.nodes_of("a1")) == 3
        found_in(proxy, "no-hash")
    with place.served(place.upstream() + place.server()) as proxy:
        assert all(len(place.nodes_of(machineid)) == 1 for machineid in IDS[:6])
        is_sound(proxy, "no-hash")


@pytest.mark.parametrize("method", ["least_conn;", "random;"])
def test_a_method_after_the_hash_replaces_it(place, method):
    with place.served(place.upstream(last=method, first=KEY) + place.server()) as proxy:
        assert len(place.nodes_of("a1", times=20)) > 1
        assert found_in(proxy, "several-methods").severity == "error"


def test_of_several_hash_lines_the_last_decides(place):
    with place.served(place.upstream(last="hash $request_uri;") + place.server()) as proxy:
        assert len({node for uri in IDS for node in place.nodes_of("a1", f"/{uri}", 1)}) > 1
        found_in(proxy, "several-methods")
        found_in(proxy, "hash-other-variable")


def test_a_header_with_an_underscore_is_dropped_unless_nginx_allows_it(place):
    text = place.upstream("hash $http_machine_id;")
    with place.served(text + place.server()) as proxy:
        assert len(place.nodes_of(machine_id="a1")) == 3
        assert len(place.nodes_of(**{"machine-id": "a1"})) == 1
        found_in(proxy, "header-underscore")
    with place.served("underscores_in_headers on;\n" + text + place.server()) as proxy:
        assert len(place.nodes_of(machine_id="a1")) == 1
        is_sound(proxy, "header-underscore")


def test_a_composite_key_sends_the_urls_of_one_workflow_to_several_nodes(place):
    text = place.upstream("hash $http_machineid$request_uri;") + place.server()
    with place.served(text) as proxy:
        assert len({node for uri in IDS for node in place.nodes_of("a1", f"/{uri}", 1)}) == 3
        assert found_in(proxy, "composite-key").severity == "error"


def test_without_the_header_each_request_goes_to_the_next_node_unless_the_query_has_the_id(place):
    with place.served(place.upstream() + place.server()) as proxy:
        assert len(place.nodes_of(path="/wps?machineid=a1")) == 3
        found_in(proxy, "header-only")
    key = 'map $http_machineid $key { default $http_machineid; "" $arg_machineid; }\n'
    with place.served(key + place.upstream("hash $key;") + place.server()) as proxy:
        assert len(place.nodes_of(path="/wps?machineid=a1")) == 1
        is_sound(proxy, "header-only", "hash-other-variable", "composite-key")


def one_node_each(place):
    """Write an upstream for each node."""
    return "".join(
        f"upstream n{i} {{ server {host}:8093; }}\n" for i, host in enumerate(place.hosts)
    )


@pytest.mark.parametrize(
    ("chosen", "by_the_id"),
    [
        ("split_clients $request_id $to { 30% n0; 30% n1; * n2; }", False),
        ("split_clients $http_machineid $to { 30% n0; 30% n1; * n2; }", True),
        ("map $cookie_canary $to { default n0; 1 n1; }", False),
        ("map $http_machineid $to { default n0; ~[0-4]$ n1; }", True),
        ("map $arg_a $n { default 0; 1 1; } map $n $to { 0 n0; 1 n1; }", False),
    ],
)
def test_what_chooses_between_upstreams_of_one_node_each_keeps_an_id_or_is_found(
    place, chosen, by_the_id
):
    inside = "location / { proxy_pass http://$to; }"
    with place.served(chosen + "\n" + one_node_each(place) + place.server(inside)) as proxy:
        ways = [{}, {"path": "/wps?a=1"}, {"cookie": "canary=1"}]
        nodes = [{node for way in ways for node in place.nodes_of(each, **way)} for each in IDS]
        assert all(len(each) == 1 for each in nodes) is by_the_id
        if by_the_id:
            assert len(set().union(*nodes)) > 1
            is_sound(proxy, "no-hash", "no-upstream", "bypass")
        else:
            assert found_in(proxy, "no-hash").severity == "error"


@pytest.mark.parametrize(
    ("more", "inside"),
    [
        (
            "set $to finch; if ($cookie_canary) { set $to canary; }",
            "location / { proxy_pass http://$to; }",
        ),
        (
            "",
            "location / { if ($cookie_canary) { proxy_pass http://canary; } "
            "proxy_pass http://finch; }",
        ),
        (
            "",
            "location / { error_page 418 = @canary; if ($cookie_canary) { return 418; } "
            "proxy_pass http://finch; } location @canary { proxy_pass http://canary; }",
        ),
        (
            "if ($cookie_canary) { rewrite ^ /canary$uri last; }",
            "location / { proxy_pass http://finch; } "
            "location /canary/ { proxy_pass http://canary/; }",
        ),
    ],
    ids=["set", "pass", "return", "rewrite"],
)
def test_a_condition_that_leads_past_the_hash_is_found(place, more, inside):
    text = place.upstream() + f"upstream canary {{ server {place.hosts[0]}:{CLOSED_PORT}; }}\n"
    with place.served(text + place.server(inside, more)) as proxy:
        assert len(place.nodes_of("a1")) == 1
        assert place.ask("a1", cookie="canary=1").status_code == 502  # another machine
        assert found_in(proxy, "bypass").severity == "error"


def test_a_cookie_before_the_machineid_in_the_key_moves_a_workflow(place):
    key = 'map $cookie_who $key { default $cookie_who; "" $http_machineid; }\n'
    with place.served(key + place.upstream("hash $key;") + place.server()) as proxy:
        cookies = [{}, *({"cookie": f"who={each}"} for each in IDS)]
        assert len({node for each in cookies for node in place.nodes_of("a1", times=1, **each)}) > 1
        assert found_in(proxy, "hash-other-variable").severity == "error"


def test_with_ip_hash_one_client_stays_on_one_node_and_the_message_says_no_turns(place):
    with place.served(place.upstream("ip_hash;") + place.server()) as proxy:
        assert len({node for each in IDS for node in place.nodes_of(each, times=1)}) == 1
        assert "in turn" not in found_in(proxy, "no-hash").message


def test_a_mirrored_execute_runs_twice(place):
    inside = (
        "location / { mirror /copy; proxy_pass http://finch; } "
        "location = /copy { internal; proxy_pass http://emu$request_uri; }"
    )
    text = place.upstream() + place.upstream(name="emu", port=8091) + place.server(inside)
    with place.served(text) as proxy:
        for backend in place.site.backends.values():
            backend.seen.clear()
        place.ask("a1", "/wps?request=Execute")
        end = time.monotonic() + 20
        while time.monotonic() < end and sum(len(b.seen) for b in place.site.backends.values()) < 2:
            time.sleep(0.01)
        services = [
            service
            for (_, service), backend in place.site.backends.items()
            for seen in backend.seen
            if "request=Execute" in seen.path
        ]
        assert sorted(services) == ["emu", "finch"]
        assert found_in(proxy, "mirror").severity == "warning"
        is_sound(proxy, "bypass")


# ---- services against each other ----


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("consistent-ports", {"first": "hash $http_machineid consistent;"}),
        ("order-differs", {"turned": True}),
        ("weights-differ", {"weight": 3}),
    ],
)
def test_the_share_of_ids_that_keep_together_is_what_nginx_does(place, rule, options):
    hosts = place.hosts[1:] + place.hosts[:1] if options.get("turned") else place.hosts
    first = options.get("first", KEY)
    emu = place.upstream(first, name="emu", port=8091, hosts=hosts)
    emu = emu.replace(f"{hosts[2]}:8091;", f"{hosts[2]}:8091 weight={options.get('weight', 1)};")
    inside = "location / { proxy_pass http://finch; } location /emu { proxy_pass http://emu; }"
    ids = [f"id-{number}" for number in range(150)]
    with place.served(place.upstream(first) + emu + place.server(inside)) as proxy:
        share = int(found_in(proxy, rule).message.partition("%")[0].rpartition(" ")[2]) / 100
        with requests.Session() as session:

            def node(machineid, path):
                url = place.site.url("finch", path)
                return session.get(url, headers={"machineid": machineid}, timeout=20).json()["node"]

            together = sum(node(each, "/wps") == node(each, "/emu") for each in ids) / len(ids)
    assert abs(together - share) < 0.13, (together, share)  # 3 standard deviations of 150 ids


# ---- a node that is down, busy or slow ----


def statuses_of_the_dead_nodes_ids(place, more, settings):
    """Ask for ids of a node that refuses, three times each; give nodes and statuses."""
    order = place.upstream(more=more, ports=(CLOSED_PORT, 8093, 8093))
    seen: dict[str, list[object]] = {}
    with place.served(order + place.server(more=settings)) as proxy:
        for machineid in IDS[:9]:
            answers = [place.ask(machineid) for _ in range(3)]
            seen[machineid] = [
                answer.json()["node"] if answer.status_code == 200 else answer.status_code
                for answer in answers
            ]
        found = {each.rule for each in check(proxy.directory / "nginx.conf")}
    return seen, found


def test_by_default_the_ids_of_a_dead_node_go_elsewhere_silently(place):
    seen, found = statuses_of_the_dead_nodes_ids(place, "", "")
    assert all(set(each) <= {"node2", "node3"} for each in seen.values())
    assert found.issuperset({"max-fails", "next-upstream"})


def test_next_upstream_off_alone_gives_one_502_and_then_moves_the_ids(place):
    seen, found = statuses_of_the_dead_nodes_ids(place, "", "proxy_next_upstream off;")
    first = next(each for each in seen.values() if 502 in each)
    assert first[0] == 502
    assert set(first[1:]) <= {"node2", "node3"}
    assert ("max-fails" in found, "next-upstream" in found) == (True, False)


def test_max_fails_0_alone_still_passes_each_request_on(place):
    seen, found = statuses_of_the_dead_nodes_ids(place, " max_fails=0", "")
    assert all(set(each) <= {"node2", "node3"} for each in seen.values())
    assert ("max-fails" in found, "next-upstream" in found) == (False, True)


@pytest.mark.parametrize("off", ["proxy_next_upstream off;", "proxy_next_upstream_tries 1;"])
def test_both_together_are_a_502_that_lasts_and_no_id_moves(place, off):
    seen, found = statuses_of_the_dead_nodes_ids(place, " max_fails=0", off)
    assert [502, 502, 502] in seen.values()
    assert all(len(set(each)) == 1 for each in seen.values())
    assert found.isdisjoint({"max-fails", "next-upstream"})


@pytest.mark.parametrize("zone", ["", "zone finch 64k; "])
def test_without_a_zone_each_worker_counts_failures_for_itself(place, zone):
    text = place.upstream(f"{zone}{KEY}", more=" fail_timeout=60s") + place.server()
    with running(place.site, {"conf.d/site.conf": text}, workers=4, backends=False) as proxy:
        machineid = next(each for each in IDS if place.nodes_of(each, times=1) == {"node1"})
        place.site.kill("node1", "finch")
        assert place.nodes_of(machineid, times=1) != {"node1"}  # one worker has seen it
        place.site.start_backend("node1", "finch", place.hosts[0], 8093)
        nodes, end = set(), time.monotonic() + (1 if zone else 90)
        while time.monotonic() < end and len(nodes) < 2:
            with ThreadPoolExecutor(16) as pool:
                nodes.update(pool.map(lambda _: place.ask(machineid).json()["node"], range(64)))
        if zone:
            assert "node1" not in nodes
            is_sound(proxy, "no-zone")
        else:
            assert "node1" in nodes
            assert len(nodes) == 2
            found_in(proxy, "no-zone")


def test_a_backup_answers_for_all_when_the_others_have_failed(place):
    dead = [f"server {host}:{CLOSED_PORT};" for host in place.hosts[:2]]
    servers = [*dead, f"server {place.hosts[2]}:8093 backup;", KEY]
    with place.served(f"upstream finch {{ {' '.join(servers)} }}\n" + place.server()) as proxy:
        assert {node for each in IDS[:6] for node in place.nodes_of(each)} == {"node3"}
        assert found_in(proxy, "backup").severity == "warning"


def test_a_busy_node_loses_its_ids_to_max_conns(place):
    text = "".join([place.upstream(f"zone finch 64k; {KEY}", more=" max_conns=1"), place.server()])
    release, entered = threading.Event(), threading.Event()
    with place.served(text) as proxy:
        [node] = place.nodes_of("a1", times=3)
        backend = place.site.backends[node, "finch"]
        usual = backend.answer

        def slow(seen):
            if seen.path == "/slow":
                entered.set()
                release.wait(20)
            return usual(seen)

        backend.answer = slow
        try:
            busy = threading.Thread(target=place.ask, args=("a1", "/slow"))
            busy.start()
            assert entered.wait(20)
            assert place.ask("a1").json()["node"] != node
        finally:
            release.set()
            busy.join()
            backend.answer = usual
        found_in(proxy, "max-conns")


def test_an_error_page_asks_another_node_for_the_workflows_of_a_dead_one(place):
    inside = (
        "error_page 502 = @spare; location / { proxy_pass http://finch; } "
        f"location @spare {{ proxy_pass http://{place.hosts[1]}:8093; }}"
    )
    dead = place.upstream(ports=(CLOSED_PORT,) * 3, more=" max_fails=0")
    with place.served(dead + place.server(inside, "proxy_next_upstream off;")) as proxy:
        assert place.nodes_of("a1") == {"node2"}
        found_in(proxy, "error-page")


@pytest.mark.parametrize("late", [True, False], ids=["after", "before"])
def test_keepalive_before_the_hash_keeps_no_connection(place, late):
    more = 'proxy_http_version 1.1; proxy_set_header Connection "";'
    first, last = (KEY, "keepalive 4;") if late else (f"keepalive 4; {KEY}", "")
    with place.served(place.upstream(first, last=last) + place.server(more=more)) as proxy:
        [node] = place.nodes_of("a1", times=1)
        backend = place.site.backends[node, "finch"]
        before = backend.connections
        place.nodes_of("a1", times=8)
        opened = backend.connections - before
        if late:
            assert opened == 0
            is_sound(proxy, "keepalive-before-hash")
        else:
            assert opened == 8
            found_in(proxy, "keepalive-before-hash")


# ---- locations ----


def test_a_location_that_passes_to_one_node_is_deaf_to_the_id(place):
    inside = (
        "location / { proxy_pass http://finch; } "
        f"location /processes {{ proxy_pass http://{place.hosts[0]}:8093; }}"
    )
    with place.served(place.upstream() + place.server(inside)) as proxy:
        nodes = Counter(place.ask(each, "/processes").json()["node"] for each in IDS)
        assert set(nodes) == {"node1"}
        assert len({place.ask(each).json()["node"] for each in IDS}) == 3
        assert found_in(proxy, "bypass").severity == "error"


def test_a_variable_with_a_port_is_not_an_upstream(place):
    inside = "set $to finch; location / { proxy_pass http://$to:8093; }"
    with place.served(place.upstream() + place.server(inside)) as proxy:
        assert place.ask("a1").status_code == 502
        assert "no resolver defined to resolve finch" in proxy.log()
        found_in(proxy, "bypass")
    inside = "set $to finch; location / { proxy_pass http://$to; }"
    with place.served(place.upstream() + place.server(inside)) as proxy:
        assert len(place.nodes_of("a1")) == 1
        is_sound(proxy, "bypass", "unused-upstream")


def test_a_cleared_header_is_hashed_and_not_passed_on(place):
    with place.served(
        place.upstream() + place.server(more='proxy_set_header machineid "";')
    ) as proxy:
        answer = place.ask("a1").json()
        assert "machineid" not in {name.lower() for name, _ in answer["headers"]}
        assert len(place.nodes_of("a1")) == 1
        found_in(proxy, "header-not-passed")
    more = "proxy_pass_request_headers off;"
    with place.served(place.upstream() + place.server(more=more)) as proxy:
        assert "machineid" not in {n.lower() for n, _ in place.ask("a1").json()["headers"]}
        found_in(proxy, "header-not-passed")


def test_a_location_with_its_own_add_header_loses_the_evidence(place):
    outer = "add_header X-Node $upstream_addr always;"
    inside = "location / { proxy_pass http://finch; }"
    own = inside.replace("{ ", "{ add_header X-Frame-Options DENY; ")
    with place.served(place.upstream() + place.server(own, outer)) as proxy:
        assert "X-Node" not in place.ask("a1").headers
        assert found_in(proxy, "no-evidence").severity == "warning"
    with place.served(place.upstream() + place.server(inside, outer)) as proxy:
        assert "X-Node" in place.ask("a1").headers
        is_sound(proxy, "no-evidence", "evidence-not-always")


def test_without_always_an_error_has_no_evidence(place):
    dead = place.upstream(ports=(CLOSED_PORT,) * 3)
    for word, there in (("", False), (" always", True)):
        more = f"add_header X-Node $upstream_addr{word};"
        with place.served(dead + place.server(more=more)) as proxy:
            answer = place.ask("a1")
            assert (answer.status_code, "X-Node" in answer.headers) == (502, there)
            rules = {each.rule for each in check(proxy.directory / "nginx.conf")}
            assert ("evidence-not-always" in rules) is not there


def test_a_cache_gives_one_workflow_the_answer_to_another(place):
    path = "proxy_cache_path /etc/nginx/cache keys_zone=site:1m;\n"
    more = "proxy_cache site; proxy_cache_valid 200 1m;"
    with place.served(path + place.upstream() + place.server(more=more)) as proxy:
        first = place.ask("a1").json()
        others = [place.ask(each).json() for each in IDS]
        assert all(other == first for other in others)
        found_in(proxy, "cache")


def test_a_slow_answer_and_a_large_request_are_refused(place):
    more = "proxy_read_timeout 1s; client_max_body_size 1k;"
    with place.served(place.upstream() + place.server(more=more)) as proxy:
        url = place.site.url("finch")
        assert requests.post(url, data=b"x" * 2048, timeout=20).status_code == 413
        for backend in (place.site.backends[node, "finch"] for node in place.site.nodes):
            backend.answer = _late(backend.answer)
        try:
            assert place.ask("a1", "/late").status_code == 504
        finally:
            for backend in (place.site.backends[node, "finch"] for node in place.site.nodes):
                backend.answer = backend.answer.usual
        found_in(proxy, "read-timeout")
        found_in(proxy, "body-size")


def _late(usual):
    def answer(seen) -> Answer:
        time.sleep(2 if seen.path == "/late" else 0)
        return usual(seen)

    answer.usual = usual
    return answer


@pytest.mark.parametrize(("code", "method"), [(301, "GET"), (302, "GET"), (308, "POST")])
def test_a_redirect_turns_an_execute_into_a_get_unless_it_is_308(place, code, method):
    inside = (
        "location / { proxy_pass http://finch; } "
        f"location /old {{ return {code} http://$http_host/wps?from=$request_uri; }}"
    )
    with place.served(place.upstream() + place.server(inside)) as proxy:
        for backend in place.site.backends.values():
            backend.seen.clear()
        requests.post(place.site.url("finch", "/old"), data=b"<Execute/>", timeout=20)
        [seen] = [each for backend in place.site.backends.values() for each in backend.seen]
        assert (seen.method, bool(seen.body)) == (method, method == "POST")
        rules = {each.rule for each in check(proxy.directory / "nginx.conf")}
        assert ("redirect" in rules) == (method == "GET")


LOCATIONS = [
    "= /wps", "/", "/wps", "/wps/", "^~ /wps/static", "~ [.]nc$", "~* [.]PNG$", "/out", "/a/b",
    "~ ^/a/(b|c)$", "= /",
]  # fmt: skip
PATHS = [
    "/", "/wps", "/wps/", "/wps/x", "/wps/static/x.nc", "/wps/x.nc", "/out/x.nc", "/out/x.png",
    "/outputs", "/a/b", "/a/b/c", "/a/c", "/zzz", "/wps/static", "/wpsx", "/wps/in/deep", "/wps/in",
]  # fmt: skip


DEEPER = "location /wps/in { return 200 in; }"


def test_the_location_of_a_path_is_the_one_that_nginx_takes(place):
    blocks = [
        f"location {location} {{ return 200 '{i}'; {DEEPER * (location == '/wps/')} }}"
        for i, location in enumerate(LOCATIONS)
    ]
    with place.served(place.server("\n".join(blocks))) as proxy:
        files = read_files([str(proxy.directory / "nginx.conf")])
        [statement] = files.statements.named("server")
        for path in PATHS:
            chosen = location_for(statement, path)
            assert place.ask(path=path).text == chosen.named("return")[0].args[1], path


# ---- ports ----


def test_of_two_servers_on_one_port_the_second_is_never_used(place):
    text = place.upstream() + place.upstream(name="emu", port=8091) + place.server()
    text += place.server("location / { proxy_pass http://emu; }")
    with place.served(text) as proxy:
        assert {place.ask(each).json()["service"] for each in IDS[:6]} == {"finch"}
        assert "conflicting server name" in proxy.test()[1]
        assert found_in(proxy, "listen-twice").severity == "error"


def test_a_proxy_that_is_its_own_backend_comes_back_to_itself(place):
    hosts = [place.site.host, *place.hosts[1:]]
    upstream = place.upstream(more=" max_fails=0", hosts=hosts)
    with place.served(upstream + place.server(more="proxy_next_upstream off;")) as proxy:
        mine = [each for each in IDS if place.ask(each).status_code != 200]
        assert mine, "no id lands on the proxy itself"
        assert len(mine) < len(IDS)
        assert "worker_connections are not enough" in proxy.log()
        assert found_in(proxy, "loop").severity == "error"

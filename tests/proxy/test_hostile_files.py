"""Damaged files, some thousand of them: only our errors, never a traceback, never half a file."""

import os
import random
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.seeds import COMPOSE, FRONT, PLAIN, TOPOLOGY
from pavics_affinity.errors import AffinityError, AffinityWarning
from pavics_affinity.proxy.check import RULES, check
from pavics_affinity.proxy.read import read_nginx
from pavics_affinity.proxy.render import render
from pavics_affinity.proxy.write import is_ours, write
from pavics_affinity.topology import Node, Outputs, Service, Topology

# The same examples in every run of CI; others at every run of a developer's.
SAME = "CI" in os.environ

PIECES = [
    "", "{", "}", ";", '"', "'", "$", "${", "\\", "~", "\n", "#", " ", "\0", "\ufeff", "\x85", "é",
    "\ud800", "-", "0", "99999999999999999999", ":", "[", "]", "(", "*", "/", "..", "=", ",", "%",
    "9" * 5000, "0x" + "f" * 5000, "0...1:80", "127.0.0.02:8093", "0.0.0.1:80", "a..b", "a" * 64,
    "http://[::1/", "http://h:99999/", "\uff18\uff10", "1-99999",
    "server", "server ;", "listen ;", "upstream ;", "upstream {}", "hash ;", "map a b {", "http {",
    "location {", "include *;", "include .;", "include /dev/null;", "proxy_pass ;", "set $to $to;",
    "weight=0", "weight=4294967296", "backup", "consistent", "unix:", "$http_", "default", "~*(",
    "&a", "*a", "<<: *base", "!!python/object:os.system", "---", "[nodes]", "nan", "1979-05-27",
]  # fmt: skip
SPLICES = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(PIECES)), min_size=1, max_size=5
)
CASES = st.tuples(st.sampled_from(range(3)), SPLICES)


def damaged(text, splices):
    for place, length, insert in splices:
        position = round(place * len(text))
        text = text[:position] + insert + text[position + length :]
    return text.encode(errors="surrogatepass")


def rendered():
    topology = Topology.loads(TOPOLOGY)
    files = render(topology, compose=None)
    return "".join(files[name] for name in sorted(files) if "conf.d" in name)


NGINX = (PLAIN, PLAIN.partition("http {")[2].rpartition("}")[0], rendered())


def many(examples):
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=SAME,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def put(path, content):
    path.write_bytes(content)
    return path


def only_ours(function, *args, **options):
    """Call; return None where an error of ours was raised, with words in it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AffinityWarning)
            return function(*args, **options)
    except AffinityError as error:
        assert str(error).strip()  # noqa: PT017 - some raise and some do not
        return None


def is_well_formed(found, files):
    for each in found:
        assert each.severity in RULES[each.rule].severities
        assert each.file in files
        lines = Path(each.file).read_bytes().decode(errors="replace").splitlines()
        assert 1 <= each.line <= len(lines) + 1
        assert each.message
        assert each.remedy


# ---- check ----


@many(300)
@given(CASES)
def test_check_finds_faults_in_damaged_nginx_files_and_never_fails(tmp_path, case):
    which, splices = case
    path = put(tmp_path / "nginx.conf", damaged(NGINX[which], splices))
    is_well_formed(check(path), {str(path)})


@many(150)
@given(SPLICES)
def test_check_finds_faults_in_damaged_compose_files_and_never_fails(tmp_path, splices):
    nginx = put(tmp_path / "sound.conf", FRONT)
    compose = put(tmp_path / "docker-compose.yml", damaged(COMPOSE, splices))
    is_well_formed(check(nginx, compose), {str(nginx), str(compose)})


@many(150)
@given(SPLICES, SPLICES)
def test_check_against_a_damaged_topology_raises_our_error_or_finds(tmp_path, one, other):
    nginx = put(tmp_path / "against.conf", damaged(NGINX[1], one))
    topology = put(tmp_path / "against.toml", damaged(TOPOLOGY, other))
    found = only_ours(check, nginx, topology=topology)
    is_well_formed(found or [], {str(nginx), str(topology)})


# ---- read_nginx, Topology.load ----


@many(300)
@given(CASES)
def test_read_nginx_gives_a_topology_or_our_error(tmp_path, case):
    which, splices = case
    path = put(tmp_path / "read.conf", damaged(NGINX[which], splices))
    topology = only_ours(read_nginx, path)
    if topology is not None:
        steer(topology)
        assert Topology.loads(topology.dumps()) == topology


@many(300)
@given(SPLICES)
def test_a_damaged_topology_is_refused_or_one_that_can_be_written_again(tmp_path, splices):
    path = put(tmp_path / "load.toml", damaged(TOPOLOGY, splices))
    topology = only_ours(Topology.load, path)
    if topology is not None:
        steer(topology)
        assert Topology.loads(topology.dumps()) == topology


def steer(topology):
    for service in topology.services:
        for node in topology.nodes:
            only_ours(topology.routing_key, service, "a1b2", node.name)
        only_ours(topology.order, service, "a1b2")


# ---- render and write ----


@many(150)
@given(SPLICES, st.sampled_from(["strict", "plain"]))
def test_a_damaged_topology_leaves_whole_files_or_none(tmp_path, splices, style):
    path = put(tmp_path / "render.toml", damaged(TOPOLOGY, splices))
    out = tmp_path / "out"
    before = contents(out)

    def load_and_write():
        return write(render(Topology.load(path), style), out)

    changes = only_ours(load_and_write)
    after = contents(out)
    if changes is None:
        assert after == before
    assert all(is_ours(content) for content in after.values())


def contents(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


# ---- files that no splice produces ----


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00s",
        b"{" * 5000,
        b"a {" * 3000 + b"}" * 3000,
        b"}",
        b"upstream x { " + b"server 10.0.0.1:1;" * 3000 + b" hash $http_machineid; }",
        b"upstream x { hash $http_machineid consistent; server a:1 weight=1000000000; }",
        b"map $a $b { default $c; } map $c $a { default $b; } map $b $c { default $a; }"
        b"upstream x { hash $a; server a:1; server b:1; }",
        b"include " + b"a" * 5000 + b";",
        b"include a\\0b;",
        b"server { listen 70000; listen; listen a:b; listen [::; }",
        b"upstream x { hash $a; server 1.2.3."
        + b"0" * 5000
        + b"9:1; server 1.2.3."
        + b"9" * 5000
        + b"; }",
        b"server { listen " + b"9" * 5000 + b"; listen 0" + b"0" * 5000 + b"80; }",
        b"upstream x { hash $a; server " + b"9" * 5000 + b"; server a:" + b"9" * 5000 + b"; }",
        b"server { proxy_read_timeout "
        + b"9" * 5000
        + b"s; client_max_body_size "
        + b"9" * 5000
        + b"; }",
        "server { listen ٣; } upstream x { server ٣; server ²:²; }".encode(),
        random.Random(4).randbytes(4000),
    ],
    ids=lambda content: repr(content[:30]),
)
def test_odd_nginx_files_are_findings(tmp_path, content):
    path = put(tmp_path / "odd.conf", content)
    is_well_formed(check(path), {str(path)})
    only_ours(read_nginx, path)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"- a", b"services: 3", b"services: {proxy: }", b"services: {proxy: [1]}",
        b"services: {proxy: {ports: {a: b}}}", b"services: {proxy: {ports: [[], {}, , 5]}}",
        b"services: &a {proxy: *a}", b"&a {<<: *a, services: *a}", b"[" * 3000, b"\xff",
        b"services: {proxy: {ports: ['1:2:3:4', '99999:8093', '::', '[::1]:80:8093', '9-1:1-9']}}",
        b"x: &a {<<: [" + b"*a," * 50 + b"]}\nservices: {proxy: *a}",
        b"a0: &a0 {x: 1}\n"
        + b"".join(b"a%d: &a%d {<<: [%s]}\n" % (i, i, b"*a%d," % (i - 1) * 9) for i in range(1, 30))
        + b"services: {proxy: *a29}",
        b"services: {proxy: {image: nginx, ports: ['" + b"9" * 5000 + b":1']}}",
        b"? {a: b}\n: c\n? [x]\n: d", b"services: {proxy: {ports: [!!int x, !reset null]}}",
        b"services: {? [a] : {image: nginx}, ? {b: c} : {image: nginx}}",
    ],
    ids=lambda content: repr(content[:30]),
)  # fmt: skip
def test_odd_compose_files_are_findings(tmp_path, content):
    nginx = put(tmp_path / "finch.conf", PLAIN.encode())
    compose = put(tmp_path / "docker-compose.yml", content)
    is_well_formed(check(nginx, compose), {str(nginx), str(compose)})


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe", b"a = " + b"[" * 5000, b"a = " + b"{a=" * 3000, b"a.b." * 3000 + b"c = 1",
        b"nodes = 3", b"[[nodes]]", b"[nodes]\nn = [1]", b"[nodes.n]\nhost = 1979-05-27",
        b"[nodes.n]\nweight = nan\n[services.s]\nport = 1e5", b"[nodes.n]\nweight = 1" + b"0" * 400,
        b"[nodes.n]\n[services.s]\nport = 1\nbackends = [[]]", b"workers = -9223372036854775809",
        b"[nodes.n]\nhost = '" + b"a" * 70000 + b"'\n[services.s]\nport = 1",
        b"[nodes.n]\n[services.s]\nurl = 'http://[::1'\nport = 1",
        b"[nodes.n]\nhost = 'h'\nweight = 1000000000\n"
        b"[services.s]\nport = 1\nmethod = 'hash consistent'",
    ],
    ids=lambda content: repr(content[:30]),
)  # fmt: skip
@pytest.mark.parametrize("style", ["strict", "plain"])
def test_odd_topologies_are_refused_or_rendered(tmp_path, content, style):
    path = put(tmp_path / "odd.toml", content)
    nginx = put(tmp_path / "finch.conf", PLAIN.encode())
    site = only_ours(Topology.load, path)
    if site is not None:
        only_ours(render, site, style)
        is_well_formed(only_ours(check, nginx, topology=path) or [], {str(nginx), str(path)})


def test_a_file_that_cannot_be_read_is_a_finding(tmp_path):
    (tmp_path / "gone.conf").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.conf").symlink_to(tmp_path / "loop.conf")
    put(tmp_path / "nginx.conf", b"include *.conf;\ninclude .;\ninclude nothing.inc;\n")
    found = [each for each in check(tmp_path / "nginx.conf") if each.rule == "syntax"]
    assert found
    only_ours(read_nginx, tmp_path / "nginx.conf")


def test_a_topology_of_any_values_renders_or_is_refused(tmp_path):
    outputs = Outputs("http://proxy.example/outputs", "/outputs")
    services = [Service("a" * 70, port=1, outputs=outputs)]
    site = Topology(nodes=[Node("n", "h")], services=services)
    only_ours(render, site)

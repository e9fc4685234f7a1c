"""The topology file: what was loaded is what is dumped, and each mistake has its place."""

import pickle
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pavics_affinity.errors import TopologyError, UnknownNode
from pavics_affinity.topology import Backend, Node, Outputs, Service, Topology

SITE = """\
header = "machineid"
evidence = "X-Pavics-Node"
site = "Ouranos"
proxy = "strict"
direct = true
workers = 4
connections = 2048

[nodes]
node1 = { host = "10.0.0.1" }
node2 = { host = "10.0.0.2", weight = 2 }
node3 = { host = "10.0.0.3", drain = true }
node4 = {}

[services.flyingpigeon]
url = "http://proxy.example:58093/wps"
port = 8093
publish = 58093
listen = "127.0.0.5:8193"
path = "/ows"
outputs = { public = "http://proxy.example:58093/outputs", backend = "/out" }
aliases = ["http://proxy.internal:8093", "http://other/x"]
method = "hash consistent"
backends = [
    "node2",
    "node1",  # a comment
    { node = "node3", weight = 5, address = "10.0.0.3:9093", down = true },
    { node = "node4", backup = true },
]
tls = true

[services.malleefowl]
port = 8091
method = "rendezvous"
"""


def test_every_key_of_the_file_is_read():
    assert Topology.loads(SITE) == Topology(
        nodes=(
            Node("node1", "10.0.0.1"),
            Node("node2", "10.0.0.2", weight=2),
            Node("node3", "10.0.0.3", drain=True),
            Node("node4"),
        ),
        services=(
            Service(
                "flyingpigeon",
                "http://proxy.example:58093/wps",
                port=8093,
                publish=58093,
                listen="127.0.0.5:8193",
                path="/ows",
                outputs=Outputs("http://proxy.example:58093/outputs", "/out"),
                aliases=("http://proxy.internal:8093", "http://other/x"),
                method="hash consistent",
                backends=(
                    Backend("node2"),
                    Backend("node1"),
                    Backend("node3", "10.0.0.3:9093", weight=5, down=True),
                    Backend("node4", backup=True),
                ),
                tls=True,
            ),
            Service("malleefowl", port=8091, method="rendezvous"),
        ),
        evidence="X-Pavics-Node",
        site="Ouranos",
        proxy="strict",
        direct=True,
        workers=4,
        connections=2048,
    )


def test_a_loaded_topology_is_dumped_unchanged():
    topology = Topology.loads(SITE)
    assert Topology.loads(topology.dumps()) == topology
    assert Topology.loads(topology.dumps()).dumps() == topology.dumps()


def test_the_least_file_has_one_node():
    topology = Topology.loads("[nodes]\nn = {}\n")
    assert topology == Topology([Node("n")])
    assert topology.dumps() == 'header = "machineid"\n\n[nodes]\nn = {}\n'


# ---- anything goes round ----

PORTS = st.integers(1, 65535)
WEIGHTS = st.integers(1, 10**6)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
PATHS = st.lists(st.from_regex(r"[a-zA-Z0-9_~é'\"\[\]-]{1,8}", fullmatch=True), max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)


@st.composite
def topologies(draw):
    names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
    nodes = [
        Node(
            name,
            draw(st.sampled_from([None, f"h{i}.example", f"10.0.0.{i + 1}", f"::{i + 1}"])),
            draw(WEIGHTS),
            draw(st.booleans()),
        )
        for i, name in enumerate(draw(st.lists(names, min_size=1, max_size=5, unique=True)))
    ]
    services = []
    for i in range(draw(st.integers(0, 3))):
        method = draw(st.sampled_from(["hash", "hash consistent", "rendezvous"]))
        backends = [
            Backend(
                node.name,
                draw(st.none() | st.just(f"b{k}.example:{1000 + i}")),
                draw(st.none() | WEIGHTS),
                draw(st.booleans()),
            )
            for k, node in enumerate(draw(st.permutations(nodes)))
        ]
        base = f"http://s{i}.example:{draw(PORTS)}"
        services.append(
            Service(
                f"s{i}{draw(st.from_regex(r'[A-Za-z0-9_-]{0,6}', fullmatch=True))}",
                base + draw(PATHS) if draw(st.booleans()) else None,
                port=20000 + i,
                publish=draw(st.none() | PORTS),
                listen=draw(st.none() | PORTS | PORTS.map("127.0.0.1:{}".format)),
                path=draw(st.none() | PATHS),
                outputs=draw(
                    st.none() | st.builds(Outputs, PATHS.map((base + "/o").__add__), PATHS)
                ),
                method=method,
                backends=backends if draw(st.booleans()) else (),
                tls=draw(st.booleans()),
            )
        )
    return Topology(
        nodes,
        services,
        header=draw(st.sampled_from(["machineid", "X-Machine.Id", "a|b~c"])),
        evidence=draw(st.none() | st.just("X-Node")),
        site=draw(st.none() | TEXT),
        proxy=draw(st.sampled_from(["plain", "strict"])),
        direct=draw(st.booleans()),
        workers=draw(st.just("auto") | st.integers(1, 64)),
        connections=draw(st.integers(1, 10**5)),
    )


@settings(max_examples=150)
@given(topologies())
def test_every_topology_survives_the_file(topology):
    assert Topology.loads(topology.dumps()) == topology


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_every_weight_survives_the_file(weight):
    topology = Topology([Node("n", weight=weight)])
    assert Topology.loads(topology.dumps()) == topology


def test_a_topology_survives_pickling_without_its_tables():
    topology = Topology.loads(SITE.replace('proxy = "strict"', ""))
    topology.first_node("malleefowl", "a1b2")
    assert pickle.loads(pickle.dumps(topology)) == topology
    assert len(pickle.dumps(topology)) == len(pickle.dumps(Topology.loads(topology.dumps())))
    assert hash(topology) == hash(Topology.loads(topology.dumps()))


# ---- mistakes ----

MISTAKES = [
    # text of the file, key, line, a word of the message
    (
        'heder = "x"\n[nodes]\nn = {}',
        "heder",
        1,
        "unknown key; did you mean 'header'",
    ),
    ('[nodes]\nn = { hots = "10.0.0.1" }', "nodes.n.hots", 2, "did you mean 'host'"),
    ("[nodes]\nn = { host = 7 }", "nodes.n.host", 2, "host = 7: expected a host name"),
    ('[nodes]\nn = { host = "a:80" }', "nodes.n.host", 2, "without a port"),
    ('[nodes]\nn = { host = "" }', "nodes.n.host", 2, "expected a host name"),
    ('[nodes]\nn = { host = "unix:/x" }', "nodes.n.host", 2, "expected a host name"),
    ("[nodes]\nn = 7", "nodes.n", 2, "expected a table, not 7; write a table with a host"),
    ("[nodes]\nn = {}\n[service.a]", "service", 3, "did you mean 'services'?"),
    ("nodes = 7", "nodes", 1, "expected a table, not "),
    ("[nodes]\nNode_1 = {}", "nodes.Node_1", 2, "expected lower-case letters, digits and hyphens"),
    ('[nodes]\n"a.b" = {}', "nodes.a.b", 2, "expected lower-case letters, digits and hyphens"),
    ("[nodes]\nn = { weight = 0 }", "nodes.n.weight", 2, "expected a number above 0"),
    ("[nodes]\nn = { weight = -1 }", "nodes.n.weight", 2, "drain = true"),
    ("[nodes]\nn = { weight = nan }", "nodes.n.weight", 2, "expected a number above 0"),
    ("[nodes]\nn = { weight = inf }", "nodes.n.weight", 2, "expected a number above 0"),
    ("[nodes]\nn = { weight = true }", "nodes.n.weight", 2, "True: expected a number above 0"),
    ("[nodes]\nn = { drain = 1 }", "nodes.n.drain", 2, "true or false"),
    ("[nodes]", "nodes", 1, "at least one node"),
    ("", "nodes", None, 'at least one node; add one, such as node1 = { host = "10.0.0.1" } below'),
    ('proxy = "lax"\n[nodes]\nn = {}', "proxy", 1, "'plain' or 'strict'"),
    ("workers = 0\n[nodes]\nn = {}", "workers", 1, "or 'auto'"),
    ('workers = "many"\n[nodes]\nn = {}', "workers", 1, "or 'auto'"),
    ("connections = -5\n[nodes]\nn = {}", "connections", 1, "above 0"),
    ('header = "machine id"\n[nodes]\nn = {}', "header", 1, "expected the name of an HTTP header"),
    ('evidence = ""\n[nodes]\nn = {}', "evidence", 1, "expected the name of an HTTP header"),
    ('site = "a\\nb"\n[nodes]\nn = {}', "site", 1, "control characters"),
]
SERVICE_MISTAKES = [
    # the service's lines; the first is line 4
    ("prot = 80", "prot", 4, "unknown key; did you mean 'port'"),
    ('port = "80"', "port", 4, "'80': expected a whole number"),
    ("port = 70000", "port", 4, "1 to 65535"),
    ("port = true", "port", 4, "True: expected a whole number"),
    ("publish = 0\nport = 1", "publish", 4, "1 to 65535"),
    ('url = "proxy:80"', "url", 4, "expected an http or https URL"),
    ('url = "http://me:secret@proxy/"', "url", 4, "without user, password"),
    ('url = "http://proxy/wps?service=WPS"', "url", 4, "without user, password, query"),
    ('url = "http://proxy/a/../wps"', "url", 4, "dot segments"),
    ('port = 1\nlisten = "any"', "listen", 5, "'127.0.0.1:8093'"),
    ('port = 1\nlisten = "::1:80x"', "listen", 5, "'127.0.0.1:8093'"),
    ("port = 1\nlisten = 0", "listen", 5, "'127.0.0.1:8093'"),
    ('port = 1\npath = "wps"', "path", 5, "starts with '/'"),
    ('port = 1\npath = "/a?b"', "path", 5, "without query"),
    ('port = 1\nmethod = "ip_hash"', "method", 5, "'hash consistent'"),
    ('port = 1\naliases = "http://x"', "aliases", 5, "expected a list"),
    ("port = 1\naliases = [7]", "aliases", 5, "expected a list, each item an http"),
    ('port = 1\naliases = ["x"]', "aliases", 5, "each item an http or https URL"),
    ("port = 1\nbackends = []", "backends", 5, "at least one backend"),
    ("port = 1\nbackends = [7]", "backends", 5, "expected a table, not "),
    ("port = 1\nbackends = [{ weight = 1 }]", "backends", 5, "'node' is missing"),
    ('port = 1\nbackends = [{ node = "n", x = 1 }]', "backends.x", 5, "unknown key"),
    (
        'port = 1\nbackends = [{ node = "n", address = ":80" }]',
        "backends.address",
        5,
        "host:port",
    ),
    ('port = 1\nbackends = [{ node = "n", backup = true }]', "backends", 5, "only backups"),
    ('port = 1\nbackends = [\n  "n",\n  "m",\n]', "backends", 7, "no node 'm'"),
    (
        'port = 1\nmethod = "rendezvous"\nbackends = ["n", {node = "n", backup = true}]',
        "backends",
        6,
        "has no backups",
    ),
    ('port = 1\nbackends = [{ node = "n", weight = 1.5 }]', "backends", 5, "whole weights"),
    ("port = 1\noutputs = 1", "outputs", 5, "expected a table, not "),
    ('port = 1\noutputs = { public = "http://x" }', "outputs", 5, "'backend' is missing"),
    ('port = 1\noutputs = {public="x", backend="/"}', "outputs.public", 5, "expected an http"),
    ('port = 1\n[services.s.outputs]\npublic="http://x"\nbackend="y"', "outputs.backend", 7, "'/'"),
    ("tls = 1\nport = 1", "tls", 4, "true or false"),
    ('path = "/x"', "", 3, "neither a url nor a port"),
]


@pytest.mark.parametrize(("text", "key", "line", "words"), MISTAKES)
def test_a_mistake_names_file_key_and_line(text, key, line, words):
    with pytest.raises(TopologyError) as refused:
        Topology.loads(text, file="site.toml")
    error = refused.value
    assert (error.file, error.key, error.line) == ("site.toml", key, line)
    assert words in str(error)
    assert str(error).startswith(f"site.toml, line {line}: " if line else "site.toml: ")


@pytest.mark.parametrize(("lines", "key", "line", "words"), SERVICE_MISTAKES)
def test_a_mistake_in_a_service_names_file_key_and_line(lines, key, line, words):
    text = f"[nodes]\nn = {{}}\n[services.s]\n{lines}\n"
    test_a_mistake_names_file_key_and_line(text, f"services.s.{key}".rstrip("."), line, words)


def test_a_node_with_a_broken_weight_is_found_where_nginx_needs_whole_ones():
    text = '[nodes]\na = {}\nb = { host = "h", weight = 1.5 }\n[services.s]\nport = 1\n'
    with pytest.raises(TopologyError, match=r"line 3: .*nginx takes whole weights only"):
        Topology.loads(text)
    assert Topology.loads(text + 'method = "rendezvous"\n').nodes[1].weight == 1.5


def test_one_address_for_two_nodes_is_found_across_services():
    text = """\
[nodes]
a = { host = "10.0.0.1" }
b = { host = "10.0.0.2" }
[services.s]
port = 80
[services.t]
url = "http://proxy/t"
backends = [{ node = "a", address = "10.0.0.2" }, "b"]
"""
    with pytest.raises(TopologyError, match="a node is one machine") as refused:
        Topology.loads(text)
    assert (refused.value.key, refused.value.line) == ("services.t.backends", 8)


def test_an_unknown_node_is_a_lookup_error_and_names_the_known_ones():
    with pytest.raises(UnknownNode, match=r"no node 'node9'; there are: node1, node2") as refused:
        Topology.loads(SITE.replace('"node1",  #', '"node9",  #'))
    assert isinstance(refused.value, LookupError)
    assert (refused.value.node, refused.value.line) == ("node9", 26)


@pytest.mark.parametrize(
    ("text", "line"),
    [("[nodes", 1), ("[nodes]\nn = {}\nn = {}\n", 3), ('a = "x\ny"', 1), ("a = " + "[" * 9000, 1)],
)
def test_text_that_is_not_toml_is_refused_with_its_line(text, line):
    with pytest.raises(TopologyError, match=f"site.toml, line {line}: not valid TOML") as refused:
        Topology.loads(text, file="site.toml")
    assert refused.value.line == line


def test_lines_are_counted_as_toml_counts_them():
    # str.splitlines would also split at the separators of Unicode.
    text = 'site = "a\u2028b\x85c"\n[nodes]\nn = { x = 1 }'
    with pytest.raises(TopologyError, match="line 3"):
        Topology.loads(text)


MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, len(SITE) - 1), st.sampled_from(["", '"', "=", "[", "\n", "x", "é", "0"])
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150)
@given(MUTATIONS)
def test_a_damaged_file_raises_our_error_and_no_other(mutations):
    text = SITE
    for position, insert in mutations:
        text = text[:position] + insert + text[position + 1 :]
    try:
        topology = Topology.loads(text, file="site.toml")
    except TopologyError as error:
        message = str(error)
    else:
        message = "site.toml"
        assert Topology.loads(topology.dumps()) == topology
    assert message.startswith("site.toml")


# ---- files ----


def test_a_file_is_written_and_read_again(tmp_path):
    path = tmp_path / "site.toml"
    Topology.loads(SITE).dump(path)
    assert Topology.load(path) == Topology.load(str(path)) == Topology.loads(SITE)
    assert [each.name for each in tmp_path.iterdir()] == ["site.toml"]


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "site.toml").write_bytes(b"\xef\xbb\xbf[nodes]\r\nn = {}\r\n")
    assert Topology.load(tmp_path / "site.toml") == Topology([Node("n")])


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b'site = "\xe9"')
    for name in ("missing.toml", "latin.toml", "."):
        with pytest.raises(TopologyError, match="cannot read the topology file") as refused:
            Topology.load(tmp_path / name)
        assert refused.value.file == str(tmp_path / name)


def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left(tmp_path):
    target = tmp_path / "directory"
    (target / "inside").mkdir(parents=True)
    with pytest.raises(TopologyError, match="cannot write the topology file"):
        Topology.loads(SITE).dump(target)
    with pytest.raises(TopologyError, match="cannot write the topology file"):
        Topology.loads(SITE).dump(tmp_path / "missing" / "site.toml")
    assert [each.name for each in tmp_path.iterdir()] == ["directory"]


def test_writing_again_keeps_mode_and_link(tmp_path):
    real, link = tmp_path / "real.toml", tmp_path / "link.toml"
    real.write_text("")
    real.chmod(0o600)
    link.symlink_to(real)
    Topology.loads(SITE).dump(link)
    assert link.is_symlink()
    assert Topology.load(real) == Topology.loads(SITE)
    assert stat.S_IMODE(Path(real).stat().st_mode) == 0o600

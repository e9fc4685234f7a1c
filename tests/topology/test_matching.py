"""Which service and node a URL belongs to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavics_affinity.errors import TopologyError
from pavics_affinity.topology import Backend, Match, Node, Outputs, Service, Topology

NODES = [Node("node1", "10.0.0.1"), Node("node2", "10.0.0.2")]
PAVICS = "https://pavics.example"


def own_port(**more):
    """Two services, each with its own port on the proxy."""
    return Topology(
        NODES,
        [
            Service("finch", "http://proxy:58093/wps", port=8093, **more),
            Service("emu", "http://proxy:58091/wps", port=8091),
        ],
    )


def behind_twitcher():
    """Two services below one origin, their outputs below a third path."""
    return Topology(
        NODES,
        [
            Service(
                name,
                f"{PAVICS}/twitcher/ows/proxy/{name}/wps",
                port=port,
                path="/wps",
                outputs=Outputs(f"{PAVICS}/wpsoutputs/{name}", "/outputs"),
            )
            for name, port in (("finch", 8093), ("finch2", 8094))
        ],
    )


def named(topology, url):
    match = topology.covering(url)
    return None if match is None else (match.service.name, match.path)


# ---- by prefix ----


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/twitcher/ows/proxy/finch/wps", ("finch", "/wps")),
        ("/twitcher/ows/proxy/finch/wps?service=WPS#top", ("finch", "/wps?service=WPS#top")),
        ("/twitcher/ows/proxy/finch/wps/", ("finch", "/wps/")),
        ("/twitcher/ows/proxy/finch/wps/jobs/1", ("finch", "/wps/jobs/1")),
        ("/twitcher/ows/proxy/finch2/wps", ("finch2", "/wps")),
        ("/wpsoutputs/finch/a/b.nc", ("finch", "/outputs/a/b.nc")),
        ("/wpsoutputs/finch2/b.nc?x=1", ("finch2", "/outputs/b.nc?x=1")),
        ("/wpsoutputs/finch", ("finch", "/outputs")),
        # Whole segments only.
        ("/twitcher/ows/proxy/finch/wpsx", None),
        ("/wpsoutputs/finch22/b.nc", None),
        ("/wpsoutputs/finc", None),
        ("/wpsoutputs/", None),
        ("/", None),
        ("", None),
        ("/twitcher/ows/proxy/FINCH/wps", None),
    ],
)
def test_the_longest_prefix_of_whole_segments_decides(url, expected):
    assert named(behind_twitcher(), PAVICS + url) == expected


def test_a_prefix_inside_another_ones_is_the_longer():
    topology = Topology(
        NODES,
        [
            Service("all", f"{PAVICS}/", port=1),
            Service("some", f"{PAVICS}/a", port=2),
            Service("few", f"{PAVICS}/a/b/", port=3),
        ],
    )
    found = {path: named(topology, PAVICS + path) for path in ("/x", "/a/x", "/a/b", "/a/b/c")}
    assert found == {
        "/x": ("all", "/x"),
        "/a/x": ("some", "/a/x"),
        "/a/b": ("few", "/a/b"),
        "/a/b/c": ("few", "/a/b/c"),
    }


@pytest.mark.parametrize(
    "path", ["/../finch2/wps", "/%2e%2e/finch2/wps", "%2f..%2f..%2ffinch2", "/.", "/x/../y"]
)
def test_a_url_with_dot_segments_belongs_to_no_service(path):
    assert named(behind_twitcher(), f"{PAVICS}/twitcher/ows/proxy/finch/wps{path}") is None
    assert named(own_port(), f"http://proxy:58093/wps{path}") is None


def test_every_path_at_the_origin_of_one_service_belongs_to_it():
    topology = own_port(path="/ows")
    assert named(topology, "http://proxy:58093/wps") == ("finch", "/ows")
    assert named(topology, "http://proxy:58093/outputs/x.nc?y") == ("finch", "/outputs/x.nc?y")
    assert named(topology, "http://proxy:58093") == ("finch", "/")
    assert named(topology, "http://proxy:58091/outputs/x.nc") == ("emu", "/outputs/x.nc")


# ---- hosts ----


@pytest.mark.parametrize(
    "url",
    [
        "http://proxy@evil:58093/wps",
        "http://proxy:58093@evil/wps",
        "http://proxy.evil:58093/wps",
        "http://evil:58093/http://proxy:58093/wps",
        "http://evil\\@proxy:58093/wps",
        "http://\u0440roxy:58093/wps",
        "https://proxy:58093/wps",
        "http://proxy/wps",
        "http://proxy:5809/wps",
        "ftp://proxy:58093/wps",
        "http://proxy%3a58093/wps",
        "http://10.0.0.1:58093/wps",
        "nonsense",
    ],
)
def test_a_look_alike_of_the_proxy_is_not_the_proxy(url):
    assert own_port().covering(url) is None


@pytest.mark.parametrize(
    "url",
    ["HTTP://Proxy:58093/wps", "http://proxy.:58093/wps", "http://me:secret@proxy:58093/wps"],
)
def test_the_proxy_is_known_however_it_is_spelt(url):
    match = own_port().covering(url)
    assert match is not None
    assert (match.service.name, match.path) == ("finch", "/wps")


def test_default_ports_need_not_be_written():
    topology = Topology(NODES, [Service("finch", f"{PAVICS}:443/wps", port=1)])
    assert named(topology, f"{PAVICS}/wps") == ("finch", "/wps")


def test_hosts_are_those_of_urls_outputs_aliases_and_nodes():
    topology = Topology(
        NODES,
        [
            Service(
                "finch",
                "http://proxy/wps",
                port=8093,
                outputs=Outputs("http://data.example/out", "/outputs"),
                aliases=["http://internal:1"],
            )
        ],
    )
    assert topology.service_hosts == {
        "proxy",
        "data.example",
        "internal",
        "10.0.0.1",
        "10.0.0.2",
    }


# ---- aliases ----


def test_an_alias_of_the_origin_replaces_it_for_all_paths():
    topology = own_port(
        path="/ows",
        outputs=Outputs("http://proxy:58093/data", "/outputs"),
        aliases=("http://internal:8093/",),
    )
    assert named(topology, "http://internal:8093/wps?x") == ("finch", "/ows?x")
    assert named(topology, "http://internal:8093/data/x.nc") == ("finch", "/outputs/x.nc")
    assert named(topology, "http://internal:8093/status.xml") == ("finch", "/status.xml")


def test_an_alias_with_a_path_replaces_the_url():
    topology = own_port(path="/ows", aliases=("http://gateway/services/finch",))
    assert named(topology, "http://gateway/services/finch/jobs") == ("finch", "/ows/jobs")


def test_an_alias_serves_a_service_that_has_no_url():
    topology = Topology(NODES, [Service("finch", port=8093, aliases=("http://internal:1",))])
    assert topology.covering("http://internal:1/x") == Match(topology.services[0], "/x")


# ---- nodes ----


def test_a_backends_own_url_names_service_and_node():
    topology = own_port()
    match = topology.covering("http://10.0.0.2:8091/outputs/x.nc?y")
    assert match == Match(topology.service("emu"), "/outputs/x.nc?y", "node2", at_node=True)
    assert topology.node_of_url("http://10.0.0.2:8091/anything") == "node2"


@pytest.mark.parametrize(
    "url", ["http://proxy:58093/wps", "http://10.0.0.2:9999/", "http://10.0.0.3:8091/", "x", ""]
)
def test_other_urls_name_no_node(url):
    assert own_port().node_of_url(url) is None


def test_services_at_one_address_of_a_node_differ_by_path():
    backends = [Backend("node1", "10.0.0.1:80"), Backend("node2", "10.0.0.2:80")]
    topology = Topology(
        NODES,
        [
            Service(
                name,
                f"{PAVICS}/{name}",
                outputs=Outputs(f"{PAVICS}/data/{name}", f"/out/{name}"),
                backends=backends,
            )
            for name in ("finch", "emu")
        ],
    )
    found = [topology.covering("http://10.0.0.2" + path) for path in ("/emu/wps", "/out/emu/x")]
    assert [(match.service.name, match.node) for match in found] == [("emu", "node2")] * 2
    assert topology.node_of_url("http://10.0.0.2/elsewhere") == "node2"


def test_a_service_without_proxy_is_found_by_its_nodes():
    # The public URL is that of a node: it names the service and no node.
    topology = Topology(NODES, [Service("finch", "http://10.0.0.1:8093/wps", port=8093)])
    assert topology.covering("http://10.0.0.1:8093/wps").node is None
    assert topology.covering("http://10.0.0.2:8093/wps").node == "node2"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"{PAVICS}/twitcher/ows/proxy/finch/wps?a=1", "http://10.0.0.2:8093/wps?a=1"),
        (f"{PAVICS}/wpsoutputs/finch2/x.nc", "http://10.0.0.2:8094/outputs/x.nc"),
        ("http://10.0.0.1:8093/outputs/x.nc", "http://10.0.0.2:8093/outputs/x.nc"),
        (f"{PAVICS}/elsewhere", None),
    ],
)
def test_a_url_is_translated_to_the_same_resource_on_a_node(url, expected):
    assert behind_twitcher().to_node(url, "node2") == expected


def test_a_node_that_speaks_tls_is_addressed_by_https():
    topology = own_port(tls=True)
    assert topology.to_node("http://proxy:58093/wps", "node1") == "https://10.0.0.1:8093/wps"
    assert topology.backend_url(topology.service("finch"), "node1") == "https://10.0.0.1:8093/wps"
    assert topology.node_of_url("http://10.0.0.1:8093/wps") is None


def test_no_url_leads_to_a_node_whose_address_is_not_known_or_a_socket():
    discovered = Topology([Node("node1")], [Service("finch", "http://proxy/wps")])
    socket = Service(
        "finch", "http://proxy/wps", backends=[Backend("node1", "unix:/run/finch.sock")]
    )
    for topology in (discovered, Topology([Node("node1")], [socket])):
        assert topology.to_node("http://proxy/wps", "node1") is None
        assert topology.backend_url(topology.services[0], "node1") is None
        assert topology.covering("http://proxy/wps").service.name == "finch"


def test_ipv6_nodes_have_brackets_in_urls():
    topology = Topology([Node("node1", "::1")], [Service("finch", "http://proxy/wps", port=8093)])
    assert topology.to_node("http://proxy/wps", "node1") == "http://[::1]:8093/wps"
    assert topology.node_of_url("http://[0:0::1]:8093/") == "node1"


# ---- by port alone ----


def test_a_service_without_url_is_known_by_its_port_and_says_so():
    topology = Topology(
        NODES, [Service("finch", port=8093), Service("emu", listen="127.0.0.5:8091")]
    )
    match = topology.covering("http://wherever:8093/wps?x")
    assert match == Match(topology.service("finch"), "/wps?x", by_port=True)
    assert topology.covering("http://wherever:8091/").service.name == "emu"
    assert topology.covering("http://wherever:8092/") is None
    assert "wherever" not in topology.service_hosts


def test_a_known_host_is_trusted_by_more_than_its_port():
    topology = Topology(NODES, [Service("finch", port=8093)])
    assert topology.covering("http://10.0.0.1:8093/wps").by_port is False


def test_two_services_without_url_on_one_port_are_not_guessed_between():
    topology = Topology(NODES, [Service("finch", listen=80), Service("emu", listen=80)])
    assert topology.covering("http://wherever/finch") is None


# ---- outputs that name their node ----


def by_node(public=f"{PAVICS}/wpsoutputs/{{node}}", **more):
    """Two services that write their outputs into one place, with the node's name."""
    outputs = Outputs(public, "/wpsoutputs")
    return Topology(
        NODES,
        [
            Service("finch", f"{PAVICS}/finch", port=8093, outputs=outputs, **more),
            Service("emu", f"{PAVICS}/emu", port=8091, outputs=outputs),
        ],
    )


@pytest.mark.parametrize(
    ("public", "path"),
    [
        (f"{PAVICS}/wpsoutputs/{{node}}", "/wpsoutputs/node2/u/a.nc?x=1"),
        (f"{PAVICS}/wpsoutputs/{{node}}/", "/wpsoutputs/node2/u/a.nc?x=1"),
        (f"{PAVICS}/of/{{node}}/out", "/of/node2/out/u/a.nc?x=1"),
        (f"{PAVICS}/{{node}}/out", "/node2/out/u/a.nc?x=1"),
    ],
)
def test_an_output_that_names_its_node_is_on_that_node_and_no_other(public, path):
    topology = by_node(public)
    match = topology.covering(PAVICS + path)
    assert (match.service.name, match.path) == ("finch", "/wpsoutputs/u/a.nc?x=1")
    assert (match.node, match.at_node, match.is_output) == ("node2", False, True)
    assert topology.node_of_url(PAVICS + path) == "node2"
    assert topology.to_node(PAVICS + path, "node2") == (
        "http://10.0.0.2:8093/wpsoutputs/u/a.nc?x=1"
    )
    assert topology.to_node(PAVICS + path, "node1") is None


@pytest.mark.parametrize("name", ["node9", "Node1", "b5a0-11", "%6Eode1", "node1x", "node"])
def test_an_unknown_name_where_the_nodes_are_is_kept(name):
    url = f"{PAVICS}/wpsoutputs/{name}/a.nc"
    assert by_node().node_of_url(url) == name
    assert by_node().to_node(url, "node1") is None


def test_a_longer_prefix_wins_against_a_name():
    outputs = Outputs(f"{PAVICS}/wpsoutputs/shared", "/shared")
    topology = by_node()
    other = Service("raven", f"{PAVICS}/raven", port=8095, outputs=outputs)
    topology = topology.with_services([*topology.services, other])
    assert named(topology, f"{PAVICS}/wpsoutputs/shared/a.nc") == ("raven", "/shared/a.nc")
    assert topology.node_of_url(f"{PAVICS}/wpsoutputs/shared/a.nc") is None
    assert topology.node_of_url(f"{PAVICS}/finch") is None
    assert topology.covering(f"{PAVICS}/wpsoutputs") is None


def test_an_alias_of_the_origin_holds_for_outputs_that_name_their_node():
    topology = by_node(aliases=("http://internal:1",))
    assert topology.node_of_url("http://internal:1/wpsoutputs/node1/a.nc") == "node1"


def test_the_node_of_a_shared_place_may_offer_only_one_of_the_services():
    finch, emu = by_node().services
    topology = Topology(
        [*NODES, Node("node3", "10.0.0.3")],
        [
            Service(
                "finch", finch.url, port=8093, outputs=finch.outputs, backends=[Backend("node1")]
            ),
            emu,
        ],
    )
    match = topology.covering(f"{PAVICS}/wpsoutputs/node3/a.nc")
    assert (match.service.name, match.node) == ("emu", "node3")


# ---- conflicts ----


@pytest.mark.parametrize(
    "second",
    [
        Service("emu", "http://proxy/wps/", port=1),
        Service("emu", "http://PROXY:80/wps", port=1),
        Service("emu", "http://other/wps", port=1, aliases=("http://proxy",)),
        Service("emu", "http://other/x", port=1, aliases=("http://proxy/wps",)),
    ],
)
def test_two_services_cannot_have_one_url(second):
    with pytest.raises(TopologyError, match=r"'finch' and 'emu' have the same URL") as refused:
        Topology(NODES, [Service("finch", "http://proxy/wps", port=2), second])
    assert refused.value.key in ("services.emu.url", "services.emu.aliases")


def test_services_may_share_a_place_for_outputs():
    outputs = Outputs("http://proxy/wpsoutputs", "/outputs")
    topology = Topology(
        NODES,
        [
            Service("finch", "http://proxy/finch", port=1, outputs=outputs),
            Service("emu", "http://proxy/emu", port=2, outputs=outputs),
        ],
    )
    assert named(topology, "http://proxy/wpsoutputs/x.nc") == ("finch", "/outputs/x.nc")


# ---- anything at all ----

SEGMENT = st.text("ab./%2ef-", max_size=6)


@given(st.lists(SEGMENT, max_size=6), st.text("?#x=&/", max_size=4))
def test_a_match_is_always_a_path_and_never_leaves_the_prefix(segments, tail):
    url = f"{PAVICS}/" + "/".join(segments) + tail
    match = behind_twitcher().covering(url)
    if match is not None:
        assert match.path.startswith(("/wps", "/outputs"))
        assert "/../" not in match.path.partition("?")[0]


@given(st.text())
def test_any_text_can_be_looked_up(text):
    topology = behind_twitcher()
    for url in (text, PAVICS + text, f"http://{text}/"):
        assert topology.node_of_url(url) is None
        match = topology.covering(url)
        assert match is None or match.path.startswith("/")

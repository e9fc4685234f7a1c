"""Nodes, services and what a topology says of a key or of evidence."""

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavics_affinity.errors import (
    InvalidMachineId,
    PlacementUndetermined,
    SteeringImpossible,
    TopologyError,
    UnknownNode,
    UnknownService,
)
from pavics_affinity.placement import NginxConsistentHash, NginxHash, Rendezvous
from pavics_affinity.topology import Backend, Node, Outputs, Service, Topology

METHODS = ["hash", "hash consistent", "rendezvous"]
KEYS = [f"key-{i}" for i in range(200)]


def site(*services, nodes=3, **more):
    names = [Node(f"node{i}", f"10.0.0.{i}") for i in range(1, nodes + 1)]
    return Topology(names, services or [Service("finch", "http://proxy/wps", port=8093)], **more)


def finch(**more):
    return Service("finch", "http://proxy/wps", port=8093, **more)


def tried(topology, service, key):
    return [address for _, address in topology.tries(service, key)]


# ---- what it is made of ----


def test_a_topology_is_frozen_and_compares_by_what_it_holds():
    topology = site()
    with pytest.raises(FrozenInstanceError):
        topology.header = "other"
    assert topology == site()
    assert hash(topology) == hash(site())
    assert topology != site(nodes=4)
    assert topology == site(resolve=lambda name: ["10.0.0.1"])


def test_lists_may_be_given_for_tuples():
    topology = Topology([Node("n")], [finch(aliases=["http://x"], backends=[Backend("n")])])
    assert topology.services[0].aliases == ("http://x",)
    assert hash(topology)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Topology([]),
        lambda: Topology([Node("n"), Node("n")]),
        lambda: Topology([Node("n")], [finch(), Service("finch", port=1)]),
        lambda: Topology(["n"]),
        lambda: Topology([Node("n")], [Node("m")]),
        lambda: Topology([Node("n")], header=None),
        lambda: Topology([Node("n")], direct="yes"),
        lambda: Topology([Node("n")], workers=True),
        lambda: Topology([Node("n")], site=7),
        lambda: Node(7),
        lambda: Node("1n"),
        lambda: Node("n\n"),
        lambda: Node("n", weight="2"),
        lambda: Node("n", drain="no"),
        lambda: Node("n", host=7),
        lambda: Node("n", host="a b"),
        lambda: Backend("n", down="yes"),
        lambda: Backend("n", weight=0),
        lambda: Outputs("http://x", "outputs"),
        lambda: Outputs("http://x", "/a/../b"),
        lambda: finch(backends=["n"]),
        lambda: finch(aliases="http://x"),
        lambda: finch(outputs={"public": "http://x", "backend": "/"}),
        lambda: Service("fin ch", port=1),
        lambda: Service("finch", port="8093"),
        lambda: Service("finch", listen="a b:80"),
    ],
)
def test_a_value_that_is_not_valid_is_refused_at_once(make):
    with pytest.raises(TopologyError):
        make()


def test_things_are_looked_up_by_name():
    topology = site()
    assert topology.node("node2").host == "10.0.0.2"
    assert topology.service("finch").port == 8093
    with pytest.raises(UnknownNode, match="no node 'node9' here; there are: node1, node2, node3"):
        topology.node("node9")
    with pytest.raises(UnknownService, match="no service 'emu' here; there are: finch"):
        topology.service("emu")


def test_a_message_does_not_list_a_thousand_names():
    with pytest.raises(UnknownNode, match=r"node20 and 980 more\n"):
        Topology([Node(f"node{i}") for i in range(1, 1001)]).node("x")


def test_addresses_and_weights_are_filled_in_from_the_nodes():
    topology = Topology(
        [Node("a", "10.0.0.1", weight=3), Node("b", "::1"), Node("c")],
        [
            finch(),
            Service("emu", port=1, backends=[Backend("b", "10.0.0.2:9", 5), Backend("a")]),
        ],
    )
    assert topology.backends(topology.service("finch")) == (
        Backend("a", "10.0.0.1:8093", 3),
        Backend("b", "[::1]:8093", 1),
        Backend("c", None, 1),
    )
    assert topology.backends(topology.service("emu")) == (
        Backend("b", "10.0.0.2:9", 5),
        Backend("a", "10.0.0.1:1", 3),
    )


@pytest.mark.parametrize(
    ("listen", "port"),
    [(None, 8093), (80, 80), ("8080", 8080), ("*:81", 81), ("127.0.0.5:82", 82), ("[::]:83", 83)],
)
def test_the_proxys_port_is_that_of_listen_or_the_nodes(listen, port):
    assert finch(listen=listen).listen_port == port


def test_a_services_path_is_its_own_or_that_of_its_url():
    assert finch().backend_path == "/wps"
    assert finch(path="/ows/wps").backend_path == "/ows/wps"
    assert Service("finch", port=1).backend_path == ""


def test_with_services_keeps_the_site():
    changed = site(site="here", evidence="X-Node").with_services([Service("emu", port=1)])
    assert (changed.site, changed.evidence) == ("here", "X-Node")
    assert [service.name for service in changed.services] == ["emu"]


# ---- evidence ----


@pytest.mark.parametrize(
    ("value", "node"),
    [
        ("node2", "node2"),
        (" node2 ", "node2"),
        ("node1, node2", "node2"),  # from a proxy behind the proxy, then from this one
        ("10.0.0.1:8093", "node1"),
        ("10.0.0.1:8093, 10.0.0.2:8093", "node2"),
        ("10.0.0.1:8093, 10.0.0.2:8093 : 10.0.0.3:8093", "node3"),
        ("10.0.0.2:8093, 10.0.0.3:8093, finch", None),  # all failed: the upstream's name
        ("finch", None),
        ("10.0.0.1:8094", None),
        ("10.0.0.1", None),
        ("10.0.0.11:8093", None),
        ("node", None),
        ("NODE2", None),
        ("", None),
        (",", None),
        (" : ", None),
    ],
)
def test_evidence_names_the_node_that_answered_last(value, node):
    assert site().node_of_evidence(value) == node


def test_evidence_is_known_in_every_form_that_nginx_prints():
    topology = Topology(
        [Node("a"), Node("b"), Node("c"), Node("d", "HOST1")],
        [
            Service(
                "finch",
                "http://proxy/wps",
                port=8093,
                backends=[
                    Backend("a", "unix:/run/finch.sock"),
                    Backend("b", "[0:0:0::1]:8093"),
                    Backend("c", "10.0.0.1"),
                    Backend("d"),
                ],
            )
        ],
        resolve={"HOST1": ["10.0.0.8", "2001:db8::8"]}.__getitem__,
    )
    found = {
        value: topology.node_of_evidence(value)
        for value in (
            "unix:/run/finch.sock",
            "[::1]:8093",
            "10.0.0.1:80",
            "10.0.0.8:8093",
            "[2001:db8::8]:8093",
            "HOST1:8093",
        )
    }
    assert list(found.values()) == ["a", "b", "c", "d", "d", "d"]


def test_hostile_evidence_takes_no_time():
    # Quadratic work on 10 MB would take days.
    for value in (" " * 10_000_000, "," * 10_000_000, " : " * 3_000_000, "1" * 10_000_000):
        assert site().node_of_evidence(value) is None


@given(st.text())
def test_any_text_can_be_evidence(value):
    assert site().node_of_evidence(value) in (None, "node1", "node2", "node3")


# ---- placement ----


@pytest.mark.parametrize(
    ("method", "kind"),
    [("hash", NginxHash), ("hash consistent", NginxConsistentHash), ("rendezvous", Rendezvous)],
)
def test_the_method_decides_and_is_made_once(method, kind):
    topology = site(finch(method=method))
    placement = topology.placement(topology.services[0])
    assert isinstance(placement, kind)
    assert topology.placement(topology.services[0]) is placement


def test_the_order_is_that_of_the_placement_in_names_of_nodes():
    topology = site()
    service = topology.services[0]
    reference = NginxHash(["10.0.0.1:8093", "10.0.0.2:8093", "10.0.0.3:8093"])
    for key in KEYS:
        addresses = list(reference.order(key))
        assert tried(topology, service, key) == addresses
        assert list(topology.order(service, key)) == [f"node{a[7]}" for a in addresses]
        assert topology.first_node("finch", key) == f"node{reference.place(key)[7]}"


def test_order_weight_and_marks_are_those_of_the_service():
    service = finch(
        backends=[
            Backend("node3", weight=5),
            Backend("node1", "10.9.9.9:1", down=True),
            Backend("node2"),
        ]
    )
    topology = site(service)
    reference = NginxHash(["10.0.0.3:8093 weight=5", "10.9.9.9:1 down", "10.0.0.2:8093"])
    for key in KEYS:
        addresses = list(reference.order(key))
        assert tried(topology, service, key) == addresses
        assert list(topology.order(service, key)) == [f"node{a[7]}" for a in addresses]


def test_weights_of_nodes_hold_for_rendezvous_too_and_down_ones_get_nothing():
    service = finch(
        method="rendezvous",
        backends=[Backend("node1", weight=2.5), Backend("node2"), Backend("node3", down=True)],
    )
    topology = site(service)
    reference = Rendezvous({"node1": 2.5, "node2": 1})
    assert all(list(topology.order(service, k)) == list(reference.order(k)) for k in KEYS)


def test_a_node_with_two_backends_is_once_in_the_order():
    service = finch(
        backends=[Backend("node1"), Backend("node1", "10.0.0.1:9000"), Backend("node2")]
    )
    topology = site(service)
    assert topology.placement_addresses(service, "node1") == ("10.0.0.1:8093", "10.0.0.1:9000")
    for key in KEYS:
        assert sorted(topology.order(service, key)) == ["node1", "node2"]
        assert len(tried(topology, service, key)) == 3


def test_addresses_are_shown_as_nginx_prints_them():
    service = finch(
        backends=[Backend("node1", "10.0.0.1"), Backend("node2", "[0::1]:9"), Backend("node3")]
    )
    shown = set(tried(site(service), service, "a1b2"))
    assert shown == {"10.0.0.1:80", "[::1]:9", "10.0.0.3:8093"}


@pytest.mark.parametrize("method", ["hash", "hash consistent"])
def test_where_addresses_are_not_known_nothing_is_predicted(method):
    topology = Topology([Node("a", "10.0.0.1"), Node("b")], [finch(method=method)])
    with pytest.raises(PlacementUndetermined, match=r"that of node 'b' is not known here"):
        topology.placement(topology.services[0])
    with pytest.raises(PlacementUndetermined):
        topology.first_node(None, "a1b2")


def test_our_own_hash_needs_no_addresses():
    topology = Topology([Node("a"), Node("b")], [finch(method="rendezvous")])
    assert {topology.first_node(None, key) for key in KEYS} == {"a", "b"}


@pytest.mark.parametrize("method", METHODS)
def test_a_service_whose_backends_are_all_down_has_no_place(method):
    service = finch(method=method, backends=[Backend("node1", down=True)])
    with pytest.raises(PlacementUndetermined, match="every backend of service 'finch' is marked"):
        site(service).first_node(None, "a1b2")


def test_an_empty_key_has_no_place():
    with pytest.raises(PlacementUndetermined, match="empty"):
        site().first_node(None, "")


def test_the_first_service_decides_by_default_and_there_must_be_one():
    with pytest.raises(UnknownService, match="has no service"):
        Topology([Node("n")]).first_node(None, "a1b2")


# ---- names of hosts ----


def by_name(resolve=None, method="hash"):
    nodes = [Node(f"node{i}", f"HOST{i}") for i in (1, 2, 3)]
    return Topology(nodes, [finch(method=method)], resolve=resolve)


def test_a_name_counts_as_one_address_by_default():
    topology, reference = by_name(), site()
    service = topology.services[0]
    for key in KEYS:
        assert list(topology.order(service, key)) == list(reference.order(service, key))
    assert tried(topology, service, "key-0")[0].startswith("HOST")


def test_addresses_of_a_name_count_as_nginx_counts_them():
    table = {"HOST1": ["10.0.0.1", "10.1.0.1"], "HOST2": ["10.0.0.2"], "HOST3": ["10.0.0.3"]}
    topology = by_name(table.__getitem__)
    reference = NginxHash([f"HOST{i}:8093" for i in (1, 2, 3)], resolve=table.__getitem__)
    for key in KEYS:
        addresses = list(reference.order(key))
        assert tried(topology, topology.services[0], key) == addresses
        assert topology.first_node(None, key) == f"node{addresses[0][7]}"


def test_a_name_that_is_not_found_counts_as_one():
    def resolve(name):
        if name == "HOST2":
            return []
        raise OSError("no such name")

    assert all(by_name(resolve).first_node(None, k) == by_name().first_node(None, k) for k in KEYS)


def test_under_consistent_the_name_decides_however_many_addresses_it_has():
    # Checked in nginx's way: the points come from the literal name.
    table = {f"HOST{i}": [f"10.0.0.{i}"] for i in (1, 2, 3)}
    reference = NginxConsistentHash([f"HOST{i}:8093" for i in (1, 2, 3)], resolve=table.get)
    several = by_name(lambda name: ["10.7.0.1", "10.7.0.2"], "hash consistent")
    for key in KEYS:
        expected = f"node{reference.place(key)[7]}"
        assert by_name(None, "hash consistent").first_node(None, key) == expected
        assert several.first_node(None, key) == expected


# ---- steering ----


@pytest.mark.parametrize("method", METHODS[:2])
@pytest.mark.parametrize("names", [False, True])
def test_a_routing_key_leads_to_the_node_in_every_service(method, names):
    services = [
        finch(method=method),
        Service("emu", port=8091, backends=[Backend(f"node{i}") for i in (3, 2, 1)]),
    ]
    nodes = [Node(f"node{i}", f"HOST{i}" if names else f"10.0.0.{i}") for i in (1, 2, 3)]
    topology = Topology(nodes, services)
    for i, key in enumerate(KEYS):
        node = f"node{i % 3 + 1}"
        for service in services:
            routing_key = topology.routing_key(service, key, node)
            assert topology.first_node(service.name, routing_key) == node
            assert routing_key.partition("~")[0] == key


@pytest.mark.parametrize("down", [0, 1])
def test_a_routing_key_leads_to_a_node_that_has_one_backend_down_and_one_up(down):
    ports = [Backend("node1", f"10.0.0.1:900{i}", down=i == down) for i in (0, 1)]
    service = finch(backends=[*ports, Backend("node2", weight=5)])
    topology = site(service)
    for key in KEYS:
        assert topology.first_node("finch", topology.routing_key(service, key, "node1")) == "node1"


def test_the_key_for_a_strict_proxy_names_the_node():
    topology = site(proxy="strict")
    service = topology.services[0]
    assert topology.routing_key(service, "a1b2", "node3") == "a1b2~node3"
    assert list(topology.order(service, "a1b2~node3")) == ["node3"]
    assert tried(topology, service, "a1b2~node3") == ["10.0.0.3:8093"]
    assert list(topology.order(service, "a1b2~3")) == list(site().order(service, "a1b2~3"))
    with pytest.raises(UnknownNode):
        next(topology.order(service, "a1b2~node9"))
    with pytest.raises(UnknownNode):
        topology.routing_key(service, "a1b2", "node9")


def test_a_strict_proxy_has_no_backend_for_a_node_without_the_service():
    topology = site(finch(backends=[Backend("node1")]), proxy="strict")
    assert list(topology.order(topology.services[0], "a1b2~node2")) == []
    with pytest.raises(PlacementUndetermined, match="leads to no backend of 'finch'"):
        topology.first_node("finch", "a1b2~node2")


def test_to_a_plain_proxy_a_name_in_the_key_means_nothing():
    topology = site()
    expected = NginxHash([f"10.0.0.{i}:8093" for i in (1, 2, 3)]).place("a1b2~node3")
    assert tried(topology, topology.services[0], "a1b2~node3")[0] == expected


def test_without_a_proxy_the_key_is_the_bare_id():
    topology = site(finch(method="rendezvous"))
    assert topology.routing_key(topology.services[0], "a1b2", "node3") == "a1b2"


def test_no_key_leads_to_a_node_that_takes_none():
    service = finch(
        backends=[Backend("node1"), Backend("node2", down=True), Backend("node3", backup=True)]
    )
    topology = site(service, nodes=4)
    for node in ("node2", "node3", "node4"):
        with pytest.raises(SteeringImpossible) as refused:
            topology.routing_key(service, "a1b2", node)
        assert refused.value.node == node
    with pytest.raises(UnknownNode):
        topology.routing_key(service, "a1b2", "node9")
    with pytest.raises(InvalidMachineId):
        topology.routing_key(service, "a1b2~1", "node1")


# ---- size ----


def test_tables_are_made_once_and_not_for_each_request(monkeypatch):
    from pavics_affinity.topology import matching as coverage
    from pavics_affinity.topology import placing

    topology = site(nodes=100)
    service = topology.services[0]

    def ask():
        topology.covering("http://proxy/wps?x")
        topology.covering("http://10.0.0.7:8093/wps")
        topology.node_of_evidence("10.0.0.7:8093")
        topology.first_node("finch", "a1b2")
        next(topology.tries(service, "a1b2"))

    ask()

    def never(*args, **kwargs):
        raise AssertionError("made again")

    monkeypatch.setattr(placing, "nginx_placement", never)
    monkeypatch.setattr(placing, "parse_server", never)
    monkeypatch.setattr(coverage, "split_address", never)
    monkeypatch.setattr(coverage, "_names_of", never)
    ask()


def test_a_service_is_offered_by_the_nodes_that_have_a_backend_of_it():
    topology = Topology(
        nodes=[Node("node1", "10.0.0.1"), Node("node2", "10.0.0.2")],
        services=[
            Service("finch", port=8093, backends=[Backend("node1")]),
            Service("emu", port=8091),
        ],
    )
    finch, emu = topology.services
    assert [topology.offers(finch, name) for name in ("node1", "node2", None)] == [
        True,
        False,
        False,
    ]
    assert topology.offers(emu, "node2")


# ---- addresses that are not what they look like ----


def test_a_host_with_empty_labels_is_refused():
    for host in ("0...1", "a..b", ".a", "a" * 64, "-a"):
        with pytest.raises(TopologyError, match="expected a host name"):
            Node("node1", host=host)


@pytest.mark.parametrize("method", ["hash", "hash consistent"])
def test_a_name_that_is_not_resolved_differs_from_addresses_that_begin_with_zeros(method):
    hosts = {"node1": "0.0.0.1", "node2": "name.example", "node3": "0.0.0.2"}
    topology = Topology(
        nodes=tuple(Node(name, host=host) for name, host in hosts.items()),
        services=(Service("s", port=1, method=method),),
    )
    [service] = topology.services
    for node in hosts:
        key = topology.routing_key(service, "a1b2", node)
        assert next(topology.order(service, key)) == node


def test_one_address_written_in_two_ways_is_one_machine():
    nodes = (Node("node1", host="127.0.0.2"), Node("node2", host="127.0.0.02"))
    with pytest.raises(TopologyError, match="a node is one machine"):
        Topology(nodes=nodes, services=(Service("s", port=1),))


def test_two_names_of_one_address_cannot_be_steered_to():
    topology = Topology(
        nodes=(Node("node1", host="a.example"), Node("node2", host="b.example")),
        services=(Service("s", port=1),),
        resolve=lambda name: ["10.0.0.1"],
    )
    with pytest.raises(SteeringImpossible, match="has the same one"):
        topology.routing_key(topology.services[0], "a1b2", "node1")


LONG = "9" * 5000


@pytest.mark.parametrize(
    "text",
    [
        f"[nodes.n]\nweight = {LONG}",
        f"[nodes.n]\nweight = 0x{'f' * 5000}",
        f"[nodes.n]\nweight = -{LONG}",
        f"workers = 0x{'f' * 5000}\n[nodes.n]",
        f"workers = -0x{'f' * 5000}\n[nodes.n]",
        f"[nodes.n]\n[services.s]\nport = {LONG}",
        f"[nodes.n]\n[services.s]\nlisten = '{LONG}'\nport = 1",
        f"[nodes.n]\n[services.s]\nurl = 'http://h:{LONG}/'",
        f"[nodes.n]\nhost = '{LONG}'\n[services.s]\nport = 1",
        "[nodes.n]\n[services.s]\nport = 1\n"
        f"backends = [{{node = 'n', address = '1.2.3.4:{LONG}'}}]",
    ],
)
def test_numbers_of_thousands_of_digits_are_refused(text):
    with pytest.raises(TopologyError):
        Topology.loads(text)


@pytest.mark.parametrize("number", [10**5000, -(10**5000)], ids=["high", "low"])
@pytest.mark.parametrize(
    "make",
    [
        lambda number: Topology(nodes=(Node("a"),), workers=number),
        lambda number: Topology(nodes=(Node("a"),), connections=number),
        lambda number: Node("a", weight=number),
        lambda number: Backend("a", weight=number),
        lambda number: Service("a", port=number),
        lambda number: Service("a", port=1, publish=number),
    ],
)
def test_a_number_that_python_does_not_write_is_refused(make, number):
    with pytest.raises(TopologyError, match="a number of thousands of digits"):
        make(number)


@pytest.mark.parametrize(
    "public",
    [
        "http://proxy/out/{nodes}",
        "http://proxy/out/{node",
        "http://proxy/out/x-{node}",
        "http://proxy/{node}/{node}",
        "http://{node}.proxy/out",
        "http://proxy/{node}",
        "http://proxy/out?{node}",
    ],
)
def test_a_nodes_name_is_one_segment_of_an_outputs_path_beside_others(public):
    with pytest.raises(TopologyError, match=r"public = .*'\{node\}' may be one whole segment"):
        Outputs(public, "/out")


def test_the_path_of_outputs_on_a_node_holds_no_name():
    with pytest.raises(TopologyError, match=r"backend = .*is for the public URL"):
        Outputs("http://proxy/out/{node}", "/out/{node}")


def test_outputs_by_node_are_written_and_read_back():
    outputs = Outputs("http://proxy/out/{node}", "/out")
    assert (outputs.by_node, outputs.of_node("node1")) == (True, "http://proxy/out/node1")
    topology = Topology([Node("node1")], [Service("finch", "http://proxy/wps", outputs=outputs)])
    assert Topology.loads(topology.dumps()) == topology

"""The pin's decisions, without a connection: where a request goes, and what an answer proves."""

from __future__ import annotations

import contextlib
import gc
import json
import pickle
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pavics_affinity import Backend, Node, Service, Topology
from pavics_affinity.errors import (
    AffinityLost,
    AffinityWarning,
    BackendUnavailable,
    EvidenceStrippedWarning,
    InvalidRequest,
    TopologyError,
    UnknownNode,
)
from pavics_affinity.pin import Pin
from pavics_affinity.pin.evidence import seen_in
from pavics_affinity.pin.policy import Turn
from pavics_affinity.topology import FileSource, FixedSource, Outputs

FP = "http://proxy.example:8093/wps"
MF = "http://proxy.example:8091/wps"


def site(
    *nodes: str | Node,
    evidence: str | None = None,
    proxy: str = "plain",
    scheme: str = "http",
    host: str = "proxy.example",
    net: str = "10.0.0",
    turned: bool = False,
) -> Topology:
    """Two services on a few nodes; turned, the second lists its servers the other way round."""
    names = [node if isinstance(node, Node) else Node(node) for node in nodes or ("n1", "n2", "n3")]
    at = [
        Node(n.name, host=f"{net}.{i}", weight=n.weight, drain=n.drain)
        for i, n in enumerate(names, 1)
    ]
    backends = tuple(Backend(node.name) for node in reversed(at)) if turned else ()
    return Topology(
        nodes=at,
        services=(
            Service("fp", url=f"{scheme}://{host}:8093/wps", port=8093),
            Service("mf", url=f"{scheme}://{host}:8091/wps", port=8091, backends=backends),
        ),
        evidence=evidence,
        proxy=proxy,
    )


def pin_at(*topologies: Topology, machineid: str | None = "a1b2", **options) -> Pin:
    return Pin(machineid, sources=[FixedSource(topology) for topology in topologies], **options)


def executed(pin: Pin, url: str = FP) -> str | None:
    """Let an Execute leave and be answered by the node that was expected."""
    target = pin.route(url, execute=True)
    pin.executed(target)
    return target.node


# ---- which node ----


def test_a_given_id_goes_to_the_node_that_it_leads_to_by_itself():
    topology = site()
    for machineid in ("alice", "bob", "carol", "dave"):
        pin = pin_at(topology, machineid=machineid)
        target = pin.route(FP)
        assert (target.node, target.key) == (topology.first_node("fp", machineid), machineid)
        assert (pin.node, pin.node_known) == (target.node, "predicted")


def test_a_minted_id_leads_by_itself_to_the_least_used_node():
    topology = site(turned=True)
    pins = [pin_at(topology, machineid=None) for _ in range(30)]
    assert Counter(pin.node for pin in pins) == {"n1": 10, "n2": 10, "n3": 10}
    for pin in pins:
        assert topology.first_node("fp", pin.machineid) == pin.node
        assert pin.route(FP).key == pin.machineid
        again = pin_at(topology, machineid=pin.machineid)
        assert again.route(FP).node == pin.node


@pytest.mark.parametrize("node", ["n1", "n2", "n3"])
def test_an_id_minted_for_a_node_asked_for_leads_there_by_itself(node):
    topology = site()
    pin = pin_at(topology, machineid=None, node=node)
    assert topology.first_node("fp", pin.machineid) == node
    assert pin.route(MF).node == pin.node == node


def test_a_minted_id_is_steered_where_another_service_hashes_differently():
    topology = site(turned=True)
    for pin in [pin_at(topology, machineid=None) for _ in range(6)]:
        node, key = pin.route(FP).node, pin.route(MF).key
        assert pin.route(MF).node == node == topology.first_node("mf", key)


def test_new_workflows_keep_off_a_node_that_drains_and_its_own_stay():
    topology = site("n1", Node("n2", drain=True), "n3")
    fresh = [pin_at(topology, machineid=None) for _ in range(20)]
    assert {pin.route(FP).node for pin in fresh} == {"n1", "n3"}
    assert pin_at(topology, node="n2").route(FP).node == "n2"
    kept = next(i for i in map(str, range(99)) if topology.first_node("fp", i) == "n2")
    assert pin_at(topology, machineid=kept).route(FP).node == "n2"


def test_a_workflow_that_was_closed_or_forgotten_gives_its_place_back():
    topology = site("n1", "n2")
    pins = [pin_at(topology, machineid=None) for _ in range(2)]
    assert {pin.node for pin in pins} == {"n1", "n2"}
    for way in ("close", "forget"):
        left = pins.pop()
        node = left.node
        if way == "close":
            left.close()
        del left
        gc.collect()
        pins.insert(0, pin_at(topology, machineid=None))
        assert pins[0].node == node


def test_many_threads_spread_evenly():
    topology = site()
    with ThreadPoolExecutor(16) as pool:
        pins = list(pool.map(lambda _: pin_at(topology, machineid=None), range(90)))
    assert Counter(pin.route(FP).node for pin in pins) == {"n1": 30, "n2": 30, "n3": 30}


def test_a_topology_that_is_learnt_late_leaves_a_minted_id_where_it_leads():
    for _ in range(12):
        pin = Pin(None)
        pin.add_source(FixedSource(site()))
        assert pin.route(FP).key == pin.machineid


def test_an_id_is_minted_where_nothing_can_be_predicted():
    topology = Topology(
        nodes=[Node("n1"), Node("n2")], services=[Service("fp", url=FP)], proxy="strict"
    )
    pin = pin_at(topology, machineid=None)
    target = pin.route(FP)
    assert target.key == f"{pin.machineid}~{target.node}"


def test_an_unknown_node_is_refused_with_the_names_of_those_there_are():
    with pytest.raises(UnknownNode, match="no node 'n9' here; there are: n1, n2, n3"):
        pin_at(site(), node="n9")


def test_looking_at_a_url_changes_nothing_and_holding_it_pins():
    bare = Pin("a1b2")
    bare.add_scope(FP)
    for pin in (bare, pin_at(site())):
        before = pin.state()
        for url in (FP, f"{FP}/x", "http://10.0.0.2:8093/outputs/x.nc", "http://else.example/"):
            pin.peek(url)
            pin.is_local(url)
            pin.is_outside(url)
            pin.shown_link(url)
        assert (pin.state(), pin.node, pin.pinned) == (before, None, False)
        held = pin.hold(FP)
        assert pin.pinned
        assert pin.route(FP).node == held.node
    assert bare.is_outside("http://else.example/")
    assert not bare.is_outside(FP)


def test_a_node_cannot_be_asked_for_where_nothing_is_known():
    pin = Pin("a1b2", node="n1")
    pin.add_scope(FP)
    with pytest.raises(TopologyError, match=r"no topology is known for http://proxy.example:8093"):
        pin.route(FP)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"route": "fast"}, r"route is 'fast'; expected 'auto', 'proxy' or 'direct'"),
        ({"strict": "no"}, "strict is 'no'; expected True or False"),
        ({"header": "machine id"}, "header is 'machine id'; expected the name"),
        ({"header": ""}, "header is ''; expected the name"),
        ({"header": None}, "header is None; expected the name"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, words):
    with pytest.raises(InvalidRequest, match=words):
        Pin("a1b2", **options)


def test_a_direct_route_needs_a_topology():
    with pytest.raises(TopologyError, match="route='direct' needs a topology"):
        Pin("a1b2", route="direct")


# ---- evidence ----


def answered(pin: Pin, node: str | None, status: int = 200, url: str = FP):
    """Send a request, and let a node answer it."""
    headers = {} if node is None else {"X-Node": node}
    target = pin.route(url)
    seen = seen_in(target, status, headers)
    return pin.evidence.answer(target, seen, url, success=status < 300)


def test_before_anything_was_executed_the_node_that_answers_is_the_workflows():
    pin = pin_at(site(evidence="X-Node"))
    first = pin.route(FP).node
    other = next(name for name in ("n1", "n2", "n3") if name != first)
    assert answered(pin, other) is None
    assert (pin.node, pin.node_known) == (other, "proved")


@pytest.mark.parametrize("status", [200, 201, 400, 404, 500])
def test_once_pinned_the_answer_of_another_node_is_lost(status):
    pin = pin_at(site(evidence="X-Node"), node="n1")
    with pytest.raises(AffinityLost, match="node 'n2' answered") as caught:
        answered(pin, "n2", status)
    error = caught.value
    assert (error.machineid, error.node, error.answered_by, error.url) == ("a1b2", "n1", "n2", FP)
    assert pin.node == "n1"


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateways_own_answer_proves_nothing(status):
    pin = pin_at(site(evidence="X-Node"), node="n1")
    assert answered(pin, "n2", status) is None
    assert answered(pin, None, status) is None
    assert pin.node_known == "predicted"


@pytest.mark.parametrize("status", [200, 201, 204])
def test_evidence_that_came_and_is_missing_now_is_lost(status):
    pin = pin_at(site(evidence="X-Node"), node="n1")
    answered(pin, "n1")
    with pytest.raises(AffinityLost, match="the answer has no X-Node header") as caught:
        answered(pin, None, status)
    assert caught.value.answered_by is None


def test_evidence_that_never_came_is_stripped_on_the_way_with_one_warning_for_the_site():
    pin = pin_at(site(evidence="X-Node"), node="n1")
    with pytest.warns(EvidenceStrippedWarning, match=r"X-Node, .* http://proxy\.example:8093/wps"):
        assert answered(pin, None) is None
    assert [answered(pin, None, url=url) for url in (FP, MF, FP)] == [None] * 3
    assert (pin.node, pin.node_known) == ("n1", "predicted")
    assert len(pin.warned) == 1


@pytest.mark.filterwarnings("ignore::pavics_affinity.errors.EvidenceStrippedWarning")
def test_evidence_is_judged_by_the_services_url_and_outputs_may_prove_the_node():
    outputs = {name: f"http://proxy.example/wpsoutputs/{name}" for name in ("fp", "mf")}
    services = [
        replace(service, outputs=Outputs(outputs[service.name], "/outputs"))
        for service in site().services
    ]
    pin = pin_at(replace(site(evidence="X-Node"), services=tuple(services)), node="n1")
    assert answered(pin, None) is None
    assert answered(pin, "n1", url=f"{outputs['fp']}/a/status.xml") is None
    assert pin.node_known == "proved"
    assert answered(pin, None) is None
    with pytest.raises(AffinityLost, match="no X-Node header"):
        answered(pin, None, url=f"{outputs['fp']}/b/out.nc")
    assert answered(pin, None, url=f"{outputs['mf']}/out.nc") is None
    with pytest.raises(AffinityLost, match="node 'n2' answered"):
        answered(pin, "n2")


def test_evidence_is_not_missing_where_no_service_is():
    pin = pin_at(site(evidence="X-Node", host="proxy.example"), node="n1")
    assert answered(pin, None, url="http://proxy.example/thredds/catalog.xml") is None
    with pytest.raises(AffinityLost, match="node 'n2' answered"):
        answered(pin, "n2", url="http://proxy.example/thredds/catalog.xml")


@pytest.mark.parametrize("status", [301, 400, 404, 421, 500])
def test_an_error_without_evidence_may_be_the_proxys_own(status):
    pin = pin_at(site(evidence="X-Node"), node="n1")
    assert answered(pin, None, status) is None


def test_an_unknown_address_is_lost():
    pin = pin_at(site(evidence="X-Node"), node="n1")
    with pytest.raises(AffinityLost, match=r"'10\.9\.9\.9:1', which is not a node of this site"):
        answered(pin, "10.9.9.9:1")


def test_without_strictness_each_wrong_turn_is_a_warning_and_the_node_stays():
    pin = pin_at(site(evidence="X-Node"), node="n1", strict=False)
    answered(pin, "n1")
    for node, words in (("n2", "node 'n2' answered"), (None, "no X-Node header")):
        with pytest.warns(AffinityWarning, match=words):
            assert answered(pin, node) is None
    assert pin.node == "n1"


def test_a_reference_on_the_first_executes_node_is_taken_as_evidence():
    pin = pin_at(site())
    node = executed(pin)
    other = next(i for i in (1, 2, 3) if f"n{i}" != node)
    pin.note_reference(f"http://10.0.0.{other}:8093/outputs/status.xml")
    assert (pin.node, pin.node_known) == (f"n{other}", "proved")
    with pytest.raises(AffinityLost, match="the answer names http"):
        pin.note_reference(f"http://10.0.0.{other % 3 + 1}:8093/outputs/status.xml")


def test_a_reference_that_names_another_node_than_the_one_asked_for_is_lost():
    pin = pin_at(site(), node="n1")
    executed(pin)
    words = r"10\.0\.0\.2:8093/outputs/x\.xml, which is on node 'n2'"
    with pytest.raises(AffinityLost, match=words):
        pin.note_reference("http://10.0.0.2:8093/outputs/x.xml")
    assert (pin.node, pin.node_known) == ("n1", "predicted")


def test_a_reference_that_names_another_node_warns_where_it_is_not_strict():
    pin = pin_at(site(), node="n1", strict=False)
    executed(pin)
    with pytest.warns(AffinityWarning, match="on node 'n2'"):
        pin.note_reference("http://10.0.0.2:8093/outputs/x.xml")
    assert pin.node == "n1"


def test_a_second_executes_reference_cannot_move_the_workflow():
    pin = pin_at(site())
    node = executed(pin)
    executed(pin)
    other = next(i for i in (1, 2, 3) if f"n{i}" != node)
    with pytest.raises(AffinityLost):
        pin.note_reference(f"http://10.0.0.{other}:8093/outputs/status.xml")
    assert pin.node == node


def test_a_reference_at_the_proxy_or_elsewhere_proves_nothing():
    pin = pin_at(site(), node="n1")
    executed(pin)
    for url in (FP.replace("wps", "outputs/x.xml"), "http://elsewhere.example/x.nc"):
        pin.note_reference(url)
    assert pin.node_known == "predicted"


def test_a_url_of_another_node_is_not_asked_once_pinned():
    pin = pin_at(site(), node="n1")
    with pytest.raises(AffinityLost, match=r"is on node 'n2', and workflow 'a1b2' is pinned"):
        pin.route("http://10.0.0.2:8093/outputs/x.nc")
    free = pin_at(site())
    assert free.route("http://10.0.0.2:8093/outputs/x.nc").node == "n2"
    assert (free.node, free.node_known) == ("n2", "predicted")


# ---- two sites ----


def two_sites() -> tuple[Topology, Topology]:
    return site(), site("n1", "n2", "n3", host="other.example", net="10.0.9")


def test_each_site_has_a_pin_and_node_names_do_not_mix():
    here, there = two_sites()
    other = "http://other.example:8093/wps"
    pin = pin_at(here, there, node="n3")
    assert pin.route(FP).node == "n3"
    executed(pin)
    elsewhere = pin.route(other)
    assert elsewhere.node == there.first_node("fp", "a1b2")
    pin.executed(elsewhere)
    pin.note_reference("http://10.0.9.3:8093/outputs/x.xml")
    assert pin.route(other).node == "n3"
    pin.note_reference("http://10.0.0.3:8093/outputs/x.xml")
    with pytest.raises(AffinityLost):
        pin.note_reference("http://10.0.0.1:8093/outputs/x.xml")
    assert [s.node for s in pin.sites] == ["n3", "n3"]


def test_the_node_asked_for_is_that_of_the_first_site_that_is_used():
    here, there = two_sites()
    pin = pin_at(here, there, node="n2")
    assert pin.route("http://other.example:8093/wps").node == "n2"
    assert pin.route(FP).node == here.first_node("fp", "a1b2")


def test_a_node_of_the_second_site_is_not_looked_for_at_the_first():
    here = site("n1", "n2", "n3")
    there = site("m1", "m2", host="other.example", net="10.0.9")
    pin = pin_at(here, there, node="m2")
    assert pin.route(FP).node == here.first_node("fp", "a1b2")
    assert pin.route("http://other.example:8093/wps").node == "m2"


def test_a_copy_in_another_process_has_the_node_of_each_site():
    here, there = two_sites()
    for _ in range(10):
        pin = pin_at(here, there, machineid=None)
        urls = (FP, "http://other.example:8093/wps")
        nodes = [executed(pin, url) for url in urls]
        copy = Pin.of(pickle.loads(pickle.dumps(pin.state())))
        assert copy.machineid == pin.machineid
        assert [copy.route(url).node for url in urls] == nodes


# ---- what changes ----


def test_a_renewed_file_changes_the_key_and_not_the_node(tmp_path):
    path = tmp_path / "site.toml"
    site("n1", "n2", "n3").dump(path)
    pin = Pin("a1b2", sources=[FileSource(path)])
    node = executed(pin)
    keys = {pin.route(FP).key}
    for names in (("n1", "n2", "n3", "n4"), ("n3", "n2", "n1"), ("n2", "n1", "n3")):
        topology = site(*names)
        topology.dump(path)
        target = pin.route(FP, execute=True)
        assert target.node == node
        assert topology.first_node("fp", target.key) == node
        keys.add(target.key)
    assert len(keys) > 1


def test_a_pinned_node_that_is_taken_out_of_the_file_is_an_error(tmp_path):
    path = tmp_path / "site.toml"
    site("n1", "n2", "n3").dump(path)
    pin = Pin("a1b2", node="n3", sources=[FileSource(path)])
    executed(pin)
    site("n1", "n2").dump(path)
    with pytest.raises(TopologyError, match=r"'fp' has no backend on node 'n3'.*on: n1, n2"):
        pin.route(FP)


def test_an_unpinned_workflow_leaves_a_node_that_is_taken_out_of_the_file(tmp_path):
    path = tmp_path / "site.toml"
    site("n1", "n2").dump(path)
    pin = Pin("a1b2", sources=[FileSource(path)])
    gone = pin.route(FP).node
    left = next(name for name in ("n1", "n2") if name != gone)
    site(left).dump(path)
    assert pin.route(FP).node == left


def test_a_workflow_that_leaves_a_node_for_another_service_forgets_the_keys_that_led_there():
    """The second service is not on every node, and its hash may lead to the drained one."""
    nodes = [Node(f"n{i}", host=f"10.0.0.{i}", drain=i == 4) for i in (1, 2, 3, 4)]
    first = Service("fp", url=FP, port=8093)
    second = Service("mf", url=MF, port=8091, backends=(Backend("n3"), Backend("n4")))
    topology = Topology(nodes=nodes, services=(first, second))
    for machineid in map(str, range(40)):
        pin = pin_at(topology, machineid=machineid, given=False)
        pin.route(FP), pin.route(MF)
        target = pin.route(FP)
        assert target.key == topology.routing_key(first, machineid, target.node)


def test_a_stray_answer_after_the_file_has_changed_may_be_repeated(tmp_path):
    path = tmp_path / "site.toml"
    site("n1", "n2", "n3", evidence="X-Node").dump(path)
    pin = Pin("a1b2", node="n1", sources=[FileSource(path)])
    target = pin.route(FP)
    site("n2", "n1", "n3", evidence="X-Node").dump(path)
    seen = seen_in(target, 200, {"X-Node": "n2"})
    assert pin.evidence.answer(target, seen, FP, success=True) == "n2"
    again = pin.route(FP)
    assert again.node == "n1"
    seen = seen_in(again, 200, {"X-Node": "n1"})
    assert pin.evidence.answer(again, seen, FP, success=True) is None


class Changing:
    """A source as a proxy's document is one: another version each time it is asked again."""

    def __init__(self, *versions: Topology) -> None:
        self.current, *self.later = versions
        self.asked: list[bool] = []

    def renew(self, *, thorough: bool = False) -> bool:
        self.asked.append(thorough)
        if not thorough or not self.later:
            return False
        self.current = self.later.pop(0)
        return True


def test_a_published_topology_is_asked_for_again_before_an_execute_only():
    source = Changing(site("n1", "n2"), site("n2", "n1"))
    pin = Pin("a1b2", node="n1", sources=[source])
    pin.route(FP)
    assert source.asked == [False]
    target = pin.route(FP, execute=True)
    assert source.asked == [False, True]
    assert site("n2", "n1").first_node("fp", target.key) == "n1"


def test_keys_are_found_again_when_many_threads_see_the_change():
    versions = [site("n1", "n2", "n3"), site("n3", "n1", "n2"), site("n2", "n3", "n1")] * 20
    source = Changing(*versions)
    pin = Pin("a1b2", node="n2", sources=[source])

    def route(i: int) -> bool:
        target = pin.route(FP, execute=i % 5 == 0)
        return any(v.first_node("fp", target.key) == "n2" for v in versions[:3])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(route, range(300)))
    assert source.current.first_node("fp", pin.route(FP).key) == "n2"


# ---- past the proxy ----


def test_the_node_itself_is_asked_only_without_a_step_down_from_https():
    for scheme, allowed in (("http", True), ("https", False)):
        pin = pin_at(site(scheme=scheme))
        url = f"{scheme}://proxy.example:8093/wps"
        assert pin.can_go_direct(pin.route(url)) is allowed


def test_the_route_by_the_proxy_is_never_left():
    pin = pin_at(site(), route="proxy")
    assert not pin.can_go_direct(pin.route(FP))


def test_the_direct_route_takes_paths_and_outputs_along():
    topology = Topology(
        nodes=[Node("n1", host="10.0.0.1")],
        services=[
            Service(
                "fp",
                url="https://site.example/twitcher/ows/proxy/fp/wps",
                port=8093,
                path="/wps",
                outputs=Outputs("https://site.example/wpsoutputs/fp", "/files"),
            )
        ],
    )
    pin = pin_at(topology, route="direct")
    for public, direct in (
        ("/twitcher/ows/proxy/fp/wps?service=WPS", "/wps?service=WPS"),
        ("/wpsoutputs/fp/a/b.nc?x#y", "/files/a/b.nc?x#y"),
    ):
        target = pin.route("https://site.example" + public)
        assert target.url == "http://10.0.0.1:8093" + direct
        assert (target.route, target.node) == ("direct", "n1")


# ---- who receives the machineid ----


@pytest.mark.parametrize(
    "url",
    [
        "http://PROXY.Example:8093/wps",
        "http://proxy.example.:8093/wps",
        "http://user:word@proxy.example:8093/wps",
        "HTTP://proxy.example:8093/wps?x",
    ],
)
def test_a_services_url_is_known_in_each_spelling(url):
    target = pin_at(site(), node="n2").route(url)
    assert (target.service, target.node) == ("fp", "n2")


@pytest.mark.parametrize(
    ("known", "url"),
    [
        ("http://proxy.example/wps", "http://proxy.example:80/wps"),
        ("https://proxy.example:443/wps", "https://proxy.example/wps"),
        ("http://[::1]:8093/wps", "http://[0:0:0:0:0:0:0:1]:8093/wps"),
        ("http://bücher.example:8093/wps", "http://xn--bcher-kva.example:8093/wps"),
    ],
)
def test_default_ports_ipv6_and_names_in_other_scripts_are_one_host(known, url):
    topology = Topology([Node("n1")], [Service("fp", url=known, port=8093)])
    for one, other in ((known, url), (url, known)):
        assert pin_at(topology).route(other).service == "fp"
        bare = Pin("a1b2")
        bare.add_scope(one)
        assert bare.in_scope(other)


@pytest.mark.parametrize(
    "url",
    [
        "http://proxy.example:8093@elsewhere.example/wps",
        "http://proxy.example.elsewhere.example:8093/wps",
        "http://elsewhere.example/http://proxy.example:8093/wps",
        "http://proxy.example\\@elsewhere.example/wps",
        "ftp://proxy.example:8093/wps",
    ],
)
def test_a_look_alike_gets_no_key(url):
    target = pin_at(site()).route(url)
    assert (target.key, target.route, target.site) == (None, "outside", None)


# ---- a node that is gone ----


def test_a_strict_workflow_never_leaves_its_node():
    pin = pin_at(site(), node="n1")
    assert pin.leave(pin.route(FP), "it refused the connection") is False
    assert pin.route(FP).node == "n1"


def test_a_workflow_that_is_not_strict_leaves_a_dead_node_with_a_warning():
    pin = pin_at(site(), node="n1", strict=False)
    gone = []
    for _ in range(2):
        target = pin.route(FP, execute=True)
        pin.executed(target)
        with pytest.warns(AffinityWarning, match=f"node '{target.node}' does not answer"):
            assert pin.leave(target, "it refused the connection")
        gone.append(target.node)
    last = pin.route(FP, execute=True)
    pin.executed(last)
    assert {*gone, last.node} == {"n1", "n2", "n3"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pin.leave(last, "it refused the connection") is False
    assert pin.route(FP).node == last.node


def test_the_state_of_a_pin_is_plain_data():
    pin = Pin("a1b2")
    pin.add_scope(FP)
    executed(pin)
    assert json.loads(json.dumps(pin.state()))["machineid"] == "a1b2"


def test_an_unpinned_node_is_passed_over_and_a_pinned_one_is_not():
    pin = pin_at(site())
    first = pin.route(FP)
    assert first.site is not None
    assert first.site.pass_over(first)
    second = pin.route(FP)
    assert second.node != first.node
    pin.executed(second)
    assert not first.site.pass_over(second)
    assert pin.route(FP).node == second.node


@pytest.mark.parametrize("machineid", ["a1b2", None])
def test_only_nodes_that_have_the_service_are_taken_for_one_that_is_passed_over(machineid):
    base = site()
    two = Service("fp", url=FP, port=8093, backends=(Backend("n1"), Backend("n2")))
    pin = pin_at(base.with_services((two, base.services[1])), machineid=machineid)
    first = pin.route(FP)
    assert first.site is not None
    assert first.site.other_node(first)
    first.site.pass_over(first)
    second = pin.route(FP)
    assert {first.node, second.node} == {"n1", "n2"}
    assert not first.site.other_node(second)
    first.site.pass_over(second)
    third = pin.route(FP)
    assert third.node in ("n1", "n2")
    pin.executed(third)
    assert pin.route(MF).node == third.node


def test_a_node_that_was_passed_over_is_taken_for_a_service_that_has_no_other_one():
    base = site()
    one = Service("mf", url=MF, port=8091, backends=(Backend("n1"),))
    pin = pin_at(base.with_services((base.services[0], one)))
    for _ in range(3):
        target = pin.route(FP)
        if target.node == "n1":
            break
        pin.turn(target, Turn(node="other"), "busy")
    pin.turn(target, Turn(node="other"), "busy")
    assert pin.route(FP).node != "n1"
    assert pin.route(MF).node == "n1"


@pytest.mark.parametrize("strict", [True, False])
def test_a_url_that_names_a_node_is_not_asked_of_another_one(strict):
    pin = pin_at(site(), strict=strict)
    at_node = pin.route("http://10.0.0.2:8093/wps")
    assert at_node.site is not None
    assert not at_node.site.other_node(at_node)
    assert not pin.turn(at_node, Turn(node="other"), "busy")
    pin.executed(at_node)
    assert not at_node.site.may_leave(at_node)
    assert not pin.turn(at_node, Turn(node="leave"), "down")
    assert pin.node == "n2"


def test_a_service_that_the_pinned_node_does_not_offer_is_an_error():
    base = site()
    services = (base.services[0], Service("mf", url=MF, port=8091, backends=(Backend("n2"),)))
    elsewhere = next(i for i in map(str, range(99)) if base.first_node("fp", i) != "n2")
    pin = pin_at(base.with_services(services), machineid=elsewhere)
    node = executed(pin)
    with pytest.raises(BackendUnavailable, match=f"'mf' has no backend on node '{node}'"):
        pin.route(MF)


# ---- outputs that name their node ----

OUT = "http://proxy.example:8093/out"


def by_node(**options) -> Topology:
    outputs = Outputs(f"{OUT}/{{node}}", "/outputs")
    found = site(**options)
    return found.with_services([replace(found.services[0], outputs=outputs), found.services[1]])


@pytest.mark.parametrize("proxy", ["plain", "strict"])
def test_an_output_that_names_the_node_goes_through_the_proxy_and_proves_the_node(proxy):
    pin = pin_at(by_node(proxy=proxy))
    node = executed(pin)
    pin.note_reference(f"{OUT}/{node}/u/a.nc")
    assert (pin.node, pin.node_known) == (node, "proved")
    target = pin.route(f"{OUT}/{node}/u/a.nc")
    assert (target.url, target.route, target.node) == (f"{OUT}/{node}/u/a.nc", "proxy", node)
    assert target.key == (f"a1b2~{node}" if proxy == "strict" else pin.route(FP).key)


def test_an_output_that_names_another_node_is_lost_and_not_requested():
    pin = pin_at(by_node(), node="n1")
    executed(pin)
    with pytest.raises(AffinityLost, match="which is on node 'n2'") as lost:
        pin.note_reference(f"{OUT}/n2/u/a.nc")
    assert (lost.value.node, lost.value.answered_by) == ("n1", "n2")
    with pytest.raises(AffinityLost, match=r"Workflow\(node='n2'\)"):
        pin.route(f"{OUT}/n2/u/a.nc")


def test_the_first_execute_settles_the_node_that_its_document_names():
    pin = pin_at(by_node())
    node = executed(pin)
    other = next(name for name in ("n1", "n2", "n3") if name != node)
    pin.note_reference(f"{OUT}/{other}/u/a.xml")
    assert (pin.node, pin.node_known) == (other, "proved")


@pytest.mark.parametrize("strict", [True, False])
def test_an_unknown_nodes_name_is_an_error_that_lists_the_nodes(strict):
    pin = pin_at(by_node(), strict=strict)
    url = f"{OUT}/n9/u/a.nc"
    for act in (pin.route, pin.link):
        with pytest.raises(UnknownNode, match=r"'n9', and the nodes here are: n1, n2, n3") as bad:
            act(url)
        assert (bad.value.node, bad.value.url) == ("n9", url)
    assert pin.node is None
    executed(pin)
    expected = pytest.raises(AffinityLost, match="no node of the site is called 'n9'")
    with expected if strict else pytest.warns(AffinityWarning, match="is called 'n9'"):
        pin.note_reference(url)
    assert pin.node != "n9"


def test_a_new_node_is_looked_for_before_its_outputs_are_refused(tmp_path):
    path = tmp_path / "site.toml"
    by_node().dump(path)
    pin = Pin("a1b2", sources=[FileSource(path)])
    pin.route(FP)
    nodes = (*by_node().nodes, Node("n9", host="10.0.0.9"))
    replace(by_node(), nodes=nodes).dump(path)
    assert pin.route(f"{OUT}/n9/u/a.nc").node == "n9"
    assert pin.link(f"{OUT}/n9/u/a.nc") == f"{OUT}/n9/u/a.nc"


@pytest.mark.parametrize("node", ["n1", "n2"])
def test_without_a_proxy_such_an_output_is_asked_of_its_node(node):
    pin = pin_at(by_node(), route="direct", node="n1", strict=node == "n1")
    url = f"{OUT}/{node}/u/a.nc?x=1"
    own = f"http://10.0.0.{node[1]}:8093/outputs/u/a.nc?x=1"
    assert pin.link(url) == pin.shown_link(url) == own
    with contextlib.nullcontext() if node == "n1" else pytest.warns(AffinityWarning):
        target = pin.route(url)
    assert (target.url, target.route, target.node) == (own, "direct", node)


def test_a_link_to_such_an_output_is_the_url_and_holds_no_key():
    for proxy in ("plain", "strict"):
        pin = pin_at(by_node(proxy=proxy), node="n1")
        for node in ("n1", "n2"):
            url = f"{OUT}/{node}/u/a.nc"
            assert pin.link(url) == pin.link(url, ask_node=True) == pin.shown_link(url) == url
            assert not pin.is_local(url)
        assert pin.node == "n1"


def test_a_pinned_workflow_is_not_taken_to_another_nodes_file_when_the_proxy_is_away():
    pin = pin_at(by_node(), node="n1", strict=False)
    with pytest.warns(AffinityWarning):
        target = pin.route(f"{OUT}/n2/u/a.nc")
    assert not pin.can_go_direct(target)
    assert pin.can_go_direct(pin.route(f"{OUT}/n1/u/a.nc"))

"""Machineids: fresh ones, stable ones, and values that cannot be one."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavics_affinity import Workflow, derive_machineid, mint_machineid
from pavics_affinity.errors import (
    InvalidMachineId,
    PlacementUndetermined,
    SteeringImpossible,
    TopologyError,
    UnknownNode,
    UnknownService,
)
from pavics_affinity.machineid import validate_machineid
from pavics_affinity.protocol import LONGEST_MACHINEID
from pavics_affinity.topology import Backend, Node, Service, Topology


def site(*backends, method="hash", nodes=3):
    return Topology(
        [Node(f"node{i}", f"10.0.0.{i}") for i in range(1, nodes + 1)],
        [
            Service("finch", "http://proxy:8093/wps", port=8093, method=method, backends=backends),
            Service("emu", "http://proxy:8091/wps", port=8091),
        ],
    )


# ---- minted ----


def test_a_minted_id_is_128_random_bits_and_valid():
    minted = {mint_machineid() for _ in range(1000)}
    assert len(minted) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in minted)
    assert all(validate_machineid(each) == each for each in minted)


@pytest.mark.parametrize("method", ["hash", "hash consistent", "rendezvous"])
@pytest.mark.parametrize("node", ["node1", "node2", "node3"])
def test_an_id_minted_for_a_node_lands_there_by_itself(node, method):
    topology = site(method=method)
    for _ in range(20):
        assert topology.first_node("finch", mint_machineid(node=node, topology=topology)) == node


def test_the_service_decides_where_two_services_hash_differently():
    reverse = [Backend(f"node{i}") for i in (3, 2, 1)]
    topology = site(*reverse)
    minted = mint_machineid(node="node3", topology=topology, service="emu")
    assert topology.first_node("emu", minted) == "node3"
    assert topology.first_node("finch", minted) == "node1"


def test_ids_minted_for_a_node_of_a_thousand_land_there():
    topology = site(nodes=250)
    assert topology.first_node(None, mint_machineid(node="node77", topology=topology)) == "node77"


def test_minting_for_a_node_needs_a_topology():
    with pytest.raises(TopologyError, match="pass topology="):
        mint_machineid(node="node1")


def test_minting_for_an_unknown_node_or_service_names_the_known_ones():
    with pytest.raises(UnknownNode, match="node1, node2, node3"):
        mint_machineid(node="node9", topology=site())
    with pytest.raises(UnknownService, match="finch, emu"):
        mint_machineid(node="node1", topology=site(), service="heron")


def test_no_id_can_be_minted_for_a_node_that_is_down():
    topology = site(Backend("node1", down=True), Backend("node2"))
    with pytest.raises(SteeringImpossible, match=r"'node1' is marked down") as refused:
        mint_machineid(node="node1", topology=topology)
    assert refused.value.node == "node1"
    with pytest.raises(SteeringImpossible, match="no backend on node 'node3'"):
        mint_machineid(node="node3", topology=topology)


def test_minting_for_a_node_fails_if_addresses_are_not_known():
    discovered = Topology([Node("node1"), Node("node2")], [Service("finch", "http://proxy/wps")])
    with pytest.raises(PlacementUndetermined, match="give the node a host"):
        mint_machineid(node="node1", topology=discovered)


# ---- derived ----


def test_a_derived_id_is_always_and_everywhere_the_same():
    # Written down: another Python, platform or release must give the same.
    assert derive_machineid("alice", "heat-waves") == "efabdf06d4b8154ee79b08448d86ab5e"
    assert derive_machineid("Zoë", 7, b"\x00\xff") == "15490a2dcbea0bfa4fbd87e886a906cd"


def test_a_derived_id_does_not_depend_on_the_hash_seed_of_the_process():
    code = "from pavics_affinity import derive_machineid as d; print(d('alice', 'heat-waves'))"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "efabdf06d4b8154ee79b08448d86ab5e"


def test_parts_are_kept_apart():
    ids = [
        derive_machineid(*parts)
        for parts in [("a", "bc"), ("ab", "c"), ("abc",), ("abc", ""), ("", "abc"), ("1:a", "bc")]
    ]
    assert len(set(ids)) == len(ids)


def test_text_is_converted_to_one_unicode_form():
    assert derive_machineid("e\u0301t\u00e9") == derive_machineid("\u00e9te\u0301")


def test_a_path_is_converted_to_forward_slashes():
    expected = derive_machineid("data/run1")
    assert derive_machineid(PurePosixPath("data/run1")) == expected
    assert derive_machineid(PureWindowsPath("data\\run1")) == expected
    assert derive_machineid(Path("data") / "run1") == expected


def test_a_path_like_object_of_bytes_is_a_path():
    class BytesPath:
        def __fspath__(self):
            return b"data/run1"

    assert derive_machineid(BytesPath()) == derive_machineid("data/run1")


@pytest.mark.parametrize("parts", [(), ("",), ("", b""), (None,), (1.5,), (True,), (["a"],)])
def test_nothing_is_derived_from_nothing_or_from_other_types(parts):
    with pytest.raises(InvalidMachineId, match="cannot derive a machineid"):
        derive_machineid(*parts)


@given(st.lists(st.one_of(st.text(), st.binary(), st.integers()), min_size=1))
def test_every_derived_id_is_a_valid_machineid(parts):
    if not any(part or part == 0 for part in parts):
        return
    assert validate_machineid(derive_machineid(*parts))


def test_derived_ids_spread_over_the_nodes():
    topology = site()
    counts = Counter(topology.first_node(None, derive_machineid("user", i)) for i in range(3000))
    assert all(abs(count - 1000) < 130 for count in counts.values())  # 5 standard deviations


# ---- validated ----


@pytest.mark.parametrize("value", ["a", "A-Z.a_z-09", "x" * LONGEST_MACHINEID, "..", b"bytes"])
def test_unreserved_characters_make_a_machineid(value):
    expected = value.decode() if isinstance(value, bytes) else value
    assert validate_machineid(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * (LONGEST_MACHINEID + 1),
        "a b",
        "a\nb",
        "a\n",
        "a\r\nX-Evil: 1",
        "a\x00",
        "a~1",
        "a,b",
        "a;b",
        "a%20",
        "é",
        "\u0661",  # an Arabic digit: a digit to str, not to a header
        b"\xff",
        None,
        7,
        True,
        ["a"],
    ],
)
def test_any_other_value_is_refused_with_advice(value):
    with pytest.raises(InvalidMachineId, match=r"mint_machineid\(\)") as refused:
        validate_machineid(value)
    assert "\n" not in refused.value.message


def test_a_huge_value_is_not_repeated_in_full():
    with pytest.raises(InvalidMachineId) as refused:
        validate_machineid("!" * 1_000_000)
    assert len(str(refused.value)) < 400


@given(st.text())
def test_a_valid_machineid_needs_no_escapes_in_headers_and_queries(value):
    try:
        passed = validate_machineid(value)
    except InvalidMachineId:
        return
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,200}", passed, re.ASCII)


def test_a_url_instead_of_a_machineid_suggests_a_client():
    with pytest.raises(InvalidMachineId, match=r"it is a URL. Write Workflow\(\).wps\(url\)"):
        Workflow("http://proxy.example:58091/wps")

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmh3 import hash as murmur

from pavics_affinity.errors import InvalidPlacement, PlacementUndetermined
from pavics_affinity.placement import Rendezvous

names = st.text(min_size=1, max_size=12)
weights = st.dictionaries(names, st.sampled_from([0.5, 1, 1, 1, 2, 3.5]), min_size=1, max_size=12)
keys = st.one_of(st.text(), st.binary())


@given(weights, keys)
def test_order_is_a_permutation_that_begins_with_the_place(nodes, key):
    placement = Rendezvous(nodes)
    order = list(placement.order(key))
    assert sorted(order) == sorted(nodes)
    assert placement.place(key) == order[0]
    for i in range(1, len(order)):
        assert placement.place(key, unreachable=order[:i]) == order[i]


@given(weights, keys)
def test_removing_a_node_moves_only_its_keys(nodes, key):
    order = list(Rendezvous(nodes).order(key))
    for gone in order:
        rest = {name: weight for name, weight in nodes.items() if name != gone}
        if rest:
            assert list(Rendezvous(rest).order(key)) == [name for name in order if name != gone]


@given(weights, names, keys)
def test_adding_a_node_takes_keys_and_moves_none_between_the_others(nodes, new, key):
    before = Rendezvous(nodes).place(key)
    assert Rendezvous({**nodes, new: nodes.get(new, 1)}).place(key) in {before, new}


@given(weights, keys, st.randoms())
def test_the_order_of_the_mapping_and_the_scale_of_weights_do_not_matter(nodes, key, rng):
    shuffled = list(nodes.items())
    rng.shuffle(shuffled)
    expected = list(Rendezvous(nodes).order(key))
    assert list(Rendezvous(dict(shuffled)).order(key)) == expected
    assert list(Rendezvous({n: 4 * w for n, w in nodes.items()}).order(key)) == expected


@settings(max_examples=15, deadline=None)
@given(weights, st.integers(0, 2**32))
def test_weights_give_shares_within_sampling_error(nodes, salt):
    placement = Rendezvous(nodes)
    draws = 3000
    seen = Counter(placement.place(f"{salt}/{i}") for i in range(draws))
    for name in nodes:
        share = placement.share(name)
        deviation = math.sqrt(draws * share * (1 - share))
        assert abs(seen[name] - draws * share) <= 5.5 * deviation + 1e-9


def test_the_score_is_that_of_the_paper():
    nodes = {"node1": 1.0, "node2": 2.0, "node3": 0.5, "node4": 2.0}

    def score(name: str, key: str) -> float:
        u = (murmur(key, murmur(name, 0, False)) + 2**31 + 0.5) / 2**32
        return -nodes[name] / math.log(u)

    placement = Rendezvous(nodes)
    for key in map(str, range(500)):
        expected = sorted(nodes, key=lambda name: score(name, key), reverse=True)
        assert list(placement.order(key)) == expected


def test_placements_stay_the_same_from_release_to_release():
    keys = ["a1b2", "x", "é漢", b"\xff\x00", "0", "wf-2"]
    equal = Rendezvous({"node1": 1, "node2": 1, "node3": 1})
    weighted = Rendezvous({"node1": 1, "node2": 2, "node3": 3})
    digits = [[name[-1] for name in equal.order(key)] for key in keys]
    assert ["".join(row) for row in digits] == ["312", "312", "312", "213", "312", "132"]
    digits = [[name[-1] for name in weighted.order(key)] for key in keys]
    assert ["".join(row) for row in digits] == ["321", "321", "312", "231", "321", "312"]


def test_equal_draws_go_to_the_first_by_name(monkeypatch):
    monkeypatch.setattr("pavics_affinity.placement.rendezvous.murmur", _seed_of_name_only)
    nodes = {"b": 2, "c": 1, "a": 2, "d": 1}
    assert list(Rendezvous(nodes).order("key")) == ["a", "b", "c", "d"]
    assert Rendezvous(nodes).place("key") == "a"
    assert Rendezvous(dict.fromkeys(nodes, 1)).place("key") == "a"


def _seed_of_name_only(text, seed=0, signed=True):
    return 7 if signed else ord(text[0])


def test_two_names_with_one_seed_still_share_the_keys():
    seen: dict[int, str] = {}
    for i in itertools.count():
        name = f"node{i}"
        seed = murmur(name, 0, False)
        if seed in seen:
            break
        seen[seed] = name
    placement = Rendezvous({name: 1, seen[seed]: 1})
    counts = Counter(placement.place(str(i)) for i in range(2000))
    assert min(counts.values()) > 850


def test_text_and_its_bytes_are_the_same_key():
    placement = Rendezvous({"node1": 1, "node2": 2, "node3": 1})
    for key in ("a", "é漢🚀", "~" * 99):
        assert list(placement.order(key)) == list(placement.order(key.encode()))


def test_all_unreachable_is_an_error():
    with pytest.raises(PlacementUndetermined, match="node1, node2"):
        Rendezvous({"node1": 1, "node2": 1}).place("a", unreachable=["node1", "node2"])


@pytest.mark.parametrize("weight", [0, -1, math.inf, math.nan, 1e-320, True, "2", None])
def test_a_weight_that_is_not_a_positive_number_is_refused(weight):
    with pytest.raises(InvalidPlacement, match="node1"):
        Rendezvous({"node1": weight, "node2": 1})


@pytest.mark.parametrize("nodes", [{}, {"": 1}, {3: 1}])
def test_nodes_have_names(nodes):
    with pytest.raises(InvalidPlacement, match="expected"):
        Rendezvous(nodes)

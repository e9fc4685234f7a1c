"""Which node takes the next chain."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from pavics_affinity.batch.scheduler import CandidateNodes, Scheduler


def share(weights: dict[str, float], per_node: int | None = None) -> Scheduler:
    nodes = CandidateNodes((), direct=False)
    nodes.weights = weights
    return Scheduler(nodes, per_node)


def fill(made: Scheduler) -> Counter[str | None]:
    """Begin chains until one would have to wait."""
    begun: Counter[str | None] = Counter()
    while (place := made.choose()) is not None:
        made.begin(place[0])
        begun[place[0]] += 1
    return begun


def run(made: Scheduler, chains: int, seconds: dict[str, float]) -> Counter[str | None]:
    """Run chains that take so long on each node; return how many each had."""
    generator = random.Random(1)
    given: Counter[str | None] = Counter()
    ends: list[tuple[float, str]] = []
    now = 0.0
    while given.total() < chains:
        while given.total() < chains and (place := made.choose()) is not None:
            [node] = place
            assert node is not None
            made.begin(node)
            given[node] += 1
            ends.append((now + seconds[node] * generator.uniform(0.5, 1.5), node))
        ends.sort()
        now, node = ends.pop(0)
        made.end(node)
    return given


def test_no_node_has_more_than_per_node_at_a_time():
    assert fill(share({"a": 1, "b": 1, "c": 1}, per_node=3)) == {"a": 3, "b": 3, "c": 3}


def test_nodes_of_less_weight_have_less_at_a_time_and_one_at_least():
    assert fill(share({"a": 1, "b": 2, "c": 5}, per_node=10)) == {"a": 2, "b": 4, "c": 10}
    assert fill(share({"a": 1, "b": 50}, per_node=1)) == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("weights", "at_once"),
    [({"a": 1, "b": 1}, 4), ({"a": 1, "b": 2}, 8), ({"a": 1, "b": 100}, 16), ({}, 8)],
)
def test_how_many_by_default(weights, at_once):
    assert share(weights).per_node == at_once


@pytest.mark.parametrize("per_node", [None, 4, 10])
@pytest.mark.parametrize(
    "weights", [{"a": 1, "b": 2, "c": 5}, {"a": 10, "b": 11, "c": 12}, {"a": 1, "b": 1}]
)
def test_shares_are_by_weight_within_five_points(weights, per_node):
    given = run(share(weights, per_node), 400, dict.fromkeys(weights, 1.0))
    for node, weight in weights.items():
        expected = weight / sum(weights.values())
        assert given[node] / 400 == pytest.approx(expected, abs=0.05)


def test_a_slow_node_gets_less():
    given = run(share({"a": 1, "b": 1, "c": 1}), 400, {"a": 1.0, "b": 1.0, "c": 4.0})
    assert given["c"] < 0.15 * 400
    assert given["a"] == pytest.approx(given["b"], rel=0.1)


def test_a_lost_node_gets_nothing_until_it_is_found():
    made = share({"a": 1, "b": 1}, per_node=2)
    made.lost.add("a")
    assert fill(made) == {"b": 2}
    made.lost.discard("a")
    assert fill(made) == {"a": 2}


def test_with_every_node_lost_nothing_is_begun():
    made = share({"a": 1})
    made.lost.add("a")
    assert made.stranded
    assert made.choose() is None


def test_a_chain_avoids_the_node_that_it_lost_unless_there_is_no_other():
    made = share({"a": 1, "b": 1}, per_node=1)
    assert made.choose(avoid={"a"}) == ("b",)
    made.begin("b")
    assert made.choose(avoid={"a"}) is None
    assert share({"a": 1}).choose(avoid={"a"}) == ("a",)


def test_a_chain_that_belongs_on_a_node_waits_for_room_there():
    made = share({"a": 1, "b": 1}, per_node=1)
    assert made.has_room("a")
    made.begin("a")
    assert not made.has_room("a")
    made.end("a")
    made.lost.add("a")
    assert not made.has_room("a")


def test_where_no_nodes_are_known_a_bounded_number_runs_at_a_time():
    assert fill(share({})) == {None: 8}
    assert fill(share({}, per_node=3)) == {None: 3}

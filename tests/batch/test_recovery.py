"""Nodes that are lost: which chains may start again, and how long nodes are waited for."""

from __future__ import annotations

import pytest

from pavics_affinity.batch.intake import Work
from pavics_affinity.batch.recovery import LostNodes
from pavics_affinity.batch.scheduler import CandidateNodes, Scheduler


@pytest.mark.parametrize(
    ("before", "ran", "after"),
    [
        ((0, 5), False, (0, 4)),
        ((2, 5), False, (2, 4)),
        ((2, 0), False, (1, 0)),
        ((2, 5), True, (1, 5)),
        ((0, 0), False, None),
        ((0, 5), True, None),
    ],
)
def test_a_chain_restarts_as_often_as_is_left_for_what_it_did(before, ran, after):
    work = Work(1, "x", *before, machineid="a1b2", node="a")
    assert work.restart(ran=ran) == (after is not None)
    assert (work.restarts, work.unexecuted) == (after or before)
    assert work.is_resumed == (after is None)


@pytest.fixture
def scheduler():
    nodes = CandidateNodes((), direct=False)
    nodes.weights = {"a": 1, "b": 1}
    return Scheduler(nodes, None)


@pytest.fixture
def lost(scheduler):
    made = LostNodes(scheduler, patience=0.0, options={}, found=scheduler.lost.discard)
    yield made
    made.close()


def test_a_node_is_lost_once(lost, scheduler):
    assert lost.lose("a")
    assert not lost.lose("a")
    assert scheduler.lost == {"a"}


def test_an_outage_begins_when_all_nodes_are_lost_and_no_chain_runs(lost, scheduler):
    scheduler.lost.add("a")
    assert lost.outage(busy=False) is None
    scheduler.lost.add("b")
    assert lost.outage(busy=True) is None
    lost.outage(busy=False)
    error = lost.outage(busy=False)
    assert error is not None
    assert "a, b do not answer" in str(error)


def test_only_an_item_that_is_resumed_waits_for_its_node(lost, scheduler):
    scheduler.lost.add("a")
    fresh = Work(1, "x")
    begun = Work(2, "y", machineid="a1b2", node="a")
    lost.overdue(begun)
    assert lost.overdue(fresh) is None
    error = lost.overdue(begun)
    assert error is not None
    assert (error.node, error.machineid) == ("a", "a1b2")

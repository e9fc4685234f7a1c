"""Nodes that are lost: which chains may start again, and how long nodes are waited for."""

from __future__ import annotations

import pytest

from pavics_affinity.batch.intake import Restarts, Work
from pavics_affinity.batch.journal import Entry
from pavics_affinity.batch.recovery import LostNodes
from pavics_affinity.batch.scheduler import CandidateNodes, Scheduler


@pytest.mark.parametrize(
    ("before", "ran", "after"),
    [
        (Restarts(0, unexecuted=5), False, Restarts(0, unexecuted=4)),
        (Restarts(2, unexecuted=5), False, Restarts(2, unexecuted=4)),
        (Restarts(2, unexecuted=0), False, Restarts(1, unexecuted=0)),
        (Restarts(2, unexecuted=5), True, Restarts(1, unexecuted=5)),
        (Restarts(0, unexecuted=0), False, None),
        (Restarts(0, unexecuted=5), True, None),
    ],
)
def test_a_chain_restarts_as_often_as_is_left_for_what_it_did(before, ran, after):
    assert before.spend(ran=ran) == after


@pytest.fixture
def scheduler():
    made = Scheduler(None)
    made.weights = {"a": 1, "b": 1}
    return made


@pytest.fixture
def lost(scheduler):
    made = LostNodes(scheduler, patience=0.0, options={}, found=scheduler.lost.discard)
    yield made
    made.close()


def test_a_node_is_lost_once(lost, scheduler):
    nodes = CandidateNodes((), direct=False)
    assert lost.lose("a", nodes)
    assert not lost.lose("a", nodes)
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
    fresh = Work(1, "x", Restarts(0))
    begun = Work(2, "y", Restarts(0), entry=Entry("k", 1, machineid="a1b2", node="a"))
    lost.overdue(begun)
    assert lost.overdue(fresh) is None
    error = lost.overdue(begun)
    assert error is not None
    assert (error.node, error.machineid) == ("a", "a1b2")

"""Workflow: one machineid per block, thread and task; closed when the block ends."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import threading
import weakref
from datetime import timedelta

import pytest

from pavics_affinity import Node, Service, Topology, Workflow, current_workflow
from pavics_affinity.errors import (
    InvalidMachineId,
    InvalidRequest,
    TopologyError,
    UnknownNode,
    WorkflowClosed,
)

SITE = Topology(
    nodes=(Node("node1", host="127.0.0.11"), Node("node2", host="127.0.0.12")),
    services=(Service("fp", url="http://127.0.0.10:58093/wps", port=8093),),
)


def test_the_innermost_block_is_current():
    outside = current_workflow()
    with Workflow() as outer:
        assert current_workflow() is outer
        with Workflow() as inner:
            assert current_workflow() is inner
        assert current_workflow() is outer
    assert current_workflow() is outside


def test_a_process_has_one_workflow_outside_of_any_block():
    assert current_workflow() is current_workflow()


def test_the_processs_workflow_takes_its_machineid_from_the_environment():
    code = "import pavics_affinity as p; print(p.current_workflow().machineid)"
    environment = os.environ | {"PAVICS_AFFINITY_MACHINEID": "from-outside"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "from-outside"


def test_threads_do_not_see_each_others_blocks():
    seen: dict[int, bool] = {}
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        with Workflow() as mine:
            barrier.wait(10)
            seen[number] = current_workflow() is mine
            barrier.wait(10)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == dict.fromkeys(range(4), True)


def test_asyncio_tasks_do_not_see_each_others_blocks():
    async def task() -> bool:
        with Workflow() as mine:
            await asyncio.sleep(0.01)
            return current_workflow() is mine

    async def tasks() -> list[bool]:
        return await asyncio.gather(*(task() for _ in range(5)))

    assert asyncio.run(tasks()) == [True] * 5


def test_a_block_ends_the_workflow_and_later_use_says_so():
    with Workflow("kept-id") as wf:
        with wf:
            pass
        assert not wf.closed
    assert wf.closed
    wf.close()
    assert wf.closed
    with pytest.raises(WorkflowClosed, match="kept-id"):
        wf.wps("http://127.0.0.1:9/wps")
    with pytest.raises(WorkflowClosed), wf:
        pass


def test_an_error_inside_a_block_is_not_swallowed_and_ends_the_workflow():
    with pytest.raises(KeyError), Workflow() as wf:
        raise KeyError("x")
    assert wf.closed


def test_fresh_workflows_have_different_ids():
    assert len({Workflow().machineid for _ in range(50)}) == 50


@pytest.mark.parametrize("value", ["a b", "a\r\nX: 1", "", "a~1", "x" * 201])
def test_an_id_that_a_header_cannot_carry_is_refused(value):
    with pytest.raises(InvalidMachineId):
        Workflow(value)


def test_a_workflow_pickles_as_id_node_and_topology():
    original = Workflow("kept-id", node="node2", topology=SITE)
    copy = pickle.loads(pickle.dumps(original))
    assert (copy.machineid, copy.node) == ("kept-id", "node2")
    assert copy.session.pin.sites[0].topology == SITE


def test_a_session_keeps_its_workflow_while_it_is_used():
    workflow = Workflow("kept-id")
    copy, session = pickle.loads(pickle.dumps((workflow, workflow.session)))
    assert copy.session is session
    with copy:
        assert current_workflow() is copy
    seen = weakref.ref(workflow)
    del workflow
    assert seen() is None  # at once: there is no reference cycle


def test_the_patience_with_full_queues_stays_with_the_workflow(tmp_path):
    assert Workflow().session.affinity.patience == 300
    journal = tmp_path / "run"
    workflow = Workflow(patience=timedelta(minutes=1), journal=journal)
    assert workflow.session.affinity.patience == 60
    assert pickle.loads(pickle.dumps(workflow)).session.affinity.patience == 60
    workflow.close()
    with Workflow.resume(journal, patience=0) as resumed:
        assert resumed.session.affinity.patience == 0


@pytest.mark.parametrize(
    "wrong", [-1, -0.1, "300", None, True, False, float("nan"), [], timedelta(-1)]
)
def test_a_patience_that_is_not_a_duration_is_refused(wrong):
    with pytest.raises(InvalidRequest, match=r"patience is .*: expected seconds, 0 or more"):
        Workflow(patience=wrong)


def test_a_node_that_the_topology_does_not_know_is_refused():
    with pytest.raises(UnknownNode, match="node1, node2"):
        Workflow(node="node9", topology=SITE)


def test_the_direct_route_needs_a_topology():
    with pytest.raises(TopologyError, match="topology"):
        Workflow(route="direct")


def test_the_topology_comes_from_the_environment_and_never_from_the_working_directory(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    SITE.dump(tmp_path / "topology.toml")
    assert Workflow().session.pin.sites == ()
    monkeypatch.setenv("PAVICS_AFFINITY_TOPOLOGY", str(tmp_path / "topology.toml"))
    assert Workflow().session.pin.sites[0].topology == SITE


def test_it_shows_itself():
    assert repr(Workflow("kept-id")) == "<Workflow 'kept-id', node not known>"
    shown = repr(Workflow("kept-id", node="node2", topology=SITE))
    assert shown == "<Workflow 'kept-id' on node 'node2' (predicted)>"

"""Threads, tasks, processes and signals: no request carries another workflow's id.

Each chain gives its own machineid to the process ``fetch`` as a value, and the nodes write down
value and header of what they ran.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from faults.chains import fetch, fetch_by_the_ambient_workflow, in_another_process
from faults.site import faulty_site
from pavics_affinity import Workflow, current_workflow
from pavics_affinity.errors import AffinityError, WorkflowClosed

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def running():
    with faulty_site() as made:
        yield made


@pytest.fixture
def site(running):
    running.line.begin()
    running.clear()
    return running


def each_run_carried_its_own_id(site, expected: int) -> None:
    assert len(site.runs) == expected
    assert [run for run in site.runs if run.value != run.machineid] == []
    nodes: dict[str | None, set[str]] = {}
    for run in site.runs:
        nodes.setdefault(run.machineid, set()).add(run.node)
    assert {len(names) for names in nodes.values()} == {1}


def test_threads_with_a_workflow_each(site):
    url = f"{site.public}/wps"

    def chain(_: int) -> None:
        with Workflow() as wf:
            fetch(wf, url)
            fetch_by_the_ambient_workflow(url)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(chain, range(40)))
    each_run_carried_its_own_id(site, 80)
    assert len({run.machineid for run in site.runs}) == 40


def test_threads_with_one_workflow(site):
    url = f"{site.public}/wps"
    with Workflow() as wf, ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda _: fetch(wf, url), range(40)))
    each_run_carried_its_own_id(site, 40)
    assert {run.machineid for run in site.runs} == {wf.machineid}


def test_tasks_that_take_turns_in_the_middle_of_a_workflow(site):
    url = f"{site.public}/wps"

    async def chain() -> None:
        with Workflow() as wf:
            await asyncio.sleep(0)
            fetch_by_the_ambient_workflow(url)
            await asyncio.sleep(0.001)
            assert current_workflow() is wf
            await asyncio.to_thread(fetch, wf, url)

    async def all_of_them() -> None:
        await asyncio.gather(*(chain() for _ in range(20)))

    asyncio.run(all_of_them())
    each_run_carried_its_own_id(site, 40)


def test_nested_workflows_each_keep_their_own_id(site):
    url = f"{site.public}/wps"
    with Workflow("outer") as outer:
        fetch_by_the_ambient_workflow(url)
        with Workflow("inner"):
            fetch_by_the_ambient_workflow(url)
            fetch(outer, url)
        fetch_by_the_ambient_workflow(url)
    assert sorted(run.value for run in site.runs) == ["inner", "outer", "outer", "outer"]
    each_run_carried_its_own_id(site, 4)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_keep_the_id_and_open_their_own_connections(site, method):
    url = f"{site.public}/wps"
    workflows = [Workflow() for _ in range(6)]
    for wf in workflows:
        fetch(wf, url)  # so that each has a connection that a fork would share
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(3, mp_context=context) as pool:
        ids = list(pool.map(in_another_process, workflows, [url] * len(workflows)))
    assert ids == [wf.machineid for wf in workflows]
    for wf in workflows:
        fetch(wf, url)
        wf.close()
    each_run_carried_its_own_id(site, 24)


def test_a_fork_in_the_middle_of_a_workflow_mixes_no_answers(site):
    url = f"{site.public}/wps"
    with Workflow() as wf:
        fetch(wf, url)
        child = os.fork()
        if child == 0:  # the answers of both would come over one connection
            code = 1
            try:
                for _ in range(10):
                    fetch(wf, url)
                code = 0
            finally:
                os._exit(code)
        for _ in range(10):
            fetch(wf, url)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    each_run_carried_its_own_id(site, 21)


def test_closing_while_requests_are_under_way_ends_them_with_an_error_of_ours(site):
    url = f"{site.public}/wps"
    foreign: list[BaseException] = []
    closed = threading.Event()

    def until_closed(wf: Workflow) -> None:
        try:
            while True:
                fetch(wf, url)
        except WorkflowClosed:
            closed.set()
        except AffinityError:
            until_closed(wf)  # what was under way; the next one finds it closed
        except BaseException as error:  # noqa: BLE001  # the finding
            foreign.append(error)

    wf = Workflow()
    threads = [threading.Thread(target=until_closed, args=(wf,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    while len(site.runs) < 10:
        time.sleep(0.005)
    wf.close()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert foreign == []
    assert closed.is_set()
    ran = len(site.runs)
    with pytest.raises(WorkflowClosed):
        fetch(wf, url)
    assert len(site.runs) == ran


def script(directory: Path, text: str) -> Path:
    path = directory / "script.py"
    path.write_text(text)
    return path


def test_an_interpreter_that_ends_with_a_workflow_open_ends_quietly(site, tmp_path):
    path = script(
        tmp_path,
        "import sys, threading\n"
        "from pavics_affinity import Workflow\n"
        "wf = Workflow()\n"
        "wps = wf.wps(sys.argv[1])\n"
        "def work():\n"
        "    while True:\n"
        "        wps.execute('fetch', [('source', wf.machineid)]).wait()\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "wps.execute('fetch', [('source', wf.machineid)]).wait()\n"
        "print(wf.machineid)\n",
    )
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, path, f"{site.public}/wps"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert [run for run in site.runs if run.value != run.machineid] == []


def test_ctrl_c_during_an_execute_leaves_the_workflow_on_the_node_that_may_have_run_it(
    site, tmp_path
):
    path = script(
        tmp_path,
        "import sys\n"
        "from pavics_affinity import Workflow\n"
        "wf = Workflow(topology=sys.argv[2], route='direct')\n"
        "wps = wf.wps(sys.argv[1])\n"
        "wps.describeprocess('slow')\n"
        "print('ready', flush=True)\n"
        "try:\n"
        "    wps.execute('slow', [('source', wf.machineid)], mode='sync')\n"
        "except KeyboardInterrupt:\n"
        "    print(wf.session.pin.pinned, wf.steps[-1].state, wf.steps[-1].node == wf.node)\n",
    )
    site.direct.dump(tmp_path / "site.toml")
    running = subprocess.Popen(
        [sys.executable, path, f"{site.public}/wps", tmp_path / "site.toml"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout.readline() == "ready\n"
    while not site.runs:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert out == "True unknown True\n"
    assert len(site.runs) == 1

"""Errors, Ctrl-C, and batches that are left early: what continues, and what does not."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import psutil
import pytest

from pavics_affinity import map_workflows
from pavics_affinity.batch import dispatcher
from pavics_affinity.batch.intake import read_items
from pavics_affinity.errors import NothingSentWarning, WorkflowClosed
from support import chains


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("pavics-affinity")]


def fails_at(number):
    def chain(wf, item):
        if item == number:
            raise KeyError("a mistake in the chain")
        time.sleep(0.05)
        return item

    return chain


@pytest.mark.parametrize("order", ["as_completed", "input"])
def test_an_error_names_its_item_begins_no_more_and_costs_no_other(cluster, order):
    results = map_workflows(fails_at(7), range(40), topology=cluster.topology, order=order)
    values = []
    with pytest.raises(KeyError) as caught:
        values.extend(result.value for result in results)
    where, what = caught.value.__notes__
    chain = next(chain for chain in results.chains if chain.number == 8)
    assert f"item 8, 7, in workflow {chain.machineid!r} on node {chain.node!r}" in where
    assert "no more chains are started" in what
    wait_for(lambda: not results.running)
    begun = len(results.chains)
    assert begun < 40
    time.sleep(0.2)
    assert len(results.chains) == begun
    values.extend(result.value for result in results)  # continues
    assert sorted(values) == [n for n in range(40) if n != 7]
    if order == "input":
        assert values == sorted(values)


def test_with_errors_returned_every_item_gives_a_result(cluster):
    def chain(wf, item):
        if item % 3 == 0:
            raise ValueError(f"no {item}")
        return item

    results = list(map_workflows(chain, range(20), topology=cluster.topology, on_error="return"))
    assert len(results) == 20
    for result in results:
        if result.item % 3:
            assert (result.value, result.error, result.get()) == (result.item, None, result.item)
        else:
            assert result.value is None
            assert "failed on node" in repr(result)
            with pytest.raises(ValueError, match=f"no {result.item}"):
                result.get()


def test_an_endless_iterable_is_read_only_as_chains_can_begin(cluster, monkeypatch):
    monkeypatch.setattr(dispatcher, "WINDOW", 20)
    read = itertools.count()
    results = map_workflows(lambda wf, item: item, read, topology=cluster.topology, per_node=2)
    assert [next(results).value >= 0 for _ in range(3)] == [True] * 3
    wait_for(lambda: not results.running)
    time.sleep(0.2)
    # 3 were taken, 20 wait, and of those that ran then 6 at most, and one is read ahead.
    assert next(read) <= 3 + 20 + 6 + 1
    assert len([next(results) for _ in range(100)]) == 100
    results.close()


def test_an_iterable_that_waits_holds_up_no_result(cluster):
    more = threading.Event()

    def items():
        yield "first"
        more.wait(60)
        yield "second"

    results = map_workflows(lambda wf, item: item, items(), topology=cluster.topology)
    assert next(results).value == "first"
    more.set()
    assert [result.value for result in results] == ["second"]


def test_an_iterable_that_fails_costs_nothing_that_was_begun(cluster):
    def items():
        yield from range(5)
        raise LookupError("no such file")

    results = map_workflows(lambda wf, item: item, items(), topology=cluster.topology)
    values = []
    with pytest.raises(LookupError, match="no such file"):
        values.extend(result.value for result in results)
    assert sorted(values) == list(range(5))
    assert list(results) == []


def test_no_items_give_no_results(cluster):
    assert list(map_workflows(print, [], topology=cluster.topology)) == []


def test_left_early_a_batch_sends_nothing_more_and_leaves_no_thread(cluster):
    wait_for(lambda: not threads())

    def chain(wf, item):
        wps = wf.wps(cluster.url("malleefowl"), skip_caps=True)
        while True:
            wps.describeprocess("echo")
            wf.session.get(cluster.url("malleefowl"), params={"request": "GetCapabilities"})

    def leave():
        for _ in map_workflows(chain, range(30), topology=cluster.topology, progress=False):
            pass

    def interrupted(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, interrupted)
    signal.setitimer(signal.ITIMER_REAL, 1)
    with pytest.raises(TimeoutError) as caught:
        leave()
    signal.signal(signal.SIGALRM, before)
    del caught
    gc.collect()
    wait_for(lambda: not threads())


def test_a_closed_batch_says_so(cluster):
    with map_workflows(lambda wf, item: item, range(9), topology=cluster.topology) as results:
        next(results)
    with pytest.raises(WorkflowClosed, match="was closed"):
        next(results)


def test_a_closed_batch_reads_no_item_that_was_still_wanted():
    """The caller may continue with the iterator."""
    items = iter(range(9))
    wanted = SimpleQueue()
    wanted.put(True)
    wanted.put(False)
    read_items(items, 0, wanted, pytest.fail, pytest.fail)
    assert next(items) == 0


PROGRAM = """
import json, sys
from functools import partial
from support import chains
from pavics_affinity import map_workflows
toml, directory, url = sys.argv[1:]
chain = partial(chains.job, urls={"one": url, "other": url}, delay=30)
journal = directory or None
for result in map_workflows(chain, range(50), topology=toml, journal=journal, per_node=1):
    print(result)
"""


@pytest.mark.parametrize("journal", [True, False])
def test_ctrl_c_ends_the_program_at_once_and_says_where_the_jobs_are(cluster, tmp_path, journal):
    toml = cluster.dump_topology(tmp_path / "site.toml")
    directory = tmp_path / "batch" if journal else ""
    before = len(cluster.executions(identifier="sleep"))
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, toml, directory, cluster.url("malleefowl")],
        env=os.environ | {"PYTHONPATH": str(Path(chains.__file__).parents[1])},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: len(cluster.executions(identifier="sleep")) == before + 3)
    time.sleep(0.5)
    program.send_signal(signal.SIGINT)
    said = program.communicate(timeout=150)[1]
    assert "KeyboardInterrupt" in said
    assert "nothing more is sent; 3 chains were running" in said
    assert said.count(f"job {cluster.outputs_url('malleefowl')}/") == 3
    assert ("with the same journal" in said) == journal
    assert len(cluster.executions(identifier="sleep")) == before + 3


def test_the_progress_bar_counts_the_chains(cluster, capsys):
    list(map_workflows(lambda wf, item: item, range(7), topology=cluster.topology, progress=True))
    assert "7/7" in capsys.readouterr().err


def test_nothing_is_sent_before_the_first_result_is_requested(cluster):
    begun = []
    results = map_workflows(
        lambda wf, item: begun.append(item), range(3), topology=cluster.topology
    )
    time.sleep(0.1)
    assert begun == []
    with pytest.warns(NothingSentWarning, match="never asked for"):
        del results


def test_two_thousand_workflows_leave_nothing_behind(cluster):
    me = psutil.Process()
    # Of the outputs, where the node's own answer costs it little.
    chain = partial(chains.ask, url=f"{cluster.outputs_url('malleefowl')}/nothing")

    def left():
        gc.collect()
        return len(me.net_connections()), threading.active_count()

    def run_some(count):
        results = map_workflows(chain, range(count), topology=cluster.topology)
        assert sum(result.value == 404 for result in results) == count
        wait_for(lambda: not threads())
        return me.memory_info().rss

    before, warm = left(), run_some(50)
    assert run_some(2000) - warm < 50 * 2**20
    wait_for(lambda: left() <= before)

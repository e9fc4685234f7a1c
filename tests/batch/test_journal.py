"""A batch that keeps what is finished, and resumes what runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from pavics_affinity import map_workflows
from pavics_affinity.errors import (
    BackendUnavailable,
    ExecuteOutcomeUnknown,
    InvalidRequest,
    JournalError,
    JournalLocked,
)
from support import chains

PROGRAM = """
import json, sys
from functools import partial
from support import chains
from pavics_affinity import map_workflows
toml, directory, urls, delay = sys.argv[1:]
chain = partial(chains.job, urls=json.loads(urls), delay=float(delay))
for result in map_workflows(chain, range(20), topology=toml, journal=directory, per_node=3):
    print(result.item, result.recalled, flush=True)
"""


def urls_of(cluster):
    return {name: cluster.url(name) for name in cluster.services}


def executed(cluster):
    """Count the Executes that the nodes were sent, by machineid."""
    return Counter(
        request.machineid.partition("~")[0]
        for request in cluster.requests()
        if request.operation == "Execute" and request.machineid is not None
    )


@pytest.fixture
def start(cluster, tmp_path):
    """Start a program of twenty chains of two asynchronous jobs each."""
    toml = cluster.dump_topology(tmp_path / "site.toml")
    here = Path(chains.__file__).parents[1]
    urls = json.dumps(urls_of(cluster))
    programs = []

    def run(directory, delay: float) -> subprocess.Popen[str]:
        program = subprocess.Popen(
            [
                sys.executable,
                "-c",
                PROGRAM,
                toml,
                directory,
                urls,
                str(delay),
            ],
            env=os.environ | {"PYTHONPATH": str(here)},
            stdout=subprocess.PIPE,
            text=True,
        )
        programs.append(program)
        return program

    yield run
    for program in programs:
        program.kill()
        program.wait()
        program.stdout.close()


def nothing_on_its_way(directory: Path) -> bool:
    """Return whether each Execute in the journals was answered."""
    for path in directory.glob("chains/*/*.jsonl"):
        lines = path.read_text().splitlines(keepends=True)
        if not all(line.endswith("\n") for line in lines):
            return False
        events = [json.loads(line)["event"] for line in lines]
        if events.count("sending") > events.count("accepted"):
            return False
    return True


def test_twenty_chains_of_a_killed_client_are_resumed_and_nothing_runs_twice(
    cluster, start, tmp_path
):
    directory, before = tmp_path / "batch", len(cluster.executions(identifier="sleep"))
    program = start(directory, 0.6)
    for _ in range(4):
        program.stdout.readline()
    while True:
        # Between an Execute and its answer it would be unknown whether it ran.
        program.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        if nothing_on_its_way(directory):
            break
        program.send_signal(signal.SIGCONT)
        time.sleep(0.02)
    begun = len(list(directory.glob("chains/*/*.jsonl")))
    program.send_signal(signal.SIGKILL)
    finished = 4 + len(program.communicate()[0].splitlines())
    assert finished < begun < 20

    again = start(directory, 0.6)
    lines = again.communicate(timeout=120)[0].splitlines()
    assert again.returncode == 0
    assert sorted(int(line.split()[0]) for line in lines) == list(range(20))
    assert sum(line.endswith("True") for line in lines) >= finished
    runs = cluster.executions(identifier="sleep")[before:]
    assert len(runs) == 40
    assert all(run.error is None and run.ended for run in runs)

    third = start(directory, 0.6)
    lines = third.communicate(timeout=60)[0].splitlines()
    assert [line.endswith("True") for line in lines] == [True] * 20
    assert len(cluster.executions(identifier="sleep")) == before + 40


def test_what_is_finished_is_skipped_and_comes_back_as_it_was(cluster, tmp_path):
    run = []

    def chain(wf, item):
        run.append(item)
        return {"item": item, "pair": (1, 2), "nothing": float("nan"), "path": Path("/a/b")}

    def call(items):
        results = map_workflows(
            chain, items, topology=cluster.topology, journal=tmp_path, order="input"
        )
        return list(results)

    first, again = call(["a", "b"]), call(["b", "c", "a"])
    assert sorted(run) == ["a", "b", "c"]
    assert [result.recalled for result in again] == [True, False, True]
    assert [result.item for result in again] == ["b", "c", "a"]
    for one, other in ((first[0], again[2]), (first[1], again[0])):
        # What JSON makes of the value, the first time too.
        assert one.value["pair"] == [1, 2]
        assert one.value["path"] == "/a/b"
        assert json.dumps(one.value) == json.dumps(other.value)
        assert (one.node, one.machineid) == (other.node, other.machineid)
        assert (one.started, one.ended) == (other.started, other.ended)


def test_equal_items_are_distinguished_by_their_order(cluster, tmp_path):
    run = []
    arguments = {"topology": cluster.topology, "journal": tmp_path}
    assert len(list(map_workflows(lambda wf, item: run.append(item), "aab", **arguments))) == 3
    assert len(list(map_workflows(lambda wf, item: run.append(item), "aaab", **arguments))) == 4
    assert sorted(run) == ["a", "a", "a", "b"]


def test_what_failed_is_run_again_and_what_it_had_executed_is_not(cluster, tmp_path):
    fails = [True]

    def chain(wf, item):
        wps = wf.wps(cluster.url("malleefowl"), skip_caps=True)
        node = wps.execute("echo", [("text", item)], mode="sync").output("node").data[0]
        if fails[0]:
            raise OSError("the local disk is full")
        return node

    arguments = {"topology": cluster.topology, "journal": tmp_path, "on_error": "return"}
    [failed] = map_workflows(chain, ["x"], **arguments)
    assert isinstance(failed.error, OSError)
    fails[0] = False
    [result] = map_workflows(chain, ["x"], **arguments)
    assert result.value == result.node == failed.node
    assert result.machineid == failed.machineid
    assert executed(cluster)[result.machineid] == 1


def test_a_value_that_json_cannot_hold_is_an_error_that_costs_no_execution(cluster, tmp_path):
    def chain(wf, item):
        wps = wf.wps(cluster.url("malleefowl"), skip_caps=True)
        echoed = wps.execute("echo", [("text", item)], mode="sync")
        return echoed if broken[0] else echoed.output("node").data[0]

    broken = [True]
    arguments = {"topology": cluster.topology, "journal": tmp_path, "on_error": "return"}
    [failed] = map_workflows(chain, ["x"], **arguments)
    with pytest.raises(JournalError, match="have it return what JSON can hold"):
        failed.get()
    broken[0] = False
    [result] = map_workflows(chain, ["x"], **arguments)
    assert result.get() == result.node
    assert executed(cluster)[result.machineid] == 1


def test_an_item_that_cannot_be_recognised_needs_a_key(cluster, tmp_path):
    class Model:
        name = "m1"

    arguments = {"topology": cluster.topology, "journal": tmp_path}
    with pytest.raises(InvalidRequest, match="give key="):
        list(map_workflows(lambda wf, item: 1, [Model()], **arguments))
    for recalled in (False, True):
        [result] = map_workflows(
            lambda wf, item: item.name, [Model()], key=lambda item: item.name, **arguments
        )
        assert (result.value, result.recalled) == ("m1", recalled)
    with pytest.raises(InvalidRequest, match="expected a text"):
        list(map_workflows(lambda wf, item: 1, [1], key=lambda item: item, **arguments))


def test_items_are_not_stored(cluster, tmp_path):
    item = {"url": "http://h/?token=hush"}
    [_] = map_workflows(lambda wf, item: 1, [item], topology=cluster.topology, journal=tmp_path)
    for path in tmp_path.rglob("*.jsonl"):
        assert "hush" not in path.read_text()


def test_a_second_call_on_the_same_directory_raises(cluster, tmp_path):
    arguments = {"topology": cluster.topology, "journal": tmp_path}
    first = map_workflows(lambda wf, item: 1, [1], **arguments)
    with pytest.raises(JournalLocked, match=f"process {os.getpid()}"):
        map_workflows(lambda wf, item: 1, [1], **arguments)
    list(first)
    assert len(list(map_workflows(lambda wf, item: 1, [1], **arguments))) == 1


def test_a_directory_belongs_to_one_chain(cluster, tmp_path):
    def one(wf, item):
        return 1

    def other(wf, item):
        return 2

    arguments = {"topology": cluster.topology, "journal": tmp_path}
    list(map_workflows(partial(one), [1], **arguments))
    with pytest.raises(JournalError, match="Use another directory"):
        map_workflows(other, [1], **arguments)
    [result] = map_workflows(one, [1], **arguments)
    assert result.recalled


def test_a_chains_journal_cut_short_at_its_first_line_was_not_begun(cluster, tmp_path):
    def chain(wf, item):
        if item in fails:
            raise OSError
        return item

    fails = {"a", "b"}
    arguments = {"topology": cluster.topology, "journal": tmp_path, "on_error": "return"}
    list(map_workflows(chain, "ab", **arguments))
    one, other = sorted(tmp_path.glob("chains/*/*.jsonl"))
    one.write_bytes(one.read_bytes()[:20])
    other.write_bytes(b"{}\n" + other.read_bytes())
    fails.clear()
    results = list(map_workflows(chain, "ab", **arguments))
    # What is damaged elsewhere costs its own item, and says so.
    assert sorted(result.value or "" for result in results)[1] in {"a", "b"}
    [error] = [result.error for result in results if result.error is not None]
    assert isinstance(error, JournalError)
    assert "is damaged" in str(error)


def test_interrupted_and_called_again_at_once_nothing_is_executed_twice(cluster, tmp_path):
    """The chains of the first call run still, to their next request."""
    url = cluster.url("malleefowl")
    chain = partial(chains.job, urls={"one": url, "other": url}, delay=1)
    arguments = {"topology": cluster.topology, "journal": tmp_path, "per_node": 1}
    before = len(cluster.executions(identifier="sleep"))
    with map_workflows(chain, range(3), **arguments) as first:
        threading.Thread(target=lambda: next(first, None), daemon=True).start()
        wait_for(lambda: len(cluster.executions(identifier="sleep")) == before + 3)
        wait_for(lambda: nothing_on_its_way(tmp_path))
    results = list(map_workflows(chain, range(3), **arguments))
    assert all(result.value["nodes"] == [result.node] * 2 for result in results)
    assert len(cluster.executions(identifier="sleep")) == before + 6


def test_a_workflows_own_journal_is_not_taken_for_a_batchs(cluster, tmp_path):
    (tmp_path / "results.jsonl").write_text('{"event": "begin", "format": 1, "machineid": "a"}\n')
    with pytest.raises(JournalError, match="does not begin like a batch's journal"):
        map_workflows(lambda wf, item: 1, [1], topology=cluster.topology, journal=tmp_path)


def test_what_may_have_run_is_an_error_unless_it_may_be_repeated(cluster, start, tmp_path):
    directory = tmp_path / "batch"
    arguments = {"topology": cluster.topology, "journal": directory, "on_error": "return"}
    chain = partial(chains.nap, url=cluster.url("malleefowl"), delay=5)
    sent = threading.Event()

    def watched(wf, item):
        sent.set()
        return chain(wf, item)

    watched.__qualname__ = chains.nap.__qualname__
    with map_workflows(watched, ["x"], **arguments) as results:
        threading.Thread(target=lambda: list(results), daemon=True).start()
        [path] = wait_for(lambda: list(directory.glob("chains/*/*.jsonl")))
        wait_for(lambda: b"sending" in path.read_bytes())
        story = path.read_bytes()
        # What a power cut at this moment leaves behind.
        copy = tmp_path / "copy"
        (copy / path.relative_to(directory).parent).mkdir(parents=True)
        (copy / path.relative_to(directory)).write_bytes(story)
        (copy / "results.jsonl").write_bytes((directory / "results.jsonl").read_bytes())
    arguments["journal"] = copy
    quick = partial(chains.nap, url=cluster.url("malleefowl"), delay=5)
    [result] = map_workflows(quick, ["x"], **arguments)
    assert isinstance(result.error, ExecuteOutcomeUnknown)
    [result] = map_workflows(quick, ["x"], restart=1, **arguments)
    assert result.error is None
    assert result.attempts == 2


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def test_what_runs_on_a_node_that_does_not_answer_is_waited_for_and_then_an_error(
    strict_cluster, tmp_path
):
    site = strict_cluster
    fails = [True]

    def chain(wf, item):
        wps = wf.wps(site.url("malleefowl"), skip_caps=True)
        wps.execute("echo", [("text", str(item))], mode="sync")
        if fails[0]:
            raise OSError("interrupted")
        wps.execute("echo", [("text", "second")], mode="sync")
        return wf.node

    arguments = {
        "topology": site.topology,
        "journal": tmp_path,
        "on_error": "return",
        "deadline": 0.5,
        "patience": 2,
    }
    first = list(map_workflows(chain, range(6), **arguments))
    gone = {result.item for result in first if result.node == "node2"}
    assert gone
    fails[0] = False
    site.kill("node2")
    second = list(map_workflows(chain, range(6), **arguments))
    errors = {result.item: result.error for result in second if result.error is not None}
    assert set(errors) == gone
    assert all(isinstance(error, BackendUnavailable) for error in errors.values())
    third = list(map_workflows(chain, range(6), restart=1, **arguments))
    assert [result.error for result in third] == [None] * 6
    assert {result.item for result in third if not result.recalled} == gone

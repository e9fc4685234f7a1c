"""A program ends, however it ends, and another one takes its workflow up: on real nodes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import warnings

import pytest

from pavics_affinity import Workflow
from pavics_affinity.errors import (
    AffinityWarning,
    ExecuteOutcomeUnknown,
    ExecutionFailed,
    JournalLocked,
)

BEGIN = """
import os, signal, sys
from pavics_affinity import Topology, Workflow
path, toml, malleefowl, flyingpigeon = sys.argv[1:]
wf = Workflow(journal=path, topology=toml)
one, other = wf.wps(malleefowl, skip_caps=True), wf.wps(flyingpigeon, skip_caps=True)
def sleep(wps, delay):
    return wps.execute("sleep", [("delay", str(delay))], output="sleep_output", mode="async")
def echo(wps, text):
    return wps.execute("echo", [("text", text)], mode="sync")
"""
DIE = "\nprint(wf.machineid, wf.node, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"


@pytest.fixture
def crash(cluster, path, tmp_path):
    """Run a program that is killed; return its workflow's machineid and node."""
    toml = cluster.dump_topology(tmp_path / "site.toml")
    arguments = [str(path), str(toml), cluster.url("malleefowl"), cluster.url("flyingpigeon")]

    def run(code: str) -> tuple[str, str]:
        ran = subprocess.run(
            [sys.executable, "-c", BEGIN + code + DIE, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == -signal.SIGKILL, ran.stderr
        machineid, node = ran.stdout.split()
        return machineid, node

    return run


def executed(cluster, machineid, identifier=None):
    """Return the nodes that were sent an Execute of this workflow."""
    return [
        request.node
        for request in cluster.requests(machineid=machineid)
        if request.operation == "Execute" and identifier in (None, request.identifier)
    ]


def test_jobs_of_a_killed_program_are_waited_for_by_the_next(cluster, crash, path):
    machineid, node = crash("sleep(one, 1.5); sleep(other, 0.1).wait(); echo(other, 'kept')")
    with Workflow.resume(path) as wf:
        assert (wf.machineid, wf.node) == (machineid, node)
        assert [step.state for step in wf.steps] == ["accepted", "succeeded", "succeeded"]
        slow, quick, echoed = wf.executions
        for execution in (slow, quick):
            slept = execution.wait(60).output("sleep_output").data[0]
            assert slept == f"slept on {node}"
        assert echoed.wait().output("text").data == ["kept"]
        assert [step.state for step in wf.steps] == ["succeeded"] * 3
    assert executed(cluster, machineid) == [node] * 3
    with Workflow.resume(path) as wf:
        assert [step.state for step in wf.steps] == ["succeeded"] * 3


def test_the_next_program_continues_the_chain_on_the_same_node(cluster, crash, path):
    machineid, node = crash("sleep(one, 0.1)")
    with Workflow.resume(path) as wf:
        wps = wf.wps(cluster.url("flyingpigeon"), skip_caps=True)
        echoed = wps.execute("echo", [("text", "x")], mode="sync")
        assert echoed.output("node").data == [node]
    assert executed(cluster, machineid) == [node] * 2
    with Workflow.resume(path) as wf:
        assert [step.number for step in wf.steps] == [1, 2]


CHAIN = "sleep(one, 0.4); first = echo(other, 'a'); second = echo(other, 'a')"


def test_replayed_each_execute_gives_what_it_came_to_and_is_not_sent(cluster, crash, path):
    machineid, node = crash(CHAIN)
    assert len(executed(cluster, machineid)) == 3
    with Workflow.resume(path, replay=True) as wf:
        one = wf.wps(cluster.url("malleefowl"), skip_caps=True)
        other = wf.wps(cluster.url("flyingpigeon"), skip_caps=True)
        inputs = [("delay", "0.4")]
        slept = one.execute("sleep", inputs, output="sleep_output", mode="async").wait(60)
        assert slept.output("sleep_output").data == [f"slept on {node}"]
        for _ in range(2):
            echoed = other.execute("echo", [("text", "a")], mode="sync")
            assert echoed.output("node").data == [node]
        assert len(executed(cluster, machineid)) == 3
        assert len(wf.steps) == 3
        # Each only once: a third one is new, as is one with other inputs.
        other.execute("echo", [("text", "a")], mode="sync")
        other.execute("echo", [("text", "b")], mode="sync")
        assert len(executed(cluster, machineid)) == 5


def test_without_replay_the_same_execute_is_sent(cluster, crash, path):
    machineid, _ = crash("echo(other, 'a')")
    with Workflow.resume(path) as wf:
        other = wf.wps(cluster.url("flyingpigeon"), skip_caps=True)
        other.execute("echo", [("text", "a")], mode="sync")
    assert len(executed(cluster, machineid)) == 2


def test_a_replay_sends_again_what_failed(cluster, crash, path):
    code = """
try:
    one.execute("fail", [("message", "on purpose")], mode="sync")
except Exception as error:
    assert "on purpose" in str(error)
"""
    machineid, _ = crash(code)
    with Workflow.resume(path, replay=True) as wf:
        assert [step.state for step in wf.steps] == ["failed"]
        one = wf.wps(cluster.url("malleefowl"), skip_caps=True)
        with pytest.raises(ExecutionFailed, match="on purpose"):
            one.execute("fail", [("message", "on purpose")], mode="sync").wait()
    assert len(executed(cluster, machineid)) == 2


def test_steps_that_may_have_run_are_named_and_never_sent_again(cluster, crash, path):
    code = """
import threading
threading.Thread(
    target=lambda: one.execute("sleep", [("delay", "3")], mode="sync"), daemon=True
).start()
while not any(step.state == "sending" for step in wf.steps):
    pass
import time; time.sleep(1)
"""
    machineid, _ = crash(code)
    with pytest.warns(AffinityWarning, match=r"not known whether .*'sleep' at \d{4}-"):
        Workflow.resume(path).close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wf = Workflow.resume(path, replay=True)
    with wf:
        [step] = wf.steps
        assert (step.state, step.process) == ("unknown", "sleep")
        assert wf.executions == []
        one = wf.wps(cluster.url("malleefowl"), skip_caps=True)
        with pytest.raises(ExecuteOutcomeUnknown, match="not sent again"):
            one.execute("sleep", [("delay", "3")], mode="sync")
    assert len(executed(cluster, machineid)) == 1


def test_a_running_program_locks_its_journal(cluster, path, tmp_path):
    toml = cluster.dump_topology(tmp_path / "site.toml")
    arguments = [str(path), str(toml), cluster.url("malleefowl"), cluster.url("flyingpigeon")]
    code = BEGIN + "print(os.getpid(), flush=True); import time; time.sleep(100)"
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
    ) as program:
        pid = program.stdout.readline().strip()
        with pytest.raises(JournalLocked, match=f"process {pid}"):
            Workflow.resume(path)
        program.kill()
    Workflow.resume(path).close()


def test_a_journal_that_cannot_be_written_keeps_the_execute_from_being_sent(cluster, tmp_path):
    code = """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
one.describeprocess("echo")
size = os.stat(path).st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, resource.RLIM_INFINITY))
try:
    echo(one, "x")
except Exception as error:
    print(type(error).__name__, "Nothing was sent" in str(error), wf.machineid, flush=True)
"""
    toml = cluster.dump_topology(tmp_path / "site.toml")
    path = tmp_path / "run.jsonl"
    arguments = [str(path), str(toml), cluster.url("malleefowl"), cluster.url("flyingpigeon")]
    ran = subprocess.run(
        [sys.executable, "-c", BEGIN + code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    kind, said, machineid = ran.stdout.split()
    assert (kind, said) == ("JournalError", "True")
    assert executed(cluster, machineid) == []
    with Workflow.resume(path) as wf:
        assert wf.steps == ()


def test_inputs_and_credentials_are_not_in_it(cluster, path):
    with Workflow("a1b2", journal=path, topology=cluster.topology) as wf:
        wps = wf.wps(
            cluster.url("malleefowl"),
            auth=("me", "hush-password"),
            headers={"X-Token": "hush-header"},
            skip_caps=True,
        )
        inputs = [("delay", "0.125")]
        wps.execute("sleep", inputs, mode="sync", lineage=True)
        wps.execute("sleep", inputs, output="sleep_output", mode="async", lineage=True).wait()
    text = path.read_text()
    assert "hush" not in text
    assert "0.125" not in text
    assert re.search(r'"event": "ended"', text)


# ---- OGC API - Processes ----


def test_jobs_of_an_ogc_api_are_resumed_and_replayed(ogc_site, path, tmp_path):
    oapi, before = ogc_site, len(ogc_site.requests())
    oapi.topology.dump(tmp_path / "site.toml")
    code = """
import os, signal, sys
from pavics_affinity import Workflow
wf = Workflow(journal=sys.argv[1], topology=sys.argv[2])
job = wf.processes(sys.argv[3]).execute("where", {"delay": "1"}, async_=True, response="raw")
print(wf.machineid, wf.node, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, str(path), str(tmp_path / "site.toml"), oapi.url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    machineid, node = ran.stdout.split()
    with Workflow.resume(path) as wf:
        assert (wf.machineid, wf.node) == (machineid, node)
        [job] = wf.executions
        assert job.wait(60).output("node").text() == node
    with Workflow.resume(path, replay=True) as wf:
        again = wf.processes(oapi.url).execute("where", {"delay": "1"}, async_=True, response="raw")
        assert again.wait(60).output("node").text() == node
    posts = [r for r in oapi.requests()[before:] if r["method"] == "POST"]
    assert [r["machineid"].partition("~")[0] for r in posts] == [machineid]


def test_a_resumed_workflow_sends_its_machineid_before_it_has_a_client(cluster, path):
    """Without a topology, only the journal shows that the services' host is the workflow's."""
    with Workflow(journal=path) as wf:
        wf.wps(cluster.url("malleefowl")).execute("download", [("resource", cluster.sample_url)])
    before = len(cluster.proxy_requests())
    with Workflow.resume(path) as wf:
        [execution] = wf.executions
        [path_of_file] = execution.wait().output("output").json()
    asked = cluster.proxy_requests()[before:]
    assert path_of_file.startswith("file://")
    assert {request.machineid for request in asked} == {wf.machineid}

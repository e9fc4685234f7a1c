"""However its owner ends, a cluster leaves no process, no file and no socket behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests

from pavics_affinity.testing import ClusterError, LocalCluster, Upstream, live
from pavics_affinity.testing.nginx import find_nginx
from support.by_hand import execute

# The fork server and the supervisor; four backends of a master, two workers each, and a job;
# nginx's two.
EXPECTED = 2 + 4 * 3 + 1 + (2 if find_nginx() else 0)
OWNER = f"""
EXPECTED = {EXPECTED}
import json, os, sys, time
import psutil, requests
from pavics_affinity.testing import LocalCluster

def started(cluster):
    url = cluster.node_url("node1", "malleefowl")
    query = "?service=WPS&version=1.0.0&request=Execute&identifier=sleep&datainputs=delay=60"
    # A job under way is a fork of a worker: the hardest to find.
    requests.get(url + query + "&storeExecuteResponse=true&status=true", timeout=30)
    end = time.monotonic() + 120
    while len(pids := [p.pid for p in psutil.Process().children(recursive=True)]) < EXPECTED:
        assert time.monotonic() < end, pids
        time.sleep(0.05)
    print(json.dumps([str(cluster.directory), pids]), flush=True)

def outlive(pid):
    os.closerange(0, 3)
    while os.getppid() == pid:
        time.sleep(0.05)
    os._exit(0)
"""

ENDINGS = {
    "the block ends": "with LocalCluster(2) as c: started(c)",
    "an exception": "with LocalCluster(2) as c: started(c); raise ValueError",
    "it is never stopped": "c = LocalCluster(2).start(); started(c)",
    "sys.exit": "c = LocalCluster(2).start(); started(c); sys.exit(3)",
    "os._exit": "c = LocalCluster(2).start(); started(c); os._exit(3)",
    # Only the fork server is left then, and it ends with its owner.
    "collected": "c = LocalCluster(2).start(); started(c); del c\n"
    "while len(psutil.Process().children(recursive=True)) > 1: time.sleep(0.05)",
    # The fork has a copy of each open socket.
    "a fork outlives it": "with LocalCluster(2) as c: started(c); p = os.getpid()\n"
    "os.fork() or outlive(p)",
    "Ctrl-C": "with LocalCluster(2) as c: started(c); time.sleep(60)",
    "SIGTERM": "with LocalCluster(2) as c: started(c); time.sleep(60)",
    "SIGKILL": "with LocalCluster(2) as c: started(c); time.sleep(60)",
}
SIGNALS = {"Ctrl-C": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}

SERVICE_OF_LATER = """
import os
from pywps import Service
DIRECTORY = os.getcwd()

def create(files):
    Service([], files)
    return answer

def answer(environ, start_response):
    start_response("200 OK", [])
    return [f"{os.environ['SET_LATER']} {DIRECTORY}".encode()]
"""


def alive(pids):
    found = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except psutil.NoSuchProcess:
            continue
    return found


def gone(directory, pids, seconds=120):
    end = time.monotonic() + seconds
    while (left := alive(pids)) or Path(directory).exists():
        if time.monotonic() > end:
            return left or [directory]
        time.sleep(0.05)
    return []


def supervisor_of(cluster):
    servers = psutil.Process().children()
    children = [child for each in servers for child in each.children()]
    [found] = [child for child in children if child.cwd() == str(cluster.directory)]
    return found


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_left(ending):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER + ENDINGS[ending]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        line = owner.stdout.readline()
        assert line, owner.stderr.read().decode()
        directory, pids = json.loads(line)
        assert len(pids) == EXPECTED
        if ending in SIGNALS:
            owner.send_signal(SIGNALS[ending])
        assert gone(directory, pids) == []
    finally:
        owner.kill()
        owner.communicate()


def test_even_the_fork_server_can_be_killed():
    """Its clusters end, and the next cluster has another."""
    ending = """
c = LocalCluster(2).start()
started(c)
[server] = psutil.Process().children()
server.kill()
while os.path.exists(c.directory):
    time.sleep(0.05)
with LocalCluster(2) as c: started(c)
"""
    owner = subprocess.run(
        [sys.executable, "-c", OWNER + ending], capture_output=True, timeout=300, check=False
    )
    assert owner.stderr == b""
    first, second = map(json.loads, owner.stdout.splitlines())
    assert gone(*first) == gone(*second) == []
    assert set(first[1]).isdisjoint(second[1])


def test_an_owner_that_is_killed_during_its_first_start_leaves_no_directory(tmp_path):
    code = "from pavics_affinity.testing import LocalCluster; LocalCluster(1).start()"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    owner = subprocess.Popen([sys.executable, "-c", code], env=environment)
    while not list(tmp_path.glob("tmp*")):  # the fork server has its imports, and no loop yet
        assert owner.poll() is None
        time.sleep(0.005)
    servers = [child.pid for child in psutil.Process(owner.pid).children()]
    owner.kill()
    owner.wait(30)
    assert gone(tmp_path / "none", servers) == []
    for directory in tmp_path.glob("pavics-affinity-*"):
        assert gone(directory, [], 20) == []


HANGS = """
import os, time
with open("{pid}.part", "w") as file: file.write(str(os.getpid()))
os.rename("{pid}.part", "{pid}")
time.sleep(3600)
"""
IMPATIENT = """
from pavics_affinity.testing import LocalCluster, control
control._STOP_SECONDS = 1
LocalCluster(1, proxy="none", services={"hangs": "hangs:create"}).start()
"""


@pytest.mark.parametrize("module", ["hangs", "gunicorn"])
def test_an_import_that_does_not_end_is_killed(tmp_path, module):
    """One of a service, in a supervisor; and one of PyWPS's server, in the fork server."""
    pid = tmp_path / "pid"
    (tmp_path / f"{module}.py").write_text(HANGS.format(pid=pid))
    owner = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT], cwd=tmp_path, stderr=subprocess.PIPE
    )
    try:
        while not pid.exists():
            assert owner.poll() is None
            time.sleep(0.05)
        owner.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in owner.communicate(timeout=60)[1]
        assert gone(tmp_path / "none", [int(pid.read_text())]) == []
    finally:
        owner.kill()
        owner.communicate()


def test_a_later_cluster_finds_a_directory_that_is_newer_than_the_first(tmp_path):
    code = f"""
import os, sys
from pavics_affinity.testing import LocalCluster
sys.path.insert(0, "newer")
with LocalCluster(1, proxy="none", services=["malleefowl"]): pass
os.mkdir("newer")
with open("newer/service_of_later.py", "w") as file: file.write({SERVICE_OF_LATER!r})
with LocalCluster(1, proxy="none", services={{"later": "service_of_later:create"}}): pass
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=120, check=True)


def test_an_error_shows_only_what_its_own_supervisor_wrote(tmp_path, monkeypatch):
    (tmp_path / "service_of_words.py").write_text(f"print('loud')\n{SERVICE_OF_LATER}")
    monkeypatch.syspath_prepend(tmp_path)
    services = {"words": "service_of_words:create"}
    for options, words in (({"services": services}, "loud"), ({}, "nothing")):
        with LocalCluster(1, proxy="none", **options) as cluster:
            supervisor = supervisor_of(cluster)
            supervisor.kill()
            supervisor.wait(10)
            with pytest.raises(ClusterError, match=f"supervisor wrote: {words}"):
                cluster.kill("node1")


def test_a_later_cluster_has_the_environment_and_the_search_path_of_its_start(
    tmp_path, monkeypatch
):
    with LocalCluster(1, proxy="none", services=["malleefowl"]):
        pass
    (tmp_path / "service_of_later.py").write_text(SERVICE_OF_LATER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SET_LATER", "yes")
    services = {"later": "service_of_later:create"}
    with LocalCluster(1, proxy="none", services=services) as cluster:
        answer = requests.get(cluster.node_url("node1", "later"), timeout=30)
        assert answer.text == f"yes {cluster.directory}"


def test_stopping_twice_is_once_and_a_cluster_can_start_again():
    cluster = LocalCluster(1, proxy="none")
    with cluster:
        first = cluster.directory
    cluster.stop()
    assert not first.exists()
    with cluster:
        assert cluster.directory != first
        assert cluster.executions() == []
        second = cluster.directory
    assert not second.exists()


def test_a_fork_of_the_owner_does_not_end_the_cluster():
    with LocalCluster(1, proxy="none") as cluster:
        pid = os.fork()
        if pid == 0:
            try:
                cluster.stop()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert cluster.directory.exists()
        assert execute(cluster.node_url("node1", "malleefowl"), "echo", [("text", "x")])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_even_the_supervisor_can_be_killed():
    with LocalCluster(1) as cluster:
        directory = cluster.directory
        supervisor = supervisor_of(cluster)
        pids = [child.pid for child in supervisor.children(recursive=True)]
        supervisor.kill()
        supervisor.wait(10)
        with pytest.raises(ClusterError, match="not running"):
            cluster.kill("node1")
    assert gone(directory, pids) == []


@pytest.mark.skipif(find_nginx() is None, reason="needs nginx")
def test_a_failed_start_leaves_nothing(tmp_path, monkeypatch):
    with LocalCluster(1, proxy="none"):
        pass  # the process that forks its supervisor stays
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = psutil.Process().children()
    with (
        pytest.raises(ClusterError),
        LocalCluster(1, upstreams={"malleefowl": Upstream(upstream="x;")}),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    assert psutil.Process().children() == before


def test_two_clusters_run_at_the_same_time():
    with LocalCluster(1, proxy="none") as one, LocalCluster(1, proxy="none") as two:
        assert one.url("malleefowl") != two.url("malleefowl")
        assert requests.get(one.node_url("node1", "malleefowl"), timeout=30).status_code == 400
        one.kill("node1")
        assert requests.get(two.node_url("node1", "malleefowl"), timeout=30).status_code == 400


def test_all_backends_are_started_before_one_is_waited_for(monkeypatch):
    """One start-up is waited for, not six, one after another."""
    events = []

    def spy(name, event):
        wrapped = getattr(*name)

        def call(*args):
            events.append(event)
            return wrapped(*args)

        monkeypatch.setattr(*name, call)

    spy((live.Live, "_spawn"), "start")
    spy((live, "_answers"), "wait")
    with LocalCluster(3, proxy="none"):
        pass
    assert events[:6] == ["start"] * 6
    assert set(events[6:]) == {"wait"}

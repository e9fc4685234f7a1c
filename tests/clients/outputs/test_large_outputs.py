"""A large output needs little memory, and survives connections that are cut."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pavics_affinity import Workflow
from pavics_affinity.testing import produced_sha256

MEGABYTES = 300

CLIENT = """
import json, sys
from pavics_affinity import Workflow
url, status, target = sys.argv[1:]
with Workflow("large") as wf:
    wf.session.pin.add_scope(url)
    execution = wf.wps(url).attach(status)
    output = execution.output("output")
    output.reference = sys.argv[1].rpartition("/")[0] + "/outputs" + (
        output.reference.partition("/outputs")[2]
    )
    done = output.download(target)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"attempts": done.attempts, "peak": int(peak.split()[1]) / 1024}))
"""


@contextlib.contextmanager
def cutting_relay(url, *cuts):
    """Relay connections to a URL's host; large answers are cut after so many bytes each."""
    target = urlsplit(url)
    left = list(cuts)
    listener = socket.create_server(("127.0.0.1", 0))

    def relay(client):
        with client, socket.create_connection((target.hostname, target.port)) as server:
            threading.Thread(target=pump, args=(client, server), daemon=True).start()
            passed = 0
            while data := server.recv(1 << 16):
                passed += len(data)
                client.sendall(data)
                if left and passed > left[0]:
                    left.pop(0)
                    break
            for end in (client, server):
                end.shutdown(socket.SHUT_RDWR)

    def pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=guarded, args=(client,), daemon=True).start()

    def guarded(client):
        with contextlib.suppress(OSError):
            relay(client)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}{target.path}"
        assert not left, "not every cut was made"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads peak memory from /proc")
def test_300_mb_cut_three_times_arrive_whole_in_little_memory(cluster, tmp_path):
    with Workflow("large") as wf:
        wps = wf.wps(cluster.url("flyingpigeon"))
        execution = wps.execute("produce", {"megabytes": MEGABYTES}).wait()
    target = tmp_path / "large"
    mb = 2**20
    with cutting_relay(wps.url, 40 * mb, 100 * mb, 90 * mb) as url:
        ran = subprocess.run(
            [sys.executable, "-c", CLIENT, url, execution.statusLocation, str(target)],
            capture_output=True,
            text=True,
            check=False,
            timeout=170,
        )
    assert ran.returncode == 0, ran.stderr
    measured = json.loads(ran.stdout)
    assert measured["attempts"] == 4
    assert measured["peak"] < 60
    with target.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == produced_sha256(MEGABYTES)
    assert [p.name for p in tmp_path.iterdir()] == ["large"]
    target.unlink()


def test_a_download_that_is_killed_leaves_nothing_under_the_final_name(cluster, tmp_path):
    with Workflow("large") as wf:
        wps = wf.wps(cluster.url("flyingpigeon"))
        execution = wps.execute("produce", {"megabytes": 100}).wait()
    target = tmp_path / "large"
    command = [sys.executable, "-c", CLIENT, wps.url, execution.statusLocation, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        while client.poll() is None and not any(p.stat().st_size for p in tmp_path.iterdir()):
            pass
        client.kill()
    assert not target.exists()
    assert [p.suffix for p in tmp_path.iterdir()] == [".part"]  # the process could not remove it

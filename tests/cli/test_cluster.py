"""``cluster`` prints a script that runs unchanged."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from pavics_affinity import Topology

pytestmark = pytest.mark.cluster  # the command starts it


@contextmanager
def cluster(*options):
    """Start the command, and press Ctrl-C at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pavics_affinity", "cluster", "--nodes", "2", *map(str, options)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def printed(process):
    """Return what the command prints before it waits."""
    lines = []
    while not lines or lines[-1] != "Ctrl-C stops it.\n":
        lines.append(process.stdout.readline())
        assert lines[-1], "it has ended"
    return "".join(lines)


def ran(script, directory):
    (directory / "script.py").write_text(script)
    return subprocess.run(
        [sys.executable, "script.py"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "known"),
    [
        (["--proxy", "none"], "proved"),
        (["--proxy", "nginx"], "predicted"),
        (["--style", "strict"], "proved"),
    ],
)
def test_the_printed_script_runs_as_it_stands(tmp_path, options, known):
    with cluster(*options) as process:
        text = printed(process)
        script = "from pavics_affinity" + text.split("from pavics_affinity")[1].split("\n\n\n")[0]
        script = script.split("\n\nWithout")[0].split("\n\nCtrl-C")[0]
        done = ran(script, tmp_path)
    assert done.returncode == 0, done.stderr
    node, how = done.stdout.split()
    assert (node in ("node1", "node2"), how) == (True, known)
    assert (tmp_path / "subset.nc").stat().st_size > 1000
    if known == "proved" and "none" in options:
        listed = text.split("\n\n")[0]
        assert "node1: http://" in listed
        assert 'route="direct"' in script


def test_json_has_the_script_and_the_topology_and_save_keeps_it(tmp_path):
    saved = tmp_path / "new" / "site.toml"
    with cluster("--proxy", "none", "--save", saved, "--json") as process:
        found = json.loads(process.stdout.readline())
        done = ran(found["script"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert found["topology_file"] == str(saved)
    assert Topology.load(saved) == Topology.loads(found["topology"])
    assert (found["nodes"], found["proxy"]) == (["node1", "node2"], None)
    # The command may replace a file that it wrote; another one stays (see test_group).
    with cluster("--proxy", "none", "--save", saved, "--json") as process:
        assert json.loads(process.stdout.readline())["topology_file"] == str(saved)

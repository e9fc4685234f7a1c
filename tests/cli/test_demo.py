"""The demo: what a newcomer sees first."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.cluster  # the command starts it


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from pavics_affinity.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.parametrize(("proxy", "told"), [("nginx", "nginx"), ("none", None)])
def test_every_pinned_chain_succeeds_and_those_of_owslib_alone_mostly_fail(proxy, told):
    ran = run("demo", "--proxy", proxy, "--chains", "8", "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["proxy"], found["nodes"]) == (told, 3)
    assert (found["pinned"]["chains"], found["pinned"]["succeeded"]) == (8, 8)
    assert sum(found["pinned"]["by_node"].values()) == 8
    assert len(found["pinned"]["by_node"]) > 1
    assert found["plain"]["succeeded"] <= 4
    if proxy == "nginx":
        assert found["by_hand"]["succeeded"] < 8  # retrieveData sends no header
    for kind in found.keys() & {"plain", "by_hand"}:
        # By kind of failure, whatever the node and the file's folder.
        failures = found[kind]["failures"]
        assert sum(failures.values()) == 8 - found[kind]["succeeded"]
        assert len(failures) <= 2
        assert not any("/tmp" in words for words in failures)


def test_the_table_names_both_clients():
    ran = run("demo", "--proxy", "none", "--chains", "2")
    assert ran.returncode == 0, ran.stderr
    assert "pavics-affinity" in ran.stdout
    assert "OWSLib" in ran.stdout.replace("pavics-affinity", "")
    assert " 1 times" not in ran.stdout
    assert ran.stdout.endswith("next: pavics-affinity cluster\n")


def test_an_unknown_command_is_a_usage_error():
    ran = run("dmeo")
    assert ran.returncode == 2
    assert "did you mean 'demo'?" in ran.stderr

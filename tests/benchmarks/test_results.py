"""The table of benchmarks holds every row that was promised, and is what the runner wrote."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOWN = (ROOT / "benchmarks" / "results.md").read_text(encoding="utf-8")
RESULTS = json.loads((ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8"))
ROWS = [row for group in RESULTS["groups"] for row in group["rows"]]

PROMISED = {
    # what: (against, target)
    r"one GET through nginx": [("bare requests.Session", "<= 1.1"), ("OWSLib openURL", "<= 0.85")],
    r"capabilities of 100 processes": [("OWSLib", "<= 1")],
    r"describeprocess, all 100": [("OWSLib", "<= 1")],
    r"synchronous chain": [("OWSLib with the header by hand", "<= 1")],
    r"asynchronous chain, two jobs of 0\.3 s": [
        ("OWSLib polled each second", "<= 0.6"),
        ("birdy with progress", "<= 0.6"),
    ],
    r"status requests per job of 3 s": [("-", "<= 12")],
    r"end of a job of 0\.3 s is noticed": [("what the job took", "<= 0.33")],
    r"end of a job of 3 s is noticed": [("what the job took", "<= 0.1")],
    r"300 MB output, peak RSS": [("OWSLib getOutput", "<= 0.1")],
    r"300 MB output, throughput": [("curl -o", ">= 0.9")],
    r"100 MB output in the request, peak RSS by": [("-", "<= 2 times")],
    r"100 MB output in the request, peak RSS$": [("OWSLib ComplexDataInput", "<= 1")],
    r"100 MB output in the request, seconds": [("OWSLib ComplexDataInput", "<= 1")],
    r"NginxHash\.place, text keys, 1000 nodes": [
        ("uhashring", ">= 5"),
        ("zlib.crc32 alone", ">= 0.3"),
    ],
    r"NginxConsistentHash\.place, 3 nodes": [("uhashring ketama", ">= 2.5")],
    r"NginxConsistentHash, building it, 10 nodes": [("uhashring ketama", ">= 2 ")],
    r"NginxConsistentHash, building it, 1000 nodes": [("uhashring ketama", ">= 5")],
    r"Rendezvous\.place, equal weights, 100 nodes": [
        ("pymemcache's with mmh3", ">= 2"),
        ("100 raw mmh3.hash calls", ">= 0.6"),
    ],
    r"Rendezvous\.place, four weight classes, 10 nodes": [("pymemcache's with mmh3", ">= 0.6")],
    r"steering through NginxHash, 1000 nodes": [("one place", "<= 2000")],
    r"import pavics_affinity, CPU": [("import owslib.wps", "<= 1.1")],
    r"WebProcessingService, Workflow, CPU": [("import owslib.wps", "<= 1.2")],
    r"pavics-affinity --help": [("import owslib.wps", "<= 0.5")],
    r"200 workflows at once": [("200 bare", ">= 0.9")],
    r"memory per open workflow, idle, beside": [("-", "<= 60 KB")],
    r"chains over 3 nodes of one worker: wall time, steered": [("ideal", "<= 1.15")],
    r"random ids over the same hash": [("ideal", "shown")],
}


@pytest.mark.parametrize("what", PROMISED)
def test_each_promised_row_is_there_with_its_target_figure_and_verdict(what):
    rows = [row for row in ROWS if re.search(what, row["what"])]
    for against, target in PROMISED[what]:
        found = [
            row
            for row in rows
            if row["against"].startswith(against) and f"{row['target']} ".startswith(target)
        ]
        assert found, (what, against, target, rows)
        assert isinstance(found[0]["figure"], int | float)
        assert f"| {found[0]['what']} |" in SHOWN


def test_a_verdict_is_what_figure_and_target_say():
    for row in ROWS:
        if row["met"] is not None:
            sign, limit = row["target"].split()[:2]
            met = row["figure"] <= float(limit) if sign == "<=" else row["figure"] >= float(limit)
            near = abs(row["figure"] - float(limit)) < 0.005 * float(limit)  # it was rounded
            assert met == row["met"] or near, row


def test_the_table_tells_machine_versions_and_date():
    for name in ("machine", "date", "Python", "nginx", "OWSLib", "pavics-affinity"):
        assert f"| {name} | {RESULTS['machine'][name]} |" in SHOWN


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_table_is_what_the_runner_writes_of_the_figures():
    code = (
        "import json; from benchmarks import run; "
        "print(run.table(json.load(open('benchmarks/results.json'))), end='')"
    )
    assert run(code) == SHOWN


def test_the_runner_measures_every_group_there_is():
    groups = run("from benchmarks.run import GROUPS; print(*GROUPS)").split()
    helpers = {"__init__", "house", "keys", "load", "machine", "measure", "processes", "proxy"}
    helpers |= {"accesslog", "rows", "run", "scale"}
    modules = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert set(groups) == modules - helpers


def test_a_missed_target_is_not_a_failure_but_a_broken_benchmark_is(tmp_path):
    code = """
from benchmarks import run
rows = [{"what": "w", "against": "-", "target": "<= 1", "figure": 2, "spread": [2, 2],
         "unit": "", "met": False, "note": ""}]
def group(name, *, quick):
    if name == "chains":
        raise ValueError("broke")
    return rows
run.group = group
found, broken = run.measured(["transport"], quick=True)
assert broken == [] and "**missed**" in run.table(found)
found, broken = run.measured(["transport", "chains"], quick=True)
assert broken == ["chains"]
"""
    run(code)

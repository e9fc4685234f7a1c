"""``log`` counts what a strict proxy logged, by node and service."""

import gzip
import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import yaml

from pavics_affinity import Workflow
from pavics_affinity.proxy.accesslog import EXACT, MOST_ROWS


def line(**changed):
    entry = {
        "time": "2026-03-02T08:15:42+00:00", "client": "10.0.0.9", "method": "GET", "uri": "/wps",
        "status": "200", "machineid": "a1b2", "node": "node1", "upstream": "finch", "bytes": "10",
        "seconds": "0.1", "connect": "0.0", "first_byte": "0.1", "agent": "x",
    }  # fmt: skip
    return json.dumps(entry | changed) + "\n"


@pytest.fixture
def file(tmp_path):
    def file(text, name="access.log"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return file


def by_pair(found):
    return {(row["node"], row["service"]): row for row in found["rows"]}


def test_a_real_proxys_log_is_counted_by_node_and_service(run, strict_cluster):
    cluster = strict_cluster
    log = cluster.directory / "nginx" / "logs" / "access.log"
    start = log.stat().st_size if log.exists() else 0
    service = cluster.url("flyingpigeon")
    with Workflow(node="node2") as workflow:
        workflow.wps(service).execute("echo", [("text", "hello")]).wait()
    requests.get(service, params={"service": "WPS", "request": "GetCapabilities"}, timeout=20)
    unknown = {"machineid": "a1b2~node9"}
    assert requests.get(service, headers=unknown, timeout=20).status_code == 421
    # nginx logs a request after the client has its answer.
    deadline = time.monotonic() + 20
    while b'"status":"421"' not in (text := log.read_bytes()[start:]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    own = cluster.directory / "own.log"
    own.write_bytes(text)
    found = run("log", own, "--json").json
    own.unlink()
    rows = by_pair(found)
    pinned = rows["node2", "flyingpigeon"]
    assert pinned["chains"] == 1
    assert pinned["requests"] >= 2
    assert sum(row["unpinned"] for pair, row in rows.items() if pair[1]) == 1
    # Refused, and the document: nginx answers these itself.
    assert rows[None, None]["statuses"]["421"] == 1
    assert found["total"]["errors"] == 1
    assert (found["damaged"], found["lines"]) == (0, found["total"]["requests"])


def test_rows_have_requests_errors_unpinned_requests_and_chains(run, file):
    text = (
        line()
        + line(machineid="a1b2~node1", upstream="finch.node1")
        + line(machineid="c3d4", status="502", time="2026-03-02T09:00:00+00:00")
        + line(machineid="", node="node2")
        + line(machineid='bad "key', status="400", node="", upstream="")
    )
    found = run("log", file(text), "--json").json
    rows = by_pair(found)
    assert rows["node1", "finch"] == {
        "node": "node1", "service": "finch", "requests": 3, "errors": 1,
        "statuses": {"200": 2, "502": 1}, "unpinned": 0, "chains": 2, "chains_exact": True,
    }  # fmt: skip
    assert (rows["node2", "finch"]["unpinned"], rows["node2", "finch"]["chains"]) == (1, 0)
    assert rows[None, None]["chains"] == 0
    assert (found["total"]["requests"], found["total"]["chains"]) == (5, 2)
    assert found["first"] == "2026-03-02T08:15:42+00:00"
    assert found["last"] == "2026-03-02T09:00:00+00:00"
    shown = run("log", file(text)).out
    assert "1 (502: 1)" in shown
    assert "5 lines, 2026-03-02T08:15:42+00:00 to 2026-03-02T09:00:00+00:00." in shown


def test_a_log_of_an_earlier_version_has_no_service(run, file):
    entry = json.loads(line())
    del entry["upstream"]
    assert list(by_pair(run("log", file(json.dumps(entry)), "--json").json)) == [("node1", None)]


def test_rotated_files_and_standard_input_are_read_together(run, file):
    rotated = file(gzip.compress(line(machineid="old").encode()), "access.log.2.gz")
    current = file(line(machineid="new"))
    done = subprocess.run(
        [sys.executable, "-m", "pavics_affinity", "log", rotated, current, "-", "--json"],
        input=line(machineid="piped") + line(machineid="old"),
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    total = json.loads(done.stdout)["total"]
    assert (total["requests"], total["chains"]) == (4, 3)


DAMAGED = {
    "half a line": line()[:40],
    "another format": '10.0.0.9 - - "GET /wps" 200\n',
    "not an object": "[1, 2]\n",
    "a field of another type": line(machineid=7),
    "no status": line(status=""),
    "no time zone": line(time="2026-03-02T08:15:42"),
    "a node that is not a name": line(node='n"} 1\nevil{x="'),
    "an upstream that is not a name": line(upstream="10.0.0.1:80"),
    "deeply nested": "[" * 100_000 + "\n",
    "bytes": b"\x00\xff\xfe\n",
    "an endless line": "x" * 3_000_000 + "\n",
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_line_is_counted_and_named_and_the_others_are_read(run, file, damage):
    damage = damage if isinstance(damage, bytes) else damage.encode()
    path = file(line().encode() + damage.rstrip(b"\n") + b"\n" + line().encode())
    done = run("log", path, "--json")
    assert (done.code, done.json["damaged"], done.json["total"]["requests"]) == (0, 1, 2)
    assert done.err.startswith(f"damaged: {path}:2: ")


def test_a_compressed_file_that_breaks_off_is_damage(run, file):
    rng = random.Random(1)
    lines = "".join(line(machineid=f"{rng.getrandbits(64):x}") for _ in range(2000))
    whole = gzip.compress(lines.encode())
    path = file(whole[: len(whole) // 2], "access.log.gz")
    done = run("log", path, "--json")
    assert done.code == 0
    assert 0 < done.json["total"]["requests"] < 2000
    assert "the compressed file is damaged here" in done.err


def test_many_damaged_lines_are_counted_and_a_few_are_named(run, file):
    done = run("log", file(line() + "x\n" * 1000), "--json")
    assert done.json["damaged"] == 1000
    assert len(done.err.splitlines()) == 6
    assert done.err.splitlines()[-1] == "damaged: 995 more lines"


def test_a_file_that_is_not_such_a_log_is_an_error(run, file):
    done = run("log", file('10.0.0.9 - - "GET /wps" 200\n' * 3))
    assert (done.code, done.out) == (1, "")
    assert (
        "no line could be read; give the access log of a strict proxy that render wrote" in done.err
    )


def test_an_empty_log_has_no_requests(run, file):
    done = run("log", file(""), "--json")
    assert (done.code, done.json["total"]["requests"], done.json["first"]) == (0, 0, None)


def test_a_path_that_is_not_a_file_is_a_usage_error(run, tmp_path):
    for path in (tmp_path, tmp_path / "missing.log"):
        assert run("log", path).code == 2


def test_with_a_topology_nodes_without_traffic_have_a_row(run, file, site):
    rows = by_pair(run("log", file(line()), "--topology", site, "--json").json)
    assert rows["node1", "finch"]["requests"] == 1
    assert rows["node3", "emu"]["requests"] == 0


def test_many_chains_are_estimated_and_said_to_be(run, file):
    few = "".join(line(machineid=f"id{i}") for i in range(EXACT))
    found = run("log", file(few), "--json").json["total"]
    assert (found["chains"], found["chains_exact"]) == (EXACT, True)
    many = "".join(line(machineid=f"id{i}") for i in range(50_000))
    found = run("log", file(many), "--json").json["total"]
    # Three standard errors; the hash is the same in each run.
    assert abs(found["chains"] / 50_000 - 1) < 0.048
    assert not found["chains_exact"]
    assert f"about {found['chains']:,}" in run("log", file(many)).out


def test_names_without_end_make_no_rows_without_end(run, file):
    text = "".join(line(node=f"n{i}") for i in range(MOST_ROWS + 50))
    done = run("log", file(text), "--json")
    assert len(done.json["rows"]) == MOST_ROWS
    assert done.json["total"]["requests"] == MOST_ROWS + 50
    assert "50 requests are counted only in the total" in done.err


def test_prometheus_text_is_written_whole(run, file, tmp_path, site):
    log = file(line() + line(status="502") + line(machineid="", node="") + "x\n")
    target = tmp_path / "collector" / "affinity.prom"
    done = run("log", log, "--prometheus", target, "--topology", site)
    assert (done.code, done.out) == (0, "")
    assert [path.name for path in target.parent.iterdir()] == ["affinity.prom"]
    text = target.read_text()
    samples = dict(row.rsplit(" ", 1) for row in text.splitlines() if not row.startswith("#"))
    of = "pavics_affinity_log"
    assert samples[f'{of}_requests_total{{node="node1",service="finch",status="502"}}'] == "1"
    assert samples[f'{of}_requests_total{{node="node3",service="finch",status="200"}}'] == "0"
    assert samples[f'{of}_unpinned_requests_total{{node="",service="finch"}}'] == "1"
    assert samples[f'{of}_chains{{node="node1",service="finch"}}'] == "1"
    assert samples[f"{of}_damaged_lines_total"] == "1"
    assert samples[f"{of}_last_request_timestamp_seconds"] == "1772439342"
    assert text.endswith("\n")


def test_a_prometheus_file_that_cannot_be_written_is_an_error(run, file, tmp_path):
    (tmp_path / "file").write_text("")
    done = run("log", file(line()), "--prometheus", tmp_path / "file" / "affinity.prom")
    assert done.code == 1
    assert "cannot write" in done.err


PAGE = Path(__file__).parents[2] / "docs" / "operators" / "log.md"


def test_the_manuals_table_is_what_the_command_prints(run, file, monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")
    lines = [
        line(),
        line(machineid="a1b2~node1", upstream="finch.node1"),
        line(machineid=""),
        line(node="node2", machineid="c3d4", status="502"),
        line(node="node2", machineid="e5f6"),
        line(node="", upstream="", machineid="9f9f~node9", status="421"),
        line(node="", upstream="", machineid="", time="2026-03-02T08:15:48+00:00"),
    ]
    done = run("log", file("".join(lines).replace("finch", "flyingpigeon")))
    shown = PAGE.read_text().split("```console\n$ pavics-affinity log access.log\n")[1]
    assert done.out == shown.split("```")[0]


def test_the_manuals_alerts_use_metrics_that_are_written(run, file, tmp_path):
    rules = yaml.safe_load(PAGE.read_text().split("```yaml\n")[1].split("```")[0])
    run("log", file(line()), "--prometheus", tmp_path / "affinity.prom")
    written = set(re.findall(r"(?m)^# TYPE (\S+)", (tmp_path / "affinity.prom").read_text()))
    alerts = rules["groups"][0]["rules"]
    assert len(alerts) == 4
    for alert in alerts:
        assert set(re.findall(r"pavics_affinity_log_\w+", alert["expr"])) <= written
        assert alert["annotations"]["summary"]


def test_the_manual_names_every_metric(run, file, tmp_path):
    run("log", file(line()), "--prometheus", tmp_path / "affinity.prom")
    written = re.findall(r"(?m)^# TYPE (\S+)", (tmp_path / "affinity.prom").read_text())
    assert [name for name in written if f"| `{name}` |" not in PAGE.read_text()] == []

"""Run every group of benchmarks and write what they gave.

``make bench`` writes benchmarks/results.md and results.json, which the manual quotes;
``make bench-quick`` prints a table and leaves them as they are. A missed target is a
figure like any other, and no failure; a benchmark that breaks is one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from .machine import machine
from .processes import ROOT
from .rows import Row, verdict

HERE = Path(__file__).parent
GROUPS = {
    "transport": "One request",
    "clients": "Documents",
    "chains": "Chains",
    "polling": "The end of a job",
    "downloads": "Downloads",
    "embedding": "Outputs in requests",
    "placement": "Placement",
    "steering": "Steering",
    "imports": "Loading",
    "many": "Many workflows at once",
    "memory": "Memory",
    "makespan": "A batch",
}
"""By module of this package, in the order of the table."""

SECONDS = 600  # that a group may take

_HEAD = """<!-- Written by `make bench`; not edited by hand. -->

Each figure is the median over interleaved pairs or repeated runs; in brackets the quartiles.
Without a unit it is a ratio: of times or memory, ours by the other's; of throughput, ours by
the other's, too. *times* is how many times faster ours is.
"""


def group(name: str, *, quick: bool) -> list[Row]:
    """Measure one group in a separate interpreter."""
    argv = [sys.executable, "-m", f"benchmarks.{name}", "--json", *(["--quick"] if quick else [])]
    done = subprocess.run(
        argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=SECONDS, check=True
    )
    # Libraries may print before: the rows come last.
    rows: list[Row] = json.loads(done.stdout[done.stdout.index("[\n") :])
    if not rows:
        raise ValueError(f"benchmarks.{name} gave no rows")
    return rows


def measured(names: list[str], *, quick: bool) -> tuple[dict[str, Any], list[str]]:
    """Measure the groups; return what came, and the names of those that broke."""
    found: dict[str, Any] = {"machine": machine(), "quick": quick, "groups": []}
    broken = []
    begun = time.monotonic()
    for name in names:
        start = time.monotonic()
        print(f"{name} ...", end=" ", flush=True, file=sys.stderr)
        try:
            rows = group(name, quick=quick)
        except (subprocess.SubprocessError, ValueError) as error:
            print(f"broke: {error}", file=sys.stderr)
            broken.append(name)
            continue
        print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)
        found["groups"].append({"name": name, "title": GROUPS[name], "rows": rows})
    found["minutes"] = round((time.monotonic() - begun) / 60, 1)
    return found, broken


def table(found: dict[str, Any]) -> str:
    """Return everything that was measured, group by group."""
    lines = [_HEAD, summary(found), "", "| of this run | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in found["machine"].items()]
    lines += [f"| minutes | {found['minutes']}{' (quick)' if found['quick'] else ''} |", ""]
    lines += ["| what | against | target | figure | verdict |", "|---|---|---|---|---|"]
    for group in found["groups"]:
        lines.append(f"| **{group['title']}** | | | | |")
        lines += map(_line, group["rows"])
    notes = [entry for group in found["groups"] for entry in group["rows"] if entry.get("note")]
    if notes:
        lines += ["", *(f"- {entry['what']}: {entry['note']}" for entry in notes)]
    return "\n".join(lines) + "\n"


def summary(found: dict[str, Any]) -> str:
    """Say in a sentence how many targets were met, and name the others."""
    rows = [entry for group in found["groups"] for entry in group["rows"]]
    counts = Counter(entry.get("met") for entry in rows)
    missed = [f"{e['what']} ({e['against']})" for e in rows if e.get("met") is False]
    words = f"{counts[True]} of {counts[True] + counts[False]} targets met."
    return f"{words} Missed: {'; '.join(missed)}." if missed else words


def _line(entry: Row) -> str:
    low, high = entry["spread"]
    unit = f" {entry['unit']}" if entry.get("unit") else ""
    shown = f"{entry['figure']:g}{unit} ({low:g} to {high:g})"
    against = "" if entry["against"] == "-" else entry["against"]
    target = entry["target"].replace("<=", "≤").replace(">=", "≥")
    return f"| {entry['what']} | {against} | {target} | {shown} | {verdict(entry)} |"


def main() -> int:
    """Run what was asked for; return 1 if a benchmark broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds; below two minutes")
    parser.add_argument("--only", nargs="+", choices=GROUPS, help="these groups; prints a table")
    options = parser.parse_args()
    found, broken = measured(options.only or list(GROUPS), quick=options.quick)
    shown = table(found)
    if options.quick or options.only or broken:
        print(shown)
    else:
        (HERE / "results.json").write_text(json.dumps(found, indent=2) + "\n")
        (HERE / "results.md").write_text(shown)
        print(f"written: {HERE / 'results.md'}\n{summary(found)}")
    if broken:
        print(f"broke, so that nothing was written: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

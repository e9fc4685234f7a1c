"""Run every group of benchmarks and write what they gave.

``make bench`` writes benchmarks/results.md and results.json, which the manual quotes;
``make bench-quick`` prints a table and leaves them as they are. A missed target is a
figure like any other, and no failure; a benchmark that breaks is one.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from . import report
from .machine import machine
from .processes import ROOT
from .rows import Row

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


def main() -> int:
    """Run what was asked for; return 1 if a benchmark broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds; below two minutes")
    parser.add_argument("--only", nargs="+", choices=GROUPS, help="these groups; prints a table")
    options = parser.parse_args()
    there = [n for n in GROUPS if importlib.util.find_spec(f"benchmarks.{n}") is not None]
    found, broken = measured(options.only or there, quick=options.quick)
    table = report.table(found)
    if options.quick or options.only or broken:
        print(table)
    else:
        (HERE / "results.json").write_text(json.dumps(found, indent=2) + "\n")
        (HERE / "results.md").write_text(table)
        print(f"written: {HERE / 'results.md'}\n{report.summary(found)}")
    if broken:
        print(f"broke, so that nothing was written: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

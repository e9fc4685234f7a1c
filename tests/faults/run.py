"""``make faults``: the matrix, then the random runs, and both as a table in docs/promises.md.

python -m faults.run --seeds 10 --chains 250
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from faults import runs
from faults.chains import CHAINS
from faults.kinds import KINDS
from faults.matrix import Case, cases
from faults.site import faulty_site

PROMISES = Path(__file__).parents[2] / "docs" / "promises.md"
SHORT = {"ExecuteOutcomeUnknown": "unknown", "ExecutionFailed": "failed", "NoAnswer": "no answer"}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="faults.run", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="random runs for each route")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--chains", type=int, default=250, help="chains in each random run")
    parser.add_argument("--threads", type=int, default=runs.THREADS)
    parser.add_argument("--routes", nargs="*", default=runs.ROUTES, choices=runs.ROUTES)
    parser.add_argument("--no-matrix", action="store_true")
    parser.add_argument("--write", action="store_true", help="write the tables to docs/promises.md")
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    runs.THREADS = given.threads
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    # A part mostly waits: two at a time take little longer than one.
    with ProcessPoolExecutor(2) as pool:
        matrix_done = None if given.no_matrix else pool.submit(_matrix)
        runs_done = [pool.submit(_random, route, seeds, given.chains) for route in given.routes]
        findings, table = (0, "") if matrix_done is None else matrix_done.result()
        outcomes = [outcome for done in runs_done for outcome in done.result()]
    findings += sum(len(outcome.findings) for outcome in outcomes)
    print(f"{findings} findings")
    if given.write:
        if table:
            _write("matrix", table)
        _write("runs", runs_table(outcomes))
    return bool(findings)


def _matrix() -> tuple[int, str]:
    """Return how many of its cases went wrong, and its table."""
    done: list[Case] = []
    begun = time.monotonic()
    with faulty_site() as site:
        for client in CHAINS:
            for case in cases(site, [client]):
                done.append(case)
                if case.wrong:
                    print(f"FINDING: {case}", flush=True)
            print(
                f"matrix: {len(done)} cases, {time.monotonic() - begun:.0f} s, {client}", flush=True
            )
    return sum(bool(case.wrong) for case in done), matrix_table(done)


def _random(route: str, seeds: Sequence[int], chains: int) -> list[runs.Outcome]:
    done = []
    with tempfile.TemporaryDirectory() as directory, runs.site(route, Path(directory)) as site:
        for seed in seeds:
            outcome = runs.run(site, seed, chains)
            done.append(outcome)
            for finding in outcome.findings:
                print(f"FINDING: {finding}", flush=True)
            listed = ", ".join(f"{n} {name}" for name, n in outcome.outcomes.most_common())
            print(
                f"{route}, seed {seed}: {listed}; {outcome.faults.total()} faults, "
                f"{len(outcome.findings)} findings, {outcome.seconds:.0f} s",
                flush=True,
            )
    return done


def matrix_table(done: Sequence[Case]) -> str:
    """Return the table fault x phase x client: outcomes at GET, then at Execute."""
    by_cell: dict[tuple[str, str, bool], Counter[str]] = defaultdict(Counter)
    for case in done:
        words = SHORT.get(case.outcome, case.outcome)
        by_cell[case.kind.fault.name, case.client, case.is_execute][words] += 1
    rows = [
        f"{len(done)} cases: each fault at each request of each client's chain. Before the stroke: "
        "requests that may be repeated; after it: an Execute.",
        "",
        "| phase | fault | " + " | ".join(CHAINS) + " |",
        "|---" * (len(CHAINS) + 2) + "|",
    ]
    for kind in KINDS:
        cells = [
            " / ".join(
                _cell(by_cell[kind.fault.name, client, execute]) for execute in (False, True)
            )
            for client in CHAINS
        ]
        rows.append(f"| {kind.fault.phase} | {kind.fault.name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _cell(outcomes: Counter[str]) -> str:
    return ", ".join(sorted(outcomes)) or "-"


def runs_table(outcomes: Sequence[runs.Outcome]) -> str:
    """Return how the chains of the random runs ended, by route."""
    chains: dict[str, Counter[str]] = defaultdict(Counter)
    faults: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for outcome in outcomes:
        chains[outcome.route] += outcome.outcomes
        faults[outcome.route] += outcome.faults.total()
        wrong[outcome.route] += len(outcome.findings)
    total = sum(counter.total() for counter in chains.values())
    seeds = sorted({outcome.seed for outcome in outcomes})
    rows = [
        f"{total} chains, seeds {seeds[0]} to {seeds[-1]}, {faults.total()} faults, "
        f"{wrong.total()} findings.",
        "",
        "| route | chains | faults | findings | ended |",
        "|---|---|---|---|---|",
    ]
    for route, counter in chains.items():
        ended = ", ".join(f"{number} {name}" for name, number in counter.most_common())
        rows.append(f"| {route} | {counter.total()} | {faults[route]} | {wrong[route]} | {ended} |")
    return "\n".join(rows)


def _write(name: str, table: str) -> None:
    """Put a table between its two comments in docs/promises.md."""
    text = PROMISES.read_text()
    pattern = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    written, count = pattern.subn(lambda found: f"{found[1]}{table}\n{found[2]}", text)
    if count != 1:
        raise SystemExit(f"{PROMISES} has no place for the table {name!r}")
    PROMISES.write_text(written)


if __name__ == "__main__":
    sys.exit(main())

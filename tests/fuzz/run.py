"""``make fuzz``: every parser, with as many inputs as are asked for.

python -m fuzz.run --inputs 100000 --targets metalink url

A finding is printed with its traceback, and its input kept in tests/fuzz/corpus, from where
each later run begins.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
from collections.abc import Sequence

from fuzz.engine import Outcome, keep, run
from fuzz.targets import TARGETS


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="fuzz.run", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="for each parser")
    parser.add_argument("--seed", type=int, default=0, help="others give other inputs")
    parser.add_argument("--targets", nargs="*", default=list(TARGETS), choices=TARGETS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="parsers at a time")
    given = parser.parse_args(arguments)
    wrong = 0
    asked = [(name, given.inputs, given.seed) for name in given.targets]
    # Each in a separate process, so that its memory is measured alone.
    with multiprocessing.get_context("spawn").Pool(given.jobs, maxtasksperchild=1) as pool:
        for name, outcome in pool.imap_unordered(_run, asked, chunksize=1):
            print(
                f"{name}: {outcome.inputs} inputs, {outcome.refused} refused, "
                f"{outcome.seconds:.0f} s, {len(outcome.findings)} findings",
                flush=True,
            )
            wrong += len(outcome.findings)
            _report(name, outcome)
    print(f"{wrong} findings")
    return bool(wrong)


def _run(asked: tuple[str, int, int]) -> tuple[str, Outcome]:
    name, inputs, seed = asked
    logging.disable(logging.CRITICAL)
    return name, run(name, TARGETS[name], inputs, seed)


def _report(name: str, outcome: Outcome) -> None:
    for kind, finding in outcome.findings.items():
        path = keep(name, finding.document)
        print(f"FINDING {kind}, {finding.times} times; kept as {path}")
        print(f"{finding.document[:300]!r}\n{finding.said}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

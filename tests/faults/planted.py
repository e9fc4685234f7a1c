"""``make planted``: break the library on purpose, piece by piece, and see which test fails.

Each plant is a small change of the source, made in a copy. Tests that hold the promise run on
the copy and must fail. A plant that no test catches, or whose text is no longer in the source,
is a failure of this command.

    python -m faults.planted                 all of them
    python -m faults.planted redirect pin    those whose name has one of these words
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faults.plants import PLANTS, Plant

ROOT = Path(__file__).parents[2]
COPIED = ("src", "tests", "docs", "notebooks", "pyproject.toml", "README.md", "CHANGELOG.md")
SECONDS = 900


@dataclass(frozen=True)
class Caught:
    """What became of a plant."""

    plant: Plant
    tests: tuple[str, ...]
    trouble: str = ""


def main(words: Sequence[str]) -> int:
    """Try the plants whose name has one of these words; return 1 if one survived."""
    survived = []
    begun = time.monotonic()
    chosen = [p for p in PLANTS if not words or any(word in p.name for word in words)]
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("_build"))
            elif (ROOT / name).is_file():
                shutil.copy(ROOT / name, copy / name)
        for plant in chosen:
            caught = _try(plant, copy)
            if caught.tests:
                print(f"caught    {plant.name}: {', '.join(caught.tests)}", flush=True)
            else:
                survived.append(plant.name)
                print(f"SURVIVED  {plant.name}: {caught.trouble}", flush=True)
    print(
        f"{len(chosen) - len(survived)} of {len(chosen)} caught in {time.monotonic() - begun:.0f} s"
    )
    return bool(survived)


def _try(plant: Plant, copy: Path) -> Caught:
    path = copy / "src" / "pavics_affinity" / plant.file
    if not path.is_file():
        return Caught(plant, (), f"there is no {plant.file}")
    text = path.read_text()
    if text.count(plant.old) != 1:
        return Caught(plant, (), f"its text stands {text.count(plant.old)} times in {plant.file}")
    path.write_text(text.replace(plant.old, plant.new))
    try:
        return _run(plant, copy)
    finally:
        path.write_text(text)


def _run(plant: Plant, copy: Path) -> Caught:
    argv = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *plant.tests]
    try:
        done = subprocess.run(
            argv,
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy / "src")},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Caught(plant, ("(the tests did not end)",))
    failed = re.findall(r"(?m)^(?:FAILED|ERROR) (\S+)", done.stdout)
    broken = re.search(r"(?m)^ERROR .*(?:ImportError|SyntaxError|NameError)", done.stdout)
    if done.returncode != 1 or broken:
        return Caught(plant, (), f"pytest ended with {done.returncode}: {done.stdout[-300:]}")
    return Caught(plant, tuple(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

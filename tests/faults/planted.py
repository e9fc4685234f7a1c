"""``make planted``: break the library on purpose, piece by piece, and see which test fails.

Each plant is a small change of the source, made in a copy. First the tests that hold the
promises run on the copy as it is, and must pass. Then, for each plant, its own tests run, and
one must fail. A plant that no test catches, whose text is no longer in the source, or that only
keeps the library from being imported, is a failure of this command.

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
from pathlib import Path

from faults.plants import PLANTS, Plant

ROOT = Path(__file__).parents[2]
SOURCE = Path("src") / "pavics_affinity"
COPIED = ("src", "tests", "docs", "notebooks", "pyproject.toml", "README.md", "CHANGELOG.md")
SECONDS = 60
"""For one test."""

_FAILED = re.compile(r"(?m)^FAILED tests/(.+?)(?: - .*)?$")
_BROKEN = re.compile(r"(?m)^E +(ImportError|ModuleNotFoundError|SyntaxError|NameError)\b.*")


def main(words: Sequence[str]) -> int:
    """Try the plants whose name has one of these words; return 1 if one survived."""
    begun = time.monotonic()
    chosen = [p for p in PLANTS if not words or any(word in p.name for word in words)]
    survived = 0
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        _copy_to(copy)
        failed, trouble = _run(copy, sorted({test for plant in chosen for test in plant.tests}))
        if failed or trouble:
            print(f"nothing was planted: without it, {failed or 'a test'} fails: {trouble}")
            return 1
        for plant in chosen:
            planted = time.monotonic()
            test, trouble = _try(plant, copy)
            survived += not test
            verdict = (
                f"caught    {plant.name}: {test}"
                if test
                else (f"SURVIVED  {plant.name}: {trouble or 'its tests pass'}")
            )
            print(f"{time.monotonic() - planted:3.0f} s  {verdict}", flush=True)
    seconds = time.monotonic() - begun
    print(f"{len(chosen) - survived} of {len(chosen)} caught in {seconds:.0f} s")
    return int(survived > 0)


def _copy_to(copy: Path) -> None:
    for name in COPIED:
        path = ROOT / name
        if path.is_dir():
            ignored = shutil.ignore_patterns("_build", "__pycache__")
            shutil.copytree(path, copy / name, ignore=ignored)
        else:
            shutil.copy(path, copy / name)


def _try(plant: Plant, copy: Path) -> tuple[str, str]:
    """Return the test that fails while the fault is there; else an empty text, and why not."""
    path = copy / SOURCE / plant.file
    text = path.read_text()
    if text.count(plant.old) != 1:
        return "", f"its text stands {text.count(plant.old)} times in {plant.file}"
    path.write_text(text.replace(plant.old, plant.new))
    try:
        return _run(copy, plant.tests)
    finally:
        path.write_text(text)


def _run(copy: Path, tests: Sequence[str]) -> tuple[str, str]:
    """Return the first test that fails, or none and what else went wrong, if anything did."""
    options = ["-x", "-q", "-p", "no:cacheprovider", f"--timeout={SECONDS}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(f"tests/{test}" for test in tests)],
        cwd=copy,
        # A summary is cut to the width of the terminal; no cached module hides a quick change.
        env={
            **os.environ,
            "PYTHONPATH": str(copy / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "1000",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    failed, broken = _FAILED.search(done.stdout), _BROKEN.search(done.stdout)
    if done.returncode == 1 and failed and not broken:
        return failed[1], ""
    if done.returncode == 0:
        return "", ""
    return "", broken[0] if broken else f"pytest ended with {done.returncode}: {done.stdout[-300:]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

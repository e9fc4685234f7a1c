"""Run the tests in parts at once: those that start clusters wait as much as they compute.

usage: tests.py [--quick | --cov] [ARGUMENTS OF PYTEST ...]

``--quick`` runs those that start no cluster and no program, in parts that take the same time.
``--cov`` measures the lines covered by all and fails below the floor in pyproject.toml. It takes
twice as long, so `make test` is without it.
The last line adds up all parts.
"""

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

HALF_OF_CLUSTERS = "clients or batch or testing"
"""Words in the paths of half of the tests that start clusters."""
PARTS = {
    "without clusters": ["-m", "not cluster"],
    "with clusters, of clients": ["-m", "cluster", "-k", HALF_OF_CLUSTERS],
    "with clusters, of all else": ["-m", "cluster", "-k", f"not ({HALF_OF_CLUSTERS})"],
}
QUICK = ["-q", "-m", "not cluster and not slow"]
HALF = ["tests/clients/http", "tests/clients/wps", "tests/transport"]
"""Directories whose quick tests take as long as those of all others."""
QUICK_PARTS = {
    "of requests and their answers": [*QUICK, *HALF],
    "of all other directories": [*QUICK, *(f"--ignore={each}" for each in HALF)],
}
NO_TESTS = 5


class Part:
    """One run of pytest; its output is printed at once, or held until `show`."""

    def __init__(
        self, name: str, arguments: list[str], data: Path | None, *, at_once: bool
    ) -> None:
        self.name = name
        self.lines: list[str] = []
        self._at_once = at_once
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "pytest", *arguments],
            env=_environment() | ({} if data is None else {"COVERAGE_FILE": f"{data}.{name}"}),
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self.lines.append(line)
            if self._at_once:
                print(line, end="", flush=True)

    def end(self) -> int:
        """Wait for it, print what was held, and return its exit code; no tests are none failed."""
        self._thread.join()
        if not self._at_once:
            print(f"\n==> The tests {self.name}")
            print(*self.lines, sep="", flush=True)
        code = self._process.wait()
        return 0 if code == NO_TESTS else code

    @property
    def counts(self) -> Counter[str]:
        """How many tests passed, failed, were deselected and so on: pytest's last line."""
        last = self.lines[-1] if self.lines else ""
        found = re.findall(r"(\d+) (passed|failed|skipped|deselected|xfailed|xpassed|error)", last)
        return Counter({what: int(number) for number, what in found})


def _environment() -> dict[str, str]:
    """Let all parts, and the programs that they start, share compiled modules: 6 s for each."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def covered(data: Path) -> int:
    """Combine what all parts covered; return an exit code."""
    coverage = [sys.executable, "-m", "coverage"]
    environment = os.environ | {"COVERAGE_FILE": str(data)}
    subprocess.run([*coverage, "combine", "--quiet"], env=environment, check=True)
    report = [*coverage, "report", "--skip-covered"]
    return subprocess.run(report, env=environment, check=False).returncode


def main() -> int:
    """Run all parts, and print their sum."""
    arguments, begun, chosen = sys.argv[1:], time.monotonic(), PARTS
    with tempfile.TemporaryDirectory() as directory:
        data = None
        if arguments[:1] == ["--quick"]:
            chosen, arguments = QUICK_PARTS, arguments[1:]
        elif arguments[:1] == ["--cov"]:
            data = Path(directory) / ".coverage"
            arguments = ["--cov", "--cov-report=", "--cov-fail-under=0", *arguments[1:]]
        parts = [
            Part(name, [*own, *arguments], data, at_once=not place)
            for place, (name, own) in enumerate(chosen.items())
        ]
        codes = [part.end() for part in parts]
        if data is not None:
            codes.append(covered(data))
    counts = [part.counts for part in parts]
    collected = counts[0].total()
    for count in counts:
        count.pop("deselected", 0)
    ran = sum(count.total() for count in counts)
    if not any(codes) and chosen is PARTS and ran != collected:
        print(f"{collected} tests, but {ran} in all parts", file=sys.stderr)
        codes.append(1)
    summary = ", ".join(f"{number} {what}" for what, number in sum(counts, Counter()).items())
    print(f"{summary} in {time.monotonic() - begun:.0f} s")
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())

"""What ``pavics-affinity log`` takes for a million lines: seconds and peak memory.

``python -m benchmarks.accesslog`` writes a log as a strict proxy does, once with few chains and
once with a chain in every line, and counts it by the command, in a new process each time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import tempfile
import time
from pathlib import Path

from pavics_affinity.cli.group import group

from .processes import fresh, peak_bytes

LINE = (
    '{{"time":"2026-03-02T{hour:02}:15:42+00:00","client":"10.0.0.9","method":"GET",'
    '"uri":"/wps?service=WPS&request=GetCapabilities","status":"{status}",'
    '"machineid":"{machineid}","node":"node{node}","upstream":"{service}.node{node}",'
    '"bytes":"18734","seconds":"0.032","connect":"0.001","first_byte":"0.031",'
    '"agent":"pavics-affinity/0.2 python-requests/2.32"}}\n'
)


def write_log(path: Path, lines: int, chains: int) -> None:
    """Write a log of so many lines, in which so many machineids come in turn."""
    rng = random.Random(1)
    with path.open("w") as stream:
        for number in range(lines):
            stream.write(
                LINE.format(
                    hour=number * 24 // lines,
                    status=502 if rng.random() < 0.01 else 200,
                    machineid=f"{number % chains:032x}",
                    node=number % chains % 8 + 1,
                    service=("malleefowl", "flyingpigeon", "finch")[number % 3],
                )
            )


def measure(path: str) -> tuple[float, int, int]:
    """Count a log in this process; return seconds of CPU, bytes and the chains that it found."""
    before, start, said = peak_bytes(), time.process_time(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        group(["log", path, "--json"])
    counted = json.loads(said.getvalue())["total"]["chains"]
    return time.process_time() - start, peak_bytes() - before, counted


def main() -> None:
    """Print a line for each log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "access.log"
        for chains in (1000, options.lines):
            write_log(path, options.lines, chains)
            size = path.stat().st_size / 1e6
            seconds, grown, counted = fresh(measure, str(path))
            print(
                f"{options.lines:,} lines ({size:.0f} MB), {chains:,} chains: {seconds:.1f} s of "
                f"CPU, {grown / 1e6:.0f} MB above the start, {counted:,} chains counted"
            )


if __name__ == "__main__":
    main()

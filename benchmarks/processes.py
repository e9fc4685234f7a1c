"""Run work in a separate process, and measure its time, its CPU and its peak memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


@contextmanager
def bytecode() -> Iterator[dict[str, str]]:
    """Yield an environment in which every process finds its modules compiled."""
    with tempfile.TemporaryDirectory() as cache:
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        yield {**kept, "PYTHONPYCACHEPREFIX": cache}


def cost_of(argv: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a program; return its seconds of wall clock and of CPU."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fresh(call: Callable[..., Any], *arguments: str | int) -> Any:
    """Make a call in a fresh interpreter, whose memory counts from nothing; values are JSON."""
    module = Path(call.__code__.co_filename).stem  # `__module__` may be ``__main__``
    code = (
        f"import json, sys; from benchmarks.{module} import {call.__name__} as call; "
        "print(json.dumps(call(*json.loads(sys.argv[1]))))"
    )
    argv = [sys.executable, "-c", code, json.dumps(arguments)]
    done = subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def peak_bytes() -> int:
    """Return this process's peak resident memory.

    Of ``VmHWM`` where there is one: getrusage counts what the process was forked from, too.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def resident_bytes() -> int:
    """Return this process's resident memory now."""
    import psutil

    return int(psutil.Process().memory_info().rss)

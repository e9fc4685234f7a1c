"""Two hundred workflows at once for some minutes: memory, sockets and threads stay flat.

``make load`` runs it for five minutes. Each of 200 threads opens a workflow, sends some
requests through it (an Execute and a download among them), closes it and begins again. Every
fourth request is timed, and so is the same request through a bare Session of that thread.
What is held is sampled each second; the last third is compared with the second one.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil
import requests

from pavics_affinity import Workflow

from .processes import resident_bytes
from .proxy import Proxy, proxy

AT_ONCE = 200
ROUNDS = 5
"""Requests of each kind through one workflow."""


@dataclass
class Seen:
    """What the threads and the sampler have seen."""

    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    requests: int = 0
    workflows: int = 0
    errors: list[str] = field(default_factory=list)
    samples: list[tuple[float, int, int, int]] = field(default_factory=list)


def work(site: Proxy, seen: Seen, ended: threading.Event) -> None:
    """Open, use and close workflows, one after the other."""
    url, file = f"{site.url}?service=WPS&request=Ping", f"{site.files}/output.xml"
    with requests.Session() as bare:
        while not ended.is_set():
            with Workflow(topology=site.topology) as wf:
                seen.workflows += 1
                key = {"machineid": f"{wf.machineid}~node1"}
                sides = [
                    (seen.ours, partial(wf.session.get, url)),
                    (seen.bare, partial(bare.get, url, headers=key)),
                ]
                for _ in range(ROUNDS):
                    sides.reverse()
                    try:
                        for took, get in sides:
                            begun = time.perf_counter()
                            assert get().status_code == 200
                            took.append(time.perf_counter() - begun)
                        assert wf.session.post(site.url, data=b"<Execute/>").status_code == 200
                        assert len(wf.session.get(file).content) == 100_000
                    except Exception as error:  # noqa: BLE001  # it is counted, and fails the run
                        seen.errors.append(repr(error))
                    seen.requests += 3
                    if ended.is_set():
                        return


def sample(seen: Seen, ended: threading.Event) -> None:
    """Note each second what this process holds."""
    begun, own = time.monotonic(), psutil.Process()
    while not ended.wait(1):
        sockets = sum(map(_is_socket, Path(f"/proc/{own.pid}/fd").iterdir()))
        seen.samples.append(
            (time.monotonic() - begun, resident_bytes(), sockets, threading.active_count())
        )


def _is_socket(number: Path) -> bool:
    try:
        return str(number.readlink()).startswith("socket:")
    except OSError:  # closed since it was listed
        return False


def run(seconds: float) -> Seen:
    """Load a proxy for so long."""
    seen, ended = Seen(), threading.Event()
    with proxy({"output": b"x" * 100_000}) as site:
        before = threading.active_count()
        threads = [
            threading.Thread(target=target, args=arguments)
            for target, arguments in [
                *[(work, (site, seen, ended))] * AT_ONCE,
                (sample, (seen, ended)),
            ]
        ]
        for thread in threads:
            thread.start()
        ended.wait(seconds)
        ended.set()
        for thread in threads:
            thread.join()
        left = threading.active_count() - before
        if left:
            seen.errors.append(f"{left} threads left")
    return seen


def summary(seen: Seen, seconds: float) -> dict[str, Any]:
    """Return the figures of a run."""
    third = len(seen.samples) // 3
    second, last = seen.samples[third : 2 * third], seen.samples[2 * third :]

    def grown(column: int) -> float:
        return round(median(s[column] for s in last) / max(1, median(s[column] for s in second)), 3)

    def last_percent(values: Sequence[float]) -> float:
        return quantiles(values, n=100)[98]

    return {
        "seconds": seconds,
        "workflows": seen.workflows,
        "requests": seen.requests,
        "errors": len(seen.errors),
        "first_errors": seen.errors[:3],
        "memory_MB": round(median(s[1] for s in last) / 1e6, 1),
        "memory_last_third_by_second": grown(1),
        "sockets_last_third_by_second": grown(2),
        "threads_last_third_by_second": grown(3),
        "median_latency_by_bare_session": round(median(seen.ours) / median(seen.bare), 3),
        "p99_latency_by_bare_session": round(last_percent(seen.ours) / last_percent(seen.bare), 3),
    }


def main(print_: Callable[[str], None] = print) -> int:
    """Run what was asked for; return 1 if a request failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    given = parser.parse_args()
    seen = run(given.seconds)
    print_(json.dumps(summary(seen, given.seconds), indent=2))
    return bool(seen.errors)


if __name__ == "__main__":
    raise SystemExit(main())

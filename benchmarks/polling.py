"""How soon the end of a job is noticed: from the end of its work on the node, by its length.

Client and node share this machine's clock. Jobs of seconds run at the same
time, each in its own workflow, and begin one after the other.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from pavics_affinity import Workflow
from pavics_affinity.testing import LocalCluster

from .rows import Row, main, row

LIMITS = {0.3: 0.33, 3.0: 0.1, 60.0: 0.05}  # seconds of work: how late, as a share of them
SERVICE = "flyingpigeon"


def rows(quick: bool) -> list[Row]:
    """Measure jobs of 0.3 s, 3 s and 60 s; `quick` leaves the last one out."""
    found = []
    with LocalCluster(proxy="nginx") as cluster:
        for duration, limit in LIMITS.items():
            if quick and duration > 10:
                continue
            jobs = 6 if quick or duration > 10 else 18
            late, asked = _noticed(cluster, duration, jobs)
            what = f"the end of a job of {duration:g} s is noticed late by"
            found.append(row(what, "what the job took", late, "<=", limit))
            found.append(row(f"status requests for it, {duration:g} s", "-", asked))
    return found


def _noticed(cluster: LocalCluster, duration: float, jobs: int) -> tuple[list[float], list[int]]:
    """Return how late each end was seen, by the job's own time, and the status requests for it."""
    at_once = 1 if duration < 1 else min(jobs, 6)
    seen: dict[str, tuple[float, int]] = {}

    def one(number: int) -> None:
        time.sleep(0.37 * (number % at_once) * min(1.0, duration))
        with Workflow(topology=cluster.topology) as wf:
            execution = wf.wps(cluster.url(SERVICE)).execute("sleep", [("delay", str(duration))])
            execution.wait()
            now = time.time()
            asked = sum(request.operation == "status" for request in wf.record)
        uuid = execution.statusLocation.rpartition("/")[2].removesuffix(".xml")
        seen[uuid] = now, asked

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, range(jobs)))
    runs = {run.uuid: run for run in cluster.executions(identifier="sleep")}
    late = []
    for uuid, (now, _) in seen.items():
        ended = runs[uuid].ended
        assert ended is not None
        late.append((now - ended) / (ended - runs[uuid].started))
    assert len(late) == jobs
    assert median(late) > 0
    return late, [asked for _, asked in seen.values()]


if __name__ == "__main__":
    main(rows, __doc__)

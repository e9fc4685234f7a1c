"""What a workflow holds while it is open and idle, beside its socket.

In a separate process: workflows are opened, each makes one request whose connection
it keeps, and the resident memory that each adds is counted. The same is done with bare
connections of http.client, which is the socket's part.
"""

from __future__ import annotations

import gc
import http.client
from functools import partial
from urllib.parse import urlsplit

from pavics_affinity import Topology, Workflow

from .processes import fresh, resident_bytes
from .proxy import proxy
from .rows import Row, main, row

WARM = 200  # opened first, so that what all share is not counted


def rows(quick: bool) -> list[Row]:
    """Measure kilobytes per open workflow, beside its socket."""
    count, repeats = (300, 3) if quick else (600, 7)
    beside, whole = [], []
    with proxy() as site:
        toml = site.directory.parent / "topology.toml"
        site.topology.dump(toml)
        for _ in range(repeats):
            workflow, socket = (
                fresh(measure, side, site.url, str(toml), count) for side in ("workflow", "socket")
            )
            beside.append((workflow - socket) / 1000)
            whole.append(workflow / 1000)
    what = "memory per open workflow, idle"
    return [
        row(f"{what}, beside its socket", "-", beside, "<=", 60, unit="KB"),
        row(f"{what}, with its socket", "-", whole, unit="KB"),
    ]


def measure(side: str, url: str, topology: str, count: int) -> float:
    """Return the bytes by which each workflow, or socket, adds to the resident memory."""
    url = f"{url}?service=WPS&request=Ping"
    site = Topology.load(topology)
    opened = {"socket": partial(_socket, url), "workflow": partial(_workflow, url, site)}
    make = opened[side]
    kept = [make() for _ in range(WARM)]
    gc.collect()
    before = resident_bytes()
    kept += [make() for _ in range(count)]
    gc.collect()
    return (resident_bytes() - before) / count


def _workflow(url: str, topology: Topology) -> Workflow:
    made = Workflow(topology=topology)
    assert made.session.get(url).status_code == 200
    return made


def _socket(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    made = http.client.HTTPConnection(parts.netloc)
    made.request("GET", f"{parts.path}?{parts.query}")
    made.getresponse().read()
    return made


if __name__ == "__main__":
    main(rows, __doc__)

"""What a workflow holds while it is open and idle, beside its socket.

In a separate process: workflows are opened, each makes one request whose connection
it keeps, and the resident memory that each adds is counted. The same is done with bare
connections of http.client, which is the socket's part.
"""

from __future__ import annotations

import argparse
import gc
import http.client
import json
from collections.abc import Callable
from urllib.parse import urlsplit

from pavics_affinity import Topology, Workflow

from .processes import resident_bytes, told
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
            workflow = told("memory", "workflow", site.url, str(toml), str(count))["bytes"]
            socket = told("memory", "socket", site.url, str(toml), str(count))["bytes"]
            beside.append((workflow - socket) / 1000)
            whole.append(workflow / 1000)
    what = "memory per open workflow, idle"
    return [
        row(f"{what}, beside its socket", "-", beside, "<=", 60, unit="KB"),
        row(f"{what}, with its socket", "-", whole, unit="KB"),
    ]


def grown(make: Callable[[], object], count: int) -> float:
    """Return the bytes by which each of what is made adds to the resident memory."""
    kept = [make() for _ in range(WARM)]
    gc.collect()
    before = resident_bytes()
    kept += [make() for _ in range(count)]
    gc.collect()
    return (resident_bytes() - before) / count


def measure() -> None:
    """Count one side, in this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=["workflow", "socket"])
    parser.add_argument("url")
    parser.add_argument("topology")
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    url = f"{options.url}?service=WPS&request=Ping"
    topology = Topology.load(options.topology)

    def workflow() -> Workflow:
        made = Workflow(topology=topology)
        assert made.session.get(url).status_code == 200
        return made

    def socket() -> http.client.HTTPConnection:
        parts = urlsplit(url)
        made = http.client.HTTPConnection(parts.netloc)
        made.request("GET", f"{parts.path}?{parts.query}")
        made.getresponse().read()
        return made

    make = workflow if options.side == "workflow" else socket
    print(json.dumps({"bytes": grown(make, options.count)}))


if __name__ == "__main__":
    import sys

    measure() if sys.argv[1:2] and not sys.argv[1].startswith("-") else main(rows, __doc__)

"""A large output: how fast it comes, and how much memory that takes.

nginx serves the file. Each client is a separate process, which times the download
alone and reports its peak memory as the system counts it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from .measure import in_turns, ratios
from .processes import peak_bytes, told
from .proxy import proxy
from .rows import Row, main, row

MEGABYTES = 300
_DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<wps:ExecuteResponse xmlns:wps="http://www.opengis.net/wps/1.0.0"
    xmlns:ows="http://www.opengis.net/ows/1.1" xmlns:xlink="http://www.w3.org/1999/xlink"
    service="WPS" version="1.0.0" xml:lang="en-US">
  <wps:Process wps:processVersion="1.0"><ows:Identifier>produce</ows:Identifier>
    <ows:Title>Produce</ows:Title></wps:Process>
  <wps:Status creationTime="2026-01-01T00:00:00Z"><wps:ProcessSucceeded>done</wps:ProcessSucceeded>
  </wps:Status>
  <wps:ProcessOutputs><wps:Output><ows:Identifier>output</ows:Identifier><ows:Title>o</ows:Title>
    <wps:Reference xlink:href="{url}" mimeType="application/octet-stream"/></wps:Output>
  </wps:ProcessOutputs>
</wps:ExecuteResponse>"""


def rows(quick: bool) -> list[Row]:
    """Measure 300 MB, through OWSLib, curl and this package."""
    rounds = 2 if quick else 12
    peaks: dict[str, list[float]] = {"ours": [], "owslib": []}
    with proxy() as site:
        size = MEGABYTES * 1_000_000
        with (site.directory / "output.bin").open("wb") as file:
            block = bytes(range(256)) * 4000
            for _ in range(0, size, len(block)):
                file.write(block)
        size = (site.directory / "output.bin").stat().st_size
        url, target = f"{site.files}/output.bin", site.directory.parent / "fetched.bin"

        def fetched(client: str) -> float:
            target.unlink(missing_ok=True)
            if client == "curl":
                took = _curl(url, target)
            else:
                told_ = told("downloads", client, site.url, url, str(target))
                took = told_["seconds"]
                peaks[client].append(told_["peak"])
            assert target.stat().st_size == size
            return took

        sides = {name: lambda name=name: fetched(name) for name in ("ours", "owslib", "curl")}
        took = in_turns(sides, rounds, clock=lambda fetch: fetch(), warm=not quick)
    throughput = ratios(took["curl"], took["ours"])
    rate = [size / 1e6 / own for own in took["ours"]]
    what = f"{MEGABYTES} MB output"
    return [
        row(
            f"{what}, peak RSS",
            "OWSLib getOutput",
            ratios(peaks["ours"], peaks["owslib"]),
            "<=",
            0.1,
        ),
        row(f"{what}, throughput", "curl -o", throughput, ">=", 0.9),
        row(f"{what}, throughput", "OWSLib getOutput", ratios(took["owslib"], took["ours"])),
        row(f"{what}, peak RSS by itself", "-", [p / 1e6 for p in peaks["ours"]], unit="MB"),
        row(f"{what}, throughput by itself", "-", rate, unit="MB/s"),
    ]


def _curl(url: str, target: Path) -> float:
    argv = ["curl", "-s", "-f", "-H", "machineid: a1b2", "-o", str(target)]
    done = subprocess.run(
        [*argv, "-w", "%{time_total}", url], check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout)


def measure() -> None:
    """Download with one client, in this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("client", choices=["ours", "owslib"])
    parser.add_argument("service")
    parser.add_argument("url")
    parser.add_argument("target")
    options = parser.parse_args()
    document = _DOCUMENT.format(url=options.url)
    if options.client == "ours":
        from pavics_affinity import Workflow

        with Workflow("a1b2") as wf:
            wps = wf.wps(options.service, skip_caps=True)
            execution = wps.execute("produce", [], response=document)
            start = time.perf_counter()
            execution.output("output").download(options.target)
            took = time.perf_counter() - start
    else:
        from owslib.wps import WPSExecution

        execution = WPSExecution(url=options.service, headers={"machineid": "a1b2"})
        execution.checkStatus(response=document.encode(), sleepSecs=0)
        start = time.perf_counter()
        execution.getOutput(options.target)
        took = time.perf_counter() - start
    print(json.dumps({"seconds": took, "peak": peak_bytes()}))


if __name__ == "__main__":
    measure() if sys.argv[1:2] and not sys.argv[1].startswith("-") else main(rows, __doc__)

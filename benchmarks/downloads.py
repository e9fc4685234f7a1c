"""A large output: how fast it comes, and how much memory that takes.

nginx serves the file. Each client is a separate process, which times the download
alone and reports its peak memory as the system counts it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from .measure import in_turns, ratios, seconds
from .processes import fresh, peak_bytes
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
                took, peak = fresh(measure, client, site.url, url, str(target))
                peaks[client].append(peak)
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


def measure(client: str, service: str, url: str, target: str) -> tuple[float, int]:
    """Download with one client in this process; return seconds and peak memory."""
    document = _DOCUMENT.format(url=url)
    if client == "ours":
        from pavics_affinity import Workflow

        with Workflow("a1b2") as wf:
            wps = wf.wps(service, skip_caps=True)
            output = wps.execute("produce", [], response=document).output("output")
            took = seconds(lambda: output.download(target))
    else:
        from owslib.wps import WPSExecution

        execution = WPSExecution(url=service, headers={"machineid": "a1b2"})
        execution.checkStatus(response=document.encode(), sleepSecs=0)
        took = seconds(lambda: execution.getOutput(target))
    return took, peak_bytes()


if __name__ == "__main__":
    main(rows, __doc__)

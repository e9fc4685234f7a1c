"""Whole chains on real PyWPS nodes behind a real nginx.

All sides use one routing key, so that they work on the same node; clients and
descriptions are known beforehand.
"""

from __future__ import annotations

import json
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import owslib.wps
from owslib.wps import SYNC

from pavics_affinity import Workflow
from pavics_affinity.testing import LocalCluster

from .measure import in_turns, ratios
from .rows import Row, main, row

BY_HAND = "OWSLib with the header by hand"
BOX = [("lon0", "-120"), ("lon1", "-90"), ("lat0", "30"), ("lat1", "50")]
SERVICES = ("malleefowl", "flyingpigeon")


def rows(quick: bool) -> list[Row]:
    """Measure a synchronous chain, and asynchronous ones of short jobs."""
    with (
        LocalCluster(proxy="nginx", evidence="X-Pavics-Node") as cluster,
        tempfile.TemporaryDirectory() as directory,
        Workflow(topology=cluster.topology) as wf,
    ):
        header = wf.headers(cluster.url(SERVICES[0]))
        return [
            *_synchronous(cluster, wf, header, Path(directory), 5 if quick else 25),
            *_asynchronous(cluster, wf, header, 0.3, 2 if quick else 7),
            *_asynchronous(cluster, wf, header, 3.0, 1 if quick else 3, birds=not quick),
        ]


def _synchronous(
    cluster: LocalCluster, wf: Workflow, header: dict[str, str], directory: Path, rounds: int
) -> Iterator[Row]:
    """Download, subset, fetch the result."""
    url = cluster.sample_url
    download, subset = (wf.wps(cluster.url(service)) for service in SERVICES)
    plain_download, plain_subset = (
        owslib.wps.WebProcessingService(cluster.url(service), headers=dict(header))
        for service in SERVICES
    )

    def ours() -> None:
        done = download.execute("download", [("resource", url)], mode=SYNC).wait()
        [path] = done.output("output").json()
        done = subset.execute("subset_bbox", [("resource", path), *BOX], mode=SYNC).wait()
        done.output("output").download(directory / "ours.nc")

    def by_hand() -> None:
        done = plain_download.execute("download", [("resource", url)], mode=SYNC)
        done.getOutput(str(directory / "paths.json"))
        [path] = json.loads((directory / "paths.json").read_text())
        done = plain_subset.execute("subset_bbox", [("resource", path), *BOX], mode=SYNC)
        done.getOutput(str(directory / "theirs.nc"), identifier="output")

    took = in_turns({"ours": ours, "by hand": by_hand}, rounds)
    sizes = [(directory / name).stat().st_size for name in ("ours.nc", "theirs.nc")]
    assert sizes[0] == sizes[1] > 0
    what = "synchronous chain: download, subset, fetch"
    pairs = ratios(took["ours"], took["by hand"])
    yield row(what, BY_HAND, pairs, "<=", 1.00)
    yield row("the same, by itself", "-", took["ours"], unit="s")


def _asynchronous(
    cluster: LocalCluster,
    wf: Workflow,
    header: dict[str, str],
    delay: float,
    rounds: int,
    *,
    birds: bool = True,
) -> Iterator[Row]:
    """Run two jobs, one after the other, and take the output of each."""
    import birdy

    urls = [cluster.url(service) for service in SERVICES]
    own = [wf.wps(url) for url in urls]
    plain = [owslib.wps.WebProcessingService(url, headers=dict(header)) for url in urls]
    birdies = [birdy.WPSClient(url, headers=dict(header), progress=True) for url in urls]
    asked: list[int] = []

    def ours() -> None:
        for wps in own:
            before = _status_requests(wf)
            done = wps.execute("sleep", [("delay", str(delay))]).wait()
            assert done.output("sleep_output").text().startswith("slept")
            asked.append(_status_requests(wf) - before)

    def each_second() -> None:
        for wps in plain:
            done = wps.execute("sleep", [("delay", str(delay))], output=[("sleep_output", False)])
            while not done.isComplete():
                done.checkStatus(sleepSecs=1)
            assert done.processOutputs[0].data[0].startswith("slept")

    def by_birdy() -> None:
        for client in birdies:
            assert client.sleep(delay=delay).get()[0].startswith("slept")

    with _own_interrupts():
        sides: dict[str, Callable[[], None]] = {
            "ours": ours,
            "each second": each_second,
        }
        if birds:
            sides["birdy"] = by_birdy
        took = in_turns(sides, rounds, warm=False)
    what = f"asynchronous chain, two jobs of {delay:g} s"
    limit = ("<=", 0.6) if delay < 1 else (None, None)
    yield row(what, "OWSLib polled each second", ratios(took["ours"], took["each second"]), *limit)
    if birds:
        yield row(what, "birdy with progress", ratios(took["ours"], took["birdy"]), *limit)
    most = ("<=", 12) if delay == 3 else (None, None)
    yield row(f"status requests per job of {delay:g} s", "-", asked, *most)


def _status_requests(wf: Workflow) -> int:
    return Counter(request.operation for request in wf.record)["status"]


@contextmanager
def _own_interrupts() -> Iterator[None]:
    """Undo what birdy's monitor does to Ctrl-C."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    main(rows, __doc__)

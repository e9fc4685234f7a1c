"""The same chain through each client: fetch a file, make a subset of it, download the subset."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from faults.site import Site, environment
from pavics_affinity import WebProcessingService, Workflow, current_workflow

Chain = Callable[[Site, Workflow, Path], bytes]

SILENCE = 0.8
"""Seconds after which silence is given up where it is the fault; else it is a minute."""


def wps_sync(site: Site, wf: Workflow, directory: Path) -> bytes:
    return _wps(site, wf, directory, "sync")


def wps_async(site: Site, wf: Workflow, directory: Path) -> bytes:
    return _wps(site, wf, directory, "async")


def _wps(site: Site, wf: Workflow, directory: Path, mode: str) -> bytes:
    wps = wf.wps(f"{site.public}/wps")
    fetched = wps.execute("fetch", [("source", "x")], output="output", mode=mode).wait(90)
    path = fetched.output("output").text()
    subset = wps.execute("subset", [("resource", path)], output="output", mode=mode).wait(90)
    return Path(subset.output("output").download(directory / "subset.txt")).read_bytes()


def birdy(site: Site, wf: Workflow, directory: Path) -> bytes:
    client = wf.birdy(f"{site.public}/wps")
    [path] = client.fetch(source="x").get(asobj=True)
    [text] = client.subset(resource=path).get(asobj=True)
    return text.encode()


def ogc_sync(site: Site, wf: Workflow, directory: Path) -> bytes:
    return _ogc(site, wf, directory, False)


def ogc_async(site: Site, wf: Workflow, directory: Path) -> bytes:
    return _ogc(site, wf, directory, True)


def _ogc(site: Site, wf: Workflow, directory: Path, async_: bool) -> bytes:
    api = wf.processes(f"{site.public}/ogc")
    fetched = api.execute("fetch", {"source": "x"}, async_=async_).wait(90)
    path = fetched.output("output").text()
    subset = api.execute("subset", {"resource": path}, async_=async_).wait(90)
    return Path(subset.output("output").download(directory / "subset.txt")).read_bytes()


CHAINS: dict[str, Chain] = {
    "WPS sync": wps_sync,
    "WPS async": wps_async,
    "WPS direct": wps_async,
    "WPS through a forward proxy": wps_sync,
    "birdy": birdy,
    "OGC API sync": ogc_sync,
    "OGC API async": ogc_async,
}


@contextlib.contextmanager
def workflow_for(name: str, site: Site, *, silent: bool = False) -> Iterator[Workflow]:
    """Make the workflow in which a chain runs, on its route."""
    with contextlib.ExitStack() as ends:
        if "forward" in name:
            ends.enter_context(environment(http_proxy=site.forward, no_proxy=""))
        options: dict[str, Any] = {"timeout": SILENCE if silent else 60, "deadline": 20}
        if "direct" in name:
            options |= {"topology": site.direct, "route": "direct"}
        yield ends.enter_context(Workflow(**options))


# ---- one step, whose value is the workflow's own id ----


def fetch(wf: Workflow, url: str) -> str:
    """Execute once."""
    execution = wf.wps(url, skip_caps=True).execute("fetch", [("source", wf.machineid)])
    return execution.wait(60).output("output").text()


def fetch_by_the_ambient_workflow(url: str) -> None:
    wps = WebProcessingService(url, skip_caps=True)
    wps.execute("fetch", [("source", current_workflow().machineid)]).wait(60)


def in_another_process(wf: Workflow, url: str) -> str:
    with wf:
        fetch(wf, url)
        fetch_by_the_ambient_workflow(url)
        return wf.machineid

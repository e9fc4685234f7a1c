"""Chain functions that other processes can import."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pavics_affinity import Workflow

URLs = Mapping[str, str]


def echo_twice(wf: Workflow, item: Any, *, urls: URLs) -> dict[str, Any]:
    """Execute at two services; give the nodes that ran it, and where the chain ran."""
    nodes = []
    for url in urls.values():
        execution = wf.wps(url, skip_caps=True).execute("echo", [("text", str(item))], mode="sync")
        nodes.append(execution.output("node").data[0])
    return {"item": item, "nodes": nodes, "process": os.getpid()}


def execute_and_die(wf: Workflow, item: str, *, url: str, log: str) -> None:
    """Execute, note it in a file, and end the process."""
    wf.wps(url, skip_caps=True).execute("echo", [("text", item)], mode="sync")
    with Path(log).open("a", encoding="utf-8") as file:
        print(item, file=file)
    os._exit(3)


def nap(wf: Workflow, item: Any, *, url: str, delay: float) -> str:
    """Sleep on the node, synchronously."""
    wps = wf.wps(url, skip_caps=True)
    slept = wps.execute("sleep", [("delay", str(delay))], mode="sync")
    return str(slept.output("sleep_output").data[0])


def job(wf: Workflow, item: Any, *, urls: URLs, delay: float) -> dict[str, Any]:
    """Run two jobs, one after the other; give the nodes that ran them."""
    nodes = []
    for url in urls.values():
        wps = wf.wps(url, skip_caps=True)
        inputs = [("delay", str(delay))]
        slept = wps.execute("sleep", inputs, output="sleep_output", mode="async").wait()
        nodes.append(slept.output("sleep_output").data[0].rpartition(" ")[2])
    return {"item": item, "nodes": nodes}


def ask(wf: Workflow, item: Any, *, url: str) -> int:
    """Send one GET; return the status."""
    return wf.session.get(url).status_code


class Stubborn(Exception):
    """Pickles, and cannot be read again."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def misbehave(wf: Workflow, item: str) -> Any:
    """Fail, or return, in ways that do not travel between processes."""
    if item == "stubborn":
        raise Stubborn("can", "not")
    if item == "lock":
        return threading.Lock()
    if item == "die":
        os._exit(3)
    if item == "fail":
        raise ValueError("as any chain may")
    return item

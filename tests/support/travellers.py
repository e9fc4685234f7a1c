"""What other processes do with what they are sent; they can import it."""

from __future__ import annotations

import os
from typing import Any


def execute(client: Any) -> tuple[int, str, list[str]]:
    """Execute with a WPS client that was sent; return process, machineid and outputs."""
    execution = client.execute("step", [("delay", "1")]).wait()
    return os.getpid(), client.session.machineid, [o.identifier for o in execution.processOutputs]


def call(client: Any) -> tuple[int, str]:
    """Execute with a birdy client that was sent."""
    client.step(delay=1)
    return os.getpid(), client._wps.session.machineid


def names(client: Any) -> tuple[int, str, list[str]]:
    """Ask with a client of an OGC API that was sent."""
    return os.getpid(), client.session.machineid, [p["id"] for p in client.processes()]


def text(output: Any) -> tuple[int, str]:
    """Fetch an output that was sent."""
    return os.getpid(), output.text()


def shared(held: dict[str, Any]) -> set[int]:
    """Return the sessions behind what was sent together."""
    return {id(getattr(one, "session", None) or one._wps.session) for one in held.values()}

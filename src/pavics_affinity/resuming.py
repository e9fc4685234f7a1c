"""Store a workflow's options in its journal, and make the workflow from them again."""

from __future__ import annotations

import os
import time
from typing import Any

from .errors import JournalError, OutcomeUnknownWarning
from .journal import Contents
from .pin import Pin
from .topology import Topology
from .topology.sources import FileSource, FixedSource
from .transport import AffinitySession
from .warn import warn

_MOMENT = "%Y-%m-%d %H:%M:%S"


def header_of(pin: Pin, node: str | None) -> dict[str, Any]:
    """Return the values of a journal's first line."""
    known = []
    for source in pin.sources:
        if isinstance(source, FileSource):
            known.append({"file": os.fspath(source.path.absolute())})
        elif isinstance(source, FixedSource):
            known.append({"toml": source.current.dumps()})
    return {
        "machineid": pin.machineid,
        "route": pin.route_policy,
        "strict": pin.strict,
        "header": pin.header,
        "topology": known,
        "node": node,
    }


def options_of(contents: Contents, path: object) -> dict[str, Any]:
    """Return the arguments of `Workflow` that make an equal one."""
    header = contents.begin
    try:
        topology = [
            known["file"] if "file" in known else Topology.loads(known["toml"], file="the journal")
            for known in header["topology"]
        ]
        return {
            "machineid": contents.machineid,
            "node": contents.node,
            "topology": topology or None,
            **{name: header[name] for name in ("route", "strict", "header")},
        }
    except (KeyError, TypeError) as error:
        raise JournalError(
            f"{path} does not contain the workflow's options ({error!r}): another program "
            "has changed the file. Restore it from a copy"
        ) from error


def restore(session: AffinitySession, contents: Contents, *, replay: bool) -> None:
    """Restore a session's steps from its journal; warn of those that may have run."""
    session.record.steps.restore(contents.steps, replay=replay)
    for step in contents.steps:
        # Waiting for it needs no client, but sends its service the machineid.
        session.pin.add_scope(step.service)
        session.pin.places.add_service(step.service)
        if step.ran and step.node is not None:
            session.pin.restore(step.service, step.node)
    unknown = [step for step in contents.steps if step.state == "unknown"]
    if unknown and not replay:
        listed = ", ".join(
            f"{step.process!r} at {time.strftime(_MOMENT, time.localtime(step.started))}"
            for step in unknown
        )
        warn(
            f"it is not known whether these steps of workflow {session.machineid!r} were executed "
            f"on node {session.node!r}: {listed}. They are not sent again; look at the service's "
            "jobs before you send them yourself",
            OutcomeUnknownWarning,
        )

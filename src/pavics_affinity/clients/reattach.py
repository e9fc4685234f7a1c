"""The object to wait for of each step of a workflow, also of steps of an earlier process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..record import Step
from .http.urls import web_url
from .http.waiting import Executions
from .ogcapi.jobs import Job
from .wps.execution import Execution, kept

if TYPE_CHECKING:
    from ..transport import AffinitySession


def reattach(session: AffinitySession, step: Step) -> Execution | Job | None:
    """Return the client's object for a step; nothing is asked.

    None if there is nothing to wait for: nothing ran, or no status location is known and
    the answer was not kept.
    """
    executions = session.shared(Executions)
    known = executions.of(step)
    if isinstance(known, Execution | Job):
        return known
    found: Execution | Job
    if step.api == "ogcapi":
        if step.location is None:
            return None
        location = web_url(step.location, base=step.service, what="the job")
        found = Job(session, location, step)
    else:
        if step.location is None and step.answer is None:
            return None
        found = Execution(url=step.service, session=session)
        if step.location is not None:
            found.statusLocation = step.location
        found.step = step
        if step.answer is not None:
            found.parseResponse(kept(step.answer))
    executions.add(step, found, hold=True)
    return found

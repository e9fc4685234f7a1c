"""What an earlier process executed, as an object that can be waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..record import Step
from .http.urls import web_url
from .ogcapi.jobs import Job
from .wps.execution import Execution
from .wps.submission import kept

if TYPE_CHECKING:
    from ..transport import AffinitySession


def take_up(session: AffinitySession, step: Step) -> Execution | Job | None:
    """Return the client's object for a step; nothing is asked.

    Parameters
    ----------
    session : AffinitySession
        The workflow's.
    step : Step
        One of its steps.

    Returns
    -------
    Execution, Job or None
        None where there is nothing to wait for: nothing ran, or no status
        location is known and the answer was not kept.

    Raises
    ------
    JournalError, NotAService, OutOfScope
        A journal has it, and it cannot be what was written.
    """
    known = None if step.client is None else step.client()
    if known is not None:
        return known  # type: ignore[no-any-return]  # what the client put there itself
    if step.api == "ogcapi":
        if step.location is None:
            return None
        location = web_url(step.location, base=step.service, what="the job")
        job = Job(session, location, process=step.process, step=step)
        step.client = lambda: job  # held, for nobody else may
        return job
    if step.location is None and step.answer is None:
        return None
    execution = Execution(url=step.service, session=session)
    if step.location is not None:
        execution.statusLocation = step.location
    execution.step = step
    if step.answer is not None:
        execution.parseResponse(kept(step.answer))
    step.client = lambda: execution
    return execution

"""An Execute on its way: sent once, noted as a step, or recalled from a journal."""

from __future__ import annotations

import contextlib
import itertools
import time
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lxml import etree

from ...errors import (
    ExecuteOutcomeUnknown,
    ExecutionFailed,
    InvalidRequest,
    JournalError,
    ServiceError,
    say_also,
)
from ...record import Step, StepState, following, operation
from ...record.steps import digest_of
from ...transport.wire import shown
from ..http import polling, xml
from ..http.answers import BodyBroken, expect, read
from ..http.urls import web_url
from .raw import RawOutput
from .status import StatusDocument

if TYPE_CHECKING:
    from ...transport import AffinitySession
    from .execution import Execution

_BUSY = "ServerBusy"
#: What a step is, by OWSLib's word for the execution's status.
STATES: dict[str, StepState] = {
    "ProcessAccepted": "accepted",
    "ProcessStarted": "running",
    "ProcessPaused": "running",
    "ProcessSucceeded": "succeeded",
    "ProcessFailed": "failed",
    "Exception": "failed",
}


def submit(
    execution: Execution, process: str, body: bytes, timeout: Any, raw: RawOutput | None = None
) -> etree._Element:
    """Return the root of the answer to an Execute document.

    A workflow that replays its journal does not send again what is in there: the
    root is then that of the status document, or of the answer kept.

    Parameters
    ----------
    execution : Execution
        It follows the step from now on.
    process : str
        Identifier of the process.
    body : bytes
        The document.
    timeout : float, tuple or None
        Seconds.
    raw : RawOutput, optional
        What the document asks for as raw data.

    Raises
    ------
    ServiceError
        The answer is an exception, or nothing of a WPS.
    ExecuteOutcomeUnknown
        No whole answer came, now or in the earlier process.
    """
    session, url = execution.session, execution.url or ""
    steps, digest = session.record.steps, digest_of(url, body)
    earlier = steps.recall(digest)
    if earlier is not None:
        _follow(execution, earlier)
        return _recalled(execution, earlier, f"Execute {process}")
    step = steps.begin(process, shown(url), digest=digest)
    _follow(execution, step)
    end = time.monotonic() + session.busy_patience
    for attempt in itertools.count():
        try:
            with noting(step):
                return _post(session, url, step, body, timeout, raw)
        except ServiceError:
            left = end - time.monotonic()
            if step.ran or left <= 0:
                raise
            # The server says that it did nothing, so it may be asked again.
            time.sleep(min(left, polling.busy_pause(attempt)))
    raise AssertionError("never reached: the loop above has no end")


@contextlib.contextmanager
def before_sending() -> Iterator[None]:
    """Say of each refusal inside that nothing was executed: the Execute has not been sent."""
    try:
        yield
    except InvalidRequest as error:
        say_also(error, "Nothing was executed")
        raise


@contextlib.contextmanager
def noting(step: Step) -> Iterator[None]:
    """Let a step know what becomes of the Execute that is sent, and read, inside.

    Parameters
    ----------
    step : Step
        The transport tells it, too.
    """
    try:
        with following(step):
            yield
    except ServiceError as error:
        code = getattr(error, "code", None)
        if not step.ran:
            pass  # the transport knows it by the status
        elif isinstance(error, ExecutionFailed) or code is not None:
            step.refused(error, ran=code != _BUSY)
        else:
            step.unknown(error)
        raise
    except ExecuteOutcomeUnknown as error:
        if step.state != "unknown":
            step.unknown(error)
        raise


def tell(execution: Execution, document: etree._Element) -> None:
    """Let the workflow's record, and its journal, know what a document says.

    Parameters
    ----------
    execution : Execution
        It has taken the document over.
    document : lxml.etree._Element
        The root.
    """
    if execution.status is None:
        return
    steps = execution.session.record.steps
    step: Step | None = execution.step
    if step is None:
        if not execution.statusLocation:
            return
        process = str(getattr(execution.process, "identifier", None) or "")
        step = steps.attached(execution.statusLocation, process, shown(execution.url or ""))
        _follow(execution, step)
    whole = not execution.statusLocation and steps.listener is not None
    errors = "\n".join(e.text.strip() for e in execution.errors if e.text and e.text.strip())
    step.update(
        STATES.get(execution.status, "running"),
        percent=execution.percentCompleted,
        message=errors or execution.statusMessage,
        location=execution.statusLocation or None,
        outputs={
            str(o.identifier): str(o.reference) for o in execution.processOutputs if o.reference
        },
        answer=etree.tostring(document) if whole else None,
    )


def _follow(execution: Execution, step: Step) -> None:
    execution.step, step.client = step, weakref.ref(execution)


def _post(
    session: AffinitySession,
    url: str,
    step: Step,
    body: bytes,
    timeout: Any,
    raw: RawOutput | None,
) -> etree._Element:
    doing = f"Execute {step.process}"
    with operation(doing):
        response = session.post(
            url,
            data=body,
            headers={"Content-Type": "text/xml"},
            timeout=timeout,
            stream=True,
        )
    try:
        answer = read(response, url=url)
        if answer.may_be_cut:
            raise BodyBroken("its length is not stated, and it is not a whole document")
    except BodyBroken as error:
        raise ExecuteOutcomeUnknown(
            f"the answer to {doing} broke off ({error}): the service took it, and it may have "
            "run, or not. It was not sent again; look at the service's jobs, or run the chain "
            "anew if running twice does no harm",
            url=url,
            machineid=session.machineid,
            node=session.node,
        ) from error
    held = None if raw is None else raw.response(answer, step.process)
    if held is not None:
        return held
    return expect(
        answer, "ExecuteResponse", doing=doing, service="WPS", asker=session, execute=True
    )


def _recalled(execution: Execution, step: Step, doing: str) -> etree._Element:
    """Return what an Execute that an earlier process sent has come to."""
    session = execution.session
    if step.answer is not None:
        return kept(step.answer)
    if step.location is not None:
        url = web_url(step.location, base=execution.url or "", what="the status document")
        execution.statusLocation = step.location
        document = StatusDocument(
            session, url, process=doing, timeout=execution.timeout, service=execution.url or ""
        )
        root: etree._Element | None = document.fetch()
        if root is not None:
            return root
    raise lost(session, step)


def kept(answer: bytes) -> etree._Element:
    """Return the root of an answer that a journal has kept.

    Raises
    ------
    JournalError
        It is not XML.
    """
    try:
        return xml.parse(answer)
    except (etree.XMLSyntaxError, ServiceError) as error:
        raise JournalError(
            f"an answer that the journal has kept cannot be read ({error}): something else has "
            "changed the file. Take a copy that is whole, or run the chain again"
        ) from error


def lost(session: AffinitySession, step: Step) -> ExecuteOutcomeUnknown:
    """Make the error for a result of an earlier process that cannot be had again.

    Parameters
    ----------
    session : AffinitySession
        The workflow's.
    step : Step
        What the earlier process executed.
    """
    return ExecuteOutcomeUnknown(
        f"an earlier process sent Execute {step.process}, and its result cannot be had again: "
        f"{step.message or 'the journal does not hold it'}. It was not sent again; look at the "
        "service's jobs, or run the chain anew if running twice does no harm",
        url=step.service,
        machineid=session.machineid,
        node=session.node,
    )

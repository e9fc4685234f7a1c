"""An execution of a WPS process: sent, asked about, waited for, and its outputs.

The module is long because it is one class, OWSLib's, with the documentation of each method.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

import owslib.wps
from lxml import etree

from ...brief import brief
from ...errors import (
    ExecutionFailed,
    JournalError,
    NotAService,
    OutOfScope,
    OutputUnavailable,
    ServiceError,
    UnknownOutput,
    message_of,
)
from ...markup.suggest import suggest
from ...record import Step, StepState
from ...record.steps import digest_of
from ...topology.urls import shown
from ...transport import ambient_session
from ..http import xml
from ..http.answers import Answer, expect, given
from ..http.pickling import KeepsItsLogin
from ..http.sending import executing, lost, send_once, where
from ..http.urls import named_by, web_url
from ..http.waiting import Executions, Followed, State, Trouble
from ..outputs.metalink import is_metalink
from ..outputs.output import Output
from .request import ExecuteRequest, raw_response

if TYPE_CHECKING:
    from ...markup.cards import Card
    from ...transport import AffinitySession

#: OWSLib's words for the status of an execution, and what its step is then.
_STATES: dict[str, StepState] = {
    "ProcessAccepted": "accepted",
    "ProcessStarted": "running",
    "ProcessPaused": "running",
    "ProcessSucceeded": "succeeded",
    "ProcessFailed": "failed",
    "Exception": "failed",
}
_ASYNC_TIMEOUT = (10.0, 60.0)
_FILE_MISSING = r"(?i)no such file|not found|not exist|not in the cache|cannot open|file://"


class Execution(KeepsItsLogin, Followed, owslib.wps.WPSExecution):
    """One execution, with OWSLib's attributes and methods, and without their traps.

    Made by `WebProcessingService.execute` and `WebProcessingService.attach`. Parameters are
    OWSLib's.

    Parameters
    ----------
    session : AffinitySession, optional
        All requests go through it. By default the ambient one.

    Attributes
    ----------
    status : str
        ``ProcessAccepted``, ``ProcessStarted``, ``ProcessPaused``,
        ``ProcessSucceeded``, ``ProcessFailed``, or ``Exception`` after a failure.
    percentCompleted : int
        As the server reports.
    statusMessage : str or None
        As the server reports.
    statusLocation : str or None
        URL of the status document; what `WebProcessingService.attach` takes.
    processOutputs : list of Output
        The outputs of a finished execution.
    errors : list
        The exceptions of the last document, each with ``code``, ``locator``, ``text``.
    step : Step or None
        Its entry in the workflow's record.
    """

    sent_instead: ClassVar[str] = (
        "its statusLocation, and call .attach() of a client there; or one of its outputs"
    )

    def __init__(self, *args: Any, session: AffinitySession | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.session = ambient_session() if session is None else session
        self.request: Any = None
        self.response: Any = None  # OWSLib: an element after submitting, bytes after asking
        self.step: Step | None = None
        self._named: list[str] = []
        self._begin()

    def __repr__(self) -> str:
        node = f" on {self.session.node}" if self.session.node else ""
        return f"<{type(self).__name__} {self._name}: {self.status}{node}>"

    def _card(self) -> Card:
        from ...display.results import execution_card

        errors = "; ".join(e.text.strip() for e in self.errors if e.text)
        return execution_card(
            str(getattr(self.process, "identifier", None) or "a process"),
            self.status,
            self.percentCompleted,
            errors or self.statusMessage,
            self.step,
            [output._shown() for output in self.processOutputs],
            self.session.pin.shown_link,
        )

    # ---- what it came to ----

    @brief
    def wait(self, timeout: float | timedelta | None = None, progress: bool | None = None) -> Self:
        """Wait for the end of the process.

        The pause between two questions grows: 0.1 s at first, 0.36 s from half a second
        on, 10 s at most; see `pavics_affinity.clients.http.waiting`.

        A job that was lost when its node restarted may keep the status of a running one.
        It looks like a long job, so pass `timeout`. After an hour without a change a
        warning says so, once.

        Parameters
        ----------
        timeout : float or timedelta, optional
            Seconds from now; by default there is no limit.
        progress : bool, optional
            Show a progress bar; by default in a notebook only.

        Returns
        -------
        Execution
            This one, succeeded.

        Raises
        ------
        ExecutionFailed
            The process failed, with the server's words.
        ExecutionTimeout
            The server continues to run it; wait again.
        StatusLost
            Its status document is gone, or can no longer be read.
        BackendUnavailable, ServiceUnreachable, AffinityLost
            As every request.
        """
        self._wait(timeout, progress)
        if not self.isSucceeded():
            raise self._failure()
        return self

    @brief
    def output(self, identifier: str) -> Output:
        """Return the output of this name.

        Raises
        ------
        InvalidRequest
            The process is still running.
        ExecutionFailed
            It failed.
        UnknownOutput
            It has no such output; the message lists those that there are.
        """
        self._check_succeeded()
        outputs: list[Output] = self.processOutputs
        for output in outputs:
            if getattr(output, "identifier", None) == identifier:
                return output
        names = [str(getattr(o, "identifier", "")) for o in outputs]
        raise UnknownOutput(
            f"{self._name} gave no output {identifier!r}; {suggest(identifier, names, 'output')}",
            url=self.statusLocation,
            output=identifier,
        )

    @brief
    def getOutput(  # noqa: N802 - OWSLib's name
        self, filepath: str | os.PathLike[str] | None = None, identifier: str | None = None
    ) -> None:
        """Write an output to a file, fetched or as the response holds it.

        Parameters
        ----------
        filepath : path, optional
            By default a file in the working directory: the server's name for it, cleaned,
            or ``wps.out`` for one that the response holds.
        identifier : str, optional
            By default the first.

        Raises
        ------
        InvalidRequest, ExecutionFailed, UnknownOutput
            As `output`.
        OutputUnavailable, DownloadFailed
            As `Output.download`.
        """
        self._check_succeeded()
        if identifier is None and not self.processOutputs:
            return
        output = self.processOutputs[0] if identifier is None else self.output(identifier)
        if output.reference is None and filepath is None:
            filepath = "wps.out"
        output.download(filepath)

    # ---- what OWSLib asks and parses ----

    def submitRequest(self, request: str | bytes) -> etree._Element:  # noqa: N802 - OWSLib's name
        """Send an Execute document, once, and return the root of the answer.

        Raises
        ------
        InvalidRequest
            The document is not XML.
        ExecutionFailed
            The service refuses it, or the process failed; where OWSLib raises.
        ServiceBusy
            The service had no place in its queue. Nothing was executed.
        ExecuteOutcomeUnknown
            It was sent and no whole answer came. It is not sent again.
        NotAService
            The answer is not a WPS response.
        """
        root = self._submit(ExecuteRequest.read(request))
        self.request = request
        return root

    def _submit(self, request: ExecuteRequest) -> etree._Element:
        """Send a request, once, as `submitRequest`.

        A request that is in the workflow's journal is not sent again. The root is then the
        status document's, or the root of the answer in the journal.
        """
        self.request = request.document
        url, steps = self.url or "", self.session.record.steps
        digest = digest_of(url, request.document)
        earlier = steps.recall(digest)
        if earlier is not None:
            root = self._recall(earlier)
        else:
            step = steps.begin(request.process, shown(url), digest=digest)
            step.inputs = dict(request.sent)
            self._follow(step)
            root = self._send(url, request, step)
        self.response = root
        # Accepted: a job begins now, however long that took.
        self._submitted = self._asked = time.monotonic()
        return root

    def _send(self, url: str, request: ExecuteRequest, step: Step) -> etree._Element:
        timeout = self.timeout
        if timeout is None and request.asynchronous and self.session.affinity.timeout is None:
            timeout = _ASYNC_TIMEOUT
        doing = f"Execute {request.process}"
        with executing(self.session, url, len(request.document), step):
            answer = send_once(
                self.session,
                "POST",
                url,
                doing=doing,
                step=step,
                is_xml=True,
                data=request.document,
                headers={"Content-Type": "text/xml"},
                timeout=timeout,
            )
            if request.raw is not None:
                held = raw_response(request.raw, request.process, answer)
                if held is not None:
                    return held
            return expect(
                answer, "ExecuteResponse", doing=doing, session=self.session, execute=True
            )

    def parseResponse(self, response: etree._Element) -> None:  # noqa: N802 - OWSLib's name
        """Take over a response or status document, given its root.

        Raises
        ------
        NotAService
            It is not a valid WPS response.
        """
        self.errors[:] = []  # OWSLib appends those of each document
        try:
            super().parseResponse(xml.readable(response))
            self._check_status()
        except xml.MALFORMED as error:
            raise NotAService(
                f"{self.url} sent a document that is not a valid WPS response: "
                f"<{xml.local_name(response)}> ({error}). Ask the service's operator",
                about=self.session,
                url=self.url,
            ) from error
        if xml.local_name(response) == "ExecuteResponse":
            self.processOutputs.clear()  # OWSLib's own, whose data may be large
            self.processOutputs[:] = [
                Output.of_element(element, session=self.session, service=self.url or "")
                for element in response.iterfind("{*}ProcessOutputs/{*}Output")
            ]
        self._note_places(response.get("serviceInstance"))
        self._quiet.note(self.status, self.percentCompleted, self.statusMessage)
        self._update_step(response)

    def note_evidence(self) -> None:
        """Compare the node that the document names, in status location and outputs, with ours.

        Raises
        ------
        AffinityLost
            A URL names another node than the workflow's.
        """
        for url in self._named:
            self.session.pin.check_reference(url)

    def checkStatus(  # noqa: N802 - OWSLib's name
        self,
        url: str | None = None,
        response: str | bytes | None = None,
        sleepSecs: float = 60,  # noqa: N803 - OWSLib's name
    ) -> None:
        """Ask once how far the process is, and take over what the status document says.

        Parameters
        ----------
        url : str, optional
            Another status location than that of the response.
        response : str or bytes, optional
            A status document from elsewhere; nothing is asked, and there is no sleep.
        sleepSecs : float
            Seconds to sleep afterwards if the process has not ended.

        Raises
        ------
        StatusLost, BackendUnavailable, ServiceUnreachable, AffinityLost
            As `wait`. OWSLib logs them and raises nothing.
        """
        if response is not None:
            root = given(response)
            self.response = etree.tostring(root)
            self.parseResponse(root)
            return
        if url is not None:
            self.statusLocation = url
        self._refresh()
        if not self.isComplete():
            time.sleep(max(0.0, sleepSecs))

    # ---- status ----

    @property
    def _name(self) -> str:
        name = getattr(self.process, "identifier", None) or (self.step and self.step.process)
        return f"process {name!r}" if name else "the process"

    @property
    def _state(self) -> State:
        ended = self.status is not None and bool(self.isComplete())
        return State(self.status, self.percentCompleted, self.statusMessage, ended)

    def _service_url(self) -> str:
        return self.url or ""

    def _status_url(self) -> str:
        if not (self.statusLocation or "").strip(" \t\r\n#?"):
            state = "was not submitted" if self.status is None else f"is {self.status}"
            raise ServiceError(
                f"{self._name} {state}, and the service named no status location to ask. Run it "
                "with mode=SYNC",
                about=self.session,
                url=self.url,
            )
        return web_url(self.statusLocation, base=self.url or "", what="the status document")

    def _judge(self, answer: Answer) -> Any:
        """Return the root of a status document or exception, or the trouble."""
        if answer.status in (401, 403):
            expect(answer, "ExecuteResponse", doing="the status", session=self.session)
        root = answer.root if answer.status < 400 else None
        if root is not None:
            name = xml.local_name(root)
            if name == "ExceptionReport":
                return root
            if name == "ExecuteResponse" and root.find("{*}Status/{*}*") is not None:
                return root
        return Trouble.of_status(answer) or Trouble(answer.summary)

    def take_over(self, document: etree._Element) -> None:
        """Take over a status document, given its root."""
        self.response = etree.tostring(document)
        self.parseResponse(document)
        self.note_evidence()

    def _check_status(self) -> None:
        """Raise ValueError for a status that WPS does not have; OWSLib raises later."""
        if self.status is None:
            raise ValueError("it has no status")
        if self.status not in _STATES:
            where = f", and its document is at {self.statusLocation}" if self.statusLocation else ""
            raise ValueError(f"its status is {self.status[:80]!r}{where}")

    def _note_places(self, instance: str | None) -> None:
        """Learn what the service calls itself, and where it puts its documents and outputs."""
        pin = self.session.pin
        pin.places.add_service_origin(instance or "")
        self._named = []
        for url in (self.statusLocation, *[output.reference for output in self.processOutputs]):
            if url:
                with contextlib.suppress(OutOfScope):  # raised when it is asked for
                    named = web_url(url, base=self.url or "", what="what the document names")
                    self._named.append(named)
        for named in self._named:
            pin.note_place(named)
        for output in self.processOutputs:
            if output.reference is None and is_metalink(output.mimeType):
                with contextlib.suppress(OutputUnavailable):  # raised when it is asked for
                    output.files()

    # ---- the step ----

    def _follow(self, step: Step) -> None:
        self.step = step
        self.session.shared(Executions).add(step, self)

    def _recall(self, step: Step) -> etree._Element:
        """Return the document of what an earlier process has sent."""
        self._follow(step)
        if step.answer is not None:
            return kept(step.answer)
        if step.location is None:
            raise lost(self.session, step)
        self.statusLocation = step.location
        url = self._status_url()
        with named_by(self._service_url(), self.session, url):
            root: etree._Element = self._fetch_status(url, None)
        return root

    def _update_step(self, document: etree._Element) -> None:
        """Note in the workflow's record, and its journal, what a document says."""
        steps = self.session.record.steps
        if self.step is None:
            if not self.statusLocation:
                return
            process = str(getattr(self.process, "identifier", None) or "")
            step = steps.attached(self.statusLocation, process, shown(self.url or ""))
            self._follow(step)
        else:
            step = self.step
        whole = not self.statusLocation and steps.listener is not None
        step.update(
            _STATES[self.status],
            percent=self.percentCompleted,
            message=self._errors_text() or self.statusMessage,
            location=self.statusLocation or None,
            outputs={
                str(o.identifier): str(o.reference) for o in self.processOutputs if o.reference
            },
            answer=etree.tostring(document) if whole else None,
        )

    # ---- failure ----

    def _check_succeeded(self) -> None:
        if not self._state.ended:
            raise self._not_ended(self.statusLocation)
        if not self.isSucceeded():
            raise self._failure()

    def _errors_text(self) -> str:
        return "\n".join([e.text.strip() for e in self.errors if e.text and e.text.strip()])

    def _failure(self) -> ExecutionFailed:
        said = self._errors_text() or (self.statusMessage or "").strip()
        first = self.errors[0] if self.errors else None
        code, locator = getattr(first, "code", None), getattr(first, "locator", None)
        words = xml.OWSException.of(said, code, locator)
        hint = (
            ". If it looked for a file that an earlier step wrote: that file is only on the node "
            "that ran the step. The node may be down, or the proxy may have chosen another one "
            "since. Run the chain again, in one workflow. If it looked for a file of your own "
            "machine: the service cannot read it, so pass a URL"
            if re.search(_FILE_MISSING, said) or _names_a_file(self.request)
            else ""
        )
        return ExecutionFailed(
            f"{self._name} failed{where(self.session)}: {words}{hint}",
            code=words.code,
            locator=words.locator,
            text=said,
            about=self.session,
            url=self.statusLocation or self.url,
        )


def kept(answer: bytes) -> etree._Element:
    """Return the root of an answer that a journal has kept."""
    try:
        return xml.parse(answer)
    except (etree.XMLSyntaxError, ServiceError) as error:
        raise JournalError(
            f"an answer in the journal cannot be read ({message_of(error)}): the file was changed "
            "by something else. Restore an intact copy, or run the chain again"
        ) from error


def _names_a_file(request: str | bytes | None) -> bool:
    if isinstance(request, bytes):
        return b"file://" in request
    return "file://" in (request or "")

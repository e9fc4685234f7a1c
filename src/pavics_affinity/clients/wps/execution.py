"""An execution of a WPS process: asked about, waited for, and its outputs."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

import owslib.wps
from lxml import etree

from ...errors import (
    ExecutionFailed,
    ExecutionTimeout,
    InvalidRequest,
    NotAService,
    OutOfScope,
    OutputUnavailable,
    ServiceError,
    UnknownOutput,
)
from ...markup.shown import ShownAsCard
from ...record import Step
from ...transport import ambient_session
from ..http import polling, xml
from ..http.answers import given
from ..http.logins import KeepsItsLogin
from ..http.travel import StaysHere
from ..http.urls import web_url
from ..outputs.metalink import is_metalink
from ..outputs.output import Output
from ..progress import bar
from . import submission
from .descriptions import near
from .raw import RawOutput
from .status import LEAST_PAUSE, StatusDocument

if TYPE_CHECKING:
    from ...markup.cards import Card
    from ...transport import AffinitySession

_ASYNC_TIMEOUT = (10.0, 60.0)
_FILE_MISSING = re.compile(
    r"(?i)no such file|not found|not exist|not in the cache|cannot open|file://"
)


class Execution(ShownAsCard, KeepsItsLogin, StaysHere, owslib.wps.WPSExecution):
    """One execution, with OWSLib's attributes and methods, and without their traps.

    Made by `WebProcessingService.execute` and `.attach`. Parameters are OWSLib's.

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
        As the server says.
    statusMessage : str or None
        As the server says.
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

    def __init__(
        self,
        version: str = owslib.wps.WPS_DEFAULT_VERSION,
        url: str | None = None,
        username: str | None = None,
        password: str | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str | None = None,
        cert: Any = None,
        timeout: Any = None,
        auth: Any = None,
        language: str | None = None,
        *,
        session: AffinitySession | None = None,
    ) -> None:
        super().__init__(
            version=version,
            url=url,
            username=username,
            password=password,
            headers=headers,
            verify=verify,
            cert=cert,
            timeout=timeout,
            auth=auth,
            language=language,
        )
        self.session = ambient_session() if session is None else session
        self.response: Any = None  # OWSLib: an element after submitting, bytes after asking
        self.step: Step | None = None
        self._built: tuple[bytes, _Form] | None = None
        self._submitted = time.monotonic()
        self._asked: float | None = None
        self._quiet = polling.Quiet()

    def __repr__(self) -> str:
        node = f" on {self.session.node}" if self.session.node else ""
        return f"<{type(self).__name__} {self._name}: {self.status}{node}>"

    def _card(self) -> Card:
        from ..shown import show_execution

        return show_execution(self)

    # ---- what it came to ----

    def wait(self, timeout: float | timedelta | None = None, progress: bool | None = None) -> Self:
        """Wait for the end of the process.

        The pause between two questions grows as `pavics_affinity.clients.http.polling`
        has it: 0.1 s at first, 0.36 s from half a second on, 10 s at most.

        A job that was lost when its node restarted may keep the status of a running one.
        Nothing tells it from a long job, so pass `timeout`. After an hour without a
        change a warning says so, once.

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
            It goes on at the server; wait again.
        StatusLost
            Its status document is gone, or cannot be read any more.
        BackendUnavailable, ServiceUnreachable, AffinityLost
            As every request.
        """
        limit = polling.seconds(timeout)
        if not self._ended:
            self._wait(limit, progress)
        if not self.isSucceeded():
            raise self._failure()
        return self

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
            f"{self._name} gave no output {identifier!r}; {near(identifier, names, 'output')}",
            url=self.statusLocation,
            output=identifier,
        )

    def getOutput(  # noqa: N802 - OWSLib's name
        self, filepath: str | os.PathLike[str] | None = None, identifier: str | None = None
    ) -> None:
        """Write an output to a file, fetched or as the response holds it.

        Parameters
        ----------
        filepath : path, optional
            By default the server's name for it, cleaned, or ``wps.out`` for one
            that the response holds, in the working directory.
        identifier : str, optional
            By default the first.

        Raises
        ------
        InvalidRequest, ExecutionFailed, UnknownOutput
            As `output` has it.
        OutputUnavailable, DownloadFailed
            As `Output.download` has it.
        """
        self._check_succeeded()
        if identifier is None and not self.processOutputs:
            return
        output = self.processOutputs[0] if identifier is None else self.output(identifier)
        if output.reference is None and filepath is None:
            filepath = "wps.out"
        output.download(filepath)

    # ---- what OWSLib asks and parses ----

    def take_request(self, built: etree._Element, document: bytes) -> bytes:
        """Keep a request that was built here, and return it as it is sent.

        It is not read again: inputs in it may be large.
        """
        self.request: str | bytes = document
        self._built = document, _Form.of(built)
        return document

    def submitRequest(self, request: str | bytes) -> etree._Element:  # noqa: N802 - OWSLib's name
        """Send an Execute document, once, and return the root of the answer.

        Raises
        ------
        InvalidRequest
            The document is no XML.
        ExecutionFailed
            The service refuses it, or the process failed; where OWSLib raises.
        ExecuteOutcomeUnknown
            It was sent and no whole answer came. It is not sent again.
        NotAService
            The answer is no WPS response.
        """
        form = self._built[1] if self._built and self._built[0] is request else None
        if form is None:
            form = _Form.of(given(request, own=True))
        self._built = None
        self.request = request
        timeout = self.timeout
        if timeout is None and form.asynchronous and self.session.affinity.timeout is None:
            timeout = _ASYNC_TIMEOUT
        root = submission.submit(self, form.process, _as_bytes(request), timeout, form.raw)
        self.response = root
        # Accepted: a job begins now, however long that took.
        self._submitted = self._asked = time.monotonic()
        return root

    def parseResponse(self, response: etree._Element) -> None:  # noqa: N802 - OWSLib's name
        """Take over what a response or status document says.

        Parameters
        ----------
        response : lxml.etree._Element
            Its root.

        Raises
        ------
        NotAService
            It is no valid WPS response.
        """
        self.errors[:] = []  # OWSLib appends those of each document
        try:
            super().parseResponse(xml.readable(response))
            self._check_status()
        except xml.MALFORMED as error:
            raise NotAService(
                f"{self.url} sent a document that is no valid WPS response: "
                f"<{xml.local_name(response)}> ({error})",
                **self._details(self.url),
            ) from error
        if xml.local_name(response) == "ExecuteResponse":
            wps = f"{{{xml.namespace(response)}}}"
            self.processOutputs[:] = [
                Output(element, session=self.session, service=self.url or "", own=True)
                for element in response.iterfind(f"{wps}ProcessOutputs/{wps}Output")
            ]
            self._note_places(response.get("serviceInstance"))
        self._quiet.note(self.status, self.percentCompleted, self.statusMessage)
        submission.tell(self, response)

    def note_evidence(self) -> None:
        """Hold what the document names, status location and outputs, against the node.

        Raises
        ------
        AffinityLost
            One names another node than the workflow's.
        """
        for url in self._references():
            self.session.note_reference(url)

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
            A status document got elsewhere; nothing is asked, and nothing slept.
        sleepSecs : float
            Seconds to sleep afterwards if the process is not at its end.

        Raises
        ------
        StatusLost, BackendUnavailable, ServiceUnreachable, AffinityLost
            As `wait` has it; OWSLib logs them and says nothing.
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

    # ---- how ----

    @property
    def _name(self) -> str:
        name = getattr(self.process, "identifier", None) or (self.step and self.step.process)
        return f"process {name!r}" if name else "the process"

    def _check_status(self) -> None:
        """Raise ValueError for a status that WPS has not; OWSLib raises a bare Exception later."""
        if self.status is None:
            raise ValueError("it has no status")
        if self.status not in submission.STATES:
            where = f", and its document is at {self.statusLocation}" if self.statusLocation else ""
            raise ValueError(f"its status is {self.status[:80]!r}{where}")

    def _references(self) -> Iterator[str]:
        """Yield the URLs of the status document and of the outputs."""
        for url in (self.statusLocation, *(output.reference for output in self.processOutputs)):
            if url:
                with contextlib.suppress(OutOfScope):  # raised when it is asked for
                    yield web_url(url, base=self.url or "", what="what the document names")

    def _note_places(self, instance: str | None) -> None:
        """Learn from a document what the service calls itself, and where it puts outputs."""
        self.session.pin.places.add_service_origin(instance or "")
        for url in self._references():
            self.session.pin.note_place(url)
        for output in self.processOutputs:
            if output.reference is None and is_metalink(output.mimeType):
                with contextlib.suppress(OutputUnavailable):  # raised when it is asked for
                    output.files()

    @property
    def _ended(self) -> bool:
        return self.status is not None and bool(self.isComplete())

    def _details(self, url: str | None) -> dict[str, Any]:
        return {"url": url, "machineid": self.session.machineid, "node": self.session.node}

    def _check_succeeded(self) -> None:
        if not self._ended:
            raise InvalidRequest(
                f"{self._name} has not ended (status {self.status}): call .wait() first",
                **self._details(self.statusLocation),
            )
        if not self.isSucceeded():
            raise self._failure()

    def _failure(self) -> ExecutionFailed:
        said = "\n".join(e.text.strip() for e in self.errors if e.text and e.text.strip())
        said = said or (self.statusMessage or "").strip()
        first = self.errors[0] if self.errors else None
        code, locator = getattr(first, "code", None), getattr(first, "locator", None)
        words = xml.OWSException(said, code, locator)
        on = f" on node {self.session.node!r}" if self.session.node else ""
        hint = (
            ". If it looked for a file that an earlier step wrote: that file is only on the node "
            "that ran the step. The node may be down, or the proxy may have chosen another one "
            "since; run the chain anew, in one workflow"
            if _FILE_MISSING.search(said) or b"file://" in _as_bytes(self.request)
            else ""
        )
        return ExecutionFailed(
            f"{self._name} failed{on}: {words}{hint}",
            code=words.code,
            locator=words.locator,
            text=said,
            **self._details(self.statusLocation or self.url),
        )

    def _wait(self, limit: float | None, progress: bool | None) -> None:
        with bar(progress, total=100, desc=self._name, unit="%") as move:

            def done(left: float | None) -> bool:
                if self._refresh(left):
                    move(self.percentCompleted, self._quiet.beside(self.statusMessage))
                self._quiet.warn(self.session.pin, self._name, str(self.statusLocation))
                return self._ended

            polling.wait_until(
                done,
                submitted=self._submitted,
                asked=self._asked,
                timeout=limit,
                expired=self._expired,
            )

    def _expired(self, waited: float) -> ExecutionTimeout:
        return ExecutionTimeout(
            f"{self._name} has not ended after {waited:.1f} s (status {self.status}, "
            f"{self.percentCompleted} %, {self._quiet.in_words()}). It goes on at the server: wait "
            f"again, or come back later with .attach({self.statusLocation!r})",
            **self._details(self.statusLocation),
        )

    def _refresh(self, left: float | None = None) -> bool:
        """Take over the status document; return False if none came within the time."""
        if self._asked is not None:
            time.sleep(max(0.0, self._asked + LEAST_PAUSE - time.monotonic()))
        document = StatusDocument(
            self.session,
            self._status_url(),
            process=self._name,
            timeout=self.timeout,
            service=self.url or "",
        )
        try:
            root = document.fetch(left)
        finally:
            self._asked = time.monotonic()
        if root is None:
            return False
        self.response = etree.tostring(root)
        self.parseResponse(root)
        self.note_evidence()
        return True

    def _status_url(self) -> str:
        if not (self.statusLocation or "").strip(" \t\r\n#?"):
            state = "was not submitted" if self.status is None else f"is {self.status}"
            raise ServiceError(
                f"{self._name} {state}, and the service named no status location to ask; "
                "run it with mode=SYNC",
                **self._details(self.url),
            )
        return web_url(self.statusLocation, base=self.url or "", what="the status document")


@dataclass(frozen=True)
class _Form:
    """What an Execute document asks for."""

    process: str
    asynchronous: bool
    raw: RawOutput | None

    @classmethod
    def of(cls, root: etree._Element) -> _Form:
        form = root.find("{*}ResponseForm/{*}ResponseDocument")
        identifier = root.findtext("{*}Identifier") or ""
        asynchronous = form is not None and form.get("status") == "true"
        return cls(identifier.strip(), asynchronous, RawOutput.asked_for(root))


def _as_bytes(request: Any) -> bytes:
    if isinstance(request, bytes):
        return request
    return request.encode() if isinstance(request, str) else b""

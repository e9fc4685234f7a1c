"""A drop-in for `owslib.wps.WebProcessingService` that keeps to the workflow's node.

Every document goes through the session; OWSLib parses what it receives and opens no
connection itself. The module is long because it is one class, OWSLib's, with the
documentation of each method.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import owslib.wps
from lxml import etree
from owslib.util import build_get_url
from owslib.wps import ASYNC, AUTO, SYNC

from ...brief import brief
from ...discovery import introduce
from ...errors import InvalidRequest, NotAService, ServiceError, UnknownProcess
from ...markup.shown import ShownAsCard
from ...markup.suggest import suggest
from ...topology.urls import checked_url
from ...transport import ambient_session
from ...transport.credentials import check_files
from .. import references
from ..embedding import forms
from ..http import xml
from ..http.answers import Answer, expect, given
from ..http.pickling import KeepsItsLogin, as_authentication, requests_auth, split_login
from ..http.sending import before_sending, fetch_document
from ..http.xml import MALFORMED, plain
from ..limits import LIMITS
from .descriptions import Description, Descriptions, readable
from .execution import Execution
from .process import service_card, shown_processes
from .request import ExecuteRequest, as_value, build_request, pairs

if TYPE_CHECKING:
    from ...markup.cards import Card
    from ...transport import AffinitySession

__all__ = ["ASYNC", "AUTO", "SYNC", "WebProcessingService"]

#: What OWSLib makes of the capabilities, as long as there are none; it cannot be pickled.
_PARSED: Mapping[str, Any] = {
    "_capabilities": None,
    "identification": None,
    "provider": None,
    "languages": None,
    "operations": (),
    "processes": (),
}
_VERSIONS = ("1.0.0", "0.4.0", "1.0", "0.4")
#: What a DescribeProcess names besides the process, and a service may refuse.
_OTHERS = ("service", "request", "version", "acceptversions", "language")


class WebProcessingService(ShownAsCard, KeepsItsLogin, owslib.wps.WebProcessingService):
    """A WPS, with OWSLib's arguments, attributes and methods.

    Parameters
    ----------
    url : str
        Base URL of the service. User and password in it become `auth`.
    version : str, default "1.0.0"
        Of the WPS standard.
    username, password, verify, cert
        Deprecated by OWSLib; use `auth`.
    skip_caps : bool, default False
        Don't ask for the capabilities now.
    headers : mapping, optional
        Sent to the service's own origin, and nowhere else. A machineid among
        them is adopted as the workflow's.
    timeout : float, timedelta or (connect, read), optional
        Seconds, for each request. By default 10 s to connect and 60 s of
        silence, and an hour of silence after an Execute that runs at once.
    auth : owslib.util.Authentication, (user, password) or requests auth, optional
        Sent to the service's own origin, and nowhere else.
    language : str, optional
        As the service lists them in its capabilities.
    session : AffinitySession, optional
        The workflow's. By default the one of the innermost ``with Workflow()``,
        else the one of this Python process.

    Raises
    ------
    NotAService
        The URL answers, but not as a WPS.
    ServiceUnreachable
        Nothing answers there.
    OutOfScope
        It is not an http or https URL.
    InvalidRequest
        It is another version than 1.0.0 or 0.4.0.
    MachineIdConflict
        The headers name another machineid than the workflow's.
    """

    execution_type: ClassVar[type[Execution]] = Execution

    @brief
    def __init__(
        self,
        url: str,
        version: str = owslib.wps.WPS_DEFAULT_VERSION,
        username: str | None = None,
        password: str | None = None,
        skip_caps: bool = False,
        headers: Mapping[str, str] | None = None,
        verify: bool | str | None = None,
        cert: Any = None,
        timeout: float | timedelta | tuple[float, float] | None = None,
        auth: Any = None,
        language: str | None = None,
        *,
        session: AffinitySession | None = None,
    ) -> None:
        checked_url(url, "the service")
        if str(version) not in _VERSIONS:
            raise InvalidRequest(
                f"version is {version!r}; this client speaks WPS 1.0.0. Leave version= out, or "
                "use Workflow.processes(url) if the service is an OGC API - Processes"
            )
        url, login = split_login(url)
        check_files(verify, cert, url)  # OWSLib raises foreign errors
        super().__init__(
            url,
            version=version,
            username=username,
            password=password,
            skip_caps=True,
            headers=headers,
            verify=verify,
            cert=cert,
            timeout=timeout,
            auth=as_authentication(login if auth is None else auth),
            language=language,
        )
        self.session = ambient_session() if session is None else session
        self._bound: dict[str, Any] | None = None
        self._bind()
        if not skip_caps:
            self.getcapabilities()

    def __repr__(self) -> str:
        count = len(self.processes)
        offers = "" if self._capabilities is None else f": {count} process{'es' * (count != 1)}"
        return f"<{type(self).__name__} {self.url}{offers}>"

    def _card(self) -> Card:
        asked = self._capabilities is not None
        return service_card(self.url, self.processes if asked else (), asked=asked)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        for name in _PARSED:
            state.pop(name, None)
        document = self._capabilities
        state["capabilities"] = None if document is None else etree.tostring(document)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        document = state.pop("capabilities")
        self.__dict__.update(state)
        for name, nothing in _PARSED.items():
            setattr(self, name, list(nothing) if nothing is not None else None)
        if document is not None:
            self.getcapabilities(xml=document)

    @brief
    def getcapabilities(self, xml: str | bytes | None = None) -> None:
        """Ask for the capabilities, and read them.

        Parameters
        ----------
        xml : str or bytes, optional
            A document from elsewhere; nothing is asked.

        Raises
        ------
        NotAService
            The URL answers, but not as a WPS.
        ServiceError
            The service refuses.
        """
        answer = None if xml else self._capabilities_answer()
        if answer is not None and not answer.announces("Capabilities"):
            self._expect(answer, "Capabilities", "GetCapabilities")
        document = _checked(xml or b"") if answer is None else answer.body
        try:
            super().getcapabilities(xml=plain(document))
            shown_processes(self.processes)
        except (etree.XMLSyntaxError, *MALFORMED) as error:
            if answer is not None:  # it only began well
                self._expect(answer, "Capabilities", "GetCapabilities")
            raise self._malformed("capabilities", error) from error

    @brief
    def describeprocess(self, identifier: str, xml: str | bytes | None = None) -> Any:
        """Ask for the description of a process, or of all.

        Parameters
        ----------
        identifier : str
            The process; ``"all"`` for the list of all.
        xml : str or bytes, optional
            A document from elsewhere; nothing is asked.

        Returns
        -------
        owslib.wps.Process or list of owslib.wps.Process

        Raises
        ------
        UnknownProcess
            There is none of this name; the message lists similar ones.
        ServiceError
            The service refuses.
        """
        answer = None if xml else self._get("DescribeProcess", identifier=identifier)
        if answer is not None and not answer.announces("ProcessDescriptions"):
            self._expect_description(answer, identifier)
        document = _checked(xml or b"") if answer is None else answer.body
        try:
            found = self._read_description(identifier, document)
        except (etree.XMLSyntaxError, *MALFORMED) as error:
            if answer is not None:  # it only began well
                self._expect_description(answer, identifier)
            raise self._malformed(f"description of {identifier!r}", error) from error
        if answer is not None:
            self._descriptions.keep(self._service, identifier, answer.body)
        return found

    @brief
    def execute(
        self,
        identifier: str,
        inputs: Iterable[tuple[str, Any]] | Mapping[str, Any],
        output: str | list[Any] | None = None,
        mode: str = ASYNC,
        lineage: bool = False,
        request: str | bytes | None = None,
        response: str | bytes | None = None,
    ) -> Execution:
        """Run a process, after a check of everything against its description.

        Parameters
        ----------
        identifier : str
            The process.
        inputs : iterable of (str, value)
            Strings, numbers, booleans, dates, OWSLib's input objects, or
            outputs of earlier steps: an `Output`, an execution that has one,
            or its URL. Repeat the pair for one that takes several values.
        output : str or list of tuple, optional
            Outputs wanted: names, or ``(name, as_reference)``, or ``(name,
            as_reference, mimetype)``. By default all, as the service returns them.
        mode : {ASYNC, SYNC, AUTO}
            ASYNC runs asynchronously also without `output`. A process that cannot
            keep its status runs synchronously.
        lineage : bool
            Have inputs repeated in the response.
        request : str or bytes, optional
            A request document; it is sent as it is, without a check.
        response : str or bytes, optional
            A response document from elsewhere; nothing is sent.

        Returns
        -------
        Execution
            Accepted, running or finished; call its `wait`.

        Raises
        ------
        UnknownProcess, UnknownInput, UnknownOutput
            There is none of this name; the message lists similar ones.
            Nothing was executed.
        InvalidRequest
            An input is missing, given too often or not of its type. Nothing
            was executed.
        ReferenceRefused
            The service could not be sure to fetch an input, the output of an
            earlier step, from the right node. Nothing was executed.
        ExecutionFailed
            The service answered with an exception where OWSLib raises, too.
        ServiceBusy
            The service had no place in its queue, for as long as the workflow's
            `patience` lasted. Nothing was executed.
        ExecuteOutcomeUnknown
            It was sent, and no whole answer came. It is not sent again.
        """
        execution = self._execution()
        built: ExecuteRequest | None = None
        if request is None:
            with before_sending():
                described = None if response is not None else self.description(identifier)
                listed = pairs(inputs)
                if response is None:
                    listed = references.resolve(self.session, listed, described)
                listed = [(name, as_value(name, value)) for name, value in listed]
                for doubt in [] if described is None else described.check_inputs(listed):
                    self.session.pin.warn_once(f"{identifier}: {doubt}", doubt)
                built = build_request(
                    execution,
                    identifier,
                    listed,
                    output,
                    mode=mode,
                    lineage=lineage,
                    described=described,
                    sent=forms(self.session, listed),
                )
            execution.request = built.document
        if response is not None:
            execution.parseResponse(given(response))
            return execution
        self._bind()
        root = (
            execution.submitRequest(request or b"") if built is None else execution._submit(built)
        )
        execution.parseResponse(root)
        execution.note_evidence()
        return execution

    @brief
    def attach(self, status_url: str) -> Execution:
        """Return an execution that was started earlier, here or elsewhere.

        Parameters
        ----------
        status_url : str
            Its status location: `Execution.statusLocation`.

        Raises
        ------
        OutOfScope
            It is not an http or https URL.
        StatusLost
            The status document is gone.
        AffinityLost
            It names another node than the workflow's.
        """
        execution = self._execution()
        self._bind()
        execution.checkStatus(url=status_url, sleepSecs=0)
        return execution

    # ---- documents, as the service sends them ----

    def capabilities_document(self) -> bytes:
        """Ask for the capabilities, and return the document; raise as `getcapabilities`."""
        answer = self._capabilities_answer()
        self._expect(answer, "Capabilities", "GetCapabilities")
        return answer.body

    def description_document(self, identifier: str) -> bytes:
        """Ask for a description, and return the document; raise as `describeprocess`."""
        answer = self._get("DescribeProcess", identifier=identifier)
        self._expect_description(answer, identifier)
        return answer.body

    def description(self, identifier: str) -> Description | None:
        """Return the description, or None where the service will not give it to this user."""
        found = self._descriptions.get(self._service, identifier)
        if found is not None:
            return found
        try:
            self.description_document(identifier)
        except ServiceError as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            if status not in (401, 403):
                raise
            self.session.pin.warn_once(
                f"describe {self.url}",
                f"{self.url} refuses DescribeProcess ({error.message}); the inputs of "
                f"{identifier!r} go there unchecked",
            )
        return self._descriptions.get(self._service, identifier)

    # ---- how ----

    @property
    def _descriptions(self) -> Descriptions:
        return self.session.shared(Descriptions)

    @property
    def _service(self) -> tuple[str | None, ...]:
        return (self.url, self.version, self.language)

    def _bind(self) -> None:
        """Give the session what goes to this service only; again if it has changed since."""
        settings = {
            "auth": requests_auth(self.auth),
            "verify": self.auth.verify,
            "cert": self.auth.cert,
            "headers": dict(self.headers or {}),
        }
        if settings != self._bound:
            self.session.bind(self.url, **settings)
            self._bound = settings
            introduce(self.session, self.url)

    def _execution(self) -> Execution:
        return self.execution_type(
            version=self.version,
            url=self.url,
            headers=self.headers,
            timeout=self.timeout,
            auth=self.auth,
            language=self.language,
            session=self.session,
        )

    def _get(self, request: str, **parameters: str) -> Answer:
        """Ask for a document; again if its answer breaks off."""
        self._bind()
        query = {"service": "WPS", "request": request, "version": self.version, **parameters}
        if self.language:
            query["language"] = self.language
        url = build_get_url(self.url, query, overwrite=True)
        return fetch_document(
            self.session,
            url,
            doing=request,
            timeout=self.timeout,
            limit=LIMITS.metadata,
            named=self.url,
        )

    def _capabilities_answer(self) -> Answer:
        """Ask for the capabilities, of version 1.0.0 from a server of several versions."""
        answer = self._get("GetCapabilities")
        if not answer.announces("Capabilities") and answer.is_wps_2:
            older = self._get("GetCapabilities", AcceptVersions=self.version)
            if older.announces("Capabilities"):
                return older
        return answer

    def _expect(self, answer: Answer, name: str, doing: str) -> etree._Element:
        return expect(answer, name, doing=doing, session=self.session)

    def _expect_description(self, answer: Answer, identifier: str) -> None:
        """Keep every description of the document; raise if there is none of this process."""
        try:
            root = self._expect(answer, "ProcessDescriptions", f"DescribeProcess {identifier}")
        except ServiceError as error:
            locator = str(getattr(error, "locator", None) or "identifier").lower()
            if getattr(error, "code", None) == "InvalidParameterValue" and locator not in _OTHERS:
                raise self._unknown(identifier) from error
            raise
        self._descriptions.learn(self._service, root, asked=identifier)
        if identifier != "all" and self._descriptions.get(self._service, identifier) is None:
            raise self._unknown(identifier)

    def _read_description(self, identifier: str, document: bytes) -> Any:
        try:
            found = super().describeprocess(identifier, xml=plain(document))
        except ValueError:  # OWSLib wants numbers where servers write other things, too
            found = super().describeprocess(identifier, xml=plain(readable(document)))
        shown_processes(found if isinstance(found, list) else [found])
        return found

    def _malformed(self, what: str, error: Exception) -> NotAService:
        return NotAService(
            f"{self.url}: the {what}, as it came, is not a valid WPS document and cannot be read "
            f"({error}). Ask the service's operator",
            about=self.session,
            url=self.url,
        )

    def _unknown(self, identifier: str) -> UnknownProcess:
        names = [p.identifier for p in self.processes if p.identifier]
        if self._capabilities is None:
            root = xml.parse(self.capabilities_document())
            names = [
                e.findtext("{*}Identifier") or ""
                for e in root.iterfind("{*}ProcessOfferings/{*}Process")
            ]
        return UnknownProcess(
            f"{self.url} offers no process {identifier!r}; {suggest(identifier, names, 'process')}",
            process=identifier,
            about=self.session,
            url=self.url,
        )


def _checked(document: str | bytes) -> bytes:
    """Return a document for OWSLib to parse, which was parsed safely before."""
    root = given(document)
    return document if isinstance(document, bytes) else etree.tostring(root)

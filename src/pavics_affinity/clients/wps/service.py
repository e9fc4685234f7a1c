"""A drop-in for `owslib.wps.WebProcessingService` that keeps to the workflow's node.

Every document goes through the session; OWSLib parses what it is handed and
opens no connection of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import owslib.wps
from lxml import etree
from owslib.util import Authentication, build_get_url
from owslib.wps import ASYNC, AUTO, SYNC

from ...discovery import introduce
from ...errors import InvalidRequest, NotAService, ServiceError, UnknownProcess
from ...markup.suggest import suggest
from ...transport import ambient_session
from ...transport.credentials import check_files
from .. import references
from ..http import xml
from ..http.answers import MAX_METADATA, Answer, expect, given
from ..http.fetch import fetch
from ..http.logins import KeepsItsLogin, as_authentication, split_login
from ..http.urls import check_service_url
from ..http.xml import MALFORMED, plain
from . import submission
from .descriptions import Description, Descriptions, readable, values
from .execution import Execution
from .uploads import Uploads

if TYPE_CHECKING:
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


class WebProcessingService(KeepsItsLogin, owslib.wps.WebProcessingService):
    """A WPS, with OWSLib's arguments, attributes and methods.

    Parameters
    ----------
    url : str
        Base URL of the service. User and password in it are taken for `auth`.
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
        The workflow's. By default that of the innermost ``with Workflow()``,
        else the one of this Python process.

    Raises
    ------
    NotAService
        The URL answers, but not as a WPS.
    ServiceUnreachable
        Nothing answers there.
    OutOfScope
        It is no http or https URL.
    InvalidRequest
        It is another version than 1.0.0 or 0.4.0.
    MachineIdConflict
        The headers name another machineid than the workflow's.
    """

    execution_type: ClassVar[type[Execution]] = Execution

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
        check_service_url(url)
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
        return f"<{type(self).__name__} {self.url}>"

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

    def getcapabilities(self, xml: str | bytes | None = None) -> None:
        """Ask for the capabilities, and take over what they say.

        Parameters
        ----------
        xml : str or bytes, optional
            A document got elsewhere; nothing is asked.

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
        except etree.XMLSyntaxError as error:  # it only began well
            if answer is not None:
                self._expect(answer, "Capabilities", "GetCapabilities")
            raise self._malformed("capabilities", error) from error
        except MALFORMED as error:
            raise self._malformed("capabilities", error) from error

    def describeprocess(self, identifier: str, xml: str | bytes | None = None) -> Any:
        """Ask for the description of a process, or of all.

        Parameters
        ----------
        identifier : str
            The process; ``"all"`` for the list of all.
        xml : str or bytes, optional
            A document got elsewhere; nothing is asked.

        Returns
        -------
        owslib.wps.Process or list of owslib.wps.Process

        Raises
        ------
        UnknownProcess
            There is none of this name; the message lists the near ones.
        ServiceError
            The service refuses.
        """
        answer = None if xml else self._get("DescribeProcess", identifier=identifier)
        if answer is not None and not answer.announces("ProcessDescriptions"):
            self._expect_description(answer, identifier)
        document = _checked(xml or b"") if answer is None else answer.body
        try:
            found = self._read_description(identifier, document)
        except etree.XMLSyntaxError as error:  # it only began well
            if answer is not None:
                self._expect_description(answer, identifier)
            raise self._malformed(f"description of {identifier!r}", error) from error
        except MALFORMED as error:
            if answer is not None:
                self._expect_description(answer, identifier)
            raise self._malformed(f"description of {identifier!r}", error) from error
        if answer is not None:
            Descriptions.of(self.session).keep(self._service, identifier, answer.body)
        return found

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
            or its URL. One that takes several values is given several times.
        output : str or list of tuple, optional
            Outputs wanted: names, or ``(name, as_reference)``, or ``(name,
            as_reference, mimetype)``. By default all, as the service has them.
        mode : {ASYNC, SYNC, AUTO}
            ASYNC is asynchronous also without `output`. A process that cannot
            keep its status runs synchronously.
        lineage : bool
            Have inputs repeated in the response.
        request : str or bytes, optional
            A request document; it is sent as it is, without a check.
        response : str or bytes, optional
            A response document got elsewhere; nothing is sent.

        Returns
        -------
        Execution
            Accepted, running or finished; call its `wait`.

        Raises
        ------
        UnknownProcess, UnknownInput, UnknownOutput
            There is none of this name; the message lists the near ones.
            Nothing was executed.
        InvalidRequest
            An input is missing, given too often or not of its type. Nothing
            was executed.
        ReferenceRefused
            The service could not be sure to fetch an input, the output of an
            earlier step, from the right node. Nothing was executed.
        ExecutionFailed
            The service answered with an exception where OWSLib raises, too.
        ExecuteOutcomeUnknown
            It was sent, and no whole answer came. It is not sent again.
        """
        execution = self.execution_type(
            version=self.version,
            url=self.url,
            headers=self.headers,
            timeout=self.timeout,
            auth=self.auth,
            language=self.language,
            session=self.session,
        )
        if request is None:
            with submission.before_sending():
                described = self.description(identifier) if response is None else None
                if response is None:
                    inputs = references.resolve(self.session, inputs, described)
                request = execution.take_request(
                    *_request(execution, described, identifier, inputs, output, mode, lineage)
                )
        if response is not None:
            execution.parseResponse(given(response))
            return execution
        self._bind()
        execution.parseResponse(execution.submitRequest(request))
        execution.note_evidence()
        return execution

    def attach(self, status_url: str) -> Execution:
        """Take up an execution that was started earlier, here or elsewhere.

        Parameters
        ----------
        status_url : str
            Its status location: `Execution.statusLocation`.

        Raises
        ------
        OutOfScope
            It is no http or https URL.
        StatusLost
            There is no status document any more.
        AffinityLost
            It names another node than the workflow's.
        """
        execution = self.execution_type(
            version=self.version,
            url=self.url,
            headers=self.headers,
            timeout=self.timeout,
            auth=self.auth,
            language=self.language,
            session=self.session,
        )
        self._bind()
        execution.checkStatus(url=status_url, sleepSecs=0)
        return execution

    # ---- documents, as the service sends them ----

    def capabilities_document(self) -> bytes:
        """Ask for the capabilities, and return the document; raises as `getcapabilities`."""
        answer = self._capabilities_answer()
        self._expect(answer, "Capabilities", "GetCapabilities")
        return answer.body

    def description_document(self, identifier: str) -> bytes:
        """Ask for a description, and return the document; raises as `describeprocess`."""
        answer = self._get("DescribeProcess", identifier=identifier)
        self._expect_description(answer, identifier)
        return answer.body

    def description(self, identifier: str) -> Description | None:
        """Return the description, or None where the service will not give it to this user."""
        known = Descriptions.of(self.session)
        if known.get(*self._service, identifier) is None:
            try:
                self.description_document(identifier)
            except ServiceError as error:
                status = getattr(getattr(error, "response", None), "status_code", None)
                if status not in (401, 403):
                    raise
                self.session.pin.warn_once(
                    f"describe {self.url}",
                    f"{self.url} refuses DescribeProcess ({error}); the inputs of "
                    f"{identifier!r} go there unchecked",
                )
        return known.get(*self._service, identifier)

    # ---- how ----

    @property
    def _service(self) -> tuple[str | None, ...]:
        return (self.url, self.version, self.language)

    def _bind(self) -> None:
        """Tell the session what goes to this service only; again if it was changed since."""
        auth: Authentication = self.auth
        login = auth.auth_delegate
        if login is None and auth.username and auth.password:
            login = (auth.username, auth.password)
        settings = {
            "auth": login,
            "verify": auth.verify,
            "cert": auth.cert,
            "headers": dict(self.headers or {}),
        }
        if settings != self._bound:
            self.session.bind(self.url, **settings)
            self._bound = settings
            introduce(self.session, self.url)

    def _get(self, request: str, **parameters: str) -> Answer:
        """Ask for a document; again if its answer breaks off."""
        self._bind()
        query = {"service": "WPS", "request": request, "version": self.version, **parameters}
        if self.language:
            query["language"] = self.language
        url = build_get_url(self.url, query, overwrite=True)
        return fetch(
            self.session,
            url,
            doing=request,
            timeout=self.timeout,
            limit=MAX_METADATA,
            named=self.url,
        )

    def _capabilities_answer(self) -> Answer:
        """Ask for the capabilities; again in words that a server of several versions heeds."""
        answer = self._get("GetCapabilities")
        if not answer.announces("Capabilities") and answer.is_wps_2:
            older = self._get("GetCapabilities", AcceptVersions=self.version)
            if older.announces("Capabilities"):
                return older
        return answer

    def _expect(self, answer: Answer, name: str, doing: str) -> etree._Element:
        return expect(answer, name, doing=doing, service="WPS", asker=self.session)

    def _expect_description(self, answer: Answer, identifier: str) -> None:
        """Keep what the document says of each process; raise if it is not that of this one."""
        try:
            root = self._expect(answer, "ProcessDescriptions", f"DescribeProcess {identifier}")
        except ServiceError as error:
            locator = str(getattr(error, "locator", None) or "identifier").lower()
            if getattr(error, "code", None) == "InvalidParameterValue" and locator not in _OTHERS:
                raise self._unknown(identifier) from error
            raise
        known = Descriptions.of(self.session)
        known.learn(self._service, root, asked=identifier)
        if identifier != "all" and known.get(*self._service, identifier) is None:
            raise self._unknown(identifier)

    def _read_description(self, identifier: str, document: bytes) -> Any:
        try:
            return super().describeprocess(identifier, xml=plain(document))
        except ValueError:  # OWSLib wants numbers where servers write other things, too
            return super().describeprocess(identifier, xml=plain(readable(document)))

    def _malformed(self, what: str, error: Exception) -> NotAService:
        return NotAService(
            f"{self.url}: the {what}, as it came, is no valid WPS document and cannot be read "
            f"({error})",
            url=self.url,
            machineid=self.session.machineid,
            node=self.session.node,
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
            url=self.url,
            machineid=self.session.machineid,
            process=identifier,
        )


def _request(
    execution: Execution,
    described: Description | None,
    identifier: str,
    inputs: Any,
    output: Any,
    mode: str,
    lineage: bool,
) -> tuple[etree._Element, bytes]:
    """Build a request that the process takes, or raise; it is as element and as document."""
    if mode not in (ASYNC, SYNC, AUTO):
        raise InvalidRequest(f"mode is {mode!r}; expected {ASYNC!r}, {SYNC!r} or {AUTO!r}")
    listed = values(inputs)
    wanted = _outputs(output)
    asynchronous = mode != SYNC
    if described is not None:
        for doubt in described.check_inputs(listed):
            execution.session.pin.warn_once(f"{identifier}: {doubt}", doubt)
        described.check_outputs(name for name, *_ in wanted or [])
        # asked for what it does not support, the server would refuse
        asynchronous = asynchronous and described.asynchronous
    if asynchronous and wanted is None:
        wanted = []  # both flags stand on the ResponseDocument: without one it runs at once
    try:
        uploads = Uploads(listed)
        built = execution.buildRequest(
            identifier,
            uploads.inputs,
            wanted,
            mode=ASYNC if asynchronous else SYNC,
            lineage=lineage,
        )
        return built, uploads.put_into(etree.tostring(built))
    except (ValueError, TypeError) as error:  # lxml: control characters, NUL
        raise InvalidRequest(
            f"the inputs of {identifier!r} cannot be written as XML: {error}"
        ) from error


def _outputs(output: Any) -> list[tuple[Any, ...]] | None:
    """Return the wanted outputs as OWSLib's tuples."""
    if output is None:
        return None
    listed = [output] if isinstance(output, str) else output
    result: list[tuple[Any, ...]] = []
    if isinstance(listed, list | tuple):
        for item in listed:
            entry = (item, None) if isinstance(item, str) else tuple(item)
            if len(entry) not in (2, 3) or not isinstance(entry[0], str):
                break
            result.append(entry)
        else:
            return result
    raise InvalidRequest(
        f"output is {output!r}; expected a name, or a list of names, of (name, as_reference) or "
        "of (name, as_reference, mimetype)"
    )


def _checked(document: str | bytes) -> bytes:
    """Return a document for OWSLib to parse, which was parsed safely before."""
    root = given(document)
    return document if isinstance(document, bytes) else etree.tostring(root)

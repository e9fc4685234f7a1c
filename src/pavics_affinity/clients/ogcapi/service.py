"""A drop-in for `owslib.ogcapi.processes.Processes` that keeps to the workflow's node.

The module is long because it is one class, OWSLib's, with the documentation of each method.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urljoin

import owslib.ogcapi.processes

from ...brief import brief
from ...discovery import introduce
from ...errors import ExecuteOutcomeUnknown, InvalidRequest, ServiceError, UnknownInput
from ...markup.suggest import suggest
from ...record import Step
from ...record.steps import digest_of
from ...topology.urls import checked_url, shown
from ...transport import ambient_session
from .. import references
from ..embedding import Attached, forms, with_large
from ..http.answers import Answer
from ..http.pickling import KeepsItsLogin, as_authentication, requests_auth, split_login
from ..http.sending import before_sending, executing, fetch_document, lost, send_once
from ..http.urls import web_url
from ..http.waiting import Executions
from ..limits import read_json
from .answers import (
    NoOGCAPI,
    NoSuchProcess,
    check_status,
    document_of,
    expect_json,
    is_job,
    job_url,
)
from .definitions import read_yaml
from .jobs import JSON, Job
from .results import Results, raw_results

if TYPE_CHECKING:
    from ...transport import AffinitySession

_WITHOUT_DEFINITION = "Its processes can be used without it"
_DEFINITIONS = ("application/vnd.oai.openapi+json", "application/vnd.oai.openapi")


class Processes(KeepsItsLogin, owslib.ogcapi.processes.Processes):
    """An OGC API - Processes, with OWSLib's arguments, attributes and methods.

    Nothing is shared between two of them. In OWSLib the headers of all clients of
    the process are one dict.

    Parameters
    ----------
    url : str
        The landing page's URL. User and password in it become `auth`.
    json_ : str or bytes, optional
        The landing page, fetched elsewhere; nothing is requested.
    timeout : float, timedelta or (connect, read), optional
        Seconds, for each request. By default 10 s to connect and 60 s of
        silence, and an hour of silence after an execution that runs at once.
    headers : mapping, optional
        Sent to the service's own origin, and nowhere else. A machineid among
        them is adopted as the workflow's.
    auth : owslib.util.Authentication, (user, password) or requests auth, optional
        Sent to the service's own origin, and nowhere else.
    verify : bool or path, optional
        As requests takes it.
    cert : path or (path, path), optional
        Client certificate.
    session : AffinitySession, optional
        The workflow's; by default the ambient one.

    Raises
    ------
    NotAService
        The URL answers, but not as an OGC API.
    ServiceUnreachable
        Nothing answers there.
    OutOfScope
        It is not an http or https URL.
    InvalidRequest
        `json_` is not the JSON of a landing page.
    MachineIdConflict
        The headers name another machineid than the workflow's.
    """

    @brief
    def __init__(
        self,
        url: str,
        json_: str | bytes | None = None,
        timeout: float | timedelta | tuple[float, float] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Any = None,
        *,
        verify: bool | str | None = None,
        cert: Any = None,
        session: AffinitySession | None = None,
    ) -> None:
        checked_url(url, "the service")
        url, login = split_login(url)
        auth = as_authentication(login if auth is None else auth)
        self.session = ambient_session() if session is None else session
        verify = auth.verify if verify is None else verify
        cert = auth.cert if cert is None else cert
        self.session.bind(url, auth=requests_auth(auth), verify=verify, cert=cert, headers=headers)
        introduce(self.session, url)
        self.timeout: Any = timeout
        self._verify = verify
        text = self._landing_page(url) if json_ is None else _given_page(json_)
        # With a document given, and no headers, OWSLib asks for nothing and changes nothing.
        super().__init__(url, json_=text, timeout=timeout, auth=auth)
        self.json_ = json_
        for link in self.links or []:
            if isinstance(link, Mapping) and link.get("rel") == "self":
                self.session.pin.places.add_service_origin(str(link.get("href")))
        self.headers = dict(headers or {})
        if json_ is None:
            self.response = read_json(text)
        self._described: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"response_headers": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.session.bind(self.url, verify=self._verify)

    def api(self) -> dict[str, Any]:
        """Return the API's own definition (OpenAPI).

        Raises
        ------
        RuntimeError
            The landing page links none.
        """
        for kind in _DEFINITIONS:
            for link in self.links:
                stated = str(link.get("type", "")).replace(" ", "")
                if link.get("rel") == "service-desc" and stated.split(";")[0] == kind:
                    url = web_url(str(link.get("href")), base=self.url, what="the definition")
                    return self._definition(url)
        raise NoOGCAPI(
            f"{self.url} links no definition of its API. {_WITHOUT_DEFINITION}", url=self.url
        )

    def process(self, process_id: str) -> dict[str, Any]:
        """Return the description of a process.

        Raises
        ------
        UnknownProcess
            There is none of this name; the message lists similar ones.
        """
        try:
            described: dict[str, Any] = self._request(path=f"processes/{_segment(process_id)}")
        except ServiceError as error:
            response = getattr(error, "response", None)
            if response is None or response.status_code not in (400, 404):
                raise
            names = [str(p.get("id")) for p in self.processes() if isinstance(p, Mapping)]
            if process_id in names:
                raise
            raise NoSuchProcess(
                f"{self.url} offers no process {process_id!r}; "
                f"{suggest(process_id, names, 'process')}",
                process=process_id,
                about=self.session,
                url=self.url,
            ) from error
        if not isinstance(described, dict):
            raise NoOGCAPI(
                f"{self.url} describes process {process_id!r} by JSON that is not an object: it is "
                "not an OGC API; check the URL",
                url=self.url,
            )
        self._described[process_id] = described
        return described

    def processes(self) -> list[dict[str, Any]]:
        """Return the processes that are offered."""
        document = self._request(path="processes")
        listed = document.get("processes") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise NoOGCAPI(
                f"{self.url} lists no processes: it is not an OGC API; check the URL", url=self.url
            )
        return listed

    @brief
    def execute(
        self,
        process_id: str,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any] | None = None,
        response: str = "document",
        async_: bool = False,
    ) -> Results | Job:
        """Run a process, after a check of the inputs' names against its description.

        Parameters
        ----------
        process_id : str
            The process.
        inputs : mapping of str to value
            What JSON can hold, ``{"href": url}`` links, or outputs of earlier
            steps, also in lists.
        outputs : mapping, optional
            Outputs wanted, as the standard defines them. By default all.
        response : {"document", "raw"}
            Whether the results come as one document, or a single output as it is.
        async_ : bool
            Prefer to run it as a job. The service decides.

        Returns
        -------
        Job or Results
            A `Job` if the service made one. Both are dicts, and have ``wait``,
            ``results`` and ``output``.

        Raises
        ------
        UnknownProcess, UnknownInput
            There is none of this name; the message lists similar ones.
            Nothing was executed.
        InvalidRequest
            An input cannot be written as JSON. Nothing was executed.
        ReferenceRefused
            The service could not be sure to fetch an input, the output of an
            earlier step, from the right node. Nothing was executed.
        ExecutionFailed
            The service refuses, or the process failed.
        ServiceBusy
            The service had no place in its queue, for as long as the workflow's
            `patience` lasted. Nothing was executed.
        ExecuteOutcomeUnknown
            It was sent, and no whole answer came. It is not sent again.
        """
        with before_sending():
            resolved = references.resolve_json(self.session, dict(inputs))
            self._check_inputs(process_id, resolved)
            document: dict[str, Any] = {"inputs": resolved}
            if outputs:
                document["outputs"] = outputs
            document["response"] = response
            body = _as_json(document)
            url = self._url(f"processes/{_segment(process_id)}/execution")
        steps, digest = self.session.record.steps, digest_of(url, body)
        earlier = steps.recall(digest)
        if earlier is not None:
            return self._recalled(earlier)
        step = steps.begin(process_id, shown(self.url), digest=digest, api="ogcapi")
        step.inputs = forms(self.session, resolved.items())
        raw = response == "raw"
        with executing(self.session, self.url, len(body), step):
            prefer = {"Prefer": "respond-async" if async_ else "respond-sync"}
            answer = self._send("POST", url, body, f"Execute {process_id}", prefer, step)
            outputs = self._described_outputs(process_id)
            if answer.status < 400 and is_job(answer, outputs, asynchronous=async_, raw=raw):
                return self._job(process_id, answer, step)
            found = self._results(process_id, answer, raw=raw)
            step.update("succeeded")
        return found

    @brief
    def attach(self, location: str) -> Job:
        """Return a job that was started earlier, here or elsewhere.

        Parameters
        ----------
        location : str
            URL of its status document: `Job.location`.

        Raises
        ------
        OutOfScope
            It is not an http or https URL.
        StatusLost
            The job is gone.
        AffinityLost
            It names another node than the workflow's.
        """
        url = web_url(location, base=self.url, what="the job")
        self.session.note_reference(url)
        step = self.session.record.steps.attached(url, "", shown(self.url), "ogcapi")
        return Job(self.session, url, step, timeout=self.timeout).refresh()

    # ---- how ----

    def _request(
        self,
        method: str = "GET",
        path: str | None = None,
        data: Any = None,
        as_dict: bool = True,
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Send a request as OWSLib does; all its own methods call this.

        It is the one private name of OWSLib's that is overridden: its API has no
        other place from which requests are made.
        """
        url = self._url(path, kwargs)
        doing = path or "the landing page"
        self.request = url
        if method == "GET":
            answer = self._get(url, doing, self._sent_headers())
            self._note_response(answer)
        else:
            body = (
                None if data is None else data.encode() if isinstance(data, str) else _as_json(data)
            )
            answer = self._send(method, url, body, doing)
        if not as_dict:
            check_status(answer, doing=doing, session=self.session)
            return answer.body
        if answer.status < 400 and not answer.body:
            return {}
        return expect_json(answer, doing=doing, session=self.session)

    def _url(self, path: str | None, query: Mapping[str, Any] | None = None) -> str:
        url = urljoin(self.url, path or "")
        parts = [self.url_query_string, urlencode(query) if query else None]
        joined = "&".join(part for part in parts if part)
        return f"{url}?{joined}" if joined else url

    def _landing_page(self, url: str) -> str:
        base, question, query = url.partition("?")
        address = f"{base}?{query}" if question else base.rstrip("/") + "/"
        answer = self._get(address, "the landing page", headers=JSON)
        document = expect_json(answer, doing="the landing page", session=self.session)
        if not isinstance(document, dict) or not isinstance(document.get("links"), list):
            raise NoOGCAPI(
                f"{url} is not an OGC API: its landing page is JSON without links; check the URL",
                url=url,
                response=answer.response,
            )
        return _readable_page(document)

    def _definition(self, url: str) -> dict[str, Any]:
        answer = self._get(url, "api", headers={"Accept": ", ".join(_DEFINITIONS)})
        check_status(answer, doing="api", session=self.session)
        try:
            definition = read_json(answer.body) if answer.is_json else read_yaml(answer.body)
        except ValueError as error:
            raise NoOGCAPI(
                f"the definition at {url} cannot be read: {error}. {_WITHOUT_DEFINITION}", url=url
            ) from error
        if not isinstance(definition, dict):
            raise NoOGCAPI(
                f"the definition at {url} is not an OpenAPI document. {_WITHOUT_DEFINITION}",
                url=url,
            )
        return definition

    def _sent_headers(self) -> dict[str, str]:
        # Users add to OWSLib's `headers` after making the client.
        self.session.bind(self.url, headers=self.headers)
        return dict(JSON)

    def _get(self, url: str, doing: str, headers: Mapping[str, str]) -> Answer:
        return fetch_document(self.session, url, doing=doing, timeout=self.timeout, headers=headers)

    def _send(
        self,
        method: str,
        url: str,
        body: bytes | None,
        doing: str,
        headers: Mapping[str, str] | None = None,
        step: Step | None = None,
    ) -> Answer:
        sent = {**self._sent_headers(), **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        answer = send_once(
            self.session,
            method,
            url,
            doing=doing,
            step=step,
            data=body,
            headers=sent,
            timeout=self.timeout,
        )
        self._note_response(answer)
        return answer

    def _note_response(self, answer: Answer) -> None:
        self.request = answer.response.url  # as OWSLib does
        self.response_headers = answer.response.headers

    def _described_outputs(self, process_id: str) -> Mapping[str, Any]:
        outputs = self._described.get(process_id, {}).get("outputs")
        return outputs if isinstance(outputs, Mapping) else {}

    def _recalled(self, step: Step) -> Job:
        """Return the job that an earlier process started by the same request."""
        if step.location is None:
            raise lost(self.session, step)
        return Job(self.session, step.location, step, timeout=self.timeout).refresh()

    def _results(self, process_id: str, answer: Answer, *, raw: bool) -> Results:
        doing = f"Execute {process_id}"
        check_status(answer, doing=doing, session=self.session, execute=True)
        name = "value"
        if raw or not answer.is_json:
            name = next(iter(self._described_outputs(process_id)), "output")
        return raw_results(answer, name, doing=doing, session=self.session)

    def _job(self, process_id: str, answer: Answer, step: Step) -> Job:
        stated = job_url(answer, self._url)
        if stated is None:
            raise ExecuteOutcomeUnknown(
                f"{answer.url} accepted Execute {process_id} as a job, and its answer "
                f"({answer.summary}) does not say where the job is. It was not sent again. Look "
                f"for the job at {self._url('jobs')} and pass its URL to .attach",
                about=self.session,
                url=answer.url,
            )
        location = web_url(stated, base=answer.response.url or self.url, what="the job")
        step.update("accepted", location=location)
        self.session.note_reference(location)
        job = Job(self.session, location, step, timeout=self.timeout)
        self.session.shared(Executions).add(step, job)
        document = document_of(answer)
        if isinstance(document, dict):
            job.take_over(document)
        return job

    def _check_inputs(self, process_id: str, inputs: Mapping[str, Any]) -> None:
        described = self._described.get(process_id) or self.process(process_id)
        known = described.get("inputs")
        if not isinstance(known, Mapping):
            return
        for name in inputs:
            if name not in known:
                raise UnknownInput(
                    f"process {process_id!r} has no input {name!r}; "
                    f"{suggest(name, known, 'input')}",
                    input=name,
                )


def _given_page(document: Any) -> str:
    """Return a landing page that the user has fetched elsewhere, as OWSLib reads it."""
    try:
        page = read_json(document if isinstance(document, str | bytes) else "")
    except ValueError as error:
        raise InvalidRequest(
            f"json_ is {reprlib.repr(document)}, which is not JSON ({error}). Pass the text of the "
            "landing page, or leave json_ out to have it fetched"
        ) from error
    if not isinstance(page, dict) or not isinstance(page.get("links", []), list):
        raise InvalidRequest(
            f"json_ is {reprlib.repr(document)}, which is not a landing page: expected a JSON "
            "object with a list of links. Leave json_ out to have the page fetched"
        )
    return _readable_page(page)


def _readable_page(page: dict[str, Any]) -> str:
    """Return a landing page without the links that OWSLib cannot read."""
    links = [link for link in page.get("links", []) if isinstance(link, dict)]
    return json.dumps({**page, "links": links})


def _segment(process_id: str) -> str:
    if not isinstance(process_id, str) or process_id in ("", ".", ".."):
        raise InvalidRequest(
            f"{process_id!r} is not the identifier of a process; .processes() lists them"
        )
    return quote(process_id, safe="")


def _as_json(document: Any) -> bytes:
    large: dict[bytes, Iterable[bytes]] = {}

    def written(value: Any) -> Any:
        if isinstance(value, Attached):
            return value.in_json(large)
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")

    try:
        return with_large(json.dumps(document, default=written).encode(), large)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"the inputs cannot be written as JSON: {error}. Pass text, numbers, bools, lists and "
            "dicts of these, or an earlier step's output"
        ) from error

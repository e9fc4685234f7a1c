"""Jobs of an OGC API - Processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar
from urllib.parse import urlsplit

from ...errors import ExecutionTimeout, InvalidRequest, UnknownOutput
from ...markup.shown import ShownAsCard
from ...record import Step, StepState, operation
from ...transport.wire import shown
from ..http import polling
from ..http.answers import Answer, BodyBroken, read
from ..http.fetch import fetch, patience_of, until_whole
from ..http.travel import StaysHere
from ..http.urls import web_url
from ..outputs.output import Output
from ..progress import bar
from ..wps.descriptions import near
from .accepted import results_link
from .jobstatus import JSON, JobDocument
from .problems import Failed, Refused, check_status, expect_json, is_not_ready
from .results import Results, output_of, text_of
from .states import ENDED, state_of

if TYPE_CHECKING:
    from ...markup.cards import Card
    from ...transport import AffinitySession

T = TypeVar("T")
_STATES: dict[str, StepState] = {
    "accepted": "accepted",
    "successful": "succeeded",
    "failed": "failed",
    "dismissed": "failed",
}


class Job(ShownAsCard, StaysHere, dict[str, Any]):
    """A job: its status document, and what can be done with it.

    Made by `Processes.execute` and `.attach`.

    Parameters
    ----------
    session : AffinitySession
        All requests go through it.
    location : str
        URL of the status document.
    process : str, optional
        Identifier of the process.
    timeout : float or tuple, optional
        The client's own.
    step : Step, optional
        Its entry in the workflow's record; by default one is made.

    Attributes
    ----------
    location : str
        URL of the status document; what `Processes.attach` takes.
    step : Step
        Its entry in the workflow's record.
    """

    sent_instead: ClassVar[str] = (
        "its location, and call .attach() of a client there; or one of its outputs"
    )

    def __init__(
        self,
        session: AffinitySession,
        location: str,
        *,
        process: str | None = None,
        timeout: Any = None,
        step: Step | None = None,
    ) -> None:
        super().__init__()
        self.session = session
        self.location = location
        self.step = step or session.record.steps.attached(
            location, process or "", shown(location), "ogcapi"
        )
        self.timeout = timeout
        self._process = process
        self._submitted = time.monotonic()
        self._asked: float | None = None
        self._quiet = polling.Quiet()

    def __repr__(self) -> str:
        node = f" on {self.session.node}" if self.session.node else ""
        return f"<{type(self).__name__} {self._name}: {self.status or 'submitted'}{node}>"

    def _card(self) -> Card:
        from ..shown import show_job

        return show_job(self)

    @property
    def status(self) -> str | None:
        """``"accepted"``, ``"running"``, ``"successful"``, ``"failed"`` or ``"dismissed"``.

        Other servers' words for these are translated; ``job["status"]`` is the server's own.
        """
        return state_of(self.get("status")) or text_of(self.get("status"))

    @property
    def progress(self) -> int:
        """Per cent, as the server says."""
        value = self.get("progress")
        return value if isinstance(value, int) and 0 <= value <= 100 else 0

    @property
    def message(self) -> str | None:
        """As the server says."""
        return text_of(self.get("message"))

    def refresh(self) -> Self:
        """Ask once how far the job is.

        Raises
        ------
        StatusLost, BackendUnavailable, ServiceUnreachable, AffinityLost
            As `wait`.
        """
        self._refresh(None)
        return self

    def wait(self, timeout: float | timedelta | None = None, progress: bool | None = None) -> Self:
        """Wait for the end of the job.

        It is asked as often as `pavics_affinity.clients.http.polling` has it. A job that the
        server has lost, by a restart for example, may keep the status of a running one.
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
        Job
            This one, successful.

        Raises
        ------
        ExecutionFailed
            It failed, or was dismissed; with the server's words.
        ExecutionTimeout
            It goes on at the server; wait again.
        StatusLost
            Its status document is gone, or cannot be read any more.
        BackendUnavailable, ServiceUnreachable, AffinityLost
            As every request.
        """
        limit = polling.seconds(timeout)
        if self.status not in ENDED:
            self._wait(limit, progress)
        if self.status != "successful":
            raise Failed(
                f"{self._name} {self.status}: {self.message or 'no reason given'}",
                code=None,
                **self._details,
            )
        return self

    def results(self) -> Results:
        """Return the results; each call asks for them.

        Raises
        ------
        InvalidRequest
            The job has not ended.
        ServiceError
            The server refuses, or has a single output that is no JSON: see `output`.
        """
        url = self._results_url()
        answer = self._once_ready(
            lambda: fetch(self.session, url, doing="results", timeout=self.timeout, headers=JSON)
        )
        return self._as_results(answer, "value", url)

    def output(self, identifier: str) -> Output:
        """Return the output of this name.

        An output that the server gives as it is, rather than in a document of
        results, is not fetched before it is asked for its content.

        Parameters
        ----------
        identifier : str
            Its name; of no matter where the server gives a single output as it is.

        Raises
        ------
        InvalidRequest
            The job has not ended.
        ExecutionFailed
            It failed.
        UnknownOutput
            It has no such output; the message lists those that there are.
        """
        found = self.outputs(identifier)
        if identifier not in found:
            raise UnknownOutput(
                f"{self._name} gave no output {identifier!r}; {near(identifier, found, 'output')}",
                output=identifier,
                **self._details,
            )
        return found[identifier]

    def outputs(self, single: str = "output") -> dict[str, Output]:
        """Return all outputs by name.

        Parameters
        ----------
        single : str
            Name of a single output that the server gives as it is.

        Raises
        ------
        InvalidRequest, ExecutionFailed
            As `output`.
        """
        url = self._results_url()
        answer = self._once_ready(
            lambda: until_whole(
                lambda: self._ask(url), session=self.session, url=url, doing="results"
            )
        )
        if isinstance(answer, Answer):
            return self._as_results(answer, single, url).outputs()
        return {single: output_of(single, answer, session=self.session, base=url)}

    def dismiss(self) -> Self:
        """Have the server end the job and forget its results.

        Raises
        ------
        ServiceError
            It refuses, or the job is not there.
        """
        with operation("dismiss"):
            response = self.session.delete(self.location, stream=True, headers=JSON)
        try:
            answer = read(response, url=self.location)
        except BodyBroken as error:
            if not response.ok:
                raise Refused(
                    f"{self.location} refused to dismiss the job: HTTP {response.status_code}, and "
                    f"the reason broke off ({error})",
                    response=response,
                    **self._details,
                ) from error
        else:
            check_status(answer, doing="to dismiss the job", asker=self.session)
        self.take_over({**self, "status": "dismissed"})
        return self

    # ---- how ----

    def take_over(self, document: Mapping[str, Any]) -> None:
        """Take over what a status document says, and let the workflow's record know."""
        self.clear()
        self.update(document)
        self._quiet.note(self.get("status"), self.get("progress"), self.message)
        self._process = text_of(self.get("processID")) or self._process
        self.step.process = self.step.process or self._process or ""
        self.step.update(
            _STATES.get(self.status or "accepted", "running"),
            percent=self.progress,
            message=self.message,
            location=self.location,
        )

    @property
    def _name(self) -> str:
        what = text_of(self.get("jobID")) or urlsplit(self.location).path.rpartition("/")[2]
        return f"job {what!r} of process {self._process!r}" if self._process else f"job {what!r}"

    @property
    def _details(self) -> dict[str, Any]:
        return {
            "url": self.location,
            "machineid": self.session.machineid,
            "node": self.session.node,
        }

    def _wait(self, limit: float | None, progress: bool | None) -> None:
        with bar(progress, total=100, desc=self._name, unit="%") as move:

            def done(left: float | None) -> bool:
                if self._refresh(left):
                    move(self.progress, self._quiet.beside(self.message))
                self._quiet.warn(self.session.pin, self._name, self.location)
                return self.status in ENDED

            polling.wait_until(
                done,
                submitted=self._submitted,
                asked=self._asked,
                timeout=limit,
                expired=self._expired,
            )

    def _expired(self, waited: float) -> ExecutionTimeout:
        return ExecutionTimeout(
            f"{self._name} has not ended after {waited:.1f} s (status {self.get('status')}, "
            f"{self.progress} %, {self._quiet.in_words()}). It goes on at the server: wait again, "
            f"or come back later with .attach({self.location!r})",
            **self._details,
        )

    def _refresh(self, left: float | None) -> bool:
        document = JobDocument(
            self.session,
            self.location,
            process=self._name,
            timeout=self.timeout,
            service=self.step.service,
        ).fetch(left)
        self._asked = time.monotonic()
        if document is None:
            return False
        self.take_over(document)
        return True

    def _ask(self, url: str) -> Answer | dict[str, Any]:
        """Ask for the results; return a link to them, unread, if they are not JSON."""
        with operation("results"):
            response = self.session.get(url, stream=True, timeout=self.timeout, headers=JSON)
        kind = response.headers.get("Content-Type", "")
        if response.ok and "json" not in kind.lower():
            response.close()
            return {"href": url, "type": kind.split(";")[0].strip() or None}
        return read(response, url=url)

    def _once_ready(self, ask: Callable[[], T]) -> T:
        """Ask again while the server says that the results of the ended job are not there yet."""
        patience = patience_of(self.session)
        while True:
            found = ask()
            waits = isinstance(found, Answer) and is_not_ready(found)
            if not waits or not patience.wait():
                return found

    def _as_results(self, answer: Answer, single: str, url: str) -> Results:
        document = expect_json(answer, doing="the results", asker=self.session)
        if not isinstance(document, dict):
            document = {single: document}
        return Results(document, session=self.session, url=url)

    def _results_url(self) -> str:
        if self.status not in ENDED:
            raise InvalidRequest(
                f"{self._name} has not ended (status {self.status}): call .wait() first",
                **self._details,
            )
        self.wait()
        path = self.location.partition("#")[0].partition("?")[0].rstrip("/")
        stated = results_link(self.get("links")) or f"{path}/results"
        url = web_url(stated, base=self.location, what=f"the results of {self._name}")
        self.session.note_reference(url)
        return url

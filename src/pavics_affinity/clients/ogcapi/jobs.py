"""Jobs of an OGC API - Processes.

The module is long because it is one class, with the documentation of each method.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_args
from urllib.parse import urlsplit

from ...brief import brief
from ...record import Step, StepState, operation
from ..http.answers import Answer, BodyBroken, read
from ..http.sending import get_once, patience_of, until_whole
from ..http.urls import web_url
from ..http.waiting import Followed, State, Trouble
from ..limits import read_json
from ..outputs.output import Output
from ..outputs.resource import HasOutputs
from .answers import (
    ENDED,
    Failed,
    JobState,
    NoOGCAPI,
    Refused,
    check_status,
    expect_json,
    is_not_ready,
    results_link,
    state_of,
)
from .results import Results, text_of

if TYPE_CHECKING:
    from ...markup.cards import Card
    from ...transport import AffinitySession

JSON = {"Accept": "application/json"}
_STATES: dict[str, StepState] = {
    "accepted": "accepted",
    "successful": "succeeded",
    "failed": "failed",
    "dismissed": "failed",
}


class Job(Followed, HasOutputs, dict[str, Any]):
    """A job: its status document, and what can be done with it.

    Made by `Processes.execute` and `Processes.attach`.

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

    _client: ClassVar[str] = "processes"
    _status_headers: ClassVar[Mapping[str, str] | None] = JSON

    def __init__(
        self,
        session: AffinitySession,
        location: str,
        step: Step,
        *,
        timeout: Any = None,
    ) -> None:
        super().__init__()
        self.session = session
        self.location = location
        self.step = step
        self.timeout = timeout
        self._begin()

    def __repr__(self) -> str:
        node = f" on {self.session.node}" if self.session.node else ""
        return f"<{type(self).__name__} {self._name}: {self.status or 'submitted'}{node}>"

    def _card(self) -> Card:
        from ...display.results import Result, execution_card

        return execution_card(
            self.step.process or "a process",
            self.status or "submitted",
            self.progress,
            self.message,
            self.step,
            [Result(name, None, None, url) for name, url in self.step.outputs.items()],
            self.session.pin.shown_link,
        )

    @property
    def status(self) -> str | None:
        """``"accepted"``, ``"running"``, ``"successful"``, ``"failed"`` or ``"dismissed"``.

        Other servers' words for these are translated; ``job["status"]`` is the server's own.
        """
        return state_of(self.get("status")) or text_of(self.get("status"))

    @property
    def progress(self) -> int:
        """Per cent, as the server reports."""
        value = self.get("progress")
        return value if isinstance(value, int) and 0 <= value <= 100 else 0

    @property
    def message(self) -> str | None:
        """As the server reports."""
        return text_of(self.get("message"))

    def refresh(self) -> Self:
        """Ask once how far the job is.

        Raises
        ------
        StatusLost, BackendUnavailable, ServiceUnreachable, AffinityLost
            As `wait`.
        """
        self._refresh()
        return self

    @brief
    def wait(self, timeout: float | timedelta | None = None, progress: bool | None = None) -> Self:
        """Wait for the end of the job.

        The pause between two questions grows: see `pavics_affinity.clients.http.waiting`. A
        job that the server has lost, by a restart for example, may keep the status of a
        running one. It looks like a long job, so pass `timeout`. After an hour without a
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
            The server continues to run it; wait again.
        StatusLost
            Its status document is gone, or can no longer be read.
        BackendUnavailable, ServiceUnreachable, AffinityLost
            As every request.
        """
        self._wait(timeout, progress)
        if self.status != "successful":
            raise Failed(
                f"{self._name} {self.status}: {self.message or 'no reason given'}",
                code=None,
                about=self.session,
                url=self.location,
            )
        return self

    def results(self) -> Results:
        """Return the results; each call asks for them.

        Raises
        ------
        InvalidRequest
            The job has not ended.
        ServiceError
            The server refuses, or has a single output that is not JSON: see `output`.
        """
        options = {"doing": "results", "timeout": self.timeout, "headers": JSON}
        return self._results("value", lambda url: get_once(self.session, url, **options))

    @brief
    def output(self, identifier: str) -> Output:
        """Return the output of this name.

        An output that the server gives as it is, rather than in a document of
        results, is not fetched before it is asked for its content.

        Parameters
        ----------
        identifier : str
            Its name; any, if the server gives a single output as it is.

        Raises
        ------
        InvalidRequest
            The job has not ended.
        ExecutionFailed
            It failed.
        UnknownOutput
            It has no such output; the message lists those that there are.
        """
        return self._results(identifier, self._ask).output(identifier)

    @brief
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
        return self._results(single, self._ask).outputs()

    def dismiss(self) -> Self:
        """Have the server end the job and forget its results.

        Raises
        ------
        ServiceError
            It refuses, or the job is not there.
        """
        self.session.pin.hold(self.location)  # a busy node is not passed over: it has the job
        with operation("dismiss"):
            response = self.session.delete(self.location, stream=True, headers=JSON)
        try:
            answer = read(response, url=self.location)
        except BodyBroken as error:
            if not response.ok:
                raise Refused(
                    f"{self.location} refused to dismiss the job: HTTP {response.status_code}, and "
                    f"the reason broke off ({error}). Ask again",
                    response=response,
                    about=self.session,
                    url=self.location,
                ) from error
        else:
            check_status(answer, doing="to dismiss the job", session=self.session)
        self.take_over({**self, "status": "dismissed"})
        return self

    # ---- status ----

    def take_over(self, document: Mapping[str, Any]) -> None:
        """Take over a status document, and note in the workflow's record what it says."""
        self.clear()
        self.update(document)
        self._quiet.note(self.get("status"), self.get("progress"), self.message)
        self.step.process = self.step.process or text_of(self.get("processID")) or ""
        self.step.update(
            _STATES.get(self.status or "accepted", "running"),
            percent=self.progress,
            message=self.message,
            location=self.location,
        )

    @property
    def _name(self) -> str:
        what = text_of(self.get("jobID")) or urlsplit(self.location).path.rpartition("/")[2]
        process = self.step.process
        return f"job {what!r} of process {process!r}" if process else f"job {what!r}"

    @property
    def _state(self) -> State:
        said = text_of(self.get("status"))
        return State(said, self.progress, self.message, self.status in ENDED)

    def _status_url(self) -> str:
        return self.location

    def _service_url(self) -> str:
        return self.step.service

    def _judge(self, answer: Answer) -> Any:
        """Return a JSON object that has a status, or the trouble; raise for an unknown state."""
        if answer.status in (401, 403):
            check_status(answer, doing="the status", session=self.session)
        trouble = Trouble.of_status(answer)
        if trouble is not None:
            return trouble
        try:
            document = read_json(answer.body)
        except ValueError:
            return Trouble(answer.summary)
        if not isinstance(document, dict):
            return Trouble(f"{answer.summary} without a status")
        if state_of(document.get("status")) is None:
            raise self._unknown_state(document)
        return document

    def _unknown_state(self, document: dict[str, Any]) -> NoOGCAPI:
        if "status" in document:
            word = document["status"]
            quoted = repr(word[:80]) if isinstance(word, str) else reprlib.repr(word)
            state = f"has the status {quoted}, which is not a known one"
        else:
            state = "has no status in its document"
        return NoOGCAPI(
            f"{self._name} {state}. Nothing shows whether it has ended, so it is not waited "
            f"for. Expected {', '.join(get_args(JobState))}, or a common word for one of these. "
            f"The job may be running: look at {self.location}, and ask again with .attach",
            about=self.session,
            url=self.location,
        )

    # ---- results ----

    def _results(
        self, single: str, ask: Callable[[str], Answer | dict[str, str | None]]
    ) -> Results:
        """Ask for the results; what is not a JSON object is the single output, under this name."""
        if self.status not in ENDED:
            raise self._not_ended(self.location)
        self.wait()
        path = self.location.partition("#")[0].partition("?")[0].rstrip("/")
        stated = results_link(self.get("links")) or f"{path}/results"
        url = web_url(stated, base=self.location, what=f"the results of {self._name}")
        self.session.note_reference(url)
        patience = patience_of(self.session)
        while True:  # the server may say that the results of an ended job are not there yet
            answer = until_whole(lambda: ask(url), session=self.session, url=url, doing="results")
            if not isinstance(answer, Answer):
                return Results({single: answer}, session=self.session, url=url)
            if not is_not_ready(answer) or not patience.wait():
                break
        document = expect_json(answer, doing="the results", session=self.session)
        if not isinstance(document, dict):
            document = {single: document}
        return Results(document, session=self.session, url=url)

    def _ask(self, url: str) -> Answer | dict[str, str | None]:
        """Ask for the results; return a link to them, unread, if they are not JSON."""
        with operation("results"):
            response = self.session.get(url, stream=True, timeout=self.timeout, headers=JSON)
        kind = response.headers.get("Content-Type", "")
        if response.ok and "json" not in kind.lower():
            response.close()
            return {"href": url, "type": kind.split(";")[0].strip() or None}
        return read(response, url=url)

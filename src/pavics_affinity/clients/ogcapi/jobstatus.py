"""The status document of a job of an OGC API - Processes."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any, ClassVar, get_args

from ..http.answers import Answer
from ..wps.status import StatusDocument, Trouble
from .problems import NoOGCAPI, check_status, parsed
from .states import JobState, state_of

JSON = {"Accept": "application/json"}


class JobDocument(StatusDocument):
    """A job's status document: a JSON object that has a status."""

    headers: ClassVar[Mapping[str, str] | None] = JSON

    def judged(self, answer: Answer) -> Any:
        """Return the document, or the `Trouble` with it; raise if its state is not known."""
        if answer.status in (401, 403):
            check_status(answer, doing="the status", asker=self.session)
        came = f"HTTP {answer.status} and {answer.what_came}"
        if answer.status >= 400:
            return Trouble(came, gone=answer.status < 500 and answer.status not in (408, 429))
        try:
            document = parsed(answer)
        except ValueError:
            return Trouble(came, gone=False)
        if not isinstance(document, dict):
            return Trouble(f"{came} without a status", gone=False)
        if state_of(document.get("status")) is None:
            raise self._unknown(document)
        return document

    def _unknown(self, document: dict[str, Any]) -> NoOGCAPI:
        """Make the error for a whole document that does not say how far the job is."""
        if "status" in document:
            word = document["status"]
            quoted = repr(word[:80]) if isinstance(word, str) else reprlib.repr(word)
            state = f"has the status {quoted}, which is not a known one"
        else:
            state = "has no status in its document"
        return NoOGCAPI(
            f"{self.process} {state}. Whether it has ended cannot be told, so it is not waited "
            f"for. Expected {', '.join(get_args(JobState))}, or a common word for one of these. "
            f"The job may be running: look at {self.url}, and ask again with .attach",
            url=self.url,
            machineid=self.session.machineid,
            node=self.session.node,
        )

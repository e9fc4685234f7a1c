"""What a server's JSON means: an error, the state of a job, or where a job and its results are.

Servers differ. For a job's state each has its own words. The answer to an execution that
made a job is ``201 Created`` with a ``Location`` in the standard; servers also answer 200 or
202, and name the job by a ``Link`` header, by a link or a URL in the document, or by its
identifier alone. A ``Location`` does not make a job of an answer that holds results: pygeoapi
names the job of a synchronous execution, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import requests

from ...errors import ExecutionFailed, NotAService, ServiceError, UnknownProcess
from ..http.answers import advice
from ..limits import read_json

if TYPE_CHECKING:
    from ...transport import AffinitySession
    from ..http.answers import Answer

# ---- documents and errors ----


class Refused(ServiceError, RuntimeError):
    """A `ServiceError`, and the RuntimeError that OWSLib raises in that case."""


class Failed(ExecutionFailed, RuntimeError):
    """An `ExecutionFailed`, and the RuntimeError that OWSLib raises in that case."""


class NoOGCAPI(NotAService, RuntimeError):
    """A `NotAService`, and the RuntimeError that OWSLib raises in that case."""


class NoSuchProcess(UnknownProcess, RuntimeError):
    """An `UnknownProcess`, and the RuntimeError that OWSLib raises in that case."""


def expect_json(
    answer: Answer, *, doing: str, session: AffinitySession, execute: bool = False
) -> Any:
    """Return the JSON value of an answer, and raise what it is otherwise."""
    check_status(answer, doing=doing, session=session, execute=execute)
    try:
        return read_json(answer.body)
    except ValueError as error:
        raise NoOGCAPI(
            f"{answer.url} is not an OGC API: it answered {doing} with {answer.summary} "
            f"({error}); {advice(answer, 'OGC API')}",
            response=answer.response,
            about=session,
            url=answer.url,
        ) from error


def check_status(
    answer: Answer, *, doing: str, session: AffinitySession, execute: bool = False
) -> None:
    """Raise if the answer is an error; in answer to an Execute, a refusal is `ExecutionFailed`."""
    if answer.status < 400:
        return
    said = _problem(answer)
    if said is None and 400 <= answer.status < 500 and answer.status not in (401, 403, 408, 429):
        raise NoOGCAPI(
            f"{answer.url} answered {doing} with {answer.summary}; {advice(answer, 'OGC API')}",
            response=answer.response,
            code=None,
            about=session,
            url=answer.url,
        )
    text, code = said or (answer.summary, None)
    login = "; it wants credentials: pass auth=" if answer.status in (401, 403) else ""
    kind = Failed if execute else Refused
    coded = f" (code {code})" if code else ""
    raise kind(
        f"{answer.url} refused {doing}: {text}{coded}{login}",
        response=answer.response,
        code=code,
        text=text,
        about=session,
        url=answer.url,
    )


def is_not_ready(answer: Answer) -> bool:
    """Return whether the answer says that the results of a job are not there yet."""
    said = _problem(answer) if answer.status >= 400 else None
    return said is not None and "resultnotready" in (said[1] or "").replace("-", "").lower()


def _problem(answer: Answer) -> tuple[str, str | None] | None:
    """Return text and code of an exception as OGC and RFC 7807 define them."""
    try:
        document = read_json(answer.body)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    texts = (document.get(name) for name in ("detail", "description", "title", "message"))
    text = next((t for t in texts if isinstance(t, str) and t), None)
    codes = (document.get(name) for name in ("code", "type"))
    code = next((c for c in codes if isinstance(c, str) and c), None)
    if text is None and code is None:
        return None
    return text or "no reason given", code


# ---- states ----

JobState = Literal["accepted", "running", "successful", "failed", "dismissed"]

ENDED: frozenset[str] = frozenset({"successful", "failed", "dismissed"})

#: OGC API - Processes has five words. Its drafts, WPS, and the servers of both use others for
#: the same: pygeoapi, Weaver, ZOO-Project, the EOEPCA's ADES, javaPS, GeoServer and openEO's.
_SYNONYMS: dict[JobState, str] = {
    "accepted": "accepted created enqueued initialized pending queued received scheduled submitted "
    "waiting",
    "running": "running active executing inprogress ongoing paused processing restarted resumed "
    "retry retrying started suspended",
    "successful": "successful complete completed done finished succeeded success",
    "failed": "failed aborted crashed error errored exception failure timedout timeout",
    "dismissed": "dismissed canceled cancelled killed revoked terminated",
}
_STATES: dict[str, JobState] = {
    word: state for state, words in _SYNONYMS.items() for word in words.split()
}


def state_of(word: object) -> JobState | None:
    """Return what a server's word for a job's state means, or None if that is not known.

    Capitals, blanks, ``-``, ``_`` and the ``Process`` that WPS puts in front of its words
    make no difference.
    """
    if not isinstance(word, str):
        return None
    plain = re.sub(r"[\s_-]+", "", word.rpartition(":")[2]).lower()
    return _STATES.get(plain) or _STATES.get(plain.removeprefix("process"))


# ---- jobs ----

#: Members of a status document, without their case and ``_``. Results have others.
_MEMBERS = frozenset(
    {
        *("created", "description", "duration", "estimatedcompletion", "expirationdate"),
        *("finished", "id", "jobid", "links", "message", "mode", "nextpoll", "parameters"),
        *("percentcompleted", "process", "processid", "progress", "started", "status", "title"),
        *("type", "updated"),
    }
)
_ADDRESSES = (
    *("location", "statuslocation", "statusurl", "statusuri", "joblocation"),
    *("joburl", "joburi", "monitor", "monitorurl", "monitoruri"),
)
#: Relations of links that lead to a job, the surest first.
_MONITORS = ("monitor", "status", "job-status", "job")
#: Relations of links that lead to a job's results, the surest first.
_RESULTS = ("results", "result", "outputs")


def is_job(answer: Answer, outputs: Collection[str], *, asynchronous: bool, raw: bool) -> bool:
    """Return whether the service made a job, rather than sent the results.

    `outputs` are the names of the process's outputs, as far as they are described. A job was asked
    for if `asynchronous`; if `raw`, a single output as it is, which may be any document.
    """
    addressed = _in_headers(answer.response) is not None
    if answer.status == 202 or (answer.status == 201 and addressed):
        return True
    named = addressed or answer.status == 201
    document = document_of(answer)
    if isinstance(document, Mapping):
        return _is_status(document, outputs, named=named, likely=asynchronous or not raw)
    if not answer.body.strip() or (answer.is_json and not document):
        return named
    # No text was asked for, so it is a word or a page that says "accepted".
    return named and asynchronous and not raw and document is None


def _is_status(
    document: Mapping[str, Any], outputs: Collection[str], *, named: bool, likely: bool
) -> bool:
    members = {_plain(key): value for key, value in document.items() if key not in outputs}
    state = state_of(members.get("status"))
    has_id = _filled(members.get("id"))
    if _filled(members.get("jobid")) or (state and (has_id or members.get("type") == "process")):
        return True
    if not likely or len(members) < len(document) or not members.keys() <= {*_MEMBERS, *_ADDRESSES}:
        return False
    address = _in_document(members, _MONITORS)
    return named or has_id or address is not None or state not in (None, "successful")


def job_url(answer: Answer, url_of: Callable[[str], str]) -> str | None:
    """Return the URL of the job that an answer names, as it is written; None if it does not.

    It may be relative. `url_of` makes the URL of a path below the landing page, for an
    identifier alone.
    """
    stated = _in_headers(answer.response)
    if stated is not None:
        return stated
    document = document_of(answer)
    if not isinstance(document, Mapping):
        return None
    members = {_plain(key): value for key, value in document.items()}
    stated = _in_document(members, (*_MONITORS, "self")) or _address(members.get("href"))
    identifier = members.get("jobid") if _filled(members.get("jobid")) else members.get("id")
    if stated is None and _filled(identifier) and identifier not in (".", ".."):
        return url_of(f"jobs/{quote(str(identifier), safe='', errors='replace')}")
    return stated


def results_link(links: Any) -> str | None:
    """Return the link of a status document that leads to the results, in JSON if there is one."""
    listed = sorted(_mappings(links), key=lambda link: "json" not in str(link.get("type")))
    return _linked(listed, _RESULTS)


def document_of(answer: Answer) -> Any:
    """Return the JSON value; None if it says that it is something else, or is broken."""
    if not answer.is_json and answer.status not in (201, 202):
        return None
    try:
        return read_json(answer.body)
    except ValueError:
        return None


def _in_headers(response: requests.Response) -> str | None:
    for name in ("Location", "Operation-Location"):
        if response.headers.get(name, "").strip():
            return response.headers[name]
    try:
        links = requests.utils.parse_header_links(response.headers.get("Link", ""))
    except ValueError:
        return None
    stated = [{**link, "href": link.get("url")} for link in links]
    return _linked(stated, _MONITORS)


def _in_document(members: Mapping[str, Any], relations: Collection[str]) -> str | None:
    for name in _ADDRESSES:
        found = _address(members.get(name))
        if found is not None:
            return found
    return _linked(members.get("links"), relations)


def _address(value: Any) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("href")
    return value if isinstance(value, str) and "/" in value else None


def _linked(links: Any, relations: Collection[str]) -> str | None:
    for relation in relations:
        for link in _mappings(links):
            href = link.get("href")
            if relation in _relations_of(link) and isinstance(href, str) and href:
                return href
    return None


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _relations_of(link: Mapping[str, Any]) -> set[str]:
    """Return the relations of a link, each without what makes a URI or a CURIE of it."""
    stated = str(link.get("rel") or "").lower()
    return {re.split("[/#:]", word.strip("[]"))[-1] for word in stated.split()}


def _filled(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _plain(name: str) -> str:
    return name.replace("_", "").lower()

"""Whether the answer to an execution is a job, and where the job and its results are.

The standard has ``201 Created`` with a ``Location``. Servers also answer 200 or
202, and name the job by a ``Link`` header, by a link or a URL in the document, or
by its identifier alone. A ``Location`` does not make a job of an answer that holds
results: pygeoapi names the job of a synchronous execution, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote

import requests

from ..http.answers import Answer
from .problems import is_json, parsed
from .states import state_of

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
    """Tell whether the service made a job, rather than sent the results.

    Parameters
    ----------
    answer : Answer
        Of a status below 400.
    outputs : collection of str
        Names of the process's outputs, as far as they are described.
    asynchronous : bool
        A job was asked for.
    raw : bool
        A single output was asked for as it is, so the answer may be any document.
    """
    addressed = _in_headers(answer.response) is not None
    if answer.status == 202 or (answer.status == 201 and addressed):
        return True
    named = addressed or answer.status == 201
    document = _document(answer)
    if isinstance(document, Mapping):
        return _is_status(document, outputs, named=named, likely=asynchronous or not raw)
    if not answer.body.strip() or (is_json(answer) and not document):
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
    """Return where the job is that an answer tells of, as the service states it.

    Parameters
    ----------
    answer : Answer
        One that `is_job`.
    url_of : callable
        Makes the URL of a path below the landing page, for an identifier alone.

    Returns
    -------
    str or None
        It may be relative to the answer's URL. None if the answer does not say it.
    """
    stated = _in_headers(answer.response)
    if stated is not None:
        return stated
    document = _document(answer)
    if not isinstance(document, Mapping):
        return None
    members = {_plain(key): value for key, value in document.items()}
    stated = _in_document(members, (*_MONITORS, "self")) or _address(members.get("href"))
    identifier = members.get("jobid") if _filled(members.get("jobid")) else members.get("id")
    if stated is None and _filled(identifier) and identifier not in (".", ".."):
        return url_of(f"jobs/{quote(str(identifier), safe='', errors='replace')}")
    return stated


def _document(answer: Answer) -> Any:
    """Return the JSON value; None if it says that it is something else, or is broken."""
    if not is_json(answer) and answer.status not in (201, 202):
        return None
    try:
        return parsed(answer)
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
    listed = links if isinstance(links, list) else []
    for relation in relations:
        for link in listed:
            if isinstance(link, Mapping) and relation in _relations_of(link):
                href = link.get("href")
                if isinstance(href, str) and href:
                    return href
    return None


def results_link(links: Any) -> str | None:
    """Return the link of a status document that leads to the results, in JSON if there is one."""
    listed = (
        [link for link in links if isinstance(link, Mapping)] if isinstance(links, list) else []
    )
    listed.sort(key=lambda link: "json" not in str(link.get("type")))
    return _linked(listed, _RESULTS)


def _relations_of(link: Mapping[str, Any]) -> set[str]:
    """Return the relations of a link, each without what makes a URI or a CURIE of it."""
    stated = str(link.get("rel") or "").lower()
    return {re.split("[/#:]", word.strip("[]"))[-1] for word in stated.split()}


def _filled(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _plain(name: str) -> str:
    return name.replace("_", "").lower()

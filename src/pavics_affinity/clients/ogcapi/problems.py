"""What an OGC API answered: JSON, or why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import ExecutionFailed, NotAService, ServiceError, UnknownProcess
from ..http.answers import advice
from ..limits import read_json

if TYPE_CHECKING:
    from ..http.answers import Answer, Asker


class Refused(ServiceError, RuntimeError):
    """A `ServiceError`, and the RuntimeError that OWSLib raises in that case."""


class Failed(ExecutionFailed, RuntimeError):
    """An `ExecutionFailed`, and the RuntimeError that OWSLib raises in that case."""


class NoOGCAPI(NotAService, RuntimeError):
    """A `NotAService`, and the RuntimeError that OWSLib raises in that case."""


class NoSuchProcess(UnknownProcess, RuntimeError):
    """An `UnknownProcess`, and the RuntimeError that OWSLib raises in that case."""


def parsed(answer: Answer) -> Any:
    """Return the value of a JSON document.

    Raises
    ------
    ValueError
        It is no JSON, or has more in it than the limits.
    """
    return read_json(answer.body)


def is_json(answer: Answer) -> bool:
    """Tell whether the answer says that it is JSON."""
    kind = answer.content_type.split(";")[0].strip()
    return kind == "application/json" or kind.endswith("+json")


def expect_json(answer: Answer, *, doing: str, asker: Asker, execute: bool = False) -> Any:
    """Return the JSON value of an answer, and raise what it is otherwise.

    Parameters
    ----------
    answer : Answer
        What came.
    doing : str
        What was asked, for the message.
    asker : Asker
        The session.
    execute : bool
        The answer is one to an Execute: refusals are `ExecutionFailed`.

    Raises
    ------
    ServiceError
        The service says why it would not.
    ExecutionFailed
        The same, in answer to an Execute.
    NotAService
        It is something else altogether.
    """
    check_status(answer, doing=doing, asker=asker, execute=execute)
    try:
        return parsed(answer)
    except ValueError as error:
        raise NoOGCAPI(
            f"{answer.url} is not an OGC API: it answered {doing} with HTTP {answer.status} and "
            f"{answer.what_came} ({error}); {advice(answer, 'OGC API')}",
            response=answer.response,
            url=answer.url,
            machineid=asker.machineid,
            node=asker.node,
        ) from error


def check_status(answer: Answer, *, doing: str, asker: Asker, execute: bool = False) -> None:
    """Raise if the answer is an error; as `expect_json`."""
    if answer.status < 400:
        return
    details: dict[str, Any] = {"url": answer.url, "machineid": asker.machineid, "node": asker.node}
    said = _problem(answer)
    if said is None and 400 <= answer.status < 500 and answer.status not in (401, 403, 408, 429):
        raise NoOGCAPI(
            f"{answer.url} answered {doing} with HTTP {answer.status} and {answer.what_came}; "
            f"{advice(answer, 'OGC API')}",
            response=answer.response,
            code=None,
            **details,
        )
    text, code = said or (f"HTTP {answer.status} and {answer.what_came}", None)
    login = "; it wants credentials: pass auth=" if answer.status in (401, 403) else ""
    kind = Failed if execute else Refused
    coded = f" (code {code})" if code else ""
    raise kind(
        f"{answer.url} refused {doing}: {text}{coded}{login}",
        response=answer.response,
        code=code,
        text=text,
        **details,
    )


def is_not_ready(answer: Answer) -> bool:
    """Tell whether the answer says that the results of a job are not there yet."""
    said = _problem(answer) if answer.status >= 400 else None
    return said is not None and "resultnotready" in (said[1] or "").replace("-", "").lower()


def _problem(answer: Answer) -> tuple[str, str | None] | None:
    """Return text and code of an exception as OGC and RFC 7807 have it."""
    try:
        document = parsed(answer)
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

"""An Execute: sent once, with a step of the record that knows its outcome."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...errors import (
    DownloadFailed,
    ExecuteOutcomeUnknown,
    ExecutionFailed,
    InvalidRequest,
    OutputUnavailable,
    ServiceError,
    say_also,
)
from ...record import Step, calling, current_call
from ..progress import bar
from .answers import Answer, BodyBroken, read

if TYPE_CHECKING:
    import requests

    from ...transport import AffinitySession

_TWITCHERS_413 = "Response is not ok: Request Entity Too Large"
"""Twitcher's words, in a 400, for nginx's 413 behind it."""

_NOT_AGAIN = (
    "It was not sent again. Look at the service's jobs, or run the chain again if running it "
    "twice does no harm"
)


@contextlib.contextmanager
def before_sending() -> Iterator[None]:
    """Add to each refusal inside that nothing was executed: the Execute has not been sent."""
    try:
        yield
    except (InvalidRequest, OutputUnavailable, DownloadFailed) as error:
        say_also(error, "Nothing was executed")
        raise


@contextlib.contextmanager
def noting(step: Step) -> Iterator[None]:
    """Note in a step the outcome of the Execute that is sent, and read, inside."""
    try:
        yield
    except ServiceError as error:
        code = getattr(error, "code", None)
        if not step.ran:
            pass  # the transport knows it by the status
        elif size_limit(error) is not None:
            step.refused(error, ran=False)
        elif isinstance(error, ExecutionFailed) or code is not None:
            step.refused(error, ran=True)
        elif step.state != "unknown":
            step.unknown(error)
        raise
    except ExecuteOutcomeUnknown as error:
        if step.state != "unknown":
            step.unknown(error)
        raise


def size_limit(error: ServiceError) -> str | None:
    """Return what limits the size of requests, if that is why nothing was executed."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    text = str(getattr(error, "text", None) or "")
    if status == 413 or text == _TWITCHERS_413:
        return (
            "HTTP 413, as nginx answers above client_max_body_size (1 MB by default); the "
            "site's operator sets it"
        )
    if getattr(error, "code", None) == "FileSizeExceeded" and "request size" in text:
        return f"{text!r}; the service's operator sets it (PyWPS: maxrequestsize, 3 MB by default)"
    return None


def send_once(
    session: AffinitySession,
    method: str,
    url: str,
    *,
    doing: str,
    step: Step | None = None,
    is_xml: bool = False,
    **options: Any,
) -> Answer:
    """Send a request that must not be repeated once it may have run, and read its answer.

    The transport notes the result in the step, as `noting` does.
    If the answer should be XML, one without a stated length is whole only if it is a document.
    """
    last: list[Answer] = []  # the answer that was read last; of redirects, too

    def read_whole(response: requests.Response) -> Answer:
        try:
            answer = read(response, url=url)
            if is_xml and answer.may_be_cut:
                raise BodyBroken("its length is not stated, and it is not a whole document")
        except BodyBroken as error:
            raise ExecuteOutcomeUnknown(
                f"the answer to {doing} broke off ({error}): the service received the request, "
                f"and may have run the process. {_NOT_AGAIN}",
                about=session,
                url=url,
            ) from error
        return answer

    def refusal(response: requests.Response) -> str | None:
        last[:] = [read_whole(response)]
        return last[0].server_busy

    patience = session.affinity.patience
    with (
        bar(None, total=round(patience), desc=doing, unit="s") as move,
        calling(
            operation=doing,
            step=step,
            refusal=refusal if is_xml else None,
            waiting=current_call().waiting or move,
        ),
    ):
        response = session.request(method, url, stream=True, **options)
    known = last[0] if last and last[0].response is response else None
    return read_whole(response) if known is None else known


def lost(session: AffinitySession, step: Step) -> ExecuteOutcomeUnknown:
    """Return the error for the result of an earlier process that cannot be read again."""
    return ExecuteOutcomeUnknown(
        f"an earlier process sent Execute {step.process}, and its result cannot be read again: "
        f"{step.message or 'the journal does not hold it'}. {_NOT_AGAIN}",
        about=session,
        url=step.service,
    )


def where(session: AffinitySession) -> str:
    """Return the session's node for a message, and whether only the topology names it."""
    if session.node is None:
        return ""
    predicted = " (predicted by the topology, not proved)"
    return f" on node {session.node!r}{predicted * (session.node_known != 'proved')}"

"""Questions, asked until an answer is whole; and an Execute: sent once, its outcome noted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import (
    DownloadFailed,
    ExecuteOutcomeUnknown,
    ExecutionFailed,
    InvalidRequest,
    OutputUnavailable,
    ReferenceRefused,
    ServiceError,
    ServiceUnreachable,
    say_also,
)
from ...record import Step, calling, current_call, operation
from ...transport.times import Patience, current_deadline
from ..progress import bar
from .answers import MAX_DOCUMENT, Answer, BodyBroken, read

if TYPE_CHECKING:
    import requests

    from ...transport import AffinitySession

T = TypeVar("T")

REMEDIES = (
    "Pass the file:// path, if the process gives one; or give the workflow a topology that has "
    "the nodes' addresses or a strict proxy"
)
"""What to do if no URL leads a service to an output."""

_TWITCHERS_413 = "Response is not ok: Request Entity Too Large"
"""Twitcher's words, in a 400, for nginx's 413 behind it."""

_NOT_AGAIN = (
    "It was not sent again. Look at the service's jobs, or run the chain again if running it "
    "twice does no harm"
)


# ---- questions ----


def fetch_document(
    session: AffinitySession, url: str, *, doing: str, named: str | None = None, **options: Any
) -> Answer:
    """Get a document as `get_once` does, again while its answer breaks off."""

    def ask() -> Answer:
        return get_once(session, url, doing=doing, named=named, **options)

    return until_whole(ask, session=session, url=named or url, doing=doing)


def get_once(
    session: AffinitySession,
    url: str,
    *,
    doing: str,
    limit: int = MAX_DOCUMENT,
    named: str | None = None,
    until: float | None = None,
    timed: bool = True,
    **options: Any,
) -> Answer:
    """Get a document; raise `BodyBroken` if its answer breaks off.

    `doing` is what the record and messages call it, and `named` the URL that messages name, if it
    is another one; `limit`, `until` and `timed` are those of `read`, the others of ``session.get``.
    """
    with operation(doing):
        response = session.get(url, stream=True, **options)
    return read(response, url=named or url, limit=limit, until=until, timed=timed)


def until_whole(ask: Callable[[], T], *, session: AffinitySession, url: str, doing: str) -> T:
    """Call `ask` until it does not raise `BodyBroken`, or the session's deadline is over."""
    patience, attempts = patience_of(session), 0
    while True:
        attempts += 1
        try:
            return ask()
        except BodyBroken as error:
            if not patience.wait():
                times = "once" if attempts == 1 else f"{attempts} times"
                raise ServiceUnreachable(
                    f"the answer to {doing} broke off {times} in {patience.seconds:.1f} s "
                    f"({error}). Ask again later",
                    attempts=attempts,
                    about=session,
                    url=url,
                ) from error


def patience_of(session: AffinitySession) -> Patience:
    """Return the patience for a request that may be repeated, bounded by the deadline."""
    return Patience(current_deadline(session.affinity.deadline))


# ---- an Execute ----


@contextlib.contextmanager
def before_sending() -> Iterator[None]:
    """Add to each refusal inside that nothing was executed: the Execute has not been sent."""
    try:
        yield
    except (InvalidRequest, OutputUnavailable, DownloadFailed) as error:
        say_also(error, "Nothing was executed")
        raise


@contextlib.contextmanager
def executing(session: AffinitySession, url: str, size: int, step: Step) -> Iterator[None]:
    """Note in a step the outcome of the Execute of so many bytes that is sent, and read, inside.

    ReferenceRefused is raised if it has the content of an output, and the service refuses its
    size, now or earlier.
    """
    attached = "content" in step.inputs.values()
    known = session.refused_sizes.get(url)
    if attached and known is not None and size >= known:
        step.not_sent()
        raise _too_large(session, url, size, f"it refused a request of {known} bytes before")
    try:
        yield
    except ServiceError as error:
        limit = _size_limit(error)
        if not step.ran:
            pass  # the transport knows it by the status
        elif limit is not None:
            step.refused(error, ran=False)
        elif isinstance(error, ExecutionFailed) or getattr(error, "code", None) is not None:
            step.refused(error, ran=True)
        elif step.state != "unknown":
            step.unknown(error)
        if limit is None or not attached:
            raise
        session.refused_sizes[url] = min(size, known or size)
        raise _too_large(session, url, size, limit) from error
    except ExecuteOutcomeUnknown as error:
        if step.state != "unknown":
            step.unknown(error)
        raise


def _size_limit(error: ServiceError) -> str | None:
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


def _too_large(session: AffinitySession, url: str, size: int, why: str) -> ReferenceRefused:
    return ReferenceRefused(
        f"{url} refuses a request of {size} bytes, which has the content of an earlier output, "
        f"because no URL leads the service to its node: {why}. Nothing was executed. {REMEDIES}",
        about=session,
        url=url,
    )


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

    The transport notes the result in the step, as `executing` does.
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
    return last[0] if last and last[0].response is response else read_whole(response)


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

"""Documents: fetched until an answer is whole, or sent for once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import ServiceUnreachable
from ...record import operation
from ...transport.times import Patience, current_deadline
from .answers import MAX_DOCUMENT, Answer, BodyBroken, read

if TYPE_CHECKING:
    from ...transport import AffinitySession

T = TypeVar("T")


def fetch_document(
    session: AffinitySession,
    url: str,
    *,
    doing: str,
    limit: int = MAX_DOCUMENT,
    named: str | None = None,
    **options: Any,
) -> Answer:
    """Get a document, again while its answer breaks off.

    Parameters
    ----------
    doing : str
        What is asked, for the record and for messages.
    limit : int
        Bytes; a larger document is refused.
    named : str, optional
        The URL that messages name, if it is not this one.
    **options
        Further arguments of ``session.get``.
    """

    def ask() -> Answer:
        return get_once(session, url, doing=doing, limit=limit, named=named, **options)

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
    """Get a document as `fetch_document`, but raise `BodyBroken` if its answer breaks off.

    `until` and `timed` are those of `read`.
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

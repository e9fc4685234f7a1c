"""Documents that are asked for again while their answers break off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import ServiceUnreachable
from ...record import operation
from ...transport.times import Patience, current_deadline
from .answers import MAX_DOCUMENT, Answer, BodyBroken, read

if TYPE_CHECKING:
    from ...transport import AffinitySession

T = TypeVar("T")


def fetch(
    session: AffinitySession,
    url: str,
    *,
    doing: str,
    timeout: Any = None,
    headers: Mapping[str, str] | None = None,
    limit: int = MAX_DOCUMENT,
    named: str | None = None,
) -> Answer:
    """Get a document, again if its answer breaks off.

    Parameters
    ----------
    session : AffinitySession
        Asks.
    url : str
        Absolute, http or https.
    doing : str
        What is asked, for the record and for messages.
    timeout : float or tuple, optional
        The client's own, in seconds.
    headers : mapping, optional
        Sent along.
    limit : int
        Bytes; a larger document is refused.
    named : str, optional
        The URL that messages name, if it is not this one.

    Raises
    ------
    ServiceUnreachable
        Every answer broke off.
    """

    def ask() -> Answer:
        with operation(doing):
            response = session.get(url, stream=True, timeout=timeout, headers=headers)
        return read(response, url=named or url, limit=limit)

    return until_whole(ask, session=session, url=named or url, doing=doing)


def until_whole(ask: Callable[[], T], *, session: AffinitySession, url: str, doing: str) -> T:
    """Call `ask` until it does not raise `BodyBroken`, or the deadline is over.

    Parameters
    ----------
    ask : callable
        Sends a request that may be repeated, and reads the answer.
    session : AffinitySession
        Its deadline bounds the attempts.
    url, doing : str
        Where, and what is asked, for the message.

    Raises
    ------
    ServiceUnreachable
        Every answer broke off.
    """
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
                    f"({error}); ask again later",
                    url=url,
                    machineid=session.machineid,
                    node=session.node,
                    attempts=attempts,
                ) from error


def patience_of(session: AffinitySession) -> Patience:
    """Return the patience for a request that may be repeated, bounded by the deadline."""
    return Patience(current_deadline(session.affinity.deadline))

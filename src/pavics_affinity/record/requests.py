"""What each request of a workflow did, kept in bounded memory."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..markup.shown import ShownAsCard
from .steps import Steps
from .totals import Total, as_card, as_text, totals

if TYPE_CHECKING:
    from ..markup.cards import Card

LOGGER = logging.getLogger("pavics_affinity")
LOGGER.addHandler(logging.NullHandler())

NodeKnown = Literal["unknown", "predicted", "proved"]

_OPERATION: ContextVar[str] = ContextVar("pavics_affinity_operation", default="")


@contextlib.contextmanager
def operation(label: str) -> Iterator[None]:
    """Label the requests that are made inside, as ``"Execute download"``.

    Parameters
    ----------
    label : str
        What the request is for, in the words of the service's standard.
    """
    token = _OPERATION.set(label)
    try:
        yield
    finally:
        _OPERATION.reset(token)


def current_operation() -> str:
    """Return the label of the innermost `operation`, or an empty string."""
    return _OPERATION.get()


@dataclass(eq=False, slots=True)
class Request:
    """One request as the caller made it, with all its attempts.

    Of a body that is read piece by piece, `seconds` and `bytes` are first what the
    headers tell, and then, once the response is closed, what came.

    Attributes
    ----------
    started : float
        Seconds since the epoch.
    seconds : float
        From the first attempt to the end of the answer.
    method : str
        The HTTP method.
    operation : str
        What it was for: ``"GetCapabilities"``, ``"Execute download"``, ``"status"`` ...
    url : str
        As the caller knows it, without user information, query and fragment.
    service : str or None
        Name of the service in the topology.
    node : str or None
        The node that answered, or that was expected to.
    node_known : {"unknown", "predicted", "proved"}
        How it is known.
    route : {"proxy", "direct", "outside"}
        Through the proxy, to the node itself, or out of the workflow's scope.
    status : int or None
        The HTTP status; None where no answer came.
    bytes : int or None
        Of the body, as they came over the wire, so compressed where they were; of a
        chunked one, unpacked.
    attempts : int
        Requests sent, the first included.
    error : str or None
        Name of the error that was raised.
    """

    started: float
    seconds: float
    method: str
    operation: str
    url: str
    service: str | None
    node: str | None
    node_known: NodeKnown
    route: Literal["proxy", "direct", "outside"]
    status: int | None
    bytes: int | None
    attempts: int
    error: str | None


class Record(ShownAsCard):
    """The requests of one workflow, oldest first.

    Parameters
    ----------
    limit : int, default 10_000
        How many are kept; the oldest are dropped first and counted in `dropped`.

    Attributes
    ----------
    steps : Steps
        What was executed.
    last_error : str or None
        Name and message of the last error that a request ended in.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._entries: deque[Request] = deque(maxlen=limit)
        self._lock = threading.Lock()
        self._seen = 0
        self._notes: deque[str] = deque(maxlen=100)
        self.steps = Steps(limit)
        self.last_error: str | None = None

    def add(self, entry: Request, machineid: str, error: BaseException | None = None) -> None:
        """Append an entry and log it.

        Parameters
        ----------
        entry : Request
            What happened.
        machineid : str
            The workflow's, for the log record's ``machineid`` attribute.
        error : BaseException, optional
            What the request ended in.
        """
        with self._lock:
            self._entries.append(entry)
            self._seen += 1
            if error is not None:
                self.last_error = f"{type(error).__name__}: {error}"
        level = logging.INFO if entry.error else logging.DEBUG
        if LOGGER.isEnabledFor(level):
            LOGGER.log(
                level,
                "%s %s -> %s on %s (%s) in %.3f s%s",
                entry.operation or entry.method,
                entry.url,
                entry.status if entry.status is not None else "no answer",
                entry.node or "unknown node",
                entry.node_known,
                entry.seconds,
                f": {entry.error}" if entry.error else "",
                extra={"machineid": machineid, "node": entry.node},
            )

    def note(self, message: str) -> None:
        """Keep a remark that concerns the workflow rather than one request."""
        with self._lock:
            self._notes.append(message)

    @property
    def notes(self) -> list[str]:
        """Remarks, such as that the proxy is down and requests go to the node itself."""
        with self._lock:
            return list(self._notes)

    @property
    def dropped(self) -> int:
        """How many entries were dropped to stay within the limit."""
        return self._seen - len(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Request]:
        with self._lock:
            return iter(list(self._entries))

    def rows(self) -> list[dict[str, Any]]:
        """Return the entries as plain dicts, for pandas or JSON."""
        return [asdict(entry) for entry in self]

    def totals(self) -> list[Total]:
        """Return one line for each operation, service and node, in the order of their first."""
        return totals(self)

    def __repr__(self) -> str:
        more = f" of {self._seen:,}" if self.dropped else ""
        return f"<Record: {len(self):,}{more} requests, {len(self.steps):,} steps>"

    def __str__(self) -> str:
        return as_text(self.totals(), self.dropped)

    def _card(self) -> Card:
        return as_card(self.totals(), self.dropped)

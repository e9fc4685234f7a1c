"""What each request of a workflow did, kept in bounded memory, and their totals."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from ..errors import message_of
from ..markup import clean
from ..markup.shown import ShownAsCard
from .steps import Step, Steps

if TYPE_CHECKING:
    from ..markup.cards import Card

LOGGER = logging.getLogger("pavics_affinity")
LOGGER.addHandler(logging.NullHandler())

# ---- what a client says of the requests that it makes, and `requests.Session` cannot pass on ----


class Call(NamedTuple):
    """The context of the requests that are made now."""

    operation: str = ""  # what they are for, as "Execute download"
    step: Step | None = None  # of the Execute; notes its result
    deadline: float | None = None  # seconds for which each is repeated at most
    # Reads the answer to an Execute; returns the service's words if it says that its queue is full.
    refusal: Callable[[Any], str | None] | None = None
    # Shows that an Execute waits for a place in a queue: for how many seconds by now, and where.
    waiting: Callable[[float, str], None] | None = None

    def within(self, usual: float) -> float:
        """Return the deadline, at most the usual one."""
        return usual if self.deadline is None else min(usual, self.deadline)


_CALL: ContextVar[Call] = ContextVar("pavics_affinity_call", default=Call())  # noqa: B039  # it is frozen


def current_call() -> Call:
    """Return the innermost context."""
    return _CALL.get()


@contextlib.contextmanager
def calling(**changes: Any) -> Iterator[None]:
    """Change the context of the requests that are made inside."""
    token = _CALL.set(_CALL.get()._replace(**changes))
    try:
        yield
    finally:
        _CALL.reset(token)


def operation(label: str) -> contextlib.AbstractContextManager[None]:
    """Label the requests that are made inside, in the words of the service's standard."""
    return calling(operation=label)


# ---- what each request did ----

NodeKnown = Literal["unknown", "predicted", "proved"]


MOST = 50
"""Lines that are shown; `Record.totals` has them all."""

_HEADINGS = ("operation", "service", "node", "requests", "again", "errors", "seconds", "bytes")
_FIRST_NUMBER = 3
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


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


@dataclass(slots=True)
class Total:
    """What the requests of one kind to one service and node come to.

    Attributes
    ----------
    operation : str
        What they were for, or their method.
    service : str
        Name of the service in the topology, or else host and path.
    node : str or None
        The node.
    requests : int
        How many the caller made.
    again : int
        Attempts beyond the first of each.
    errors : int
        Requests that raised, or were answered with a status of 400 and above.
    seconds : float
        Their sum.
    bytes : int
        Of the bodies that came.
    """

    operation: str
    service: str
    node: str | None
    requests: int = 0
    again: int = 0
    errors: int = 0
    seconds: float = 0.0
    bytes: int = 0

    def cells(self) -> list[str]:
        """Return what a table shows."""
        return [
            clean(self.operation, 60),
            clean(self.service, 60),
            self.node or "unknown",
            f"{self.requests:,}",
            f"{self.again:,}",
            f"{self.errors:,}",
            f"{self.seconds:.2f}",
            in_units(self.bytes),
        ]


def totals(entries: Iterable[Request]) -> list[Total]:
    """Add up requests by operation, service and node, in the order of their first."""
    found: dict[tuple[str, str, str | None], Total] = {}
    for entry in entries:
        parts = urlsplit(entry.url)
        # Of an output the path is another one each time.
        other = parts.netloc if entry.operation.startswith("output") else entry.url
        key = (entry.operation or entry.method, entry.service or other, entry.node)
        total = found.setdefault(key, Total(*key))
        total.requests += 1
        total.again += max(0, entry.attempts - 1)
        total.errors += entry.error is not None or (entry.status or 0) >= 400
        total.seconds += entry.seconds
        total.bytes += entry.bytes or 0
    return list(found.values())


def in_units(count: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} {_UNITS[-1]}"


def as_text(lines: Sequence[Total], dropped: int) -> str:
    """Return a table for people, in plain text."""
    rows = [list(_HEADINGS), *(line.cells() for line in lines[:MOST])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    written = [
        "  ".join(
            cell.ljust(width) if i < _FIRST_NUMBER else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*written, *_left_out(lines, dropped)])


def as_card(lines: Sequence[Total], dropped: int) -> Card:
    """Return the same as a card."""
    from ..markup.cards import card, strong, table, text

    rows = [line.cells() for line in lines[:MOST]]
    notes = [text(note) for note in _left_out(lines, dropped)]
    count = sum(line.requests for line in lines)
    return card(strong(f"{count:,} requests"), table(_HEADINGS, rows), *notes)


def _left_out(lines: Sequence[Total], dropped: int) -> list[str]:
    notes = []
    if len(lines) > MOST:
        notes.append(f"and {len(lines) - MOST:,} kinds more; .totals() has them all")
    if dropped:
        notes.append(f"{dropped:,} older requests were dropped")
    return notes


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
                self.last_error = f"{type(error).__name__}: {message_of(error)}"
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
        """Keep a note that concerns the workflow rather than one request, and log it."""
        with self._lock:
            self._notes.append(message)
        LOGGER.info("%s", message)

    @property
    def notes(self) -> list[str]:
        """What was noted, such as that the proxy is down and requests go to the node itself."""
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

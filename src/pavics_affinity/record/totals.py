"""The requests of a workflow in a few lines: what they were for, how many, how long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..markup import clean

if TYPE_CHECKING:
    from ..markup.cards import Card
    from .requests import Request

MOST = 50
"""Lines that are shown; `Record.totals` has them all."""

_HEADINGS = ("operation", "service", "node", "requests", "again", "errors", "seconds", "bytes")
_FIRST_NUMBER = 3
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


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

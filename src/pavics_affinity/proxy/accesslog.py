"""Count requests, errors and chains in a strict proxy's access log, by node and service.

Memory does not grow with the log: lines are read one by one, the number of rows is limited, and
`Distinct` counts the chains.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, cast

import mmh3

from ..errors import AffinityError
from ..protocol import is_machineid, is_node_name
from ..topology import Topology

EXACT = 4096
"""Most chains that are counted exactly; with more, the number is an estimate."""
MOST_ROWS = 200
"""Most pairs of node and service that have a row. A real site has fewer."""
MOST_NAMED = 5
"""Damaged lines that are quoted; the others are only counted."""
_LONGEST_LINE = 1 << 20
_HASHES = 1 << 64
_SERVICE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*", re.ASCII)
_GZIP = b"\x1f\x8b"


class Distinct:
    """Counts different texts in bounded memory.

    The count is exact up to `EXACT` texts. With more, only the smallest hashes are kept, and the
    number is estimated from their density; its standard error is 1/sqrt(EXACT), 1.6 %.
    """

    def __init__(self) -> None:
        self._kept: set[int] = set()
        self._below = _HASHES

    def add(self, value: int) -> None:
        """Count a text, given as a hash of 64 bits, unless it was counted before."""
        if value < self._below:
            self._kept.add(value)
            if len(self._kept) > EXACT + EXACT // 4:
                kept = sorted(self._kept)[:EXACT]
                self._kept, self._below = set(kept), kept[-1] + 1

    @property
    def exact(self) -> bool:
        """Whether every text was counted."""
        return self._below == _HASHES

    def __len__(self) -> int:
        if self.exact:
            return len(self._kept)
        largest = sorted(self._kept)[EXACT - 1]
        return round((EXACT - 1) * _HASHES / largest)


@dataclass
class Row:
    """The answers of one node for one service."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)  # requests by status
    unpinned: int = 0  # requests without a machineid
    chains: Distinct = field(default_factory=Distinct)  # machineids without what follows ~

    def add(self, status: int, key: str, chain: int | None) -> None:
        """Count a request, with the hash of its machineid."""
        self.requests += 1
        self.statuses[status] += 1
        self.unpinned += not key
        if chain is not None:
            self.chains.add(chain)

    @property
    def errors(self) -> int:
        """Answers with a status of 400 or more."""
        return sum(count for status, count in self.statuses.items() if status >= 400)


@dataclass
class AccessLog:
    """The result of `read_access_log`.

    `rows` is by node and service. The service is None if nginx answered itself. The node is None
    if nginx asked no node, or if its name is unknown. In `total` a chain counts once, however
    many nodes and services it used.
    """

    rows: dict[tuple[str | None, str | None], Row] = field(default_factory=dict)
    total: Row = field(default_factory=Row)
    lines: int = 0  # read, damaged ones included
    damaged: int = 0  # lines that could not be read
    named: list[str] = field(default_factory=list)  # the first of these, with what is wrong
    uncounted: int = 0  # requests without a row, because there are `MOST_ROWS` already
    first: datetime | None = None  # the earliest and the latest answer
    last: datetime | None = None

    def row(self, node: str | None, service: str | None) -> Row | None:
        """Return the row of a node and a service, or None if there are too many rows."""
        found = self.rows.get((node, service))
        if found is None and len(self.rows) < MOST_ROWS:
            found = self.rows[node, service] = Row()
        return found

    def note_damage(self, place: str, wrong: str) -> None:
        """Count a damaged line, and keep its place if it is among the first."""
        self.damaged += 1
        if len(self.named) < MOST_NAMED:
            self.named.append(f"{place}: {wrong}")


def read_access_log(paths: Iterable[str], topology: Topology | None = None) -> AccessLog:
    """Count the requests in access logs of a strict proxy.

    The files may be compressed by gzip, and ``-`` is standard input. The nodes and services of the
    topology have a row even without requests. Raises `AffinityError` if a file cannot be read.
    """
    log = AccessLog()
    if topology is not None:
        for service in topology.services:
            for backend in topology.backends(service):
                log.row(backend.node, service.name)
    for path in paths:
        for place, line in _lines(path, log):
            _count(log, place, line)
    return log


def _lines(path: str, log: AccessLog) -> Iterator[tuple[str, bytes]]:
    """Yield each line with its place; a file that cannot be read to its end is damaged."""
    name, number = ("standard input" if path == "-" else path), 0
    try:
        with _open(path) as stream:
            while line := stream.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                    while (rest := stream.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                        pass
                yield f"{name}:{number}", line
    except (EOFError, gzip.BadGzipFile, zlib.error) as bad:
        log.lines += 1
        log.note_damage(f"{name}:{number + 1}", f"the compressed file is damaged here ({bad})")
    except OSError as bad:
        raise AffinityError(
            f"cannot read the log {name!r}: {bad.strerror or bad}. Give a file that exists and "
            "that you may read"
        ) from None


@contextlib.contextmanager
def _open(path: str) -> Iterator[IO[bytes]]:
    # Standard input stays open: it is not ours.
    with open(0 if path == "-" else path, "rb", closefd=path != "-") as raw:
        if raw.peek(2)[:2] == _GZIP:
            with gzip.GzipFile(fileobj=raw) as stream:
                yield cast(IO[bytes], stream)
        else:
            yield raw


def _count(log: AccessLog, place: str, line: bytes) -> None:
    log.lines += 1
    try:
        entry = json.loads(line.decode(errors="replace"))
        status, key = int(entry["status"]), entry["machineid"]
        node, upstream = entry["node"] or None, entry.get("upstream") or None
        moment = datetime.fromisoformat(entry["time"])
        service = upstream and upstream.partition(".")[0]
        machineid = key.partition("~")[0]
        log.first = min(log.first or moment, moment)
        log.last = max(log.last or moment, moment)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        log.note_damage(place, "not a line of a strict proxy's log")
        return
    if (node and not is_node_name(node)) or (service and not _SERVICE.fullmatch(service)):
        log.note_damage(place, "its node or its upstream is not a name")
        return
    chain = mmh3.hash64(machineid, signed=False)[0] if is_machineid(machineid) else None
    log.total.add(status, key, chain)
    row = log.row(node, service)
    if row is None:
        log.uncounted += 1
    else:
        row.add(status, key, chain)


# ---- for Prometheus ----


def prometheus_text(log: AccessLog) -> str:
    """Return the numbers in Prometheus' text format, for node_exporter's textfile collector."""
    rows = [(f'node="{n or ""}",service="{s or ""}"', row) for (n, s), row in log.rows.items()]
    requests = (
        (f'{{{labels},status="{status}"}}', count)
        for labels, row in rows
        for status, count in sorted((row.statuses or Counter({200: 0})).items())
    )
    unpinned = ((f"{{{labels}}}", row.unpinned) for labels, row in rows)
    chains = ((f"{{{labels}}}", len(row.chains)) for labels, row in rows)
    estimate = f"Different machineids; above {EXACT}, an estimate."
    latest = log.last.timestamp() if log.last else 0
    return "".join(
        (
            _metric("requests_total", "Requests in the log.", requests),
            _metric("unpinned_requests_total", "Requests without a machineid.", unpinned),
            _metric("chains", estimate, chains),
            _metric("damaged_lines_total", "Lines that could not be read.", [("", log.damaged)]),
            _metric(
                "last_request_timestamp_seconds",
                "Time of the latest answer; 0 without one.",
                [("", latest)],
            ),
        )
    )


def _metric(name: str, words: str, samples: Iterable[tuple[str, float]]) -> str:
    kind = "counter" if name.endswith("_total") else "gauge"
    full = f"pavics_affinity_log_{name}"
    values = "".join(f"{full}{labels} {value:.15g}\n" for labels, value in samples)
    return f"# HELP {full} {words}\n# TYPE {full} {kind}\n{values}"

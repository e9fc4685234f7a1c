"""Asks a proxy for its document: briefly, and without the machineid.

An answer that is not the document means that there is none, for a while. No answer means
nothing: it is asked for again soon, and later and later as long as none comes.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from ..errors import NotAService, ServiceUnreachable, TopologyError
from ..protocol import WELL_KNOWN
from ..topology import Topology
from ..topology.urls import Origin
from ..transport.bounded import get_bounded
from .document import LARGEST, topology_of, version_of

TIMEOUT = 2.0
"""Seconds that asking may take in all."""

FOUND_FOR = 60.0
"""Seconds for which a document that was found is taken as current by new workflows."""

ABSENT_FOR = 300.0
"""Seconds for which a proxy that has none is not asked again."""

FIRST_PAUSE = 1.0
"""Seconds after which a proxy that did not answer is asked again; each time twice as many, up
to `ABSENT_FOR`."""

_NO_ANSWER = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Trust:
    """How a proxy's certificate is checked, and the client's own; as requests takes them."""

    verify: bool | str | None = None
    cert: str | tuple[str, str] | None = None


@dataclass(frozen=True)
class Found:
    """What a proxy published when it was asked.

    Attributes
    ----------
    topology : Topology
        What it says of its own host.
    version : str
        Another one if anything in the document is another.
    """

    topology: Topology
    version: str


@dataclass(frozen=True)
class _Entry:
    """What is known of an origin; `silent` says how often it was asked since without an answer."""

    found: Found | None
    asked: float
    silent: int = 0

    @property
    def good_for(self) -> float:
        if self.silent:
            return min(FIRST_PAUSE * 2.0 ** min(self.silent - 1, 20), ABSENT_FOR)
        return ABSENT_FOR if self.found is None else FOUND_FOR


class Finder:
    """Asks each proxy once for a while, whoever wants to know.

    Parameters
    ----------
    clock : callable, optional
        Seconds, as `time.monotonic`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._asking: dict[tuple[Origin, Trust], threading.Lock] = {}
        self._entries: dict[tuple[Origin, Trust], _Entry] = {}

    def find(
        self, origin: Origin, trust: Trust, *, not_older_than: float | None = None
    ) -> Found | None:
        """Return what an origin publishes; None where that is nothing, or nothing sensible.

        Where it does not answer, that is what it said last.

        Parameters
        ----------
        origin : Origin
            Scheme, host and port.
        trust : Trust
            Answers are kept apart by it.
        not_older_than : float, optional
            Seconds for which an earlier answer will do; by default `FOUND_FOR` or
            `ABSENT_FOR`, and a growing pause after silence.
        """
        key = (origin, trust)
        with self._lock:
            asking = self._asking.setdefault(key, threading.Lock())
        with asking:
            entry = self._entries.get(key)
            if entry is not None:
                good_for = entry.good_for if not_older_than is None else not_older_than
                if self._clock() - entry.asked < good_for:
                    return entry.found
            entry = self._entries[key] = self._asked(origin, trust, entry)
            return entry.found

    def _asked(self, origin: Origin, trust: Trust, before: _Entry | None) -> _Entry:
        try:
            return _Entry(ask(origin, trust), self._clock())
        except NotAService:
            return _Entry(None, self._clock())
        except ServiceUnreachable:
            found, silent = (None, 0) if before is None else (before.found, before.silent)
            return _Entry(found, self._clock(), silent + 1)

    def forget(self) -> None:
        """Ask everybody anew."""
        with self._lock:
            self._asking.clear()
            self._entries.clear()

    def after_fork(self) -> None:
        """Make new locks: another thread of the parent may have held one of these."""
        self._lock = threading.Lock()
        self._asking = {}


FINDER = Finder()
"""What this process knows of proxies."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=FINDER.after_fork)


def ask(
    origin: Origin, trust: Trust, *, timeout: float = TIMEOUT, addresses: bool = False
) -> Found:
    """Ask a proxy for its document.

    Nothing goes with the request but what a stranger would send: no machineid, no
    credentials (of ``.netrc`` neither), no cookies; redirects are not followed.

    Parameters
    ----------
    origin : Origin
        Scheme, host and port.
    trust : Trust
        For TLS.
    timeout : float
        Seconds, for everything together.
    addresses : bool
        See `topology_of`.

    Raises
    ------
    ServiceUnreachable
        No answer within the time, or one that says that there is none at the moment.
    NotAService
        An answer, but no such document.
    """
    url = f"{origin}{WELL_KNOWN}"
    data = _parsed(_fetch(url, trust, timeout), url)
    try:
        return Found(topology_of(data, origin, addresses=addresses), version_of(data))
    except TopologyError as bad:
        raise NotAService(f"{url} is no document that a client can use: {bad}", url=url) from bad


def _fetch(url: str, trust: Trust, timeout: float) -> bytes:
    try:
        answer = get_bounded(
            url,
            headers={"Accept": "application/json"},
            timeout=timeout,
            largest=LARGEST,
            verify=trust.verify,
            cert=trust.cert,
        )
    except requests.RequestException as bad:
        raise ServiceUnreachable(f"{url} does not answer: {bad}", url=url) from bad
    if answer.status in _NO_ANSWER:
        raise ServiceUnreachable(
            f"{url} answered {answer.status}: whether the proxy publishes something for "
            "pavics-affinity cannot be told at the moment. Try again later",
            url=url,
        )
    if answer.status != 200:
        raise NotAService(
            f"{url} answered {answer.status}: the proxy publishes nothing for "
            "pavics-affinity; give a topology, or render the proxy with style strict",
            url=url,
        )
    if not answer.whole:
        raise NotAService(f"{url} is longer than {LARGEST} bytes", url=url)
    return answer.body


def _parsed(body: bytes, url: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as bad:
        raise NotAService(
            f"{url} is no JSON: the proxy publishes nothing for pavics-affinity; give a topology, "
            "or render the proxy with style strict",
            url=url,
        ) from bad

"""Ask a proxy for its document, with a short timeout and without the machineid.

An answer that is not the document means that the proxy has none; it is not asked again for a
while. If there is no answer, the proxy is asked again soon, with growing pauses.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import requests

from ..errors import NotAService, ServiceUnreachable, TopologyError
from ..protocol import WELL_KNOWN
from ..topology.urls import Origin
from ..transport.bounded import get_bounded
from ..transport.faults import describe

if TYPE_CHECKING:
    from ..topology import Topology

LARGEST = 1_000_000
"""Bytes of a document that are read at most."""

TIMEOUT = 2.0
"""Seconds that a request for a document may take in total."""

FOUND_FOR = 60.0
"""Seconds for which new workflows use a document without a new request."""

ABSENT_FOR = 300.0
"""Seconds for which a proxy without a document is not asked again."""

FIRST_PAUSE = 1.0
"""Seconds until a proxy that did not answer is asked again; doubled each time, up to
`ABSENT_FOR`."""

SHORTEST_PAUSE = 1.0
"""Seconds between two requests to one proxy, for all workflows together."""

_WITHOUT = "Pass topology=, or render the proxy with style strict"
_NO_ANSWER = frozenset({408, 429, 500, 502, 503, 504})


class Trust(NamedTuple):
    """How a proxy's certificate is checked, and the client's own; as in requests."""

    verify: bool | str | None = None
    cert: str | tuple[str, str] | None = None


class Found(NamedTuple):
    """What a proxy published about its own host; `version` changes with the document."""

    topology: Topology
    version: str


class _Entry(NamedTuple):
    """What is known of an origin; `silent` counts the requests since then without an answer."""

    found: Found | None
    asked: float
    silent: int = 0

    @property
    def good_for(self) -> float:
        if self.silent:
            return min(FIRST_PAUSE * 2.0 ** min(self.silent - 1, 20), ABSENT_FOR)
        return ABSENT_FOR if self.found is None else FOUND_FOR


class Finder:
    """Asks each proxy and keeps its answer for all workflows and threads of the process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._asking: dict[tuple[Origin, Trust], threading.Lock] = {}
        self._entries: dict[tuple[Origin, Trust], _Entry] = {}

    def find(
        self, origin: Origin, trust: Trust, *, not_older_than: float | None = None
    ) -> Found | None:
        """Return the topology that an origin publishes; None if it has no valid document.

        If the origin does not answer, return what it published last. An earlier answer is used
        if it is younger than `not_older_than` seconds: by default `FOUND_FOR` or `ABSENT_FOR`,
        or a growing pause if there was no answer. Answers are kept apart by `Trust`.
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
        """Forget all answers and ask each proxy again."""
        with self._lock:
            self._asking.clear()
            self._entries.clear()

    def after_fork(self) -> None:
        """Make new locks, because another thread of the parent may have held the old ones."""
        self._lock = threading.Lock()
        self._asking = {}


FINDER = Finder()
"""The answers of proxies that this process knows."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=FINDER.after_fork)


def ask(
    origin: Origin, trust: Trust, *, timeout: float = TIMEOUT, addresses: bool = False
) -> Found:
    """Ask a proxy for its document, within `timeout` seconds in total.

    The request carries no machineid, no credentials (not even from ``.netrc``) and no cookies;
    redirects are not followed. Raises `ServiceUnreachable` if there is no answer, or the proxy
    says that it cannot answer now, and `NotAService` for an answer that is not the document.
    """
    url = f"{origin}{WELL_KNOWN}"
    data = _parsed(_fetch(url, trust, timeout), url)
    # Only now: most proxies publish none, and topologies take long to load.
    from .document import topology_of, version_of

    try:
        return Found(topology_of(data, origin, addresses=addresses), version_of(data))
    except TopologyError as bad:
        raise NotAService(
            f"{url} is not a valid document: {bad.message}. {_WITHOUT}", url=url
        ) from bad


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
        raise ServiceUnreachable(
            f"{url} does not answer within {timeout:g} s: {describe(bad)}. Check the URL, and "
            "whether the proxy is up",
            url=url,
        ) from bad
    if answer.status in _NO_ANSWER:
        raise ServiceUnreachable(
            f"{url} answered {answer.status}, so it is not known whether the proxy publishes "
            "a document for pavics-affinity. Try again later",
            url=url,
        )
    if answer.status != 200:
        raise NotAService(
            f"{url} answered {answer.status}: the proxy publishes no document for "
            f"pavics-affinity. {_WITHOUT}",
            url=url,
        )
    if not answer.whole:
        raise NotAService(f"{url} is longer than {LARGEST} bytes. {_WITHOUT}", url=url)
    return answer.body


def _parsed(body: bytes, url: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as bad:
        raise NotAService(
            f"{url} is not JSON: the proxy publishes no document for pavics-affinity. {_WITHOUT}",
            url=url,
        ) from bad


class DiscoveredSource:
    """The topology that the proxy at an origin publishes; it may change during a workflow."""

    def __init__(self, origin: Origin, trust: Trust, found: Found) -> None:
        self.origin = origin
        self.current: Topology = found.topology
        self._trust = trust
        self._version = found.version

    def renew(self, *, thorough: bool = False) -> bool:
        """Ask again if `thorough`, unless the last answer is very recent.

        A proxy that does not answer, or publishes nothing, is being changed: the last topology
        stays in use.
        """
        if not thorough:
            return False
        found = FINDER.find(self.origin, self._trust, not_older_than=SHORTEST_PAUSE)
        if found is None or found.version == self._version:
            return False
        self.current, self._version = found.topology, found.version
        return True

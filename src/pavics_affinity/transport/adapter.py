"""The one adapter: every request of a workflow leaves through it."""

from __future__ import annotations

import os
import threading
from typing import Any, cast

import requests
from requests.adapters import BaseAdapter

from ..errors import WorkflowClosed
from ..pin import Pin
from ..record import Record
from .connections import WireAdapter
from .credentials import Origins
from .exchange import Exchange
from .times import DEFAULT_DEADLINE, DEFAULT_PATIENCE, Timeout
from .wire import Options, WireRequest, WireResponse


class AffinityAdapter(BaseAdapter):
    """Sends each request where its workflow's files are.

    It works on a copy of the request. The response keeps the caller's request
    and URL, and this adapter, so that redirects, cookies and authentication
    behave as if there were no routing, and no redirect carries the id away.

    Without a time-out a request gets 10 s to connect, and 60 s of silence, an hour after an
    Execute. The deadline is for how long a request that may be repeated is repeated, the patience
    for how long an Execute waits for a place in a full queue.
    """

    def __init__(
        self,
        pin: Pin,
        record: Record,
        *,
        timeout: Timeout = None,
        deadline: float = DEFAULT_DEADLINE,
        patience: float = DEFAULT_PATIENCE,
    ) -> None:
        super().__init__()
        self.pin = pin
        self.record = record
        self.origins = Origins()
        self.timeout = timeout
        self.deadline = deadline
        self.patience = patience
        self.closed = False
        self._lock = threading.Lock()
        self._pool = WireAdapter()
        self._process = os.getpid()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send a request, as requests' own adapter does.

        Raises
        ------
        WorkflowClosed
            The workflow has ended.
        TransportError
            One of its kinds; see `pavics_affinity.errors`.
        """
        options = Options(stream, verify, cert, proxies)
        return Exchange(self, request, timeout, options).run()

    def check_open(self, url: str | None) -> None:
        """Raise `WorkflowClosed` if the workflow has ended."""
        if self.closed:
            raise WorkflowClosed(
                f"workflow {self.pin.machineid!r} is closed. Make a new one, with "
                f"Workflow({self.pin.machineid!r}) if its files are still needed",
                machineid=self.pin.machineid,
                url=url,
            )

    def transmit(self, wire: WireRequest, *, fresh: bool, **options: Any) -> WireResponse:
        """Put a request onto the wire, once.

        A fresh connection is one that no server can have closed before. The options are those of
        `requests.adapters.HTTPAdapter.send`.
        """
        if not fresh:
            return cast("WireResponse", self._pooled().send(wire, **options))
        single = WireAdapter(pool_connections=1, pool_maxsize=1)
        try:
            return cast("WireResponse", single.send(wire, **options))
        finally:
            single.close()

    def _pooled(self) -> WireAdapter:
        if self._process != os.getpid():
            with self._lock:
                # A connection that two processes use would mix up their answers.
                self._pool = WireAdapter()
                self._process = os.getpid()
        return self._pool

    def close(self) -> None:
        """Close the pooled connections and refuse further requests."""
        self.closed = True
        self._pooled().close()
        self.pin.close()

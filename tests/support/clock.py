"""A clock that a sleep moves: what waits by it waits as long, and no time passes."""

from __future__ import annotations

import time

import pytest

from pavics_affinity.clients.http import waiting
from pavics_affinity.clients.outputs import transfer
from pavics_affinity.transport.times import Patience


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def times_waits(self, patch: pytest.MonkeyPatch) -> None:
        """Repeat requests, continue downloads and ask for status documents by this clock."""
        patch.setitem(Patience.__init__.__kwdefaults__, "clock", self.monotonic)
        patch.setitem(Patience.__init__.__kwdefaults__, "sleep", self.sleep)
        patch.setattr(transfer, "time", self)
        patch.setattr(waiting, "time", self)
        patch.setattr(waiting.Quiet.__init__, "__defaults__", (self.monotonic,))

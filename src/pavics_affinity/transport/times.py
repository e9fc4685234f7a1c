"""Times: seconds or timedelta, and the waits between two attempts."""

from __future__ import annotations

import contextlib
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from ..errors import InvalidRequest
from ..markup import quoted
from ..record import calling, current_call

Seconds = float | timedelta
Timeout = Seconds | tuple[Seconds | None, Seconds | None] | None

CONNECT_TIMEOUT = 10.0
"""Seconds that making a connection may take."""

READ_TIMEOUT = 60.0
"""Seconds that a server may be silent."""

EXECUTE_TIMEOUT = 3600.0
"""Seconds that a server may be silent after an Execute: it may run the process at once."""

DEFAULT_DEADLINE = 10.0
"""Seconds for which a request that may be repeated is repeated."""

DEFAULT_PATIENCE = 300.0
"""Seconds for which an Execute waits for a place in a full queue."""


def in_seconds(value: Seconds) -> float:
    """Return a duration in seconds; raise `InvalidRequest` unless it is one above 0."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise InvalidRequest(
            f"{quoted(value)} is not a duration: expected seconds above 0, or a timedelta"
        )
    return float(min(seconds, threading.TIMEOUT_MAX))  # sockets take no more


def as_patience(value: Seconds) -> float:
    """Return a duration in seconds; raise `InvalidRequest` unless it is one of 0 or more."""
    if not isinstance(value, bool) and value in (0, timedelta(0)):
        return 0.0
    try:
        return in_seconds(value)
    except InvalidRequest:
        raise InvalidRequest(
            f"patience is {quoted(value)}: expected seconds, 0 or more, or a timedelta"
        ) from None


def as_timeout(value: Timeout) -> tuple[float | None, float | None] | float | None:
    """Return a time-out as requests takes it."""
    if isinstance(value, tuple):
        connect, read = value
        return (
            None if connect is None else in_seconds(connect),
            None if read is None else in_seconds(read),
        )
    return None if value is None else in_seconds(value)


def deadline(seconds: Seconds | None) -> contextlib.AbstractContextManager[None]:
    """Repeat the requests that are made inside for no longer than this; None changes nothing."""
    return contextlib.nullcontext() if seconds is None else calling(deadline=in_seconds(seconds))


def current_deadline(usual: float) -> float:
    """Return the innermost `deadline`, at most the usual one."""
    return current_call().within(usual)


class Patience:
    """How long a request is repeated, and how long it waits in between.

    The n-th wait is ``min(longest, first * growth**n)`` seconds, n from 0, times a random factor
    of 0.5 to 1, so that clients whose server comes back do not all ask at once.
    """

    def __init__(
        self,
        deadline: float,
        *,
        first: float = 0.05,
        growth: float = 2.0,
        longest: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self.begun = clock()
        self._end = self.begun + deadline
        self._next, self._growth, self._longest = first, growth, longest

    @classmethod
    def for_a_place(cls, patience: float) -> Patience:
        """Return the patience for a full queue, which empties more slowly than a node restarts."""
        return cls(patience, first=0.25, growth=1.5, longest=10.0)

    @property
    def seconds(self) -> float:
        """Seconds since the first attempt."""
        return self._clock() - self.begun

    @property
    def left(self) -> float:
        """Seconds until the end, below 0 after it."""
        return self._end - self._clock()

    def put_off(self, seconds: float) -> None:
        """Move the end: the time that something else has taken does not count."""
        self._end += seconds

    def wait(self, least: float = 0.0) -> bool:
        """Wait before the next attempt, at least as many seconds as the server asks.

        Return False, at once, if there is no time for that.
        """
        left = self.left
        if left <= max(0.0, least):
            return False
        pause = min(self._longest, self._next) * random.uniform(0.5, 1)  # noqa: S311  # spreads load only
        self._next = min(self._longest, self._next * self._growth)
        self._sleep(max(least, min(left, pause)))
        return True


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer's ``Retry-After`` asks to wait (RFC 9110, 10.2.3).

    A date counts from the answer's own ``Date``, so that clocks that differ do no harm. None if
    there is no such header, or it makes no sense.
    """
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+", text):
        return float(text[:20])
    moment, now = moment_of(text), moment_of(headers.get("Date", "")) or datetime.now(UTC)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def asked_to_wait(headers: Mapping[str, str]) -> str:
    """Say for a message how long an answer asks to wait; an empty string if it does not."""
    asked = retry_after(headers)
    return "" if asked is None else f" and asks to wait {asked:.0f} s (Retry-After)"


def moment_of(text: str) -> datetime | None:
    """Return the moment that a date in a header names; None if it is not one."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

"""How a job's end is waited for; the same for every kind of service.

The pause before the next question grows with the job's age *t*, in seconds::

    pause(t) = min(max(0.095, min(1.5 * (t - 0.3), 0.36), 0.045 * t), 10)

Up to 0.4 s of age a job's end is seen within 0.1 s, up to 8 s within 0.36 s,
and later at most 4.5 % of the job's age late, and never more than 10 s. With
an answer that takes 12 ms, 3 s of work take 12 questions, 60 s about 70, and an
hour about 440.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import timedelta

from ..errors import InvalidRequest

SHORTEST, SHORT, LONGEST = 0.095, 0.36, 10.0


def pause(age: float) -> float:
    """Return how long to wait before a job of this age is asked about again.

    Parameters
    ----------
    age : float
        Seconds since the job was accepted.
    """
    return min(max(SHORTEST, min(1.5 * (age - 0.3), SHORT), 0.045 * age), LONGEST)


def busy_pause(attempt: int) -> float:
    """Return how long to wait before a busy server is asked again.

    Parameters
    ----------
    attempt : int
        How often it was asked before, from 0. The pause is
        ``min(0.25 * 1.5**attempt, 10)`` seconds, times a random factor of 0.5
        to 1, so that clients do not all come back at once.
    """
    whole = min(0.25 * 1.5 ** min(attempt, 20), LONGEST)
    return whole * random.uniform(0.5, 1)  # noqa: S311  # spreads load only


def seconds(value: float | timedelta | None, name: str = "timeout") -> float | None:
    """Return a duration in seconds.

    Raises
    ------
    InvalidRequest
        It is negative, not a number, or no duration at all.
    """
    if value is None:
        return None
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not number >= 0:
        raise InvalidRequest(f"{name} is {value!r}; it takes seconds, 0 or more, or a timedelta")
    return float(number)


def wait_until(
    done: Callable[[float | None], bool],
    *,
    submitted: float,
    asked: float | None,
    timeout: float | None,
    expired: Callable[[float], Exception],
) -> None:
    """Ask again and again, ever less often, until the job is done.

    Parameters
    ----------
    done : callable
        Asks once; True ends the wait. It is given the seconds that are left,
        or None where there is no limit, and may raise.
    submitted : float
        When the job was accepted, on `time.monotonic`'s clock.
    asked : float or None
        When its state was last heard of, on the same clock.
    timeout : float or None
        Seconds from now; None for no limit.
    expired : callable
        Makes the error for a wait of so many seconds.
    """
    begun = time.monotonic()
    deadline = None if timeout is None else begun + timeout
    while True:
        now = time.monotonic()
        due = now if asked is None else asked + pause(now - submitted)
        if deadline is not None:
            due = min(due, deadline)
        if due > now:
            time.sleep(due - now)
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if done(left):
            return
        asked = time.monotonic()
        if deadline is not None and asked >= deadline:
            raise expired(asked - begun)

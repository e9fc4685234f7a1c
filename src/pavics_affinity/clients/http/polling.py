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
from typing import TYPE_CHECKING

from ...errors import InvalidRequest

if TYPE_CHECKING:
    from ...pin import Pin

SHORTEST, SHORT, LONGEST = 0.095, 0.36, 10.0
#: Seconds without a change after which a wait is warned of.
QUIET = 3600.0
_MENTIONED = 60.0  # seconds without a change, beside a progress bar


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


class Quiet:
    """How long a job's status document has not changed.

    A job that was lost leaves the document of a running one behind, so no length of
    quiet proves anything. It is shown, and a long one is warned of.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: tuple[object, ...] | None = None
        self._since = clock()

    @property
    def seconds(self) -> float:
        """Since the document changed last, as seen from here."""
        return self._clock() - self._since

    def note(self, *said: object) -> None:
        """Take what the document says now."""
        if said != self._said:
            self._said, self._since = said, self._clock()

    def in_words(self) -> str:
        """Say how long it has been, for a message."""
        return f"unchanged for {timedelta(seconds=round(self.seconds))}"

    def beside(self, words: str | None) -> str | None:
        """Return the words for a progress bar, with the quiet if it is worth a mention."""
        if self.seconds < _MENTIONED:
            return words
        return f"{words}; {self.in_words()}" if words else self.in_words()

    def warn(self, pin: Pin, name: str, url: str) -> None:
        """Warn of a long quiet, once for each job of the workflow."""
        if self.seconds < QUIET:
            return
        pin.warn_once(
            f"quiet {url}",
            f"the status document of {name} is {self.in_words()} ({url}). It may be a long job, "
            "or one that was lost when its node restarted; a document does not show which. "
            "Pass a timeout to wait() to bound the wait",
        )


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

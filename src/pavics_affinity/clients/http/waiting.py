"""Status and end of what was executed: the same for a WPS's executions and an OGC API's jobs.

The pause before the next question grows with the age *t* of the execution, in seconds::

    pause(t) = min(max(0.095, min(1.5 * (t - 0.3), 0.36), 0.045 * t), 10)

Up to 0.4 s of age an end is seen within 0.1 s, up to 8 s within 0.36 s, and later at most
4.5 % of the age late, and never more than 10 s. With an answer that takes 12 ms, 3 s of
work take 12 questions, 60 s about 70, and an hour about 440.

PyWPS rewrites a status document in place, so now and then it is empty or cut; that is "not
yet". A document that is missing gets a few seconds, too.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from weakref import WeakValueDictionary

from ...errors import ExecutionTimeout, InvalidRequest, StatusLost
from ...markup.shown import ShownAsCard
from ...record import Step
from ...transport.times import CONNECT_TIMEOUT, READ_TIMEOUT, as_timeout, asked_to_wait
from ..progress import bar
from .answers import Answer, BodyBroken
from .pickling import StaysHere
from .sending import get_once, where
from .urls import named_by

if TYPE_CHECKING:
    from ...pin import Pin
    from ...transport import AffinitySession

SHORTEST, SHORT, LONGEST = 0.095, 0.36, 10.0
#: Seconds without a change after which a warning says so.
QUIET = 3600.0
_MENTIONED = 60.0  # seconds without a change that are shown beside a progress bar
#: Seconds for which a status document may be missing.
GONE_FOR = 3.0
#: Seconds for which nothing but half-written documents may come.
UNREADABLE_FOR = 10.0
#: Seconds between two questions about one execution, even if the caller's loop is faster.
LEAST_PAUSE = 0.05
#: Seconds that a question gets at least, however little is left of a wait.
LEAST_TIMEOUT = 1.0


# ---- time ----


def pause(age: float) -> float:
    """Return how long to wait before an execution of this age is asked about again."""
    return min(max(SHORTEST, min(1.5 * (age - 0.3), SHORT), 0.045 * age), LONGEST)


def seconds(value: float | timedelta | None, name: str = "timeout") -> float | None:
    """Return a duration of 0 or more in seconds."""
    if value is None:
        return None
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not number >= 0:
        raise InvalidRequest(f"{name} is {value!r}; it takes seconds, 0 or more, or a timedelta")
    return float(number)


class Quiet:
    """How long a status document has not changed.

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

    def describe(self) -> str:
        """Say how long it has been, for a message."""
        return f"unchanged for {timedelta(seconds=round(self.seconds))}"

    def beside(self, words: str | None) -> str | None:
        """Return the words for a progress bar, with a quiet that is worth a mention."""
        if self.seconds < _MENTIONED:
            return words
        return f"{words}; {self.describe()}" if words else self.describe()

    def warn(self, pin: Pin, name: str, url: str) -> None:
        """Warn of a long quiet, once for each execution of the workflow."""
        if self.seconds < QUIET:
            return
        pin.warn_once(
            f"quiet {url}",
            f"the status document of {name} is {self.describe()} ({url}). It may be a long job, "
            "or one that was lost when its node restarted; a document does not show which. "
            "Pass a timeout to wait() to bound the wait",
        )


# ---- status documents ----


class Trouble(NamedTuple):
    """What came instead of a status document, and whether the document is missing."""

    what: str
    gone: bool = False

    @classmethod
    def of_status(cls, answer: Answer) -> Trouble | None:
        """Return the trouble that an HTTP status stands for, or None for a success."""
        if answer.status < 400:
            return None
        return cls(
            answer.summary + asked_to_wait(answer.response.headers),
            gone=answer.status < 500 and answer.status not in (408, 429),
        )


class State(NamedTuple):
    """What a status document says."""

    status: str | None
    percent: int
    message: str | None
    ended: bool


class Followed(ShownAsCard, StaysHere):
    """What was executed: it is asked about, and waited for. Base of executions and jobs."""

    session: AffinitySession
    timeout: Any
    #: The method of `Workflow` that makes its client.
    _client: ClassVar[str] = "wps"
    #: Sent with each question.
    _status_headers: ClassVar[Mapping[str, str] | None] = None

    def _begin(self) -> None:
        self._submitted = time.monotonic()
        self._asked: float | None = None
        self._quiet = Quiet()

    # ---- what each kind knows ----

    @property
    def _name(self) -> str:
        """What it is, for messages: ``process 'subset'``."""
        raise NotImplementedError

    @property
    def _state(self) -> State:
        raise NotImplementedError

    def _status_url(self) -> str:
        """Return where its status document is; the URL is checked."""
        raise NotImplementedError

    def _service_url(self) -> str:
        raise NotImplementedError

    def _judge(self, answer: Answer) -> Any:
        """Return the status document, or the `Trouble` with it."""
        raise NotImplementedError

    def take_over(self, document: Any) -> None:
        """Take over a status document."""
        raise NotImplementedError

    # ---- asking and waiting ----

    def _refresh(self, left: float | None = None) -> bool:
        """Take over the status document; return False if none came within the time."""
        if self._asked is not None:
            time.sleep(max(0.0, self._asked + LEAST_PAUSE - time.monotonic()))
        url = self._status_url()
        try:
            with named_by(self._service_url(), self.session, url):
                document = self._fetch_status(url, left)
        finally:
            self._asked = time.monotonic()
        if document is None:
            return False
        self.take_over(document)
        return True

    def _fetch_status(self, url: str, left: float | None) -> Any:
        """Ask until a whole status document comes; return None after `left` seconds."""
        begun = time.monotonic()
        missing_since: float | None = None
        attempts = 0
        while True:
            attempts += 1
            found = self._ask_status(url, left)
            if not isinstance(found, Trouble):
                return found
            now = time.monotonic()
            if not found.gone:
                missing_since = None
            elif missing_since is None:
                missing_since = now
            gone = missing_since is not None and now - missing_since >= GONE_FOR
            if gone or now - begun >= UNREADABLE_FOR:
                raise self._status_lost(url, found, attempts, now - begun)
            if left is not None and now - begun >= left:
                return None
            time.sleep(pause(now - begun))

    def _ask_status(self, url: str, left: float | None) -> Any:
        options: dict[str, Any] = {"doing": "status", "headers": self._status_headers}
        try:
            if left is None:
                answer = get_once(self.session, url, timeout=self.timeout, **options)
            else:
                bound = max(left, LEAST_TIMEOUT)
                until = time.monotonic() + bound
                own = self.session.affinity.timeout if self.timeout is None else self.timeout
                timeout = _bounded(own, bound)
                with self.session.deadline(bound):
                    answer = get_once(self.session, url, timeout=timeout, until=until, **options)
        except BodyBroken as error:
            return Trouble(f"a document cut short ({error})")
        return self._judge(answer)

    def _status_lost(self, url: str, trouble: Trouble, attempts: int, waited: float) -> StatusLost:
        node = where(self.session).replace(" on node ", ", ", 1)
        state = "is gone" if trouble.gone else "cannot be read"
        return StatusLost(
            f"the status document of {self._name} {state}: {url} gave {trouble.what}, "
            f"{attempts} times in {waited:.1f} s. It is only on the node that runs the "
            f"process{node}: that node may be down, or another one may have "
            "answered. Run the chain again if it does not come back",
            attempts=attempts,
            about=self.session,
            url=url,
        )

    def _wait(self, timeout: float | timedelta | None, progress: bool | None) -> None:
        """Ask less and less often, until the end."""
        limit = seconds(timeout)
        if self._state.ended:
            return
        with (
            self._noting_how_to_come_back(),
            bar(progress, total=100, desc=self._name, unit="%") as move,
        ):
            begun = time.monotonic()
            deadline = None if limit is None else begun + limit
            while True:
                self._sleep_until_due(deadline)
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                if self._refresh(left):
                    move(self._state.percent, self._quiet.beside(self._state.message))
                if self._state.ended:
                    return
                self._quiet.warn(self.session.pin, self._name, self._status_url())
                now = time.monotonic()
                if deadline is not None and now >= deadline:
                    raise self._expired(now - begun)

    @contextlib.contextmanager
    def _noting_how_to_come_back(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt as stop:
            client = f"Workflow({self.session.machineid!r}).{self._client}({self._service_url()!r})"
            stop.add_note(
                f"{self._name} continues at the server. Call .wait() again, or come back later:\n"
                f"{client}.attach({self._status_url()!r}).wait()"
            )
            raise

    def _sleep_until_due(self, deadline: float | None) -> None:
        if self._asked is None:
            return
        due = self._asked + pause(time.monotonic() - self._submitted)
        if deadline is not None:
            due = min(due, deadline)
        time.sleep(max(0.0, due - time.monotonic()))

    def _expired(self, waited: float) -> ExecutionTimeout:
        url = self._status_url()
        return ExecutionTimeout(
            f"{self._name} has not ended after {waited:.1f} s (status {self._state.status}, "
            f"{self._state.percent} %, {self._quiet.describe()}). The server continues to run it: "
            f"wait again, or come back later with .attach({url!r})",
            about=self.session,
            url=url,
        )

    def _not_ended(self, url: str | None) -> InvalidRequest:
        return InvalidRequest(
            f"{self._name} has not ended (status {self._state.status}): call .wait() first",
            about=self.session,
            url=url,
        )


def _bounded(timeout: Any, bound: float) -> tuple[float, float]:
    """Return a time-out, the given or the usual one, of at most so many seconds."""
    given = as_timeout(timeout)
    connect, read_ = given if isinstance(given, tuple) else (given, given)
    return min(bound, connect or CONNECT_TIMEOUT), min(bound, read_ or READ_TIMEOUT)


class Executions:
    """The objects of one session that follow its steps, for `Workflow.executions`."""

    def __init__(self) -> None:
        self._by_step: WeakValueDictionary[Step, Followed] = WeakValueDictionary()
        self._reattached: list[Followed] = []

    def of(self, step: Step) -> Followed | None:
        """Return the object that follows a step, if there still is one."""
        return self._by_step.get(step)

    def add(self, step: Step, execution: Followed, *, hold: bool = False) -> None:
        """Note what follows a step; `hold` what no variable of the user's keeps alive."""
        self._by_step[step] = execution
        if hold:
            self._reattached.append(execution)

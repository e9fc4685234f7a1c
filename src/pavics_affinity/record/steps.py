"""The steps of a chain: what was executed where, and its outcome."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import message_of
from ..markup import without_login

StepState = Literal[
    "sending",
    "not sent",
    "refused",
    "unknown",
    "answered",
    "accepted",
    "running",
    "succeeded",
    "failed",
]
API = Literal["wps", "ogcapi"]
ENDED: frozenset[StepState] = frozenset({"not sent", "refused", "unknown", "succeeded", "failed"})
NOTHING_RAN: frozenset[StepState] = frozenset({"not sent", "refused"})

Listener = Callable[[str, "Step", bytes | None], None]
"""Receives each event that must outlive the process: its name, the step, a whole answer."""


@dataclass(eq=False)
class Step:
    """One Execute and the job that it started.

    Attributes
    ----------
    number : int
        From 1, in the order of sending.
    process : str
        Identifier of the process.
    service : str
        The service's URL, without user information and query.
    state : str
        ``"sending"``, ``"not sent"``, ``"refused"`` (the server said that it would not),
        ``"unknown"`` (it may have run, or not), ``"answered"`` (by something that no
        client of ours has read), ``"accepted"``, ``"running"``, ``"succeeded"``, ``"failed"``.
    api : {"wps", "ogcapi"}
        What kind of service it is.
    node : str or None
        The node that ran it, as far as is known.
    machineid : str
        The workflow's.
    started, ended : float or None
        Seconds since the epoch.
    percent : int or None
        As the server says.
    message : str
        The server's last words, or those of the error.
    location : str or None
        URL of the status document, without user information.
    inputs : mapping of str to str
        Of each input that is a URL or an earlier output, in which form it was sent: ``"URL"``,
        ``"link"``, ``"node's URL"`` or ``"content"``.
    outputs : mapping of str to str
        References of the outputs by identifier, without user information.
    digest : str
        What the request was recognised by, if it is sent again; see `digest_of`.
    recalled : bool
        Whether an earlier process sent it, and this one reads its result.
    answer : bytes or None
        What an earlier process was answered, where that was the whole result.
    """

    number: int
    process: str
    service: str
    machineid: str = ""
    api: API = "wps"
    state: StepState = "sending"
    node: str | None = None
    started: float = 0.0
    ended: float | None = None
    percent: int | None = None
    message: str = ""
    location: str | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    digest: str = ""
    recalled: bool = False
    answer: bytes | None = field(default=None, repr=False)
    _listener: Listener | None = field(default=None, repr=False)

    @property
    def ran(self) -> bool:
        """Whether something may have run."""
        return self.state not in NOTHING_RAN

    @property
    def seconds(self) -> float | None:
        """Seconds from sending to the end, as seen from here."""
        return None if self.ended is None else self.ended - self.started

    # ---- reported by the transport ----

    def sending(self, node: str | None, machineid: str) -> None:
        """Note that the request leaves now; what this raises keeps it from leaving."""
        self.state, self.node, self.machineid = "sending", node, machineid
        self.started, self.ended, self.message = self.started or time.time(), None, ""
        try:
            self._event("sending")
        except BaseException:
            self.state = "not sent"
            raise

    def not_sent(self, why: str = "") -> None:
        """Note that no server can have seen the request, or that it was too busy to take it."""
        self.state, self.ended, self.message = "not sent", time.time(), without_login(why)
        if self.started:
            self._event("not sent")

    def unknown(self, error: BaseException) -> None:
        """Note that no answer came: it may have run, or not."""
        self.state, self.ended = "unknown", time.time()
        self.message = without_login(message_of(error))
        self._event("unknown")

    def answered(self, node: str | None) -> None:
        """Note that the server answered; its client reads what."""
        self.state, self.node = "answered", node

    # ---- reported by the client ----

    def refused(self, error: BaseException, *, ran: bool) -> None:
        """Note that the server answered with an exception; `ran` if the process may have run."""
        self.state = "failed" if ran else "refused"
        self.ended, self.message = time.time(), without_login(message_of(error))
        self._event("ended" if ran else "refused")

    def update(
        self,
        state: StepState,
        *,
        percent: int | None = None,
        message: str | None = None,
        location: str | None = None,
        outputs: Mapping[str, str] | None = None,
        answer: bytes | None = None,
    ) -> None:
        """Take over what a response or status document says; None leaves what was.

        `answer` is the document, if it is the whole result and cannot be fetched again.
        """
        # A document may name URLs with user and password, and a step is shown as it is.
        location = None if location is None else without_login(location)
        found = location is not None and location != self.location
        ends = state in ENDED and self.state not in ENDED
        self.state = state
        self.percent = self.percent if percent is None else percent
        self.message = self.message if message is None else without_login(message)
        self.location = self.location if location is None else location
        if outputs is not None:
            self.outputs = {name: without_login(url) for name, url in outputs.items()}
        if found and not self.recalled:
            self._event("accepted")
        if ends:
            self.ended = time.time()
            self._event("ended", answer)

    def row(self) -> dict[str, Any]:
        """Return the step as a plain dict."""
        hidden = ("answer", "_listener", "digest")
        plain = {k: v for k, v in self.__dict__.items() if k not in hidden}
        return {**plain, "inputs": dict(self.inputs), "outputs": dict(self.outputs)}

    def _event(self, name: str, answer: bytes | None = None) -> None:
        if self._listener is not None:
            self._listener(name, self, answer)


class Steps:
    """The steps of one workflow, in the order of their start.

    Parameters
    ----------
    limit : int
        How many are kept; the oldest are dropped first.

    Attributes
    ----------
    listener : callable or None
        Receives the events that must outlive the process.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self.listener: Listener | None = None
        self._lock = threading.Lock()
        self._steps: deque[Step] = deque(maxlen=limit)
        self._count = 0
        self._recallable: dict[str, deque[Step]] = {}

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[Step]:
        with self._lock:
            return iter(list(self._steps))

    def begin(self, process: str, service: str, *, digest: str = "", api: API = "wps") -> Step:
        """Add a step that is about to be sent."""
        with self._lock:
            self._count += 1
            step = Step(
                self._count, process, service, api=api, digest=digest, _listener=self.listener
            )
            self._steps.append(step)
        return step

    def attached(self, location: str, process: str, service: str, api: API = "wps") -> Step:
        """Return the step with this status location; add one if there is none."""
        location = without_login(location)
        with self._lock:
            for step in self._steps:
                if step.location == location:
                    return step
            self._count += 1
            step = Step(self._count, process, service, api=api, location=location)
            step.state = "accepted"
            step.started = time.time()
            self._steps.append(step)
            return step

    def restore(self, steps: list[Step], *, replay: bool) -> None:
        """Take over the steps of an earlier process, in their order.

        With `replay`, a request that is the same as one of theirs is not sent: it is answered with
        what that one came to, once each.
        """
        with self._lock:
            for step in steps:
                step._listener = self.listener
                self._steps.append(step)
                self._count = max(self._count, step.number)
                # What did not run, or failed, may be tried again.
                if replay and step.state not in ("not sent", "refused", "failed"):
                    self._recallable.setdefault(step.digest, deque()).append(step)

    def recall(self, digest: str) -> Step | None:
        """Return an earlier process's step that sent the same request, each only once."""
        with self._lock:
            waiting = self._recallable.get(digest)
            return waiting.popleft() if waiting else None

    def rows(self) -> list[dict[str, Any]]:
        """Return the steps as plain dicts, for pandas or JSON."""
        return [step.row() for step in self]


def digest_of(url: str, body: str | bytes | None) -> str:
    """Return what an Execute is recognised by: SHA-256 over its URL and body."""
    digest = hashlib.sha256(url.encode("utf-8", "surrogateescape") + b"\0")
    digest.update(body.encode() if isinstance(body, str) else body or b"")
    return digest.hexdigest()

"""The one adapter, and a request of a caller's with all its attempts: route, send, decide, act.

One module, because a reader wants to see the whole way of a request: the loop, the facts that
`pin.policy` needs, and what is recorded. The decisions are there, the words in `messages`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from typing import Any, NoReturn, cast

import requests
import urllib3
from requests.adapters import BaseAdapter

from ..errors import AffinityError, ServiceBusy, WorkflowClosed
from ..markup import without_login
from ..pin import Pin, Target
from ..pin.evidence import seen_in
from ..pin.policy import (
    GATEWAY,
    SENT_ON,
    STAY,
    TOO_MANY,
    TURNED_INTO_GET,
    Again,
    Answer,
    Decision,
    Fail,
    Failure,
    Fault,
    Find,
    Outcome,
    Turn,
    decide,
    is_busy,
    is_plain,
    nothing_ran,
)
from ..protocol import CONNECTED_HEADER
from ..record import NodeKnown, Record, Request, current_call
from ..record.steps import Step, digest_of
from ..topology.urls import origin_of, shown
from . import faults
from .connections import WireAdapter
from .credentials import Origins
from .messages import Attempts, error_for, full_queue, what_happened
from .times import (
    CONNECT_TIMEOUT,
    DEFAULT_DEADLINE,
    DEFAULT_PATIENCE,
    EXECUTE_TIMEOUT,
    READ_TIMEOUT,
    Patience,
    as_timeout,
    retry_after,
)
from .wire import (
    Options,
    WireRequest,
    WireResponse,
    harmless,
    is_execute,
    label_of,
    outgoing,
    wrapped_refusal,
)

_ASK_TO_WAIT = frozenset({TOO_MANY, 503})
_LEAST_TIMEOUT = 0.05
"""Seconds that a question is given at least, even if less of the deadline is left."""

_LOST_BACKEND = "Varnish"
"""As ``Server``: it answers 503 with Retry-After for a backend that broke off, too."""

_HEARD = frozenset({"accepted", "running", "succeeded", "failed"})
_LOGIN_FIRST = frozenset({401, 407})
_MOST_OF_A_REDIRECT = 65_536
"""Bytes: requests reads the body of each redirect that it follows, to its end."""


class Exchange:
    """Sends one request until it is answered, or must not or cannot be sent again."""

    def __init__(
        self,
        adapter: AffinityAdapter,
        request: requests.PreparedRequest,
        timeout: Any,
        options: Options,
    ) -> None:
        self.adapter = adapter
        self.pin = adapter.pin
        self.request = request
        self.url = request.url or ""
        self.options = options
        self.call = current_call()
        self.execute = is_execute(request)
        self.step = (self.call.step or self._step()) if self.execute else None
        silence = EXECUTE_TIMEOUT if self.execute else READ_TIMEOUT
        self.timeout = as_timeout(timeout) or adapter.timeout or (CONNECT_TIMEOUT, silence)
        self.deadline = self.call.within(adapter.deadline)
        self.patience = Patience(self.deadline)
        self.for_a_place: Patience | None = None  # since an Execute was refused for a full queue
        self.attempts = 0
        self.went_back = False
        self.target: Target | None = None
        self.node: str | None = None
        self.proved = False
        self.response: WireResponse | None = None

    def run(self) -> requests.Response:
        """Return the answer of the right node, or raise."""
        started = time.time()
        error: BaseException | None = None
        try:
            while self.response is None:
                if self.adapter.closed:  # perhaps by another thread, between two attempts
                    raise self._closed()
                self.target = self.pin.route(self.url, execute=self.execute)
                self._attempt(self.target)
        except BaseException as raised:
            error = raised
            # An error keeps what it was raised over, for as long as it is kept itself.
            self._drop_response()
            self._step_broke_off(raised)
            raise
        finally:
            self._record(started, error)
        if self.step is not None and self.step.state == "sending":
            self.step.answered(self.node)
        return self.response

    # ---- one attempt ----

    def _attempt(self, target: Target) -> None:
        """Send once; afterwards there is a response, if it is for the caller."""
        sent = outgoing(self.request, target, self.pin, self.adapter.origins, self.options)
        outcome = self._send(sent, target)
        if outcome is None:
            return
        if isinstance(outcome, Answer) and is_plain(outcome, execute=self.execute):
            return
        while isinstance(decision := self._decide(target, outcome), Find):
            outcome = self._find(decision.what, outcome, sent, target)
        if decision.turn != STAY:
            self._turn(decision.turn, outcome, target)
        if isinstance(decision, Fail):
            self._fail(decision.failure, outcome, target)
        if isinstance(decision, Again):
            self._drop_response()
            self.went_back |= decision.went_back
            if decision.busy:
                self._at_full_queue(decision, outcome, target)
            elif decision.wait is not None:
                self.patience.wait(decision.wait)

    def _decide(self, target: Target, outcome: Outcome) -> Decision:
        if self.execute and isinstance(outcome, Answer) and is_busy(outcome):
            self.for_a_place = self.for_a_place or Patience.for_a_place(
                self.call.within(self.adapter.patience)
            )
        unheard = isinstance(outcome, Fault) and outcome.refused and self._is_unheard(target)
        situation = self.pin.situation(
            target,
            # A body that is read piece by piece is gone after it was sent once.
            body_is_there=self.request.body is None or isinstance(self.request.body, str | bytes),
            seconds_left=self.patience.left,
            patience_left=0.0 if self.for_a_place is None else self.for_a_place.left,
            went_back=self.went_back,
            unheard_for=self.patience.seconds if unheard else 0.0,
        )
        return decide(situation, outcome)

    def _is_unheard(self, target: Target) -> bool:
        """Return whether nothing shows that a server is at this address.

        A deadline above the usual one was asked for, also for a server that starts later.
        """
        if target.topology is not None or self.adapter.deadline > DEFAULT_DEADLINE:
            return False
        record, here = self.adapter.record, target.origin
        answered = [entry.url for entry in record if entry.status is not None]
        # Those of an earlier process, too, whose requests are not in this record.
        answered += [step.service for step in record.steps if step.state in _HEARD]
        return not any(origin_of(url) == here for url in answered)

    def _send(self, sent: WireRequest, target: Target) -> Outcome | None:
        """Send, and return the outcome; None if another thread has just moved the workflow."""
        if self.step is None:
            outcome = self._sent(sent, target)
        else:
            with self.pin.under_way(target, self.step) as is_there:
                if not is_there:
                    return None
                self.step.sending(target.node, self.pin.machineid)
                outcome = self._sent(sent, target)
        if isinstance(outcome, Answer) and outcome.stray is None and self.response is not None:
            outcome = self._read(self.response, outcome)
        return outcome

    def _sent(self, sent: WireRequest, target: Target) -> Outcome:
        """Send, and see what the answer shows, but for its body."""
        self.attempts += 1
        self.node, self.proved = target.node, False
        try:
            response = self.response = self.adapter.transmit(
                sent, fresh=self.execute, timeout=self.timeout
            )
            response.request, response.url = self.request, self.url
            response.connection = self.adapter  # type: ignore[assignment]  # any adapter will do
            inside = response.status_code == 400 and target.site is not None
            wrapped = wrapped_refusal(response) if inside else None
        except requests.RequestException as raised:
            fault = _fault(raised)
            if self.step is not None and nothing_ran(fault):
                self.step.not_sent(what_happened(fault))
            return fault
        answer = self._answer(response, target, wrapped)
        if self.step is not None and not is_plain(answer, execute=True) and nothing_ran(answer):
            self.step.not_sent(what_happened(answer))
        seen = seen_in(target, response.status_code, response.headers)
        self.node, self.proved = seen.node or self.node, seen.node is not None
        success = 200 <= response.status_code < 300
        answer = answer._replace(
            stray=self.pin.evidence.answer(target, seen, self.url, success=success)
        )
        return self._look_for_refusal(response, answer)

    def _look_for_refusal(self, response: WireResponse, answer: Answer) -> Answer:
        """Have the client read the answer to its Execute, while the node may still change."""
        refusal = self.call.refusal
        if self.step is None or refusal is None or not self.step.ran or answer.stray is not None:
            return answer
        unread = response.is_redirect or answer.status in _LOGIN_FIRST
        if unread or (answer.status in GATEWAY and not answer.xml):
            return answer
        words = refusal(response)
        if words is None:
            return answer
        answer = answer._replace(server_busy=words)
        self.step.not_sent(what_happened(answer))
        return answer

    def _read(self, response: WireResponse, answer: Answer) -> Outcome:
        """Read the answer, unless it is streamed, while a fault is still distinct from one."""
        if response.is_redirect:
            _read_a_little(response)
        if not self.options.stream:
            try:
                response.content  # noqa: B018  # the property reads the body
            except requests.RequestException as raised:
                return _fault(raised)
        return answer

    # ---- the outcome ----

    def _answer(
        self, response: requests.Response, target: Target, wrapped: tuple[int, str] | None
    ) -> Answer:
        status, headers = response.status_code, response.headers
        if wrapped is not None:
            return Answer(wrapped[0], wrapped=wrapped[1])
        location, leaves = "", False
        if self.execute and status in TURNED_INTO_GET | SENT_ON:
            location = self._location(response)
            leaves = status in SENT_ON and self._leaves_scope(location)
        return Answer(
            status,
            wait=retry_after(headers) if status in _ASK_TO_WAIT else None,
            xml="xml" in headers.get("Content-Type", ""),
            not_reached=status in GATEWAY and _is_not_reached(headers, target),
            may_be_lost=_LOST_BACKEND in headers.get("Server", ""),
            location=location,
            leaves_scope=leaves,
        )

    def _location(self, response: requests.Response) -> str:
        """Return where a redirect leads, without user and password; empty if it does not say."""
        location = without_login(response.headers.get("Location", ""))
        with contextlib.suppress(ValueError):
            return requests.compat.urljoin(self.url, location) if location else ""
        return location

    def _leaves_scope(self, location: str) -> bool:
        here, there = origin_of(self.url), origin_of(location)
        same = here is not None and there is not None and here.host == there.host
        return bool(location) and not same and not self.pin.receives(there)

    def _find(self, what: str, outcome: Outcome, sent: WireRequest, target: Target) -> Outcome:
        """Find out what `policy.decide` needs to know."""
        if isinstance(outcome, Fault) or self.response is None:
            return outcome  # only answers leave a question open
        if what == "whether the topology has changed":
            site = target.site
            return outcome._replace(renewed=site is not None and site.renew(thorough=True))
        if what == "whether the node answers":
            return outcome._replace(node_answers=self._answers_again(harmless(sent, target)))
        self._astray(outcome, target)
        return self._read(self.response, outcome._replace(stray=None))

    def _answers_again(self, probe: WireRequest) -> bool:
        """Ask the node something harmless until it answers or patience ends."""
        patience = Patience(self.deadline)
        connect, silence = self.timeout if isinstance(self.timeout, tuple) else (self.timeout,) * 2
        while True:
            left = max(patience.left, _LEAST_TIMEOUT)
            with contextlib.suppress(requests.RequestException):
                answer = self.adapter.transmit(
                    probe,
                    fresh=True,
                    timeout=(
                        min(left, connect or CONNECT_TIMEOUT),
                        min(left, silence or READ_TIMEOUT, READ_TIMEOUT),
                    ),
                )
                with answer:
                    if answer.status_code not in GATEWAY and wrapped_refusal(answer) is None:
                        return True
            if not patience.wait():
                return False

    # ---- acting on it ----

    def _turn(self, turn: Turn, outcome: Outcome, target: Target) -> None:
        if turn.via == "direct":
            message = (
                f"the proxy at {target.origin} does not answer; the requests of workflow "
                f"{self.pin.machineid!r} go to node {target.node!r} itself from now on"
            )
            self.adapter.record.note(message)
            self.pin.warn_once(f"direct {target.origin}", message)
        elif turn.via == "proxy":
            self.adapter.record.note(
                f"node {target.node!r} does not answer either; the proxy is asked again"
            )
        if self.pin.turn(target, turn, what_happened(outcome)):
            self.patience = Patience(self.deadline)

    def _astray(self, answer: Answer, target: Target) -> None:
        """Raise or warn: the topology has changed, and it is too late to repeat the request."""
        did = "ran the Execute" if self.execute else "answered"
        if target.site is not None:
            what = f"node {answer.stray!r} {did}"
            self.pin.evidence.lost(target.site, answer.stray, what, self.url)

    def _fail(self, failure: Failure, outcome: Outcome, target: Target) -> NoReturn:
        if isinstance(outcome, Answer) and failure == "affinity lost":
            self._astray(outcome, target)
        cause = outcome.cause if isinstance(outcome, Fault) else None
        raise error_for(failure, outcome, self._tried(target)) from cause

    def _tried(self, target: Target) -> Attempts:
        read = self.timeout[1] if isinstance(self.timeout, tuple) else self.timeout
        return Attempts(
            machineid=self.pin.machineid,
            url=self.url,
            target=target,
            pinned=target.site is not None and target.site.pinned,
            requests=self.attempts,
            seconds=self.patience.seconds,
            read_timeout=float(read or 0),
            ran=None if self.step is None else self.step.ran,
        )

    def _at_full_queue(self, again: Again, outcome: Outcome, target: Target) -> None:
        """Say that an Execute is sent again; before, wait for a place in the queue if need be."""
        words = full_queue(outcome, self._tried(target))
        waits = again.wait is not None
        note = f"{words}. " + ("The Execute waits for one" if waits else "Another node is asked")
        if note not in self.adapter.record.notes:
            self.adapter.record.note(note)
        queue, show = self.for_a_place, self.call.waiting
        if queue is None or again.wait is None:
            return
        if show is not None:
            show(queue.seconds, words)
        before = queue.seconds
        queue.wait(again.wait)
        self.patience.put_off(queue.seconds - before)

    def _drop_response(self) -> None:
        response, self.response = self.response, None
        if response is not None:
            response.close()

    # ---- bookkeeping ----

    def _step(self) -> Step:
        """Begin the step of an Execute for which the client has begun none."""
        body = self.request.body
        whole = body if isinstance(body, str | bytes) else None
        return self.adapter.record.steps.begin(
            (self.call.operation or label_of(self.request)).removeprefix("Execute").strip(),
            shown(self.url),
            digest=digest_of(self.url, whole),
        )

    def _step_broke_off(self, error: BaseException) -> None:
        if self.step is not None and isinstance(error, ServiceBusy):
            self.step.refused(error, ran=False)
        elif self.step is not None and self.step.state == "sending":
            if self.attempts:
                self.step.unknown(error)
            else:
                self.step.not_sent()

    def _record(self, started: float, error: BaseException | None) -> None:
        target, response = self.target, self.response
        entry = Request(
            started=started,
            seconds=self.patience.seconds,
            method=self.request.method or "",
            operation=self.call.operation or label_of(self.request),
            url=shown(self.url),
            service=target.service if target else None,
            node=self.node,
            node_known=self._known(),
            route=target.route if target else "outside",
            status=response.status_code if response is not None else None,
            bytes=None if response is None else self._length(response),
            attempts=self.attempts,
            error=type(error).__name__ if error is not None else None,
        )
        self.adapter.record.add(entry, self.pin.machineid, error)
        if response is not None and self.options.stream:

            def ended(came: int) -> None:
                entry.bytes, entry.seconds = came, self.patience.seconds

            response.ended = ended

    def _closed(self) -> WorkflowClosed:
        machineid = self.pin.machineid
        return WorkflowClosed(
            f"workflow {machineid!r} is closed. Make a new one, with Workflow({machineid!r}) if "
            "its files are still needed",
            machineid=machineid,
            url=self.url,
        )

    def _known(self) -> NodeKnown:
        """Return how the node of this request is known."""
        site = self.target.site if self.target else None
        if self.proved:
            return "proved"
        if site is None or self.node is None:
            return "unknown"
        return site.known if site.node == self.node else "predicted"

    def _length(self, response: WireResponse) -> int | None:
        if not self.options.stream or response.raw.closed:
            return response.came
        stated = response.headers.get("Content-Length", "")
        return int(stated) if stated.isdecimal() and len(stated) < 20 else None


def _fault(raised: requests.RequestException) -> Fault:
    """Describe why no whole answer came; what is an error of ours already is raised again."""
    if isinstance(raised, AffinityError):
        raise raised
    # As an error's cause it may travel to other processes, and it has what the wire had.
    raised.request = None
    return Fault(
        not_sent=faults.was_not_sent(raised),
        final=faults.is_final(raised),
        silent=isinstance(raised, requests.ReadTimeout),
        refused=faults.is_refused(raised),
        words=faults.describe(raised),
        cause=raised,
    )


def _is_not_reached(headers: Mapping[str, str], target: Target) -> bool:
    """Return whether a strict proxy says that it never reached the node."""
    if target.topology is None or target.topology.proxy != "strict":
        return False
    connected = headers.get(CONNECTED_HEADER, "")
    return bool(connected) and not connected.strip("-, :")


def _read_a_little(response: requests.Response) -> None:
    """Take the start of a redirect's body for the whole: the rest is of no use."""
    try:
        read = getattr(response.raw, "read1", response.raw.read)  # since urllib3 2.1
        start = read(_MOST_OF_A_REDIRECT, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError):
        start = b""
    response.raw.close()  # a connection that has the rest of it in the way is of no more use
    response._content = start
    response._content_consumed = True  # type: ignore[attr-defined]  # as .content sets it


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
        timeout: tuple[float | None, float | None] | float | None = None,
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

    def transmit(self, wire: WireRequest, *, fresh: bool, timeout: Any) -> WireResponse:
        """Put a request onto the wire, once; a fresh connection cannot have been closed before."""
        pool = WireAdapter(pool_connections=1, pool_maxsize=1) if fresh else self._pooled()
        try:
            answer = pool.send(wire, stream=True, timeout=timeout, **wire.options)
        finally:
            if fresh:
                pool.close()
        return cast("WireResponse", answer)

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

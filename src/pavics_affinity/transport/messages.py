"""The errors in which a request may end, and their words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..errors import (
    AffinityError,
    BackendUnavailable,
    ExecuteOutcomeUnknown,
    ExecuteRedirected,
    NoAnswer,
    OutOfScope,
    ServiceBusy,
    ServiceUnreachable,
)
from ..pin import Target
from ..pin.policy import MISDIRECTED, SEE_OTHER, Answer, Failure, Fault, Outcome
from ..topology.urls import origin_of, shown
from .faults import is_of_a_named_proxy


class Attempts(NamedTuple):
    """What was tried, for the message."""

    machineid: str
    url: str
    target: Target
    pinned: bool
    requests: int
    seconds: float
    read_timeout: float
    ran: bool | None  # whether the Execute may have run; None if it is not an Execute

    @property
    def tried(self) -> str:
        """How often, and for how long."""
        times = "once" if self.requests == 1 else f"{self.requests} times"
        return f"{times} in {self.seconds:.1f} s"

    @property
    def place(self) -> str:
        """The node that was asked, and its address if the request went there directly."""
        if self.target.node is None:
            return f"the node behind {origin_of(self.url)}"
        at = f" ({origin_of(self.target.url)})" if self.target.route == "direct" else ""
        return f"node {self.target.node!r}{at}"


def error_for(failure: Failure, outcome: Outcome, attempts: Attempts) -> AffinityError:
    """Return the error that `policy.decide` asks for."""
    kind, write = _ERRORS[failure]
    details: dict[str, Any] = {}
    if isinstance(outcome, Answer) and kind is ExecuteRedirected:
        details["location"] = outcome.location
    if isinstance(outcome, Answer) and kind is ServiceBusy:
        details["retry_after"] = outcome.wait
        details["code"] = None if outcome.server_busy is None else "ServerBusy"
    return kind(
        write(outcome, attempts),
        machineid=attempts.machineid,
        node=attempts.target.node,
        url=attempts.url,
        attempts=attempts.requests,
        **details,
    )


def what_happened(outcome: Outcome) -> str:
    """Say in a few words why a node does not answer."""
    if isinstance(outcome, Fault):
        return outcome.words
    if outcome.status == MISDIRECTED:
        return "the proxy does not know the node (421)"
    if outcome.wrapped:
        return f"the security proxy in front of it answered 400: {outcome.wrapped!r}"
    if outcome.not_reached:
        return "it refused the proxy's connections"
    if outcome.node_answers is not None:
        return (
            f"the proxy answered the Execute with {outcome.status}; it is not known whether it "
            "ran before, and it was not sent again"
        )
    if outcome.server_busy is not None:
        return f"the service says {outcome.server_busy[:200]!r}"
    asks = "" if outcome.wait is None else f" and asks to wait {outcome.wait:.0f} s (Retry-After)"
    return f"the proxy answered {outcome.status}{asks}"


def _outcome_unknown(outcome: Outcome, a: Attempts) -> str:
    if isinstance(outcome, Answer) and outcome.wrapped:
        return (
            f"{a.place} did not answer the Execute: {what_happened(outcome)}. That hides whether "
            "the node was reached: the Execute may have run, or not. It was not sent again; look "
            "at the service's jobs, or run the chain again if running twice does no harm"
        )
    if isinstance(outcome, Answer):
        return (
            f"the proxy answered the Execute with {outcome.status}, and {a.place} answers other "
            "requests: the Execute may have run, or not. It was not sent again; look at the "
            "service's jobs, or run the chain again if running twice does no harm"
        )
    return (
        f"the Execute was sent to {a.place}, and no whole answer came: {outcome.words}, after "
        f"{a.seconds:.1f} s. It may have run, or not{_elsewhere(a.target)}. It was not sent again; "
        "look at the service's jobs, or run the chain again if running twice does no harm"
    )


def _elsewhere(target: Target) -> str:
    """Say where the node is not proved: a plain proxy sends to another one if it must."""
    is_plain = target.topology is not None and target.topology.proxy == "plain"
    if target.route != "proxy" or target.node is None or not is_plain:
        return ""
    return "; or on another node, if the proxy took this one for failed"


def _no_answer(outcome: Outcome, a: Attempts) -> str:
    return (
        f"{a.place} accepted the request, and no answer began within {a.read_timeout:g} s "
        f"({shown(a.url)}). The server may be working on it. Ask again later, or wait longer: "
        "Workflow(timeout=...)"
    )


def _unreachable(outcome: Outcome, a: Attempts) -> str:
    who = "the service's proxy" if a.pinned else "the service"
    what = what_happened(outcome)
    if isinstance(outcome, Fault) and is_of_a_named_proxy(outcome.cause):
        advice = (
            "Correct the variable http_proxy or https_proxy. If the service is reached without a "
            "proxy, add its host to no_proxy"
        )
    else:
        advice = f"Check the URL {shown(a.url)!r}, and whether the service is up"
    if a.ran is None:
        # A job may be running: after "nothing was executed" a user would execute it twice.
        advice += ". Running jobs and files are unaffected: ask again when it is back"
    elif not a.ran:
        advice += ". Nothing was executed"
    return f"{who} at {origin_of(a.url)} does not answer: {what}, {a.tried}. {advice}"


def _unavailable(outcome: Outcome, a: Attempts) -> str:
    if a.ran is None:
        then = "ask again, or run the chain again in a new workflow"
    elif a.ran:
        then = "look at its jobs, or run the chain again if running twice does no harm"
    else:
        then = "repeat the step, or run the chain again in a new workflow"
    held = (
        f"The files of workflow {a.machineid!r} are only on that node, and nothing was sent to "
        "another one. "
    )
    return (
        f"{a.place} does not answer: {what_happened(outcome)}, {a.tried}. "
        f"{held if a.pinned else ''}Start it again and {then}"
    )


def _left_scope(outcome: Answer, a: Attempts) -> str:
    return (
        f"the Execute was answered {outcome.status}, with the location "
        f"{outcome.location[:200]!r}, on a host out of the workflow's scope. It was not sent "
        "there, because its inputs may be private. Nothing was executed. If that host is the "
        "site's, call wf.add_scope(host), or make the client with that URL"
    )


def full_queue(outcome: Outcome, a: Attempts) -> str:
    """Say that an Execute was refused for a full queue."""
    return f"{a.place} has no place for the Execute: {what_happened(outcome)}"


def _busy(outcome: Outcome, a: Attempts) -> str:
    why = (
        f"The files of workflow {a.machineid!r} are on that node, so no other one was asked. "
        if a.pinned
        else ""
    )
    return (
        f"{full_queue(outcome, a)}, {a.tried}. Nothing was executed. {why}Send it again later, or "
        "wait longer: Workflow(patience=...)"
    )


def _redirected(outcome: Answer, a: Attempts) -> str:
    ran = (
        "303 says that it ran, and that the location is that of its result (RFC 9110, 15.4.4). "
        "Read the result with .attach(error.location), or .session.get(error.location)"
        if outcome.status == SEE_OTHER
        else "Whether it ran is not known: most servers answer so before they run anything, some "
        "afterwards. Look at the service's jobs; if it did not run, make the client with that URL"
    )
    return (
        f"the Execute was answered {outcome.status}, with the location "
        f"{outcome.location[:200]!r}. It was not sent again. {ran}"
    )


_ERRORS: dict[Failure, tuple[type[AffinityError], Callable[[Any, Attempts], str]]] = {
    "outcome unknown": (ExecuteOutcomeUnknown, _outcome_unknown),
    "no answer": (NoAnswer, _no_answer),
    "service unreachable": (ServiceUnreachable, _unreachable),
    "node unavailable": (BackendUnavailable, _unavailable),
    "out of scope": (OutOfScope, _left_scope),
    "redirected": (ExecuteRedirected, _redirected),
    "busy": (ServiceBusy, _busy),
}

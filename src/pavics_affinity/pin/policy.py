"""What to do next: the decisions about each answer and each fault, as pure functions.

Nothing here sends, waits, asks or changes anything. `weigh` says what the evidence in an answer
means for the pin, `decide` what to do with the request. ``docs/design/0007`` shows both as tables.
One module, because the order of the rules counts: a change of one concerns those that follow.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from ..record import NodeKnown

Hold = Literal["free", "pinned", "firm"]
"""The node may still change; it stays; it stays, and not even a document moves it."""

GATEWAY = frozenset({502, 503, 504})
MISDIRECTED = 421
TOO_MANY = 429
SEE_OTHER = 303
TURNED_INTO_GET = frozenset({301, 302, SEE_OTHER})
SENT_ON = frozenset({307, 308})
"""Redirects that keep the method and the body."""

AFTER_TOO_MANY = 1.0
"""Seconds to wait after a 429 that does not say how long."""

FIRST_PATIENCE = 2.0
"""Seconds for which a request is repeated that an address refuses at which nothing shows a server.

A server that restarts was heard before, or a topology names it: it gets the whole deadline.
"""

_REFUSED = frozenset({MISDIRECTED, TOO_MANY})
_SPECIAL = frozenset({*_REFUSED, *GATEWAY})


# ---- evidence: which node answered ----

Verdict = Literal["nothing", "stripped", "proved", "look", "again", "lost"]
"""It says nothing; something on the way removes the evidence; the node that answered is the
workflow's; look whether the topology has changed, then weigh again; send the request again;
another node than the workflow's answered."""


class Evidence(NamedTuple):
    """The node that an answer names, and what the workflow expects."""

    answered: str | None  # None if the header is missing, or names an unknown node
    missing: bool = False
    came_before: bool = False  # in an earlier answer of the same service URL
    success: bool = True  # status 2xx
    execute: bool = False
    expected: str | None = None  # the node to which the request was sent
    was_pinned: bool = False  # when it was sent
    node: str | None = None  # the workflow's, now
    hold: Hold = "free"
    under_way: bool = False  # an Execute is
    renewed: bool | None = None  # whether the topology has changed; None if it was not looked at


def weigh(e: Evidence) -> Verdict:
    """Say what the evidence in an answer means."""
    if e.missing:
        if not e.success or e.node is None:
            return "nothing"
        return "lost" if e.came_before else "stripped"
    if e.answered is None:
        return "lost"
    if e.was_pinned and e.expected is not None and e.answered != e.expected == e.node:
        if e.renewed is None:
            return "look"
        if e.renewed:
            return "again"
    pinned = e.hold != "free" or e.under_way
    if pinned and e.answered != e.node and not (e.was_pinned or e.execute):
        # It was asked before the Execute left. Ask again, once it is known where that ran.
        return "nothing" if e.hold == "free" else "again"
    moved = e.node != e.expected and not e.execute
    firm = e.was_pinned or e.hold != "free" or moved
    return "proved" if e.node in (e.answered, None) or not firm else "lost"


def weigh_reference(
    named: str, node: str | None, known: NodeKnown, hold: Hold, *, under_way: bool
) -> Verdict:
    """Say what a URL in a document means whose origin is that of a node."""
    executed_where_proved = hold != "free" and known == "proved"
    waiting = hold == "free" and under_way
    firm = hold == "firm" or executed_where_proved or waiting
    return "proved" if node in (named, None) or not firm else "lost"


# ---- what to do with the request ----

Failure = Literal[
    "outcome unknown",
    "no answer",
    "service unreachable",
    "node unavailable",
    "out of scope",
    "redirected",
    "affinity lost",
    "busy",
]


class Situation(NamedTuple):
    """The request and its workflow, when an attempt has ended."""

    execute: bool
    body_is_there: bool  # so that it can be sent again
    route: Literal["proxy", "direct", "outside"]
    pinned: bool
    strict: bool
    seconds_left: float
    covered: bool = False  # the site has a topology
    can_go_direct: bool = False  # from the proxy to the node itself
    can_go_back: bool = False  # from a node that never answered to the proxy
    went_back: bool = False  # during this request
    other_node: bool = False  # not pinned, and another node may be tried
    may_leave: bool = False  # pinned and not strict, and there is another node
    given: bool = False  # the user gave the machineid: files of before may be on its node
    patience_left: float = 0.0  # seconds that an Execute still waits for a place in a full queue
    unheard_for: float = 0.0  # seconds of this request, if nothing shows that a server is there


class Fault(NamedTuple):
    """No answer came, or no whole one."""

    not_sent: bool  # no connection was made: no server has seen the request
    final: bool = False  # trying again is pointless
    silent: bool = False  # the connection was accepted, and no answer began in time
    refused: bool = False  # nothing listens at the address
    words: str = ""
    cause: BaseException | None = None


class Answer(NamedTuple):
    """An answer came; of the details those that its status makes matter."""

    status: int  # or the one that `wrapped` names
    wait: float | None = None  # seconds, as 429 and 503 ask for
    xml: bool = False
    not_reached: bool = False  # a strict proxy says that it did not reach the node
    location: str = ""
    leaves_scope: bool = False  # 307 or 308: an Execute's body would go to a host out of scope
    renewed: bool | None = None  # after a 421, whether the topology has changed
    stray: str | None = None  # the node that answered, if it is the wrong one
    node_answers: bool | None = None  # other requests, after a gateway's answer to an Execute
    may_be_lost: bool = False  # of a proxy that also says 503 for a backend that it lost
    server_busy: str | None = None  # the service's own words for a full queue, as ServerBusy
    wrapped: str = ""  # what a security proxy says in its 400, instead of passing the answer on


Outcome = Fault | Answer


class Turn(NamedTuple):
    """How the way of the workflow changes, with any outcome of the request.

    After ``other``, a workflow that is not pinned tries another node; after ``leave`` a pinned one
    moves. Where no node is left, all of them may be tried again.
    """

    via: Literal["same", "direct", "proxy"] = "same"
    node: Literal["same", "other", "leave"] = "same"


STAY = Turn()


class Deliver(NamedTuple):
    """The answer is for the caller."""

    turn: Turn = STAY


class Again(NamedTuple):
    """Send the request again, after a wait if it is not None: at least so many seconds."""

    turn: Turn = STAY
    wait: float | None = None
    went_back: bool = False
    busy: bool = False  # the queue is full; a wait is for a place in it


class Fail(NamedTuple):
    """Raise an error."""

    failure: Failure
    turn: Turn = STAY


class Find(NamedTuple):
    """Find something out first, or warn that the wrong node answered; then decide again."""

    what: Literal["whether the topology has changed", "whether the node answers", "warn"]


Decision = Deliver | Again | Fail | Find


def is_plain(answer: Answer, *, execute: bool) -> bool:
    """Return whether an answer is for the caller in every situation."""
    if answer.status in _SPECIAL or answer.stray is not None:
        return False
    redirected = answer.status in TURNED_INTO_GET or answer.leaves_scope
    return not (execute and (redirected or answer.server_busy is not None))


def is_busy(answer: Answer) -> bool:
    """Return whether an Execute was refused because there was no place for it, and did not run.

    A WPS says ``ServerBusy`` if it is "too busy to accept and queue the request" (OGC 05-007r7,
    exceptions of Execute). 429 refuses a request because there were too many (RFC 6585, 4). 503
    says that the server cannot handle the request now, and with Retry-After that it may be sent
    again then (RFC 9110, 15.6.4 and 10.2.3); a proxy says so about its limits. A 503 without
    Retry-After may come from a proxy that lost the node after the request was sent.
    """
    if answer.server_busy is not None or answer.status == TOO_MANY:
        return True
    return answer.status == 503 and answer.wait is not None and not answer.may_be_lost


def nothing_ran(outcome: Outcome) -> bool:
    """Return whether it is known that the request reached no service."""
    if isinstance(outcome, Fault):
        return outcome.not_sent
    if is_busy(outcome):
        return True
    return outcome.status in _REFUSED or outcome.leaves_scope or outcome.not_reached


def decide(s: Situation, outcome: Outcome) -> Decision:
    """Say what to do next."""
    if isinstance(outcome, Fault):
        return _after_fault(s, outcome)
    if is_plain(outcome, execute=s.execute):
        return Deliver()
    return _after_answer(s, outcome)


def _after_fault(s: Situation, fault: Fault) -> Decision:
    if not fault.not_sent and s.execute:
        return Fail("outcome unknown")
    if fault.not_sent and s.can_go_direct:
        return Again(Turn(via="direct"))
    if fault.not_sent and s.can_go_back:
        return _with_no_way_to_the_node(s, fault)
    if fault.final:
        return Fail(_unanswered(s, fault))
    if fault.silent and not fault.not_sent:
        return Fail("no answer")
    if fault.refused and not s.pinned and s.unheard_for >= FIRST_PATIENCE:
        return Fail("service unreachable")
    return _with_patience(s, fault, "same")


def _with_no_way_to_the_node(s: Situation, fault: Fault) -> Decision:
    """Return to the proxy: the nodes of many sites cannot be reached from outside."""
    if not (s.went_back or s.other_node):
        return Again(_passing(s, fault, "proxy"), went_back=True)
    return _with_patience(s, fault, "proxy")


def _with_patience(s: Situation, fault: Fault, via: Literal["same", "proxy"]) -> Decision:
    turn = _passing(s, fault, via)
    if turn.node == "other" and s.other_node:
        return Again(turn)
    if s.seconds_left > 0:
        return Again(turn, wait=0.0)
    if s.route == "direct" and s.pinned and not s.strict:
        turn = Turn(via, "leave")
        if s.may_leave:
            return Again(turn)
    return Fail(_unanswered(s, fault), turn)


def _passing(s: Situation, fault: Fault, via: Literal["same", "proxy"]) -> Turn:
    passes = fault.not_sent and s.route == "direct" and not s.pinned
    return Turn(via, "other" if passes else "same")


def _unanswered(s: Situation, fault: Fault) -> Failure:
    """Name what does not answer: the node, if the workflow is pinned and the proxy is not away."""
    at_the_proxy = s.route != "direct" and fault.not_sent and not s.went_back
    return "node unavailable" if s.pinned and not at_the_proxy else "service unreachable"


def _after_answer(s: Situation, answer: Answer) -> Decision:
    if answer.stray is not None:
        return _after_stray(s)
    if answer.leaves_scope:
        return Fail("out of scope")
    if s.execute and is_busy(answer):
        return _at_full_queue(s, answer)
    if answer.status == TOO_MANY:
        wait = _asked(answer)
        return Again(wait=wait) if s.body_is_there and s.seconds_left > wait else Deliver()
    if s.route == "outside":
        gone = answer.status in GATEWAY and not s.execute
        return (_wait(s, answer) if gone else None) or Deliver()
    if s.execute and answer.status in TURNED_INTO_GET:
        return Fail("redirected")
    if answer.status == MISDIRECTED:
        return _unknown_to_proxy(s, answer) if s.covered else Deliver()
    return _execute_at_gateway(s, answer) if s.execute else _at_gateway(s, answer)


def _after_stray(s: Situation) -> Decision:
    """Handle an answer of another node, to which the topology of before led."""
    if not s.execute and s.seconds_left > 0:
        return Again(wait=0.0)
    return Fail("affinity lost") if s.strict else Find("warn")


def _unknown_to_proxy(s: Situation, answer: Answer) -> Decision:
    if answer.renewed is None:
        return Find("whether the topology has changed")
    if answer.renewed and s.seconds_left > 0:
        return Again(wait=0.0)
    return _elsewhere(s) or Fail("node unavailable", _none_left(s))


def _at_gateway(s: Situation, answer: Answer) -> Decision:
    if s.pinned:
        again = _wait(s, answer) or _elsewhere(s)
        return again or Fail("node unavailable", _none_left(s))
    if answer.status == 503:  # the node is busy, not away
        turn, again = STAY, _wait(s, answer)
    else:
        turn = _none_left(s)
        again = _elsewhere(s) or _wait(s, answer, turn)
    # Its body is a security proxy's, in the form of a refusal by the service.
    return again or (Fail("node unavailable", turn) if answer.wrapped else Deliver(turn))


def _execute_at_gateway(s: Situation, answer: Answer) -> Decision:
    if answer.wrapped:  # it hides whether the node was reached
        return Fail("outcome unknown")
    if answer.xml:  # the service's own answer
        return Deliver()
    if answer.not_reached:
        if not s.body_is_there:
            return Fail("node unavailable")
        again = None if s.other_node else _wait(s, answer, STAY if s.pinned else _none_left(s))
        return again or _elsewhere(s) or Fail("node unavailable", _none_left(s))
    if answer.node_answers is None:
        return Find("whether the node answers")
    return Fail("outcome unknown" if answer.node_answers else "node unavailable")


def _at_full_queue(s: Situation, answer: Answer) -> Decision:
    """Take another node while no file is on this one; else wait for a place in the queue."""
    if not s.body_is_there:
        return Fail("busy")
    free = not (s.pinned or s.given)
    if free and s.other_node:
        return Again(Turn(node="other"), busy=True)
    wait = _asked(answer)
    if s.patience_left <= wait:
        return Fail("busy")
    return Again(_none_left(s) if free else STAY, wait, busy=True)


def _asked(answer: Answer) -> float:
    """Return the seconds to wait that an answer asks for, or that its status makes usual."""
    usual = AFTER_TOO_MANY if answer.status == TOO_MANY else 0.0
    return usual if answer.wait is None else max(0.0, answer.wait)


def _wait(s: Situation, answer: Answer, turn: Turn = STAY) -> Again | None:
    """Wait as long as the answer asks, if there is time for that."""
    wait = _asked(answer)
    return Again(turn, wait) if s.seconds_left > wait else None


def _elsewhere(s: Situation) -> Again | None:
    """Try another node, as long as nothing rests on this one or the workflow is not strict."""
    if s.other_node:
        return Again(Turn(node="other"))
    return Again(Turn(node="leave")) if s.may_leave else None


def _none_left(s: Situation) -> Turn:
    """Let all nodes be tried again; a strict workflow that is pinned has tried only one."""
    if s.pinned:
        return STAY if s.strict else Turn(node="leave")
    return Turn(node="other")

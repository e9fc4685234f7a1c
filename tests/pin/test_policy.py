"""The decisions as a table: each situation with each outcome, and what `decide` says of it.

The rows are those of ``docs/design/0007``; the first one that fits holds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pavics_affinity.pin.policy import (
    STAY,
    Again,
    Answer,
    Decision,
    Deliver,
    Evidence,
    Fail,
    Fault,
    Find,
    Outcome,
    Situation,
    Turn,
    decide,
    is_plain,
    nothing_ran,
    weigh,
    weigh_reference,
)

PAGE = Path(__file__).parents[2] / "docs" / "design" / "0007-decide-then-act.md"
GATEWAY = (502, 503, 504)


@dataclass(frozen=True)
class Row:
    outcome: str
    situation: str
    decision: str
    fits: Callable[[Situation, Outcome], bool]
    expected: Callable[[Situation, Outcome], Decision]

    def __str__(self) -> str:
        return f"| {self.outcome} | {self.situation} | {self.decision} |"


# ---- faults ----


def _turn(s: Situation, f: Fault) -> Turn:
    """The way after a fault: back to the proxy, past the node, if either applies."""
    via = "proxy" if f.not_sent and s.can_go_back else "same"
    passes = f.not_sent and s.route == "direct" and not s.pinned
    return Turn(via, "other" if passes else "same")


def _unanswered(s: Situation, f: Fault) -> str:
    proxy_is_away = s.route != "direct" and f.not_sent and not s.went_back
    return "node unavailable" if s.pinned and not proxy_is_away else "service unreachable"


def _last_turn(s: Situation, f: Fault) -> Turn:
    leaves = s.route == "direct" and s.pinned and not s.strict
    return Turn(_turn(s, f).via, "leave") if leaves else _turn(s, f)


FAULTS = [
    Row(
        "no whole answer",
        "an Execute",
        "`ExecuteOutcomeUnknown`",
        lambda s, f: s.execute and not f.not_sent,
        lambda s, f: Fail("outcome unknown"),
    ),
    Row(
        "not sent",
        "the proxy was asked, `route='auto'`, the node has an address, no step down from https",
        "again, to the node itself",
        lambda s, f: f.not_sent and s.can_go_direct,
        lambda s, f: Again(Turn("direct")),
    ),
    Row(
        "not sent",
        "the node was asked instead of the proxy and never answered; no other node; once",
        "again, to the proxy",
        lambda s, f: f.not_sent and s.can_go_back and not s.went_back and not s.other_node,
        lambda s, f: Again(_turn(s, f), went_back=True),
    ),
    Row(
        "no such host, no trust",
        "no way back to the proxy",
        "`ServiceUnreachable` or `BackendUnavailable`",
        lambda s, f: f.final and not (f.not_sent and s.can_go_back),
        lambda s, f: Fail(_unanswered(s, f)),
    ),
    Row(
        "sent, silence",
        "",
        "`NoAnswer`",
        lambda s, f: f.silent and not f.not_sent,
        lambda s, f: Fail("no answer"),
    ),
    Row(
        "not sent",
        "the node was asked itself, not pinned, another node may be tried",
        "again, at another node",
        lambda s, f: f.not_sent and s.route == "direct" and s.other_node,
        lambda s, f: Again(_turn(s, f)),
    ),
    Row(
        "refused",
        "not pinned; for 2 s nothing has shown that a server is there, and no topology names it",
        "`ServiceUnreachable`",
        lambda s, f: f.refused and not s.pinned and s.unheard_for >= 2,
        lambda s, f: Fail("service unreachable"),
    ),
    Row(
        "any other",
        "there is time",
        "again, after a wait",
        lambda s, f: s.seconds_left > 0,
        lambda s, f: Again(_turn(s, f), wait=0.0),
    ),
    Row(
        "any other",
        "the node was asked itself, pinned, not strict, there is another node",
        "again, at another node for good, with a warning",
        lambda s, f: s.route == "direct" and s.may_leave,
        lambda s, f: Again(_last_turn(s, f)),
    ),
    Row(
        "any other",
        "",
        "`ServiceUnreachable` or `BackendUnavailable`",
        lambda s, f: True,
        lambda s, f: Fail(_unanswered(s, f), _last_turn(s, f)),
    ),
]


# ---- answers ----


def _none_left(s: Situation) -> Turn:
    if not s.pinned:
        return Turn(node="other")
    return STAY if s.strict else Turn(node="leave")


def _refused(s: Situation, a: Answer) -> bool:
    return s.execute and a.status in GATEWAY and a.not_reached


FULL_QUEUE = "429; 503 with Retry-After; `ServerBusy`"


def _busy(s: Situation, a: Answer) -> bool:
    asks_to_come_back = a.status == 503 and a.wait is not None and not a.may_be_lost
    return s.execute and (a.status == 429 or asks_to_come_back or a.server_busy is not None)


def _is_free(s: Situation) -> bool:
    return not s.pinned and not s.given


def _asked(a: Answer) -> float:
    return (1.0 if a.status == 429 else 0.0) if a.wait is None else a.wait


ANSWERS = [
    Row(
        "of the wrong node, and the topology has changed",
        "repeatable, there is time",
        "again, after a wait",
        lambda s, a: a.stray is not None and not s.execute and s.seconds_left > 0,
        lambda s, a: Again(wait=0.0),
    ),
    Row(
        "of the wrong node, and the topology has changed",
        "strict",
        "`AffinityLost`",
        lambda s, a: a.stray is not None and s.strict,
        lambda s, a: Fail("affinity lost"),
    ),
    Row(
        "of the wrong node, and the topology has changed",
        "not strict",
        "warn, then decide as if it were the right one",
        lambda s, a: a.stray is not None,
        lambda s, a: Find("warn"),
    ),
    Row(
        "307, 308 to a host out of scope",
        "an Execute",
        "`OutOfScope`",
        lambda s, a: a.leaves_scope and s.execute,
        lambda s, a: Fail("out of scope"),
    ),
    Row(
        FULL_QUEUE,
        "an Execute, the body is gone",
        "`ServiceBusy`",
        lambda s, a: _busy(s, a) and not s.body_is_there,
        lambda s, a: Fail("busy"),
    ),
    Row(
        FULL_QUEUE,
        "an Execute, not pinned, a machineid of ours, another node may be tried",
        "again, at another node",
        lambda s, a: _busy(s, a) and _is_free(s) and s.other_node,
        lambda s, a: Again(Turn(node="other"), busy=True),
    ),
    Row(
        FULL_QUEUE,
        "an Execute, there is patience for the wait asked for (else 1 s after 429)",
        "again, after that wait",
        lambda s, a: _busy(s, a) and s.patience_left > _asked(a),
        lambda s, a: Again(Turn(node="other") if _is_free(s) else STAY, wait=_asked(a), busy=True),
    ),
    Row(
        FULL_QUEUE,
        "an Execute",
        "`ServiceBusy`",
        _busy,
        lambda s, a: Fail("busy"),
    ),
    Row(
        "429",
        "the body is still there, there is time for the wait asked for (else 1 s)",
        "again, after that wait",
        lambda s, a: (
            a.status == 429
            and s.body_is_there
            and s.seconds_left > (1 if a.wait is None else a.wait)
        ),
        lambda s, a: Again(wait=1.0 if a.wait is None else a.wait),
    ),
    Row(
        "429",
        "",
        "deliver",
        lambda s, a: a.status == 429,
        lambda s, a: Deliver(),
    ),
    Row(
        "502, 503, 504",
        "out of scope, repeatable, there is time for the wait asked for",
        "again, after that wait",
        lambda s, a: (
            s.route == "outside"
            and a.status in GATEWAY
            and not s.execute
            and s.seconds_left > (a.wait or 0)
        ),
        lambda s, a: Again(wait=a.wait or 0.0),
    ),
    Row(
        "any",
        "out of scope",
        "deliver",
        lambda s, a: s.route == "outside",
        lambda s, a: Deliver(),
    ),
    Row(
        "301, 302, 303",
        "an Execute",
        "`ExecuteRedirected`",
        lambda s, a: s.execute and a.status in (301, 302, 303),
        lambda s, a: Fail("redirected"),
    ),
    Row(
        "421",
        "a topology is known; not yet known whether it has changed",
        "look, then decide",
        lambda s, a: a.status == 421 and s.covered and a.renewed is None,
        lambda s, a: Find("whether the topology has changed"),
    ),
    Row(
        "421",
        "the topology has changed, there is time",
        "again, after a wait",
        lambda s, a: a.status == 421 and s.covered and bool(a.renewed) and s.seconds_left > 0,
        lambda s, a: Again(wait=0.0),
    ),
    Row(
        "502, 503, 504 in the words of a security proxy",
        "an Execute",
        "`ExecuteOutcomeUnknown`",
        lambda s, a: s.execute and a.status in GATEWAY and bool(a.wrapped),
        lambda s, a: Fail("outcome unknown"),
    ),
    Row(
        "502, 503, 504, xml",
        "an Execute",
        "deliver: the service's own answer",
        lambda s, a: s.execute and a.status in GATEWAY and a.xml,
        lambda s, a: Deliver(),
    ),
    Row(
        "502, 503, 504; a strict proxy did not reach the node",
        "an Execute, the body is gone",
        "`BackendUnavailable`",
        lambda s, a: _refused(s, a) and not s.body_is_there,
        lambda s, a: Fail("node unavailable"),
    ),
    Row(
        "421; 502, 504; the node not reached",
        "not pinned, another node may be tried",
        "again, at another node",
        lambda s, a: (
            s.other_node
            and (
                (a.status == 421 and s.covered)
                or _refused(s, a)
                or (a.status in (502, 504) and not s.execute)
            )
        ),
        lambda s, a: Again(Turn(node="other")),
    ),
    Row(
        "502, 503, 504",
        "an Execute, which may have run; the node was not asked yet",
        "ask whether the node answers other requests, then decide",
        lambda s, a: (
            s.execute and a.status in GATEWAY and not a.not_reached and a.node_answers is None
        ),
        lambda s, a: Find("whether the node answers"),
    ),
    Row(
        "502, 503, 504; the node answers other requests",
        "an Execute",
        "`ExecuteOutcomeUnknown`",
        lambda s, a: (
            s.execute and a.status in GATEWAY and not a.not_reached and bool(a.node_answers)
        ),
        lambda s, a: Fail("outcome unknown"),
    ),
    Row(
        "502, 503, 504; the node answers nothing",
        "an Execute",
        "`BackendUnavailable`",
        lambda s, a: s.execute and a.status in GATEWAY and not a.not_reached,
        lambda s, a: Fail("node unavailable"),
    ),
    Row(
        "502, 503, 504",
        "there is time for the wait asked for",
        "again, after that wait",
        lambda s, a: a.status in GATEWAY and s.seconds_left > (a.wait or 0),
        lambda s, a: Again(
            STAY
            if s.pinned
            or (a.status == 503 and not a.not_reached)
            or (a.status == 503 and not s.execute)
            else Turn(node="other"),
            wait=a.wait or 0.0,
        ),
    ),
    Row(
        "421, 502, 503, 504",
        "pinned, not strict, there is another node",
        "again, at another node for good, with a warning",
        lambda s, a: s.may_leave and (a.status in GATEWAY or (a.status == 421 and s.covered)),
        lambda s, a: Again(Turn(node="leave")),
    ),
    Row(
        "421, 502, 503, 504",
        "pinned; an Execute; in the words of a security proxy; or the proxy does not know the node",
        "`BackendUnavailable`",
        lambda s, a: (
            (a.status in GATEWAY and (s.pinned or s.execute or bool(a.wrapped)))
            or (a.status == 421 and s.covered)
        ),
        lambda s, a: Fail(
            "node unavailable",
            STAY if a.status == 503 and not (s.pinned or s.execute) else _none_left(s),
        ),
    ),
    Row(
        "502, 504",
        "",
        "deliver",
        lambda s, a: a.status in (502, 504),
        lambda s, a: Deliver(_none_left(s)),
    ),
    Row("any other", "", "deliver", lambda s, a: True, lambda s, a: Deliver()),
]


# ---- each with each ----

WHETHER = (False, True)
EACH_FAULT = [
    Fault(not_sent, final, silent)
    for not_sent, final, silent in itertools.product(WHETHER, repeat=3)
] + [Fault(not_sent=True, refused=True)]
EACH_ANSWER = [
    *map(Answer, (200, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 410, 500, 501)),
    *(Answer(status, leaves_scope=True) for status in (307, 308)),
    *(Answer(429, wait) for wait in (None, 0.0, 0.3, 30.0)),
    *(Answer(421, renewed=renewed) for renewed in (None, *WHETHER)),
    *(
        Answer(status, wait, xml, not_reached, node_answers=node_answers)
        for status in GATEWAY
        for wait in ((None, 0.3, 30.0) if status == 503 else (None,))
        for xml, not_reached in ((False, False), (True, False), (False, True))
        for node_answers in (None, *WHETHER)
    ),
    *(Answer(status, server_busy="later") for status in (200, 400, 503)),
    *(Answer(503, wait, may_be_lost=True) for wait in (None, 0.3)),
    Answer(400, stray="n2", server_busy="later"),
    *(Answer(status, wrapped="Bad Gateway") for status in (421, *GATEWAY)),
    *(Answer(status, stray="n2") for status in (200, 404, 429, 303, 307)),
]


def situations() -> Iterator[Situation]:
    for execute, route, pinned, strict, left in itertools.product(
        WHETHER, ("proxy", "direct", "outside"), WHETHER, WHETHER, (0.0, 0.5, 5.0)
    ):
        for covered, direct, back, went_back, other, leave, body in itertools.product(
            WHETHER, repeat=7
        ):
            if (
                (route == "outside" and (pinned or covered or went_back))
                or (not covered and (direct or back or went_back or other or leave))
                or (direct and route != "proxy")
                or (back and route != "direct")
                or (other and pinned)
                or (leave and (strict or not pinned))
                or not (body or execute)
            ):
                continue
            situation = Situation(
                execute, body, route, pinned, strict, left, covered, direct, back, went_back,
                other, leave,
            )  # fmt: skip
            yield situation
            yield situation._replace(given=True, patience_left=5.0 - left)
            yield situation._replace(patience_left=5.0 - left)
            for unheard in () if covered else (1.9, 2.0):
                yield situation._replace(unheard_for=unheard)


@pytest.mark.parametrize(
    ("rows", "outcomes"), [(FAULTS, EACH_FAULT), (ANSWERS, EACH_ANSWER)], ids=["faults", "answers"]
)
def test_every_outcome_in_every_situation_is_decided_as_the_first_row_that_fits_says(
    rows, outcomes
):
    fitted = set()
    for s in situations():
        for outcome in outcomes:
            if getattr(outcome, "leaves_scope", False) and not s.execute:
                continue
            row = next(row for row in rows if row.fits(s, outcome))
            assert decide(s, outcome) == row.expected(s, outcome), (str(row), s, outcome)
            fitted.add(id(row))
    assert [str(row) for row in rows if id(row) not in fitted] == []


@pytest.mark.parametrize("rows", [FAULTS, ANSWERS], ids=["faults", "answers"])
def test_the_page_on_the_heart_shows_the_table(rows):
    assert "\n".join(map(str, rows)) in PAGE.read_text()


def test_an_execute_that_may_have_reached_a_service_is_never_sent_again():
    for s in situations():
        for outcome in (*EACH_FAULT, *EACH_ANSWER):
            if s.execute and not nothing_ran(outcome):
                assert not isinstance(decide(s, outcome), Again), (s, outcome)


def test_a_pinned_workflow_that_is_strict_stays_on_its_node():
    for s in situations():
        for outcome in (*EACH_FAULT, *EACH_ANSWER):
            decision = decide(s, outcome)
            if s.pinned and s.strict and not isinstance(decision, Find):
                assert decision.turn.node == "same", (s, outcome)


def test_a_plain_answer_is_delivered_whatever_the_situation():
    for s in situations():
        for outcome in EACH_ANSWER:
            if is_plain(outcome, execute=s.execute):
                assert decide(s, outcome) == Deliver()


# ---- evidence ----


@pytest.mark.parametrize(
    ("about", "verdict"),
    [
        # nothing executed: the node that answers is the workflow's
        ({"answered": "n2", "expected": "n1", "node": "n1"}, "proved"),
        ({"answered": "n1", "expected": "n1", "node": "n1"}, "proved"),
        ({"answered": "n2", "expected": None, "node": None}, "proved"),
        # the header is missing
        ({"answered": None, "missing": True, "came_before": True}, "lost"),
        ({"answered": None, "missing": True}, "stripped"),
        ({"answered": None, "missing": True, "came_before": True, "success": False}, "nothing"),
        ({"answered": None, "missing": True, "node": "n1", "success": False}, "nothing"),
        ({"answered": None, "missing": True, "node": None}, "nothing"),
        # it names no node of the site
        ({"answered": None, "node": "n1"}, "lost"),
        # pinned before the request was sent
        ({"answered": "n1", "was_pinned": True, "hold": "pinned"}, "proved"),
        ({"answered": "n2", "was_pinned": True, "hold": "pinned"}, "look"),
        ({"answered": "n2", "was_pinned": True, "hold": "pinned", "renewed": True}, "again"),
        ({"answered": "n2", "was_pinned": True, "hold": "firm", "renewed": False}, "lost"),
        # an Execute left, or came back, after the request was sent
        ({"answered": "n2", "under_way": True}, "nothing"),
        ({"answered": "n2", "hold": "pinned"}, "again"),
        # the first Execute itself, and a second one that was on its way with it
        ({"answered": "n2", "execute": True, "under_way": True}, "proved"),
        ({"answered": "n2", "execute": True, "hold": "pinned"}, "lost"),
        # the workflow has moved since
        ({"answered": "n1", "expected": "n1", "node": "n2"}, "lost"),
    ],
)
def test_what_the_evidence_in_an_answer_means(about, verdict):
    assert weigh(Evidence(**{"expected": "n1", "node": "n1", **about})) == verdict


@pytest.mark.parametrize(
    ("node", "known", "hold", "under_way", "verdict"),
    [
        ("n1", "predicted", "free", False, "proved"),
        (None, "unknown", "pinned", False, "proved"),
        ("n1", "predicted", "pinned", False, "proved"),
        ("n1", "proved", "pinned", False, "lost"),
        ("n1", "predicted", "firm", False, "lost"),
        ("n1", "predicted", "free", True, "lost"),
        ("n2", "proved", "firm", True, "proved"),
    ],
)
def test_what_a_url_in_a_document_means_that_is_on_a_node(node, known, hold, under_way, verdict):
    assert weigh_reference("n2", node, known, hold, under_way=under_way) == verdict

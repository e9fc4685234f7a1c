"""The kinds of faults, and how a chain may end that meets one.

Each kind says how a request ends that may be repeated, and how an Execute does. The words of
an outcome are ``right`` (the chain ended with its right content) or the name of an error.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from faults.link import Fault, Link, Message, Passage

RIGHT = "right"
UNKNOWN = "ExecuteOutcomeUnknown"
REFUSED_FOR = 0.3
"""Seconds for which a link refuses: shorter than any client here tries."""


@dataclass(frozen=True)
class Kind:
    """A fault, and the outcomes that it may have.

    Attributes
    ----------
    fault : Fault
        What happens.
    repeatable : frozenset of str
        Outcomes where it hits a request that may be repeated.
    execute : frozenset of str
        Outcomes where it hits an Execute.
    """

    fault: Fault
    repeatable: frozenset[str]
    execute: frozenset[str]

    @property
    def is_silent(self) -> bool:
        """Whether only the client's time-out ends it."""
        return self.fault.name.startswith("silence")


def _kind(
    phase: str, name: str, act: object, repeatable: str, execute: str, *, arrives: bool = False
) -> Kind:
    fault = Fault(name, phase, act, arrives)  # type: ignore[arg-type]
    return Kind(fault, frozenset(repeatable.split()), frozenset(execute.split()))


# ---- connections ----


def refused(link: Link) -> None:
    link.refuse(REFUSED_FOR)


def reset_as_accepted(link: Link) -> None:
    link.reset_next()


# ---- requests ----


def ended_unanswered(passage: Passage) -> None:
    passage.end()


def reset_unanswered(passage: Passage) -> None:
    passage.reset()


def silence(passage: Passage) -> None:
    passage.stay_silent()


def ended_after_the_work(passage: Passage) -> None:
    passage.pass_on()
    passage.end()


def reset_after_the_work(passage: Passage) -> None:
    passage.pass_on()
    passage.reset()


def silence_after_the_work(passage: Passage) -> None:
    passage.pass_on()
    passage.stay_silent()


# ---- answers ----


def _cut(share_of_head: float, share_of_body: float, *, reset: bool = False) -> object:
    """Send a part of the answer, then end the connection."""

    def act(passage: Passage) -> None:
        answer = passage.pass_on()
        head = answer.head[: int(len(answer.head) * share_of_head)]
        body = answer.body[: int(len(answer.body) * share_of_body)]
        passage.send(head + body)
        if reset:
            time.sleep(0.02)  # so that what was sent arrives before the reset
            passage.reset()
        else:
            passage.end()

    return act


def one_byte_missing(passage: Passage) -> None:
    passage.send(passage.pass_on().whole()[:-1])
    passage.end()


def _chunked(answer: Message) -> Message:
    lines = [
        line
        for line in answer.head.split(b"\r\n")
        if not line.lower().startswith((b"content-length", b"transfer-encoding"))
    ]
    head = b"\r\n".join([lines[0], b"Transfer-Encoding: chunked", *lines[1:]])
    half = max(1, len(answer.body) // 2)
    chunks = [answer.body[:half], answer.body[half:]]
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    return Message(head, body + b"0\r\n\r\n")


def cut_between_chunks(passage: Passage) -> None:
    answer = _chunked(passage.pass_on())
    passage.send(answer.head + answer.body.removesuffix(b"0\r\n\r\n"))
    passage.end()


def cut_in_a_chunk(passage: Passage) -> None:
    answer = _chunked(passage.pass_on())
    passage.send(answer.head + answer.body[: len(answer.body) // 3])
    passage.end()


def in_chunks(passage: Passage) -> None:
    passage.send(_chunked(passage.pass_on()).whole())


def dribbled(passage: Passage) -> None:
    data = passage.pass_on().whole()
    for start in range(0, min(200, len(data)), 10):
        passage.send(data[start : min(start + 10, 200)])
        time.sleep(0.002)
    passage.send(data[200:])


def delayed(passage: Passage) -> None:
    time.sleep(0.1)
    passage.send(passage.pass_on().whole())


def ended_after_the_answer(passage: Passage) -> None:
    passage.send(passage.pass_on().whole())
    passage.end()


def with_interim_answers(passage: Passage) -> None:
    answer = passage.pass_on()
    passage.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer.whole())


# ---- answers of a proxy, or of a server that is not ready ----


def _instead(
    status: str, *headers: str, body: str = "<html>no</html>", work: bool = False
) -> object:
    def act(passage: Passage) -> None:
        if work:
            passage.pass_on()
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        if not any(line.startswith("Content-Type") for line in headers):
            lines.insert(1, "Content-Type: text/html")
        sent = "" if passage.request.first_line.startswith("HEAD ") else body
        passage.send("\r\n".join(lines).encode() + sent.encode())

    return act


BUSY = (
    '<?xml version="1.0"?><ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows/1.1" '
    'version="1.0.0"><ows:Exception exceptionCode="ServerBusy"><ows:ExceptionText>Maximum number '
    "of parallel running processes reached. Please try later.</ows:ExceptionText></ows:Exception>"
    "</ows:ExceptionReport>"
)

KINDS: tuple[Kind, ...] = (
    _kind("connect", "refused for a moment", refused, RIGHT, RIGHT),
    # The reset can be seen while connecting, and then nothing was sent, or while sending.
    _kind("connect", "reset as it is accepted", reset_as_accepted, RIGHT, f"{RIGHT} {UNKNOWN}"),
    _kind("request", "ended before an answer", ended_unanswered, RIGHT, UNKNOWN),
    _kind("request", "reset before an answer", reset_unanswered, RIGHT, UNKNOWN),
    _kind("request", "silence", silence, "right NoAnswer", UNKNOWN),
    _kind("service", "ended after the work", ended_after_the_work, RIGHT, UNKNOWN, arrives=True),
    _kind("service", "reset after the work", reset_after_the_work, RIGHT, UNKNOWN, arrives=True),
    _kind(
        "service",
        "silence after the work",
        silence_after_the_work,
        "right NoAnswer",
        UNKNOWN,
        arrives=True,
    ),
    _kind("answer", "cut in the status line", _cut(0.05, 0), RIGHT, UNKNOWN, arrives=True),
    _kind(
        "answer",
        "reset in the status line",
        _cut(0.05, 0, reset=True),
        RIGHT,
        UNKNOWN,
        arrives=True,
    ),
    _kind("answer", "cut in the headers", _cut(0.6, 0), RIGHT, UNKNOWN, arrives=True),
    _kind("answer", "reset in the headers", _cut(0.6, 0, reset=True), RIGHT, UNKNOWN, arrives=True),
    _kind("answer", "cut after the headers", _cut(1, 0), RIGHT, UNKNOWN, arrives=True),
    _kind("answer", "cut in the body", _cut(1, 0.5), RIGHT, UNKNOWN, arrives=True),
    _kind("answer", "reset in the body", _cut(1, 0.5, reset=True), RIGHT, UNKNOWN, arrives=True),
    _kind("answer", "one byte missing", one_byte_missing, RIGHT, UNKNOWN, arrives=True),
    _kind("answer", "cut in a chunk", cut_in_a_chunk, RIGHT, UNKNOWN, arrives=True),
    _kind("answer", "cut between chunks", cut_between_chunks, RIGHT, UNKNOWN, arrives=True),
    _kind("answer", "in chunks", in_chunks, RIGHT, RIGHT, arrives=True),
    _kind("answer", "dribbled", dribbled, RIGHT, RIGHT, arrives=True),
    _kind("answer", "delayed", delayed, RIGHT, RIGHT, arrives=True),
    _kind("answer", "ended after the answer", ended_after_the_answer, RIGHT, RIGHT, arrives=True),
    _kind("answer", "with interim answers", with_interim_answers, RIGHT, RIGHT, arrives=True),
    _kind("instead", "502", _instead("502 Bad Gateway"), RIGHT, UNKNOWN),
    _kind(
        "instead",
        "502 after the work",
        _instead("502 Bad Gateway", work=True),
        RIGHT,
        UNKNOWN,
        arrives=True,
    ),
    _kind("instead", "503", _instead("503 Service Unavailable"), RIGHT, UNKNOWN),
    _kind(
        "instead",
        "503 with Retry-After",
        _instead("503 Service Unavailable", "Retry-After: 0"),
        RIGHT,
        RIGHT,
    ),
    _kind(
        "instead",
        "504 after the work",
        _instead("504 Gateway Timeout", work=True),
        RIGHT,
        UNKNOWN,
        arrives=True,
    ),
    _kind(
        "instead",
        "429 with Retry-After",
        _instead("429 Too Many Requests", "Retry-After: 0"),
        RIGHT,
        RIGHT,
    ),
    _kind(
        "instead",
        "the queue is full",
        _instead("400 Bad Request", "Content-Type: text/xml", body=BUSY),
        "right ExecutionFailed ServiceError OutputUnavailable NotAService NoOGCAPI StatusLost",
        f"{RIGHT} NoOGCAPI",
    ),
)

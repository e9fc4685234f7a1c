"""What ``check`` finds: one fault at one place, told to the operator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Severity = Literal["error", "warning", "note"]

SEVERITIES: Mapping[Severity, str] = {
    "error": "chains break, or check cannot tell whether they do",
    "warning": "chains can break, under the condition that is stated",
    "note": "chains hold; something else is lost",
}

RULES: Mapping[str, str] = {
    # one upstream
    "syntax": "the file does not parse",
    "include": "an included file is not here",
    "refused": "nginx refuses the line",
    "server-without-host": "a server line has no host",
    "placeholder": "a variable of the environment stands where nginx knows none",
    "no-upstream": "no upstream in the files",
    "no-hash": "an upstream without hash",
    "several-methods": "several methods in one upstream",
    "sticky": "a session decides before the hash",
    "not-judged": "what decides is not known",
    "stream": "TCP connections are balanced, in which no header is seen",
    "hash-other-variable": "the hash is not over the machineid",
    "header-underscore": "the header's name has an underscore",
    "composite-key": "the key holds more than the machineid",
    "header-only": "the key comes from the header alone",
    "several-addresses": "a host name with several addresses",
    "changing-addresses": "addresses that nginx looks up while it runs",
    "server-twice": "one server, named twice",
    "ports-differ": "one server line has another port than the rest",
    "shared-server": "one server, in two services",
    # services against each other
    "services-apart": "services that do not keep ids together",
    "consistent-ports": "consistent hashing across ports",
    "order-differs": "server lines in another order",
    "weights-differ": "server lines with other weights",
    # what happens when a node is down, busy or slow
    "max-fails": "a node that failed once loses its ids",
    "next-upstream": "a failed request goes on to another node",
    "no-zone": "each worker counts failures for itself",
    "backup": "a backup server beside a hash",
    "max-conns": "a busy node loses ids",
    "mirror": "requests are sent twice",
    "error-page": "errors are answered by another location's nodes",
    "keepalive-before-hash": "keepalive before hash is lost",
    "keepalive-unused": "keepalive without HTTP/1.1 to the nodes",
    # what locations do
    "bypass": "requests pass by the hash",
    "unused-upstream": "no location passes requests to the upstream",
    "outputs-bypass": "outputs or status documents pass by the hash",
    "header-not-passed": "the header does not reach the services",
    "no-evidence": "answers do not tell their node",
    "evidence-not-always": "error answers do not tell their node",
    "cache": "answers come from a cache, whichever node has the file",
    "read-timeout": "a long synchronous process is cut off",
    "body-size": "a request with inline data is refused",
    "redirect": "a redirect turns an Execute into a GET",
    "cors": "browsers may not send the header",
    # ports
    "listen-twice": "two servers on one port",
    "loop": "the proxy is its own backend",
    "compose-ports": "published ports and listening ports do not meet",
    # the files against a topology
    "topology-header": "topology and proxy hash different headers",
    "topology-style": "topology and proxy are of different styles",
    "topology-evidence": "the evidence that the topology promises is missing",
    "topology-missing": "a service of the topology is not in the files",
    "topology-extra": "a service of the files is not in the topology",
    "topology-method": "topology and proxy place ids differently",
    "topology-servers": "topology and proxy have different servers",
    "topology-listen": "topology and proxy have different ports",
    "topology-path": "a path of the topology does not lead to its service",
    "edited": "a rendered file was edited",
}
"""Every rule's id, and what it is about. Each has a section in the manual."""


@dataclass(frozen=True, order=True)
class Finding:
    """One fault.

    Attributes
    ----------
    file : str
        The file, as given or as an ``include`` found it.
    line : int
        The line, from 1.
    rule : str
        Which of `RULES` it breaks.
    severity : {"error", "warning", "note"}
        ``"error"``: chains break, or ``check`` cannot tell. ``"warning"``: they can, and
        the message says when. ``"note"``: they hold, and something else is lost.
    message : str
        What is wrong, and what will happen to users.
    remedy : str
        How to mend it.
    """

    file: str
    line: int
    rule: str
    severity: Severity
    message: str
    remedy: str


class Place(Protocol):
    """A file and a line: a statement, or a node of a compose file."""

    @property
    def file(self) -> str:
        """The file."""

    @property
    def line(self) -> int:
        """The line, from 1."""


@dataclass(frozen=True)
class Spot:
    """A file and a line, where no statement stands for them."""

    file: str
    line: int


Findings = Iterator[Finding]


def finding(rule: str, severity: Severity, place: Place, message: str, remedy: str) -> Finding:
    """Make a finding at a place."""
    return Finding(place.file, place.line, rule, severity, message, remedy)


def in_order(found: Iterable[Finding]) -> list[Finding]:
    """Return each finding once, errors first, then by file and line."""
    ranks = list(SEVERITIES)
    return sorted(dict.fromkeys(found), key=lambda each: (ranks.index(each.severity), each))


def listed(words: Iterable[object], most: int = 4) -> str:
    """Return the words as a text, the first few of many."""
    texts = [str(word) for word in words]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" * (len(texts) > most))

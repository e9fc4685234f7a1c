"""The rules of ``check``, in one table, and what it reports: findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Severity = Literal["error", "warning", "note"]

SEVERITIES: Mapping[Severity, str] = {
    "error": "chains break, or check cannot tell whether they do",
    "warning": "chains can break, under the condition that the message states",
    "note": "chains hold; something else is lost",
}


@dataclass(frozen=True)
class Rule:
    """A rule of ``check``.

    Attributes
    ----------
    id : str
        Its name, as findings, ``--ignore`` and the manual have it.
    severity : {"error", "warning", "note"}
        How severe a finding is in general.
    summary : str
        What is wrong, in a few words.
    section : str
        The heading of the manual below which the rule has its section.
    also : tuple of str
        Other severities that a finding can have, under conditions that the manual states.
    """

    id: str
    severity: Severity
    summary: str
    section: str
    also: tuple[Severity, ...] = ()

    @property
    def severities(self) -> tuple[Severity, ...]:
        """Each severity that a finding can have."""
        return (self.severity, *self.also)


_UPSTREAM = "Rules on one upstream"
_TOGETHER = "Rules on services against each other"
_FAILOVER = "Rules on nodes that are down, busy or slow"
_LOCATIONS = "Rules on locations"
_PORTS = "Rules on ports"
_TOPOLOGY = "Rules on the files against a topology"

_TABLE = (
    Rule("syntax", "error", "the file does not parse", _UPSTREAM),
    Rule("include", "warning", "an included file is missing", _UPSTREAM),
    Rule("refused", "error", "nginx refuses the line", _UPSTREAM),
    Rule("server-without-host", "error", "a server line has no host", _UPSTREAM),
    Rule(
        "placeholder",
        "error",
        "a variable of the environment stands where nginx knows none",
        _UPSTREAM,
        ("note",),
    ),
    Rule("no-upstream", "error", "no upstream in the files", _UPSTREAM),
    Rule("no-hash", "error", "an upstream without hash", _UPSTREAM, ("warning",)),
    Rule("several-methods", "error", "several methods in one upstream", _UPSTREAM, ("warning",)),
    Rule("sticky", "error", "a session decides before the hash", _UPSTREAM),
    Rule(
        "not-judged",
        "error",
        "something that check does not know decides",
        _UPSTREAM,
        ("warning",),
    ),
    Rule(
        "stream",
        "error",
        "TCP connections are balanced, and nginx sees no header in them",
        _UPSTREAM,
        ("warning",),
    ),
    Rule(
        "hash-other-variable",
        "error",
        "the hash is not over the machineid",
        _UPSTREAM,
        ("warning", "note"),
    ),
    Rule(
        "header-underscore",
        "warning",
        "the header's name has an underscore",
        _UPSTREAM,
        ("error",),
    ),
    Rule("composite-key", "error", "the key holds more than the machineid", _UPSTREAM, ("note",)),
    Rule("header-only", "note", "the key comes from the header alone", _UPSTREAM),
    Rule(
        "several-addresses",
        "error",
        "a host name with several addresses",
        _UPSTREAM,
        ("warning",),
    ),
    Rule("changing-addresses", "warning", "addresses that nginx looks up while it runs", _UPSTREAM),
    Rule("server-twice", "note", "one server, listed twice", _UPSTREAM),
    Rule("ports-differ", "warning", "one server line has another port than the rest", _UPSTREAM),
    Rule("shared-server", "warning", "one server, in two services", _UPSTREAM),
    Rule(
        "services-apart",
        "error",
        "services that do not keep ids together",
        _TOGETHER,
        ("warning",),
    ),
    Rule("consistent-ports", "error", "consistent hashing across ports", _TOGETHER, ("warning",)),
    Rule("order-differs", "error", "server lines in another order", _TOGETHER, ("warning",)),
    Rule("weights-differ", "error", "server lines with other weights", _TOGETHER, ("warning",)),
    Rule("max-fails", "warning", "a node that failed once loses its ids", _FAILOVER),
    Rule("next-upstream", "warning", "a failed request is sent to another node", _FAILOVER),
    Rule("no-zone", "warning", "each worker counts failures separately", _FAILOVER),
    Rule("backup", "error", "a backup server beside a hash", _FAILOVER, ("warning",)),
    Rule("max-conns", "warning", "a busy node loses ids", _FAILOVER),
    Rule("mirror", "warning", "requests are sent twice", _FAILOVER),
    Rule("error-page", "warning", "another location's nodes answer instead of errors", _FAILOVER),
    Rule("keepalive-before-hash", "note", "keepalive before hash is lost", _FAILOVER),
    Rule("bypass", "error", "requests bypass the hash", _LOCATIONS, ("warning",)),
    Rule("unused-upstream", "warning", "no location passes requests to the upstream", _LOCATIONS),
    Rule(
        "outputs-bypass",
        "error",
        "outputs or status documents bypass the hash",
        _LOCATIONS,
        ("warning",),
    ),
    Rule("header-not-passed", "warning", "the header does not reach the services", _LOCATIONS),
    Rule("no-evidence", "note", "answers do not show their node", _LOCATIONS, ("warning",)),
    Rule("evidence-not-always", "note", "error answers do not show their node", _LOCATIONS),
    Rule("cache", "warning", "a cache answers instead of the node", _LOCATIONS),
    Rule("read-timeout", "warning", "a long synchronous process is cut off", _LOCATIONS),
    Rule("body-size", "warning", "a request with inline data is refused", _LOCATIONS),
    Rule("redirect", "warning", "a redirect turns an Execute into a GET", _LOCATIONS),
    Rule("listen-twice", "error", "two servers on one port", _PORTS),
    Rule("loop", "error", "the proxy is its own backend", _PORTS),
    Rule(
        "compose-ports",
        "error",
        "published ports and listening ports do not match",
        _PORTS,
        ("warning", "note"),
    ),
    Rule("topology-header", "error", "topology and proxy hash different headers", _TOPOLOGY),
    Rule(
        "topology-style",
        "error",
        "topology and proxy are of different styles",
        _TOPOLOGY,
        ("note",),
    ),
    Rule(
        "topology-evidence",
        "error",
        "the evidence that the topology promises is missing",
        _TOPOLOGY,
    ),
    Rule("topology-missing", "error", "a service of the topology is not in the files", _TOPOLOGY),
    Rule("topology-extra", "note", "a service of the files is not in the topology", _TOPOLOGY),
    Rule("topology-method", "error", "topology and proxy place ids differently", _TOPOLOGY),
    Rule(
        "topology-servers",
        "error",
        "topology and proxy have different servers",
        _TOPOLOGY,
        ("note",),
    ),
    Rule("topology-listen", "error", "topology and proxy have different ports", _TOPOLOGY),
    Rule(
        "topology-path",
        "error",
        "a path of the topology does not lead to its service",
        _TOPOLOGY,
    ),
    Rule("edited", "note", "a rendered file was edited", _TOPOLOGY),
)

RULES: Mapping[str, Rule] = {rule.id: rule for rule in _TABLE}
"""Every rule, by its id. The manual has a section for each."""


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
        What is wrong, and how users are affected.
    remedy : str
        How to fix it.
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
    """A file and a line without a statement."""

    file: str
    line: int


Findings = Iterator[Finding]


def finding(
    rule: str, place: Place, message: str, remedy: str, severity: Severity | None = None
) -> Finding:
    """Make a finding at a place; without a severity, with that of the rule."""
    return Finding(place.file, place.line, rule, severity or RULES[rule].severity, message, remedy)


def in_order(found: Iterable[Finding]) -> list[Finding]:
    """Return each finding once, errors first, then by file and line."""
    ranks = list(SEVERITIES)
    return sorted(dict.fromkeys(found), key=lambda each: (ranks.index(each.severity), each))


def listed(words: Iterable[object], most: int = 4) -> str:
    """Return the words as a text, the first few of many."""
    texts = [str(word) for word in words]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" * (len(texts) > most))

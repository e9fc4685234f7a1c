"""The table of the rules of ``check``, and the findings that they make."""

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
        Its name in findings, ``--ignore`` and the manual.
    severities : tuple of str
        How severe a finding can be: usually, then under the conditions in the manual.
    summary : str
        What is wrong, in a few words.
    section : str
        The heading in the manual that the rule's section is below.
    """

    id: str
    severities: tuple[Severity, ...]
    summary: str
    section: str

    @property
    def severity(self) -> Severity:
        """How severe a finding usually is."""
        return self.severities[0]


_UPSTREAM = "Rules on one upstream"
_TOGETHER = "Rules on services against each other"
_FAILOVER = "Rules on nodes that are down, busy or slow"
_LOCATIONS = "Rules on locations"
_PORTS = "Rules on ports"
_TOPOLOGY = "Rules on the files against a topology"
# How severe findings of a rule can be; the first is the usual one.
_ERROR: tuple[Severity, ...] = ("error",)
_WARNING: tuple[Severity, ...] = ("warning",)
_NOTE: tuple[Severity, ...] = ("note",)
_ERROR_WARNING: tuple[Severity, ...] = ("error", "warning")
_ERROR_NOTE: tuple[Severity, ...] = ("error", "note")
_ALL: tuple[Severity, ...] = ("error", "warning", "note")
_WARNING_ERROR: tuple[Severity, ...] = ("warning", "error")
_NOTE_WARNING: tuple[Severity, ...] = ("note", "warning")

_TABLE = (
    Rule("syntax", _ERROR, "the file does not parse", _UPSTREAM),
    Rule("include", _WARNING, "an included file is missing", _UPSTREAM),
    Rule("refused", _ERROR, "nginx refuses the line", _UPSTREAM),
    Rule("server-without-host", _ERROR, "a server line has no host", _UPSTREAM),
    Rule("placeholder", _ERROR_NOTE, "a variable that nginx does not know", _UPSTREAM),
    Rule("no-upstream", _ERROR_NOTE, "no upstream in the files", _UPSTREAM),
    Rule("no-hash", _ERROR_WARNING, "an upstream without hash", _UPSTREAM),
    Rule("several-methods", _ERROR_WARNING, "several methods in one upstream", _UPSTREAM),
    Rule("sticky", _ERROR, "a session decides before the hash", _UPSTREAM),
    Rule("not-judged", _ERROR_WARNING, "something that check does not know decides", _UPSTREAM),
    Rule("stream", _ERROR_WARNING, "TCP connections are balanced, without any header", _UPSTREAM),
    Rule("hash-other-variable", _ALL, "the hash is not over the machineid", _UPSTREAM),
    Rule("header-underscore", _WARNING_ERROR, "the header's name has an underscore", _UPSTREAM),
    Rule("composite-key", _ERROR_NOTE, "the key holds more than the machineid", _UPSTREAM),
    Rule("header-only", _NOTE, "the key comes from the header alone", _UPSTREAM),
    Rule("several-addresses", _ERROR_WARNING, "a host name with several addresses", _UPSTREAM),
    Rule("changing-addresses", _WARNING, "addresses that nginx looks up while it runs", _UPSTREAM),
    Rule("server-twice", _NOTE, "one server, listed twice", _UPSTREAM),
    Rule("ports-differ", _WARNING, "one server line has another port than the rest", _UPSTREAM),
    Rule("shared-server", _WARNING, "one server, in two services", _UPSTREAM),
    Rule("services-apart", _ERROR_WARNING, "services that do not keep ids together", _TOGETHER),
    Rule("consistent-ports", _ERROR_WARNING, "consistent hashing across ports", _TOGETHER),
    Rule("order-differs", _ERROR_WARNING, "server lines in another order", _TOGETHER),
    Rule("weights-differ", _ERROR_WARNING, "server lines with other weights", _TOGETHER),
    Rule("max-fails", _WARNING, "a node that failed once loses its ids", _FAILOVER),
    Rule("next-upstream", _WARNING, "a failed request is sent to another node", _FAILOVER),
    Rule("no-zone", _WARNING, "each worker counts failures separately", _FAILOVER),
    Rule("backup", _ERROR_WARNING, "a backup server beside a hash", _FAILOVER),
    Rule("max-conns", _WARNING, "a busy node loses ids", _FAILOVER),
    Rule("mirror", _WARNING, "requests are sent twice", _FAILOVER),
    Rule("error-page", _WARNING, "another location's nodes answer instead of errors", _FAILOVER),
    Rule("keepalive-before-hash", _NOTE, "keepalive before hash is lost", _FAILOVER),
    Rule("bypass", _ERROR_WARNING, "requests bypass the hash", _LOCATIONS),
    Rule("unused-upstream", _WARNING, "no location passes requests to the upstream", _LOCATIONS),
    Rule("outputs-bypass", _ERROR_WARNING, "outputs or status bypass the hash", _LOCATIONS),
    Rule("header-not-passed", _WARNING, "the header does not reach the services", _LOCATIONS),
    Rule("no-evidence", _NOTE_WARNING, "answers do not show their node", _LOCATIONS),
    Rule("evidence-not-always", _NOTE, "error answers do not show their node", _LOCATIONS),
    Rule("cache", _WARNING, "a cache answers instead of the node", _LOCATIONS),
    Rule("read-timeout", _WARNING, "a long synchronous process is cut off", _LOCATIONS),
    Rule("body-size", _WARNING, "a request with inline data is refused", _LOCATIONS),
    Rule("redirect", _WARNING, "a redirect turns an Execute into a GET", _LOCATIONS),
    Rule("listen-tls", _ERROR_WARNING, "https is meant, and the port speaks plain HTTP", _PORTS),
    Rule("listen-twice", _ERROR, "two servers on one port", _PORTS),
    Rule("loop", _ERROR, "the proxy is its own backend", _PORTS),
    Rule("compose-ports", _ALL, "published ports and listening ports do not match", _PORTS),
    Rule("topology-header", _ERROR, "topology and proxy hash different headers", _TOPOLOGY),
    Rule("topology-style", _ERROR_NOTE, "topology and proxy are of different styles", _TOPOLOGY),
    Rule("topology-evidence", _ERROR, "the promised evidence is missing", _TOPOLOGY),
    Rule("topology-missing", _ERROR, "a service of the topology is not in the files", _TOPOLOGY),
    Rule("topology-extra", _NOTE, "a service of the files is not in the topology", _TOPOLOGY),
    Rule("topology-method", _ERROR, "topology and proxy place ids differently", _TOPOLOGY),
    Rule("topology-servers", _ERROR_NOTE, "topology and proxy have different servers", _TOPOLOGY),
    Rule("topology-listen", _ERROR, "topology and proxy have different ports", _TOPOLOGY),
    Rule("topology-path", _ERROR, "a path of the topology does not lead to its service", _TOPOLOGY),
    Rule("edited", _NOTE, "a rendered file was edited", _TOPOLOGY),
)

RULES: Mapping[str, Rule] = {rule.id: rule for rule in _TABLE}
"""Every rule, by its id. The manual has a section for each."""


@dataclass(frozen=True, order=True)
class Finding:
    """One mistake that `check` found.

    Attributes
    ----------
    file : str
        The file, as the caller or an ``include`` names it.
    line : int
        The line, from 1.
    rule : str
        The rule in `RULES` that it breaks.
    severity : {"error", "warning", "note"}
        ``"error"``: chains break, or ``check`` cannot tell. ``"warning"``: chains can break,
        and the message says when. ``"note"``: chains hold, but something else is lost.
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
    """Make a finding at a place; its severity is by default the rule's usual one."""
    return Finding(place.file, place.line, rule, severity or RULES[rule].severity, message, remedy)


def in_order(found: Iterable[Finding]) -> list[Finding]:
    """Return each finding once, errors first, then by file and line."""
    ranks = list(SEVERITIES)
    return sorted(dict.fromkeys(found), key=lambda each: (ranks.index(each.severity), each))


def listed(words: Iterable[object], most: int = 4) -> str:
    """Join the words with commas; of many, show the first few and count the rest."""
    texts = [str(word) for word in words]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" * (len(texts) > most))

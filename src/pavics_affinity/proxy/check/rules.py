"""The table of the rules of ``check``, and the findings that they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

from ..nginx.statements import Statement

Severity = Literal["error", "warning", "note"]

SEVERITIES: Mapping[Severity, str] = {
    "error": "chains break, or check cannot tell whether they do",
    "warning": "chains can break, under the condition that the message states",
    "note": "chains hold; something else is lost",
}


class Rule(NamedTuple):
    """A rule of ``check``; its section in the manual is below the heading `section`."""

    id: str
    severities: tuple[Severity, ...]
    summary: str
    section: str

    @property
    def severity(self) -> Severity:
        """How severe a finding usually is."""
        return self.severities[0]


# By the headings in the manual: each rule, how severe a finding usually is and can be, and what is
# wrong in a few words.
_TABLE: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "Rules on one upstream": (
        ("syntax", "error", "the file does not parse"),
        ("include", "warning", "an included file is missing"),
        ("refused", "error", "nginx refuses the line"),
        ("server-without-host", "error", "a server line has no host"),
        ("placeholder", "error note", "a variable that nginx does not know"),
        ("no-upstream", "error note", "no upstream in the files"),
        ("no-hash", "error warning", "an upstream without hash"),
        ("several-methods", "error warning", "several methods in one upstream"),
        ("sticky", "error", "a session decides before the hash"),
        ("not-judged", "error warning", "something that check does not know decides"),
        ("stream", "error warning", "TCP connections are balanced, without any header"),
        ("hash-other-variable", "error warning note", "the hash is not over the machineid"),
        ("header-underscore", "warning error", "the header's name has an underscore"),
        ("composite-key", "error note", "the key holds more than the machineid"),
        ("header-only", "note", "the key comes from the header alone"),
        ("several-addresses", "error warning", "a host name with several addresses"),
        ("changing-addresses", "warning", "addresses that nginx looks up while it runs"),
        ("server-twice", "note", "one server, listed twice"),
        ("ports-differ", "warning", "one server line has another port than the rest"),
        ("shared-server", "warning", "one server, in two services"),
    ),
    "Rules on services against each other": (
        ("services-apart", "error warning", "services that do not keep ids together"),
        ("consistent-ports", "error warning", "consistent hashing across ports"),
        ("order-differs", "error warning", "server lines in another order"),
        ("weights-differ", "error warning", "server lines with other weights"),
    ),
    "Rules on nodes that are down, busy or slow": (
        ("max-fails", "warning", "a node that failed once loses its ids"),
        ("next-upstream", "warning", "a failed request is sent to another node"),
        ("no-zone", "warning", "each worker counts failures separately"),
        ("backup", "error warning", "a backup server beside a hash"),
        ("max-conns", "warning", "a busy node loses ids"),
        ("mirror", "warning", "requests are sent twice"),
        ("error-page", "warning", "another location's nodes answer instead of errors"),
        ("keepalive-before-hash", "note", "keepalive before hash is lost"),
    ),
    "Rules on locations": (
        ("bypass", "error warning", "requests bypass the hash"),
        ("unused-upstream", "warning", "no location passes requests to the upstream"),
        ("outputs-bypass", "error warning", "outputs or status bypass the hash"),
        ("header-not-passed", "warning", "the header does not reach the services"),
        ("no-evidence", "note warning", "answers do not show their node"),
        ("evidence-not-always", "note", "error answers do not show their node"),
        ("cache", "warning", "a cache answers instead of the node"),
        ("read-timeout", "warning", "a long synchronous process is cut off"),
        ("body-size", "warning", "a request with inline data is refused"),
        ("redirect", "warning", "a redirect turns an Execute into a GET"),
    ),
    "Rules on ports": (
        ("listen-tls", "error warning", "https is meant, and the port speaks plain HTTP"),
        ("listen-twice", "error", "two servers on one port"),
        ("loop", "error", "the proxy is its own backend"),
        ("compose-ports", "error warning note", "published ports and listening ports do not match"),
    ),
    "Rules on the files against a topology": (
        ("topology-header", "error", "topology and proxy hash different headers"),
        ("topology-style", "error note", "topology and proxy are of different styles"),
        ("topology-evidence", "error", "the promised evidence is missing"),
        ("topology-missing", "error", "a service of the topology is not in the files"),
        ("topology-extra", "note", "a service of the files is not in the topology"),
        ("topology-method", "error", "topology and proxy place ids differently"),
        ("topology-servers", "error note", "topology and proxy have different servers"),
        ("topology-listen", "error", "topology and proxy have different ports"),
        ("topology-path", "error", "a path of the topology does not lead to its service"),
        ("edited", "note", "a rendered file was edited"),
    ),
}

RULES: Mapping[str, Rule] = {
    name: Rule(name, cast(tuple[Severity, ...], tuple(severities.split())), summary, section)
    for section, rows in _TABLE.items()
    for name, severities, summary in rows
}
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


class Spot(NamedTuple):
    """A file and a line without a statement."""

    file: str
    line: int


Place = Statement | Spot
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

"""A proxy's answers as pure data, and the part of them that identifies the node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ...protocol import DEFAULT_EVIDENCE
from ...topology import Topology

ByKey = dict[str, list["Answer"]]
"""Answers in the order of their requests, by the key that was sent."""


@dataclass(frozen=True)
class Answer:
    """The answer to one GET.

    Without an answer, `status` is None and `failure` says why. `hidden` is the status that a
    security proxy such as Twitcher received and replaced by 400. Names of headers are in lower
    case; `digest` is of the beginning of the body.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    is_wps: bool = False
    failure: str = ""
    hidden: int | None = None

    @property
    def is_gateway_error(self) -> bool:
        """Whether the proxy got no answer from a node."""
        return (self.hidden or self.status) in {502, 503, 504}

    @property
    def is_misdirected(self) -> bool:
        """Whether a strict proxy does not know the node that the key names."""
        return (self.hidden or self.status) == 421

    @property
    def said(self) -> str:
        """The status as text."""
        if self.status is None:
            return self.failure
        return f"{self.status} for a {self.hidden}" if self.hidden else str(self.status)


class Document(NamedTuple):
    """The discovery document at one origin; `trouble` says why a client cannot use it."""

    topology: Topology | None = None
    trouble: str = ""


@dataclass
class ServiceSeen:
    """The answers of one service, by the way in which the machineid was sent."""

    url: str
    document: Document
    by_id: ByKey = field(default_factory=dict)  # bare, in the header
    without: list[Answer] = field(default_factory=list)  # not at all
    by_query: ByKey = field(default_factory=dict)
    by_path: ByKey = field(default_factory=dict)
    by_node: dict[str, Answer] = field(default_factory=dict)  # with the name of this node
    unknown: Answer | None = None  # with the name of a node that does not exist
    by_spelling: dict[str, ByKey] = field(default_factory=dict)  # of the header

    def with_ids(self) -> list[Answer]:
        """Return the answers to bare machineids."""
        return [answer for answers in self.by_id.values() for answer in answers]

    def answers(self) -> list[Answer]:
        """Return all answers to the service's own URL, with and without a bare key."""
        return self.with_ids() + self.without

    def arrived(self) -> list[Answer]:
        """Return those of `answers` that came."""
        return [answer for answer in self.answers() if answer.status is not None]

    @property
    def topology(self) -> Topology | None:
        """The published topology, if it contains this URL."""
        found = self.document.topology
        return found if found is not None and found.covering(self.url) is not None else None

    def dead_nodes(self) -> list[str]:
        """Return the nodes that did not answer to a key that names them."""
        named = self.by_node.items()
        return [node for node, a in named if a.status is None or a.is_gateway_error]


class Seen(NamedTuple):
    """All answers of a probe."""

    header: str  # carried the machineids
    evidence: str | None  # should name the node
    services: tuple[ServiceSeen, ...]  # at least one
    requests: int  # GETs that were sent

    @property
    def first(self) -> ServiceSeen:
        """The service that got all the requests."""
        return self.services[0]


# ---- the part of an answer that identifies the node ----

# Names that operators use; the first is that of a rendered proxy.
_KNOWN = (
    DEFAULT_EVIDENCE.lower(),
    "x-upstream-addr",
    "x-upstream",
    "x-backend-server",
    "x-backend",
    "x-served-by",
    "x-node",
)
# These vary for other reasons.
_NEVER = {
    "age",
    "connection",
    "content-length",
    "date",
    "expires",
    "keep-alive",
    "server-timing",
    "set-cookie",
    "transfer-encoding",
    "x-cache",
    "x-pavics-connect",
}
_FOUND_OR_NOT = {200, 206, 404, 410}


class NodeMarker(NamedTuple):
    """The part of an answer that depends on the node; the topology translates addresses."""

    kind: Literal["header", "status", "body"]
    header: str = ""
    topology: Topology | None = None

    @property
    def names_nodes(self) -> bool:
        """Whether it gives nodes the same name on two services."""
        return self.kind == "header"

    def node_of(self, answer: Answer) -> str | None:
        """Return the node of an answer, or a value that identifies it; None if unknown."""
        if answer.status is None:
            return None
        if self.kind == "status":
            return f"status {answer.status}" if answer.status in _FOUND_OR_NOT else None
        if self.kind == "body":
            return None if answer.is_gateway_error else f"body {answer.digest[:6]}"
        value = answer.headers.get(self.header)
        return None if value is None else _node_name(value, self.topology)

    def nodes_of(self, answers: Iterable[Answer]) -> list[str]:
        """Return the nodes that answered, each once, sorted."""
        return sorted({n for answer in answers if (n := self.node_of(answer)) is not None})

    def keeps(self, by_key: ByKey) -> bool:
        """Return whether every key stayed on one node."""
        return all(len(self.nodes_of(answers)) <= 1 for answers in by_key.values())

    def describe(self) -> str:
        """Return a description in words."""
        if self.kind == "header":
            shown = "-".join(part.capitalize() for part in self.header.split("-"))
            return f"the response header {shown}"
        if self.kind == "status":
            return "whether the resource is found"
        return "the text of the answer, which differs from node to node"


def find_marker(service: ServiceSeen, evidence: str | None) -> NodeMarker | None:
    """Find what identifies the node: the evidence header, or another part that differs."""
    answers = service.arrived()
    topology = service.document.topology
    # For a host given by name, nginx can name the node only if the key does.
    for header in ((evidence or DEFAULT_EVIDENCE).lower(), _KNOWN[0]):
        if any(answer.headers.get(header) for answer in (*answers, *service.by_node.values())):
            return NodeMarker("header", header, topology)
    others = sorted({header for answer in answers for header in answer.headers} - _NEVER)
    headers = dict.fromkeys([header for header in _KNOWN if header in others] + others)
    guesses = [NodeMarker("header", header, topology) for header in headers]
    for guess in (*guesses, NodeMarker("status"), NodeMarker("body")):
        if _may_be_of_nodes(guess, service):
            return guess
    return None


def _may_be_of_nodes(guess: NodeMarker, service: ServiceSeen) -> bool:
    """Return whether the differences can come from the nodes, as far as one can guess.

    Every answer of a node has a value. There are several values, and they repeat: so it is not
    the time of day, or a number of the request. And some value is the same with and without an
    id: so it is not an echo of the id.
    """
    # A security proxy's own answer shows nothing of the nodes.
    answers = [answer for answer in service.answers() if answer.hidden is None]
    values = [guess.node_of(answer) for answer in answers]
    if any(v is None and a.status in _FOUND_OR_NOT for v, a in zip(values, answers, strict=True)):
        return False
    runs = [v for i, v in enumerate(values) if v is not None and (i == 0 or values[i - 1] != v)]
    if not 1 < len(set(runs)) < len(runs):
        return False
    return bool(set(guess.nodes_of(service.with_ids())) & set(guess.nodes_of(service.without)))


def _node_name(value: str, topology: Topology | None) -> str:
    if topology is not None and (name := topology.node_of_evidence(value)) is not None:
        return name
    # After a retry nginx lists several addresses, and the last one answered.
    return plain_text(value.rpartition(",")[2].rpartition(" : ")[2].strip())


def plain_text(text: str, longest: int = 60) -> str:
    """Return a server's text without control characters, cut to a length."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)[:longest]

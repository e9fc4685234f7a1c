"""What in the answers tells one node from another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ...topology import Topology
from .seen import Answer, ByKey, ServiceSeen

# What operators call it; the first is ours.
_KNOWN = (
    "x-pavics-node",
    "x-upstream-addr",
    "x-upstream",
    "x-backend-server",
    "x-backend",
    "x-served-by",
    "x-node",
)
# Of these nobody can say that a node set them.
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


@dataclass(frozen=True)
class Telltale:
    """One thing in an answer that depends on the node.

    Attributes
    ----------
    kind : {"header", "status", "body"}
        Where it is.
    name : str
        Of the header.
    topology : Topology or None
        Translates a header's value to the name of the node.
    """

    kind: Literal["header", "status", "body"]
    name: str = ""
    topology: Topology | None = None

    @property
    def names_nodes(self) -> bool:
        """Whether two services can be compared by it."""
        return self.kind == "header"

    def of(self, answer: Answer) -> str | None:
        """Return the node of an answer, or what stands for it; None if nothing does."""
        if answer.status is None:
            return None
        if self.kind == "status":
            return f"status {answer.status}" if answer.status in _FOUND_OR_NOT else None
        if self.kind == "body":
            return None if answer.is_gateway_error else f"body {answer.digest[:6]}"
        value = answer.headers.get(self.name)
        return None if value is None else _node(value, self.topology)

    def in_words(self) -> str:
        """Say what it is."""
        if self.kind == "header":
            shown = "-".join(part.capitalize() for part in self.name.split("-"))
            return f"the response header {shown}"
        if self.kind == "status":
            return "whether the resource is found"
        return "the text of the answer, which differs from node to node"


def telltale_of(service: ServiceSeen, evidence: str | None) -> Telltale | None:
    """Find what tells nodes apart; None if nothing does.

    Parameters
    ----------
    service : ServiceSeen
        Asked with several ids, several times, and without.
    evidence : str, optional
        The response header that is said to do so.
    """
    answers = [answer for answer in service.answers() if answer.status is not None]
    # Of a host that is given by name, nginx can tell the node only where the key names it.
    for name in ((evidence or _KNOWN[0]).lower(), _KNOWN[0]):
        if any(answer.headers.get(name) for answer in (*answers, *service.by_node.values())):
            return Telltale("header", name, service.document.topology)
    others = sorted({name for answer in answers for name in answer.headers} - _NEVER)
    names = dict.fromkeys([name for name in _KNOWN if name in others] + others)
    headers = [Telltale("header", name, service.document.topology) for name in names]
    for guess in (*headers, Telltale("status"), Telltale("body")):
        if _may_be_of_nodes(guess, service):
            return guess
    return None


def is_kept(telltale: Telltale, by_key: ByKey) -> bool:
    """Tell whether every key stayed where it was first."""
    return all(
        len({telltale.of(answer) for answer in answers} - {None}) <= 1
        for answers in by_key.values()
    )


def places(telltale: Telltale, answers: Iterable[Answer]) -> list[str]:
    """Return the nodes that answered, each once, sorted."""
    return sorted({place for answer in answers if (place := telltale.of(answer)) is not None})


def _may_be_of_nodes(guess: Telltale, service: ServiceSeen) -> bool:
    """Tell whether what differs can be the node: what it means is only guessed.

    Every answer of a node has it. There are several values, and they come back: the
    time of day, or a request's number, never does. And requests without an id bring one
    that an id brought, too, which what echoes the id cannot.
    """
    answers = list(service.answers())
    values = [guess.of(answer) for answer in answers]
    if any(v is None and a.status in _FOUND_OR_NOT for v, a in zip(values, answers, strict=True)):
        return False
    runs = [v for i, v in enumerate(values) if v is not None and (i == 0 or values[i - 1] != v)]
    if not 1 < len(set(runs)) < len(runs):
        return False
    with_id = [answer for answers in service.by_id.values() for answer in answers]
    return bool(set(places(guess, with_id)) & set(places(guess, service.without)))


def _node(value: str, topology: Topology | None) -> str:
    if topology is not None and (name := topology.node_of_evidence(value)) is not None:
        return name
    # After a retry several addresses stand there, and the last one answered.
    last = value.rpartition(",")[2].rpartition(" : ")[2].strip()
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in last)[:60]

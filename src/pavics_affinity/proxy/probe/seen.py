"""What was asked of a proxy, and what came back: data alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ...topology import Topology

ByKey = dict[str, list["Answer"]]
"""Answers in the order in which they were asked for, by what was sent."""


@dataclass(frozen=True)
class Answer:
    """What one GET brought.

    Attributes
    ----------
    status : int or None
        None where no answer came.
    headers : mapping of str to str
        By name in lower case.
    digest : str
        Of the body's beginning; equal bodies have equal ones.
    is_wps : bool
        Whether it is a WPS's capabilities.
    failure : str
        Why no answer came, in words; else empty.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    is_wps: bool = False
    failure: str = ""

    @property
    def is_gateway_error(self) -> bool:
        """Whether the proxy says that it has no answer of a node's."""
        return self.status in {502, 503, 504}


@dataclass(frozen=True)
class Document:
    """The discovery document at one origin.

    Attributes
    ----------
    url : str
        Where it was looked for.
    topology : Topology or None
        What it says; None where there is none that a client could use.
    trouble : str
        Why a client cannot use what is there; empty where nothing is.
    """

    url: str
    topology: Topology | None = None
    trouble: str = ""


@dataclass
class ServiceSeen:
    """One service.

    Attributes
    ----------
    url : str
        As it was given.
    document : Document
        Of its origin.
    by_id : dict
        By machineid, sent bare in the header.
    without : list of Answer
        To requests without any key.
    by_query, by_path : dict
        By machineid, sent in the query, and in the path, of the URL.
    by_node : dict of str to Answer
        By the node that the key named.
    unknown : Answer or None
        To a key that names a node that cannot be there.
    by_spelling : dict
        Answers by machineid, by another name of the header.
    """

    url: str
    document: Document
    by_id: ByKey = field(default_factory=dict)
    without: list[Answer] = field(default_factory=list)
    by_query: ByKey = field(default_factory=dict)
    by_path: ByKey = field(default_factory=dict)
    by_node: dict[str, Answer] = field(default_factory=dict)
    unknown: Answer | None = None
    by_spelling: dict[str, ByKey] = field(default_factory=dict)

    def answers(self) -> Iterator[Answer]:
        """Yield all answers to the service's own URL, with and without a bare key."""
        for answers in self.by_id.values():
            yield from answers
        yield from self.without

    @property
    def topology(self) -> Topology | None:
        """What the proxy publishes, where it speaks of this URL."""
        found = self.document.topology
        return found if found is not None and found.covering(self.url) is not None else None


@dataclass(frozen=True)
class Seen:
    """Everything.

    Attributes
    ----------
    header : str
        Request header that carried the machineids.
    evidence : str or None
        Response header that is said to name the node.
    services : tuple of ServiceSeen
        At least one; all questions were put to the first.
    requests : int
        GETs that were sent.
    """

    header: str
    evidence: str | None
    services: tuple[ServiceSeen, ...]
    requests: int

    @property
    def first(self) -> ServiceSeen:
        """The service that was asked everything."""
        return self.services[0]

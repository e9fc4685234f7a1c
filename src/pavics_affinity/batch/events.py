"""What the threads of a batch tell each other, and what they keep of each item."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from ..topology import TopologySource
from .recovery import Known
from .task import Chain

FREE_RESTARTS = 5
"""How often a chain that has executed nothing is begun anew after its node was lost."""


@dataclass(frozen=True)
class End:
    """There are no more results."""


@dataclass(frozen=True)
class Broken:
    """There are no more results, and why."""

    error: BaseException


@dataclass(frozen=True)
class Remark:
    """What the caller is to be warned of."""

    text: str


@dataclass(frozen=True)
class Item:
    """An item was read."""

    item: Any


@dataclass(frozen=True)
class NoMore:
    """There are no more items, or reading them failed."""

    error: BaseException | None = None


@dataclass(frozen=True)
class Answers:
    """A node that was lost answers again."""

    node: str


class Wake:
    """Something has changed; look again."""


@dataclass(eq=False)
class Entry:
    """An item on its way."""

    number: int
    item: Any
    restarts: int
    known: Known | None = None
    attempt: int = 0
    free: int = FREE_RESTARTS
    avoid: set[str] = field(default_factory=set)
    waiting: float | None = None


@dataclass(eq=False)
class Flight:
    """A chain that was handed to the executor."""

    entry: Entry
    machineid: str
    node: str | None
    future: Future[Any] | None = None
    taken_back: bool = False


@dataclass(frozen=True)
class Ended:
    """A chain has ended, or was taken back."""

    flight: Flight
    future: Future[Any]


@dataclass(frozen=True)
class Plan:
    """How chains are run.

    Attributes
    ----------
    chain : callable
        The user's.
    sources : tuple of TopologySource
        What is known of the sites.
    options : mapping
        Of every workflow.
    patience : float
        Seconds for which a busy server, or a site that does not answer, is waited for.
    restart : int
        How often a chain that executed something is begun anew after its node was lost.
    stops : bool
        Whether nothing more is begun after an error, until the caller wants to go on.
    """

    chain: Chain
    sources: tuple[TopologySource, ...]
    options: Mapping[str, Any]
    patience: float
    restart: int
    stops: bool

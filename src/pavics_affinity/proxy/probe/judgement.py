"""The verdict of a probe, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "strict", "plain", "single-node",
    "down", "nodes-down", "node-down", "no-service", "not-nginx",
    "no-hash", "other-header", "one-node", "apart", "not-strict", "no-evidence",
    "cannot-tell",
]  # fmt: skip


@dataclass(frozen=True)
class Judgement:
    """The verdict itself.

    Attributes
    ----------
    kind : str
        One of `Kind`; the manual has a line for each.
    works : bool or None
        None where it cannot be told.
    words : str
        What is so.
    next : str
        What to do now.
    """

    kind: Kind
    works: bool | None
    words: str
    next: str


SINGLE_NODE = Judgement(
    "single-node",
    True,
    "the site has one node, so that every request goes there",
    "nothing to do",
)

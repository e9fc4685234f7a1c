"""A batch of chains, as a notebook shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from ..markup import Html, card, join, table, tag
from .overview import clock
from .plots import Chain

MOST = 50


class Row(Chain, Protocol):
    """What is shown of one chain."""

    @property
    def number(self) -> int:
        """The item's, from 1."""

    @property
    def item(self) -> str:
        """The item, shortened."""

    @property
    def attempt(self) -> int:
        """From 1."""

    @property
    def state(self) -> str:
        """``"running"``, ``"succeeded"``, ``"failed"`` or ``"lost"``."""


_LOOKS = {"running": "busy", "succeeded": "good", "failed": "bad", "lost": "bad"}


def batch_card(chains: Sequence[Row], total: int | None) -> str:
    """Return what is shown of a batch: how many on each node, and the last chains begun.

    Parameters
    ----------
    chains : sequence of Row
        In the order of their start.
    total : int or None
        How many items there are, where that is known.
    """
    nodes = sorted({chain.node or "" for chain in chains})
    states = [state for state in _LOOKS if any(chain.state == state for chain in chains)]
    counts = Counter((chain.node or "", chain.state) for chain in chains)
    by_node = [
        [tag("strong", node or "unknown"), *(f"{counts[node, state]:,}" for state in states)]
        for node in nodes
    ]
    of = "" if total is None else f" of {total:,} items"
    title = join((tag("strong", "Batch"), f" of workflows: {len(chains):,} chains begun{of}"))
    return card(
        title,
        table(("node", *states), by_node) if chains else "",
        table(("", "item", "node", "state", "started", "seconds"), _rows(chains)) if chains else "",
    )


def _rows(chains: Sequence[Row]) -> list[list[object]]:
    rows: list[list[object]] = []
    if len(chains) > MOST:
        earlier = f"{len(chains) - MOST:,} earlier chains; .chains has them all"
        rows.append([tag("span", earlier, class_="paf-still")])
    for chain in chains[-MOST:]:
        seconds = "" if chain.ended is None else f"{chain.ended - chain.started:.2f}"
        rows.append(
            [
                str(chain.number),
                chain.item,
                chain.node or "unknown",
                _state(chain),
                clock(chain.started),
                seconds,
            ]
        )
    return rows


def _state(chain: Row) -> Html:
    words = chain.state if chain.error is None else f"{chain.state}: {chain.error}"
    words += " (from the journal)" if chain.recalled else ""
    words += f" (attempt {chain.attempt})" if chain.attempt > 1 else ""
    return tag("span", words, class_=f"paf-{_LOOKS.get(chain.state, 'busy')}")

"""Cards of executions, outputs and batches, for notebooks and terminals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ..markup import cards, clean
from ..record import Step
from .overview import LinkTo, clock, spent
from .plots import Chain

MOST = 100
MOST_CHAINS = 50

_GOOD = frozenset({"ProcessSucceeded", "successful"})
_BAD = frozenset({"ProcessFailed", "Exception", "failed", "dismissed"})


class Result(NamedTuple):
    """One output."""

    identifier: str
    title: str | None
    kind: str | None
    """The media type, or the type of a literal."""
    url: str | None
    """None if the response contains the output."""
    value: str = ""
    """The beginning of the value in the response."""

    def place(self, link_to: LinkTo) -> cards.Text:
        """Return a link to the output, or its value."""
        if self.url is None:
            return cards.text(cards.code(self.value))
        to = link_to(self.url)
        if to is not None:
            return cards.text(cards.link(to, self.url))
        how = cards.styled(" (no link: only a request header leads there)", "still")
        return cards.text(cards.code(self.url), how)


def result_card(result: Result, link_to: LinkTo) -> cards.Card:
    """Return the card of one output."""
    return cards.card(
        cards.text("Output ", cards.strong(result.identifier)),
        cards.facts(
            (
                ("title", result.title or None),
                ("type", result.kind or None),
                ("value" if result.url is None else "at", result.place(link_to)),
            )
        ),
    )


def execution_card(
    name: str,
    status: str | None,
    percent: int,
    message: str | None,
    step: Step | None,
    results: Sequence[Result],
    link_to: LinkTo,
) -> cards.Card:
    """Return the card of an execution or a job.

    `name` is the identifier of the process. `status` is in the words of the service's
    standard, or None before the Execute was sent. `message` is the server's last message.
    """
    look: cards.Look = "good" if status in _GOOD else "bad" if status in _BAD else "busy"
    state = clean(status or "not sent")
    if look == "busy" and percent:
        state += f", {percent} %"
    shown = list(results[:MOST])
    rows: list[list[object]] = [
        [cards.strong(r.identifier), r.title or "", r.kind or "", r.place(link_to)] for r in shown
    ]
    if len(results) > len(shown):
        rows.append([f"{len(results) - len(shown):,} more"])
    return cards.card(
        cards.text("Execution of ", cards.strong(name)),
        cards.facts(
            (
                ("state", cards.styled(state, look)),
                ("message", message or None),
                ("node", None if step is None else step.node or "unknown"),
                ("service", None if step is None else step.service),
                ("started", clock(step.started) if step and step.started else None),
                ("seconds", spent(step) or None if step else None),
            )
        ),
        cards.table(("output", "title", "type", "where"), rows) if rows else None,
    )


# ---- batches ----


class Row(Chain, Protocol):
    """The data that is shown of a chain; see `batch.ChainRun`."""

    @property
    def number(self) -> int:
        """The number of the item, from 1."""

    @property
    def item(self) -> str:
        """The item, shortened."""

    @property
    def attempt(self) -> int:
        """From 1."""

    @property
    def state(self) -> str:
        """``"running"``, ``"succeeded"``, ``"failed"`` or ``"lost"``."""


_LOOKS: dict[str, cards.Look] = {
    "running": "busy",
    "succeeded": "good",
    "failed": "bad",
    "lost": "bad",
}


def batch_card(chains: Sequence[Row], total: int | None) -> cards.Card:
    """Return the card of a batch: the chains of each node, and the last ones started.

    `total` is the number of items, if it is known.
    """
    nodes = sorted({chain.node or "" for chain in chains})
    states = [state for state in _LOOKS if any(chain.state == state for chain in chains)]
    counts = Counter((chain.node or "", chain.state) for chain in chains)
    by_node = [
        [cards.strong(node or "unknown"), *(f"{counts[node, state]:,}" for state in states)]
        for node in nodes
    ]
    of = "" if total is None else f" of {total:,} items"
    columns = ("", "item", "node", "state", "started", "seconds")
    return cards.card(
        cards.text(cards.strong("Batch"), f" of workflows: {len(chains):,} chains started{of}"),
        cards.table(("node", *states), by_node) if chains else None,
        cards.table(columns, _rows(chains)) if chains else None,
    )


def _rows(chains: Sequence[Row]) -> list[list[object]]:
    rows: list[list[object]] = []
    if len(chains) > MOST_CHAINS:
        earlier = f"{len(chains) - MOST_CHAINS:,} earlier chains; .chains has them all"
        rows.append([cards.styled(earlier, "still")])
    for chain in chains[-MOST_CHAINS:]:
        seconds = "" if chain.ended is None else f"{chain.ended - chain.started:.2f}"
        node, started = chain.node or "unknown", clock(chain.started)
        rows.append([str(chain.number), chain.item, node, _chain_state(chain), started, seconds])
    return rows


def _chain_state(chain: Row) -> cards.Span:
    words = chain.state if chain.error is None else f"{chain.state}: {chain.error}"
    words += " (from the journal)" if chain.recalled else ""
    words += f" (attempt {chain.attempt})" if chain.attempt > 1 else ""
    return cards.styled(words, _LOOKS.get(chain.state, "busy"))

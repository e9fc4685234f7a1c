"""Which node takes the next chain: the one with the least unfinished work per weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from math import ceil, floor

AT_ONCE = 4
"""Chains at a time on the node of least weight, where the caller does not say."""

MOST_AT_ONCE = 16
"""Chains at a time on any node, where the caller does not say."""

PLAIN_AT_ONCE = 8
"""Chains at a time in all, where the nodes are not known and the caller does not say."""


class Share:
    """Counts what is unfinished on each node.

    The next chain goes to a node that has less unfinished than any other would have
    with one more: ``unfinished / weight <= min((unfinished + 1) / weight)``; of these to
    the one that was given the least so far, by ``(given + 1) / weight``. So the shares
    are by weight where the nodes keep up, and a node that does not gets less. No node
    has more than `per_node` at a time, and all together no more than
    ``per_node * sum(weights) / max(weights)``: what may be unfinished is by weight, too.

    Parameters
    ----------
    per_node : int, optional
        Chains at a time on the node of greatest weight. By default 4 for the least
        weight, in proportion for the greatest, and at most 16; or 8 in all where the
        nodes are not known.
    """

    def __init__(self, per_node: int | None) -> None:
        self._limit = per_node
        self._weights: dict[str, float] = {}
        self._unfinished: Counter[str | None] = Counter()
        self._given: Counter[str | None] = Counter()
        self._lost: set[str] = set()

    @property
    def known(self) -> bool:
        """Whether nodes are known."""
        return bool(self._weights)

    @property
    def weights(self) -> Mapping[str, float]:
        """The nodes that take new chains, those that are lost included."""
        return self._weights

    @property
    def lost(self) -> frozenset[str]:
        """The nodes that do not answer."""
        return frozenset(self._lost)

    @property
    def stranded(self) -> bool:
        """Whether nodes are known, and none takes anything."""
        return self.known and not self._open()

    @property
    def per_node(self) -> int:
        """Chains at a time on one node."""
        if self._limit is not None:
            return self._limit
        if not self._weights:
            return PLAIN_AT_ONCE
        ratio = max(self._weights.values()) / min(self._weights.values())
        return max(AT_ONCE, min(MOST_AT_ONCE, ceil(AT_ONCE * ratio)))

    @property
    def in_all(self) -> int:
        """Chains at a time on all nodes together."""
        weights = self._open()
        if not weights:
            return 0 if self.known else self.per_node
        proportion = sum(weights.values()) / max(weights.values())
        return max(len(weights), floor(self.per_node * proportion + 1e-9))

    def know(self, weights: Mapping[str, float]) -> None:
        """Take these as the nodes that take new chains, with their weights."""
        self._weights = dict(weights)

    def choose(self, avoid: Collection[str] = ()) -> tuple[str | None] | None:
        """Return the node for a new chain, as a tuple of one; None if it has to wait.

        Parameters
        ----------
        avoid : collection of str
            Nodes to leave out, unless there are no others.
        """
        if self._unfinished.total() >= self.in_all:
            return None
        if not self.known:
            return (None,)
        weights = self._open()
        free = [node for node in weights if self._unfinished[node] < self.per_node]
        free = [node for node in free if node not in avoid] or (
            free if set(weights) <= set(avoid) else []
        )
        if not free:
            return None
        lightest = min((self._unfinished[node] + 1) / weights[node] for node in free)
        light = [node for node in free if self._unfinished[node] / weights[node] <= lightest]
        return (min(light, key=lambda node: (self._given[node] + 1) / weights[node]),)

    def has_room(self, node: str | None) -> bool:
        """Tell whether a chain that belongs on this node may go on there now."""
        return node not in self._lost and self._unfinished[node] < self.per_node

    def begin(self, node: str | None) -> None:
        """Count a chain more on the node."""
        self._unfinished[node] += 1
        self._given[node] += 1

    def end(self, node: str | None) -> None:
        """Count a chain less on the node."""
        self._unfinished[node] -= 1

    def lose(self, node: str) -> bool:
        """Give the node nothing until it is found; return whether that is news."""
        news = node not in self._lost
        self._lost.add(node)
        return news

    def find(self, node: str) -> None:
        """Take the node in again."""
        self._lost.discard(node)

    def _open(self) -> dict[str, float]:
        return {node: weight for node, weight in self._weights.items() if node not in self._lost}

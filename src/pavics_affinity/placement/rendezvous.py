"""Weighted rendezvous hashing, for sites without a proxy that decides the method."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import log

from mmh3 import hash as murmur

from ..errors import InvalidPlacement, PlacementUndetermined
from .base import Placement, first_reachable

LOWEST_DRAW = -(1 << 31) - 1  # below every signed 32-bit hash
LIGHTEST, HEAVIEST = 1e-9, 1e9


class Rendezvous(Placement):
    """Weighted rendezvous hashing: each node has a score for the key, and the highest wins.

    The score of a node with weight w is ``-w / ln(u)``, where u in (0, 1) is the MurmurHash3
    (32 bits) of the key, seeded by the node's name. A node gets keys in proportion to its
    weight. When a node is removed, only its keys move, each to the next node in its own
    order. Names break ties. Source: C. Schindelhauer, G. Schomaker, "Weighted distributed
    hash tables", SPAA 2005.

    Parameters
    ----------
    weights : mapping of str to float
        Names of the nodes to their weights, which are positive.

    Raises
    ------
    InvalidPlacement
        There is no node, a name is empty, or a weight is not a positive number.

    Notes
    -----
    Within a class of equal weights, the highest hash has the highest score, so one
    logarithm is computed for each class. Two names with the same 32-bit seed would have
    the same scores, so the later name gets another seed (a chance of 1 in 10,000 among
    1,000 nodes).

    Examples
    --------
    >>> nodes = Rendezvous({"node1": 1, "node2": 2, "node3": 1})
    >>> nodes.place("a1b2")
    'node2'
    >>> list(nodes.order("a1b2"))
    ['node2', 'node3', 'node1']
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        for name, weight in weights.items():
            _check(name, weight)
        if not weights:
            raise InvalidPlacement("no node to place keys on; expected names with weights")
        self._weights = dict(weights)
        self._total = float(sum(weights.values()))
        self._names: dict[int, str] = {}
        # By name, so that the first of equal draws in a class is the first by name.
        for name in sorted(weights):
            seed = murmur(name, 0, False)
            while seed in self._names:
                seed = murmur(name, seed, False)
            self._names[seed] = name
        classes: dict[float, list[int]] = {}
        for seed, name in self._names.items():
            classes.setdefault(float(weights[name]), []).append(seed)
        # The heaviest first, because it has the higher score of two equal draws.
        self._classes = [(weight, tuple(classes[weight])) for weight in sorted(classes)[::-1]]
        self._only_class = self._classes[0][1] if len(self._classes) == 1 else None

    def __repr__(self) -> str:
        return f"Rendezvous({self._weights!r})"

    @property
    def addresses(self) -> tuple[str, ...]:
        """Names of the nodes, in the order of `weights`."""
        return tuple(self._weights)

    def order(self, key: str | bytes) -> Iterator[str]:
        """Yield the nodes in the order of their scores for a key, each once."""
        scored = [
            (-_log_score(murmur(key, seed), weight), self._names[seed])
            for weight, seeds in self._classes
            for seed in seeds
        ]
        for _, name in sorted(scored):
            yield name

    def place(self, key: str | bytes, unreachable: Collection[str] = ()) -> str:  # noqa: D102 - see Placement
        if unreachable:
            return self._first_reachable(key, unreachable)
        if self._only_class is None:
            return self._best_of_classes(key)
        highest = LOWEST_DRAW
        for seed in self._only_class:
            if (draw := murmur(key, seed)) > highest:
                highest, winner = draw, seed
        return self._names[winner]

    def share(self, address: str) -> float:  # noqa: D102 - see Placement
        return self._weights.get(address, 0.0) / self._total

    def obstacle(self, address: str) -> str | None:  # noqa: D102 - see Placement
        if address in self._weights:
            return None
        return f"it is not among the nodes: {', '.join(self.addresses)}"

    def _best_of_classes(self, key: str | bytes) -> str:
        winner, winning_draw, winning_weight = -1, LOWEST_DRAW, 0.0
        for weight, seeds in self._classes:
            highest, candidate = winning_draw, -1
            # A lighter node with a lower draw than the winner's has a lower score.
            for seed in seeds:
                if (draw := murmur(key, seed)) > highest:
                    highest, candidate = draw, seed
            if candidate < 0:
                continue
            if winner >= 0:
                score = _log_score(highest, weight)
                to_beat = _log_score(winning_draw, winning_weight)
                if score < to_beat or (
                    score == to_beat and self._names[winner] < self._names[candidate]
                ):
                    continue
            winner, winning_draw, winning_weight = candidate, highest, weight
        return self._names[winner]

    def _first_reachable(self, key: str | bytes, unreachable: Collection[str]) -> str:
        found = first_reachable(self.order(key), unreachable)
        if found is None:
            raise PlacementUndetermined(
                f"no node is left for key {key!r}: all of {', '.join(self.addresses)} "
                "are unreachable. Start one of them"
            )
        return found


def _log_score(draw: int, weight: float) -> float:
    # ln(u) / w grows with -w / ln(u). The draw is signed, u in the middle of its step.
    return log((draw + 2147483648.5) * 2.0**-32) / weight


def _check(name: str, weight: float) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidPlacement(f"node name {name!r}; expected a string that is not empty")
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise InvalidPlacement(f"weight {weight!r} of node {name!r}; expected a number")
    if not LIGHTEST <= weight <= HEAVIEST:
        raise InvalidPlacement(
            f"weight {weight!r} of node {name!r}; expected {LIGHTEST} to {HEAVIEST} "
            "(leave the node out if it should get no keys)"
        )

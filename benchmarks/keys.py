"""Nodes and machineids to place, the same in each run."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from typing import Any


def nodes(count: int) -> list[str]:
    """Return so many addresses."""
    return [f"10.0.{i // 250}.{i % 250 + 1}:8093" for i in range(count)]


def machineids(count: int, seed: int = 1) -> list[str]:
    """Return so many ids of the usual form."""
    rng = random.Random(seed)
    return [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(count)]


def for_each(call: Callable[[Any], object], keys: Sequence[Any]) -> Callable[[], None]:
    """Return a call that goes through all keys."""

    def run() -> None:
        for key in keys:
            call(key)

    return run

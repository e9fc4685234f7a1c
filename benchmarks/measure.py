"""Two sides that take turns, so that whatever else the machine does falls on both."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the garbage collector from falling on one side of a pair."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def seconds(run: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def cpu_seconds(run: Callable[[], object]) -> float:
    """Return the processor's time that a call takes: for what waits for nothing."""
    start = time.process_time()
    run()
    return time.process_time() - start


def in_turns(
    sides: Mapping[str, Callable[[], Any]],
    rounds: int,
    *,
    clock: Callable[[Callable[[], Any]], float] = seconds,
    warm: bool = True,
) -> dict[str, list[float]]:
    """Time several sides in turns, each going first as often as the others.

    Parameters
    ----------
    sides : mapping of str to callable
        By name.
    rounds : int
        How many times each is timed.
    clock : callable, optional
        Calls a side and returns what is measured; by default seconds of wall clock.
    warm : bool, default True
        Call each once beforehand, so that nothing is cold.
    """
    for run in sides.values() if warm else ():
        run()
    names = list(sides)
    took: dict[str, list[float]] = {name: [] for name in names}
    with no_collection():
        for number in range(rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                took[name].append(clock(sides[name]))
    return took


def ratios(ours: list[float], theirs: list[float]) -> list[float]:
    """Return ours by theirs for each pair."""
    return [own / other for own, other in zip(ours, theirs, strict=True)]


def repeated(run: Callable[[], object], times: int) -> Callable[[], None]:
    """Return a call that does it several times."""

    def several() -> None:
        for _ in range(times):
            run()

    return several

"""What every placement can do, whichever its method."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol


class Placement(Protocol):
    """A pure function from a key to backends, in order of preference.

    Attributes
    ----------
    addresses : tuple of str
        All backends, each once: as nginx prints them, or the names of a `Rendezvous`.
    """

    @property
    def addresses(self) -> tuple[str, ...]:
        """All backends, each once."""

    def order(self, key: str | bytes) -> Iterator[str]:
        """Give the backends in the order in which they are tried for this key."""

    def place(self, key: str | bytes, unreachable: Collection[str] = ()) -> str:
        """Give the first backend in `order` that is not unreachable."""

    def share(self, address: str) -> float:
        """Give the share of all keys that go straight to a backend, 0 to 1."""

    def obstacle(self, address: str) -> str | None:
        """Say why no key goes straight to a backend; None if keys do."""

    def least_number(self, head: str, tail: str, address: str, tries: int) -> int | None:
        """Give the least k below `tries` for which head + ~k + tail goes to a backend."""

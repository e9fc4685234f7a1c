"""The interface of all placements."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol


class Placement(Protocol):
    """A pure function from a key to backends, in order of preference.

    Attributes
    ----------
    addresses : tuple of str
        All backends, each once: addresses as nginx prints them, or the names of a `Rendezvous`.
    """

    @property
    def addresses(self) -> tuple[str, ...]:
        """All backends, each once."""

    def order(self, key: str | bytes) -> Iterator[str]:
        """Yield the backends in the order in which they are tried for a key.

        Parameters
        ----------
        key : str or bytes
            The key that the proxy sees; text is encoded as UTF-8.

        Raises
        ------
        PlacementUndetermined
            The order cannot be predicted from here on.
        """

    def place(self, key: str | bytes, unreachable: Collection[str] = ()) -> str:
        """Return the backend that answers: the first in `order` that is not unreachable.

        Parameters
        ----------
        key : str or bytes
            The key that the proxy sees; text is encoded as UTF-8.
        unreachable : collection of str, optional
            Backends to skip, as ``addresses`` writes them.

        Raises
        ------
        PlacementUndetermined
            No backend is left, or the prediction ends before one is reached.
        """

    def share(self, address: str) -> float:
        """Return the share of all keys that go straight to a backend, 0 to 1.

        Keys of a server that is down go to other servers, but do not count for them.
        """

    def obstacle(self, address: str) -> str | None:
        """Return why no key goes straight to a backend; None if some do."""

    def least_number(self, head: str, tail: str, address: str, tries: int) -> int | None:
        """Return the least number below `tries` whose key goes to a backend; None if none does.

        The key of 0 is ``head + tail``, the key of k is ``f"{head}~{k}{tail}"``.
        """
        keys = (f"{head}~{k}{tail}" if k else head + tail for k in range(tries))
        return next((k for k, key in enumerate(keys) if self.place(key) == address), None)


def first_reachable(order: Iterator[str], unreachable: Collection[str]) -> str | None:
    """Return the first backend of an order that is not unreachable."""
    avoided = {unreachable} if isinstance(unreachable, str) else set(unreachable)
    return next((address for address in order if address not in avoided), None)

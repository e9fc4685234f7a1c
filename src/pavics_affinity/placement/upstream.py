"""What nginx's two ``hash`` methods have in common: peers, tries, the round robin below."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from zlib import crc32

from ..errors import PlacementUndetermined
from .servers import Peer, Resolve, parse_servers, peers_of

MOST_SKIPS = 20


class NginxPlacement(ABC):
    """What the plain and the consistent hash have in common.

    Parameters
    ----------
    servers : iterable of str
        Parameters of the upstream's ``server`` lines, in the order of the file, such
        as ``["10.0.0.1:8093", "10.0.0.2:8093 weight=2", "unix:/run/wps.sock backup"]``.
    resolve : callable, optional
        Name of a host to the list of its addresses, in the order that nginx gets them
        (``getaddrinfo`` for stream sockets). It is asked once for each ``server`` line
        that holds a name.

    Raises
    ------
    InvalidPlacement
        nginx would refuse the servers.
    """

    def __init__(self, servers: Iterable[str], resolve: Resolve | None = None) -> None:
        parsed = parse_servers(servers)
        peers = [peer for server in parsed for peer in peers_of(server, resolve)]
        self._peers = tuple(peer for peer in peers if not peer.server.backup)
        self._backups = tuple(peer for peer in peers if peer.server.backup)
        self._live = frozenset(i for i, peer in enumerate(self._peers) if not peer.server.down)
        self._vague = self._why_vague()
        #: All addresses, each once, in the order of the file; a name without known
        #: addresses is missing.
        self.addresses: tuple[str, ...] = tuple(
            dict.fromkeys(peer.address for peer in peers if peer.address is not None)
        )

    def __repr__(self) -> str:
        """Show the class and the addresses."""
        return f"{type(self).__name__}({list(self.addresses)!r})"

    @abstractmethod
    def _why_vague(self) -> str:
        """Say why nothing at all can be predicted; empty if something can."""

    @abstractmethod
    def _cell(self, crc: int) -> str | None:
        """Give the address that keys of this CRC go straight to, if any."""

    @abstractmethod
    def _hashed(self, key: bytes, left: set[int]) -> Iterator[str]:
        """Yield what the hash itself chooses, and take each peer out of `left`."""

    @cached_property
    @abstractmethod
    def _shares(self) -> dict[str | None, float]:
        """The share of each address; of None, what goes straight nowhere."""

    @abstractmethod
    def place(self, key: str | bytes, unreachable: Collection[str] = ()) -> str:
        """Give the backend that answers: the first in `order` that is not unreachable.

        Parameters
        ----------
        key : str or bytes
            As nginx sees it; text is encoded as UTF-8.
        unreachable : collection of str, optional
            Addresses that refuse connections.

        Returns
        -------
        str
            The address, as nginx prints it in ``$upstream_addr``.

        Raises
        ------
        PlacementUndetermined
            The prediction ends before, or no server is left.
        """

    def order(self, key: str | bytes) -> Iterator[str]:
        """Give the addresses in the order of one request's tries, if each refuses.

        Parameters
        ----------
        key : str or bytes
            As nginx sees it; text is encoded as UTF-8.

        Yields
        ------
        str
            An address, as nginx prints it in ``$upstream_addr``. A server that is
            named twice is tried twice, as nginx does.

        Raises
        ------
        PlacementUndetermined
            Where the prediction ends: nginx takes turns among several addresses (an
            empty key; more than 20 skips; several backups; under ``consistent`` a name
            with several addresses), or a name's addresses are not known.
        """
        data = key.encode() if isinstance(key, str) else key
        if self._vague:
            raise PlacementUndetermined(self._vague)
        left = set(self._live)
        if data:
            yield from self._hashed(data, left)
        reason = "more than 20 skips" if data else "the key is empty"
        yield from _turns([self._peers[i] for i in sorted(left)], reason)
        yield from _turns(
            [peer for peer in self._backups if not peer.server.down], "only backups are left"
        )

    def share(self, address: str) -> float:
        """Give the share of all keys whose hash chooses this address.

        Keys of a server that is down are passed on to the others and counted for none.

        Parameters
        ----------
        address : str
            As in ``addresses``.

        Returns
        -------
        float
            From 0 to 1; exact for a hash whose values are equally frequent.
        """
        return self._shares.get(address, 0.0)

    def obstacle(self, address: str) -> str | None:
        """Say why no key's hash chooses this address.

        Parameters
        ----------
        address : str
            As in ``addresses``.

        Returns
        -------
        str or None
            A reason, or None where keys do come.
        """
        if self.share(address) > 0:
            return None
        if address not in self.addresses:
            return f"it is not among the servers: {', '.join(self.addresses) or 'none is known'}"
        mine = [peer for peer in self._peers if peer.address == address]
        if not mine:
            return "it is a backup, which gets requests only when all others fail"
        if all(peer.server.down for peer in mine):
            return "it is marked down"
        return "which of its requests come to it cannot be predicted, or none do"

    def least_number(self, head: str, tail: str, address: str, tries: int) -> int | None:
        """Give the least number k for which a key goes to an address.

        The key is ``head + tail`` for k = 0, else ``f"{head}~{k}{tail}"``.

        Parameters
        ----------
        head, tail : str
            What stands before and after the number.
        address : str
            The address wanted.
        tries : int
            How many numbers to try, from 0.

        Returns
        -------
        int or None
            None if no such key goes there.
        """
        start, end = head.encode(), tail.encode()
        if tries > 0 and self._goes_to(address, start + end):
            return 0
        cell_of, so_far = self._cell, crc32(start)
        for k in range(1, tries):
            cell = cell_of(crc32(b"~%d%b" % (k, end), so_far))
            if cell == address or (
                cell is None and self._goes_to(address, b"%b~%d%b" % (start, k, end))
            ):
                return k
        return None

    def _first_reachable(self, key: bytes, unreachable: Collection[str]) -> str:
        avoided = {unreachable} if isinstance(unreachable, str) else set(unreachable)
        for address in self.order(key):
            if address not in avoided:
                return address
        raise PlacementUndetermined(
            f"no server is left for key {key!r}: nginx answers 502 when all of "
            f"{', '.join(self.addresses) or 'its servers'} are down or refuse"
        )

    def _goes_to(self, address: str, key: bytes) -> bool:
        try:
            return self.place(key) == address
        except PlacementUndetermined:
            return False


def _turns(peers: list[Peer], reason: str) -> Iterator[str]:
    # Round robin among one address is no choice; the peers that are left all have it.
    for _ in peers:
        yield one_address(peers, reason)


def one_address(peers: list[Peer], reason: str) -> str:
    """Give the address that all these peers have; raise with the reason if they differ."""
    found = {peer.address: peer.server.text for peer in peers}
    if None in found:
        raise PlacementUndetermined(unresolved(found[None]))
    if len(found) > 1:
        raise PlacementUndetermined(
            f"{reason}: nginx takes turns among {', '.join(map(str, found))}, "
            "which depends on the requests before"
        )
    return str(next(iter(found)))


def unresolved(text: str) -> str:
    """Say that the addresses of a server's name are not known."""
    return f"the addresses of {text!r} are not known; pass resolve= with what nginx resolves it to"

"""nginx's ``hash`` methods, bit for bit: the backend that a key goes to.

The code follows ``ngx_http_upstream_hash_module`` and the round robin below it (1.22 to
1.31); the tests compare it with a running nginx.

A placement predicts the tries of *one* request to a proxy whose servers count as
healthy. Failures that nginx remembers (``max_fails``), full servers (``max_conns``) and
limits on retries (``proxy_next_upstream``) cannot be predicted. Where nginx falls back to
weighted round robin, its choice depends on earlier requests: if more than one address is
left then, `PlacementUndetermined` is raised.

The module is long because both methods share their peers and the round robin below them.
"""

from __future__ import annotations

from abc import abstractmethod
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from itertools import accumulate
from zlib import crc32

from ..errors import InvalidPlacement, PlacementUndetermined
from .base import Placement, first_reachable
from .keys import parse_hash
from .servers import Peer, Resolve, Server, parse_servers, peers_of

HASHES = 1 << 15  # the plain hash keeps 15 bits of the CRC
MOST_SKIPS = 20
CIRCLE = 1 << 32
POINTS_PER_WEIGHT = 160
HEAVIEST_RING = 20_000
"""Largest total weight for which a ring is built: 3.2 million points."""
POINTS_PER_SECTOR = 4


class NginxPlacement(Placement):
    """Base class of the plain and the consistent hash."""

    def __init__(self, servers: Iterable[str], resolve: Resolve | None = None) -> None:
        parsed = parse_servers(servers)
        peers = [peer for server in parsed for peer in peers_of(server, resolve)]
        self._peers = tuple(peer for peer in peers if not peer.server.backup)
        self._backups = tuple(peer for peer in peers if peer.server.backup)
        self._live = frozenset(i for i, peer in enumerate(self._peers) if not peer.server.down)
        self._vague = self._why_vague()
        self._addresses = tuple(
            dict.fromkeys(peer.address for peer in peers if peer.address is not None)
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.addresses)!r})"

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses, each once, in the order of the file.

        A name whose addresses are not known is missing.
        """
        return self._addresses

    @abstractmethod
    def _why_vague(self) -> str:
        """Return why no key can be predicted; empty if some can."""

    @abstractmethod
    def _cell(self, crc: int) -> str | None:
        """Return the address that keys with this CRC go straight to, if any."""

    @abstractmethod
    def _hashed(self, key: bytes, left: set[int]) -> Iterator[str]:
        """Yield the addresses that the hash itself chooses, and remove each peer from `left`."""

    @cached_property
    @abstractmethod
    def _shares(self) -> dict[str | None, float]:
        """The share of each address; that of None are keys that go straight to no server."""

    def order(self, key: str | bytes) -> Iterator[str]:
        """Yield the addresses in the order of one request's tries, if each refuses.

        A server that is listed twice is tried twice, as in nginx. The prediction ends with
        `PlacementUndetermined` at an unknown address, and where nginx takes turns among
        several: for an empty key, after more than 20 skips, among several backups, and with
        ``consistent`` for a name with several addresses.
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

    def share(self, address: str) -> float:  # noqa: D102 - see Placement
        return self._shares.get(address, 0.0)

    def obstacle(self, address: str) -> str | None:  # noqa: D102 - see Placement
        if self.share(address) > 0:
            return None
        if address not in self.addresses:
            return f"it is not among the servers: {', '.join(self.addresses) or 'none is known'}"
        mine = [peer for peer in self._peers if peer.address == address]
        if not mine:
            return "it is a backup, which gets requests only when all others fail"
        if all(peer.server.down for peer in mine):
            return "it is marked down"
        return "no requests go to it, or it cannot be predicted which do"

    def least_number(self, head: str, tail: str, address: str, tries: int) -> int | None:  # noqa: D102 - see Placement
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
        found = first_reachable(self.order(key), unreachable)
        if found is None:
            raise PlacementUndetermined(
                f"no server is left for key {key!r}: nginx answers 502 when all of "
                f"{', '.join(self.addresses) or 'its servers'} are down or refuse. "
                "Start one of them"
            )
        return found

    def _goes_to(self, address: str, key: bytes) -> bool:
        try:
            return self.place(key) == address
        except PlacementUndetermined:
            return False


class NginxHash(NginxPlacement):
    """``hash KEY;``: the plain hash of nginx and of Cache::Memcached.

    The sum of ``(crc32(rehash + key) >> 16) & 0x7fff`` over the tries, modulo the total
    weight, counts off the peers by their weights; ``rehash`` is empty, then 1, 2, ...
    A peer that is down or was tried is skipped.

    Parameters
    ----------
    servers : iterable of str
        Parameters of the upstream's ``server`` lines, in the order of the file.
    resolve : callable, optional
        Returns the addresses of a host name; each becomes a peer with the full weight.

    Raises
    ------
    InvalidPlacement
        nginx would refuse the servers.

    Examples
    --------
    >>> upstream = NginxHash(["10.0.0.1:8093", "10.0.0.2:8093", "10.0.0.3:8093"])
    >>> upstream.place("a1b2")
    '10.0.0.3:8093'
    >>> list(upstream.order("a1b2"))
    ['10.0.0.3:8093', '10.0.0.1:8093', '10.0.0.2:8093']
    """

    def __init__(self, servers: Iterable[str], resolve: Resolve | None = None) -> None:
        super().__init__(servers, resolve)
        self._bounds = list(accumulate(peer.server.weight for peer in self._peers))
        self._modulus = 1 if self._vague else self._bounds[-1]
        self._cells: list[str | None] = [None] if self._vague else []
        if not self._vague:
            for i, peer in enumerate(self._peers):
                # There are never more cells than hash values.
                count = min(peer.server.weight, HASHES - len(self._cells))
                self._cells += [peer.address if i in self._live else None] * count

    def place(self, key: str | bytes, unreachable: Collection[str] = ()) -> str:  # noqa: D102 - see Placement
        data = key.encode() if isinstance(key, str) else key
        address = self._cells[(crc32(data) >> 16 & 0x7FFF) % self._modulus]
        if unreachable or not data or address is None:
            return self._first_reachable(data, unreachable)
        return address

    def _why_vague(self) -> str:
        # Each address has a share of the hash values, so all must be known, in order.
        for peer in self._peers:
            if peer.server.at_run_time:
                return (
                    f"nginx looks up {peer.server.text!r} while it runs "
                    f"({peer.server.at_run_time}), and the plain hash depends on what it finds"
                )
            if peer.address is None:
                return _unresolved(peer.server.text)
        return ""

    def _cell(self, crc: int) -> str | None:
        return self._cells[(crc >> 16 & 0x7FFF) % self._modulus]

    def _hashed(self, key: bytes, left: set[int]) -> Iterator[str]:
        total = rehash = skips = 0
        while left and skips <= MOST_SKIPS:
            again = b"%d" % rehash if rehash else b""
            total = (total + (crc32(again + key) >> 16 & 0x7FFF)) % CIRCLE
            rehash += 1
            i = bisect_right(self._bounds, total % self._bounds[-1])
            if i in left:
                left.remove(i)
                yield str(self._peers[i].address)
            else:
                skips += 1

    @cached_property
    def _shares(self) -> dict[str | None, float]:
        rounds, rest = divmod(HASHES, self._modulus)
        counts: Counter[str | None] = Counter()
        for i, address in enumerate(self._cells):
            counts[address] += rounds + (i < rest)
        return {address: count / HASHES for address, count in counts.items()}


class NginxConsistentHash(NginxPlacement):
    """``hash KEY consistent;``: the ketama ring of nginx and of Cache::Memcached::Fast.

    Each server has 160 points per weight on a circle of 32 bits, chained from the text
    of its address: ``crc32(HOST NUL PORT previous)``. A key goes to the server of the
    first point at or after ``crc32(key)``. The ring depends on the text, so it changes with
    another port or another name for the same machine.

    Parameters
    ----------
    servers : iterable of str
        Parameters of the upstream's ``server`` lines, in the order of the file.
    resolve : callable, optional
        Returns the addresses of a host name. If a name has several, nginx takes turns
        among them, and nothing is predicted.

    Raises
    ------
    InvalidPlacement
        nginx would refuse the servers, or the sum of their weights is above 20,000.

    Examples
    --------
    >>> upstream = NginxConsistentHash(["10.0.0.1:8093", "10.0.0.2:8093", "10.0.0.3:8093"])
    >>> upstream.place("a1b2")
    '10.0.0.2:8093'
    >>> upstream.place("a1b2", unreachable=["10.0.0.2:8093"])
    '10.0.0.1:8093'
    """

    def __init__(self, servers: Iterable[str], resolve: Resolve | None = None) -> None:
        super().__init__(servers, resolve)
        self._groups: dict[str, list[int]] = {}
        for i, peer in enumerate(self._peers):
            self._groups.setdefault(peer.server.text, []).append(i)
        self._points = array("I")
        self._texts: list[str] = []
        self._cells: list[str | None] = [None]
        if not self._vague:
            # The addresses of one server line have the same points.
            lines = dict.fromkeys(peer.server for peer in self._peers)
            self._points, self._texts = _make_ring(lines)
            only = {text: self._only_address(group) for text, group in self._groups.items()}
            self._cells = list(map(only.__getitem__, self._texts))
            # After the last point the circle begins again.
            self._cells.append(self._cells[0])
        self._shift, self._starts = _sectors(self._points)

    def place(self, key: str | bytes, unreachable: Collection[str] = ()) -> str:  # noqa: D102 - see Placement
        data = key.encode() if isinstance(key, str) else key
        crc, starts = crc32(data), self._starts
        sector = crc >> self._shift
        address = self._cells[bisect_left(self._points, crc, starts[sector], starts[sector + 1])]
        if unreachable or not data or address is None:
            return self._first_reachable(data, unreachable)
        return address

    def _why_vague(self) -> str:
        for peer in self._peers:
            if peer.server.at_run_time == "service":
                return f"the ring has the names in the SRV records of {peer.server.text!r}"
        return ""

    def _cell(self, crc: int) -> str | None:
        sector = crc >> self._shift
        lower, upper = self._starts[sector], self._starts[sector + 1]
        return self._cells[bisect_left(self._points, crc, lower, upper)]

    def _hashed(self, key: bytes, left: set[int]) -> Iterator[str]:
        position = bisect_left(self._points, crc32(key))
        skips = 0
        while left and skips <= MOST_SKIPS:
            text = self._texts[position % len(self._points)]
            group = [i for i in self._groups[text] if i in left]
            if group:
                yield _one_address([self._peers[i] for i in group], f"{text!r} has several")
                left.remove(group[0])
            else:
                position += 1
                skips += 1

    def _only_address(self, group: list[int]) -> str | None:
        found = {self._peers[i].address for i in group if i in self._live}
        return found.pop() if len(found) == 1 else None

    @cached_property
    def _shares(self) -> dict[str | None, float]:
        if not self._points:
            return {None: 1.0}
        arcs: Counter[str | None] = Counter()
        before = self._points[-1] - CIRCLE
        for point, address in zip(self._points, self._cells, strict=False):
            arcs[address] += point - before
            before = point
        return {address: arc / CIRCLE for address, arc in arcs.items()}


def nginx_placement(
    directive: str, servers: Iterable[str], *, resolve: Resolve | None = None
) -> NginxHash | NginxConsistentHash:
    """Make the placement of an upstream from the text of its directives.

    Parameters
    ----------
    directive : str
        The ``hash`` directive, such as ``"hash $http_machineid consistent;"``. `key_for`
        evaluates its key.
    servers : iterable of str
        Parameters of the upstream's ``server`` lines, in the order of the file.
    resolve : callable, optional
        Returns the addresses of a host name.

    Returns
    -------
    NginxHash or NginxConsistentHash

    Raises
    ------
    InvalidPlacement
        nginx would refuse it, or the directive is not ``hash``.
    """
    method = NginxConsistentHash if parse_hash(directive).consistent else NginxHash
    return method(servers, resolve)


def _make_ring(servers: Iterable[Server]) -> tuple[array[int], list[str]]:
    """Return points on a circle of 2**32, in order, and the text of each point's server."""
    servers = list(servers)
    if sum(server.weight for server in servers) > HEAVIEST_RING:
        raise InvalidPlacement(
            f"the sum of the weights is above {HEAVIEST_RING:,}, and nginx would keep "
            f"{POINTS_PER_WEIGHT} points for each; use smaller weights in the same proportion"
        )
    owners: dict[int, str] = {}
    for server in servers:
        base = crc32(_hashed_text(server.text))
        point = 0
        for _ in range(POINTS_PER_WEIGHT * server.weight):
            point = crc32(point.to_bytes(4, "little"), base)
            # Of equal points, the first in the file stays.
            owners.setdefault(point, server.text)
    # An array, because a search in a list of numbers waits for memory.
    points = array("I", sorted(owners))
    return points, list(map(owners.__getitem__, points))


def _sectors(points: array[int]) -> tuple[int, array[int]]:
    """Divide the circle into equal sectors, so that a search takes few steps.

    The sector of a point is ``point >> shift``; ``starts`` holds the position of each sector's
    first point, and the number of points.
    """
    bits = max(1, len(points) // POINTS_PER_SECTOR).bit_length() - 1
    shift = 32 - bits
    starts = (bisect_left(points, sector << shift) for sector in range((1 << bits) + 1))
    return shift, array("I", starts)


def _hashed_text(text: str) -> bytes:
    if text[:5].lower() == "unix:":
        return text[5:].encode() + b"\0"
    host, colon, port = text.rpartition(":")
    if colon and port.isdecimal() and port.isascii():
        return host.encode() + b"\0" + port.encode()
    return text.encode() + b"\0"


def _turns(peers: list[Peer], reason: str) -> Iterator[str]:
    # Round robin over one address is certain: the remaining peers must share it.
    for _ in peers:
        yield _one_address(peers, reason)


def _one_address(peers: list[Peer], reason: str) -> str:
    """Return the address that all peers share; raise if they differ."""
    found = {peer.address: peer.server.text for peer in peers}
    if None in found:
        raise PlacementUndetermined(_unresolved(found[None]))
    if len(found) > 1:
        raise PlacementUndetermined(
            f"{reason}: nginx takes turns among {', '.join(map(str, found))}, "
            "depending on earlier requests. Ask the proxy itself: pavics-affinity probe URL"
        )
    return str(next(iter(found)))


def _unresolved(text: str) -> str:
    return f"the addresses of {text!r} are not known; pass resolve= with what nginx resolves it to"

"""nginx's ``hash`` methods, bit for bit: which backend a key goes to.

Made from the behaviour of ``ngx_http_upstream_hash_module`` and the round robin under
it (1.22 to 1.31), and held against a running nginx by the tests.

A placement predicts the tries of *one* request to a proxy whose servers count as
healthy: nginx's memory of failures (``max_fails``), full servers (``max_conns``) and
limits on retries (``proxy_next_upstream``) are its own. Where nginx turns to weighted
round robin, what it does depends on the requests before; if more than one address is
left then, nothing is predicted and `PlacementUndetermined` raised.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from itertools import accumulate
from zlib import crc32

from .keys import parse_hash
from .ring import CIRCLE, make_ring, sectors
from .servers import Resolve
from .upstream import MOST_SKIPS, NginxPlacement, one_address, unresolved

HASHES = 1 << 15  # the plain hash keeps 15 bits of the CRC


class NginxHash(NginxPlacement):
    """``hash KEY;``: the plain hash of nginx, that of Cache::Memcached.

    The sum of ``(crc32(rehash + key) >> 16) & 0x7fff`` over the tries, modulo the total
    weight, counts off the peers by their weights; ``rehash`` is empty, then 1, 2, ...
    A peer that is down or was tried is skipped.

    Parameters
    ----------
    servers : iterable of str
        Parameters of the upstream's ``server`` lines, in the order of the file.
    resolve : callable, optional
        Name of a host to the list of its addresses; each becomes a peer with the full
        weight.

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
                # More cells than there are hash values would never be read.
                count = min(peer.server.weight, HASHES - len(self._cells))
                self._cells += [peer.address if i in self._live else None] * count

    def place(self, key: str | bytes, unreachable: Collection[str] = ()) -> str:  # noqa: D102 - see the base
        data = key.encode() if isinstance(key, str) else key
        address = self._cells[(crc32(data) >> 16 & 0x7FFF) % self._modulus]
        if unreachable or not data or address is None:
            return self._first_reachable(data, unreachable)
        return address

    def _why_vague(self) -> str:
        # Each address has a share of the hash values: all must be known, in their order.
        for peer in self._peers:
            if peer.server.at_run_time:
                return (
                    f"nginx looks up {peer.server.text!r} while it runs "
                    f"({peer.server.at_run_time}), and the plain hash depends on what it finds"
                )
            if peer.address is None:
                return unresolved(peer.server.text)
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
    """``hash KEY consistent;``: the ketama ring of nginx, that of Cache::Memcached::Fast.

    Each server has 160 points per weight on a circle of 32 bits, chained from the text
    of its address: ``crc32(HOST NUL PORT previous)``. A key goes to the server of the
    first point at or after ``crc32(key)``. The text is what is hashed, so another port
    or another name for the same machine gives another ring.

    Parameters
    ----------
    servers : iterable of str
        Parameters of the upstream's ``server`` lines, in the order of the file.
    resolve : callable, optional
        Name of a host to the list of its addresses. Among several addresses of one
        name nginx takes turns, and nothing is predicted.

    Raises
    ------
    InvalidPlacement
        nginx would refuse the servers, or their weights sum up to more than 20,000.

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
            self._points, self._texts = make_ring(lines)
            only = {text: self._only_address(group) for text, group in self._groups.items()}
            self._cells = list(map(only.__getitem__, self._texts))
            # Behind the last point the circle begins anew.
            self._cells.append(self._cells[0])
        self._shift, self._starts = sectors(self._points)

    def place(self, key: str | bytes, unreachable: Collection[str] = ()) -> str:  # noqa: D102 - see the base
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
                yield one_address([self._peers[i] for i in group], f"{text!r} has several")
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
        The ``hash`` directive, such as ``"hash $http_machineid consistent;"``. Its key
        is evaluated by `key_for`.
    servers : iterable of str
        Parameters of the upstream's ``server`` lines, in the order of the file.
    resolve : callable, optional
        Name of a host to the list of its addresses.

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

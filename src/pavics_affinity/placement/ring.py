"""The points of nginx's consistent hash: the ketama ring of Cache::Memcached::Fast."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from zlib import crc32

from ..errors import InvalidPlacement
from .servers import Server

POINTS_PER_WEIGHT = 160
HEAVIEST_RING = 20_000
"""Total weight up to which a ring is built: 3.2 million points."""

CIRCLE = 1 << 32
POINTS_PER_SECTOR = 4


def make_ring(servers: Iterable[Server]) -> tuple[array[int], list[str]]:
    """Make the points of an upstream.

    Parameters
    ----------
    servers : iterable of Server
        Its lines, in the order of the file.

    Returns
    -------
    points : array of int
        Places on a circle of 2**32, in order.
    texts : list of str
        For each the address, as it is written, of the server that owns it.

    Raises
    ------
    InvalidPlacement
        The weights sum up to more than 20,000.
    """
    servers = list(servers)
    if sum(server.weight for server in servers) > HEAVIEST_RING:
        raise InvalidPlacement(
            f"the weights sum up to more than {HEAVIEST_RING:,}, and nginx would keep "
            f"{POINTS_PER_WEIGHT} points for each; use smaller weights in the same proportion"
        )
    owners: dict[int, str] = {}
    for server in servers:
        base = crc32(_base(server.text))
        point = 0
        for _ in range(POINTS_PER_WEIGHT * server.weight):
            point = crc32(point.to_bytes(4, "little"), base)
            # Of equal points the first in the file stays.
            owners.setdefault(point, server.text)
    # Numbers side by side: a search in a list of them would wait for memory.
    points = array("I", sorted(owners))
    return points, list(map(owners.__getitem__, points))


def sectors(points: array[int]) -> tuple[int, array[int]]:
    """Cut the circle into equal sectors, for a search in few steps.

    Parameters
    ----------
    points : array of int
        Places on the circle, in order.

    Returns
    -------
    shift : int
        The sector of a place is ``place >> shift``.
    starts : array of int
        Position in `points` of the first point of each sector, and their number.
    """
    bits = max(1, len(points) // POINTS_PER_SECTOR).bit_length() - 1
    shift = 32 - bits
    starts = (bisect_left(points, sector << shift) for sector in range((1 << bits) + 1))
    return shift, array("I", starts)


def _base(text: str) -> bytes:
    if text[:5].lower() == "unix:":
        return text[5:].encode() + b"\0"
    host, colon, port = text.rpartition(":")
    if colon and port.isdecimal() and port.isascii():
        return host.encode() + b"\0" + port.encode()
    return text.encode() + b"\0"

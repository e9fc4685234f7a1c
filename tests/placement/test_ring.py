"""The points of a ring are those that nginx makes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from zlib import crc32

from pavics_affinity.placement.ring import make_ring
from pavics_affinity.placement.servers import parse_server

ONE, OTHER = "10.0.0.1:8093", "10.0.0.2:8093"


def test_each_server_has_160_points_per_weight():
    points, owners = make_ring(map(parse_server, [ONE, f"{OTHER} weight=3"]))
    assert Counter(owners) == {ONE: 160, OTHER: 480}
    assert all(one < next_ for one, next_ in pairwise(points))


def test_each_point_is_chained_from_the_one_before_it():
    points, _ = make_ring([parse_server(ONE)])
    expected, point = set(), 0
    for _ in range(160):
        point = crc32(b"10.0.0.1\0" + b"8093" + point.to_bytes(4, "little"))
        expected.add(point)
    assert set(points) == expected

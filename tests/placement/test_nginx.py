from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import count, pairwise
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavics_affinity.errors import InvalidPlacement, PlacementUndetermined
from pavics_affinity.placement import NginxConsistentHash, NginxHash, key_for, nginx_placement
from pavics_affinity.placement.nginx import _make_ring
from pavics_affinity.placement.servers import parse_server

from .vectors import load

METHODS = [NginxHash, NginxConsistentHash]
THREE = ["127.0.0.2:80", "127.0.0.3:80", "127.0.0.4:80"]
# Among 2 x 160 points of these, one is the same.
COLLIDING = ["127.0.3.20:22101", "127.0.3.90:22101"]
SHARED_POINT = 2970221181
KEYS = [f"key-{i}" for i in range(400)]


def answer(placement: Any, key: str | bytes) -> tuple[list[str], str | None]:
    """The order, and the reason why it ends early."""
    order = []
    try:
        for address in placement.order(key):
            order.append(address)
    except PlacementUndetermined as error:
        return order, str(error)
    return order, None


@pytest.mark.parametrize("entry", [pytest.param(entry, id=name) for name, entry in load()])
def test_every_recorded_placement_is_equal(entry: dict[str, Any]):
    names = entry.get("resolve", {})
    placement = nginx_placement(entry["directive"], entry["servers"], resolve=names.__getitem__)
    dead = entry.get("dead", [])
    for text, expected in entry["placements"].items():
        key = key_for(entry["directive"], text, uri=entry.get("uri"), host=entry.get("host"))
        assert placement.place(key, unreachable=dead) == expected
        assert next(a for a in placement.order(key) if a not in dead) == expected
        assert placement.place(key.encode(), unreachable=dead) == expected


@pytest.mark.parametrize("method", METHODS)
class TestBothMethods:
    def test_the_first_in_order_is_the_place(self, method):
        placement = method(["a:1 weight=3", *THREE, "127.0.0.3:80 down"], resolve=lambda _: ["::1"])
        for key in KEYS:
            assert placement.place(key) == next(placement.order(key))

    def test_order_names_each_server_once_and_never_one_that_is_down(self, method):
        placement = method([*THREE, "127.0.0.5:80 down"])
        complete = 0
        for key in KEYS:
            order, reason = answer(placement, key)
            assert len(set(order)) == len(order)
            assert set(order) <= set(THREE)
            if reason is None:
                assert set(order) == set(THREE)
                complete += 1
        assert complete > 350

    def test_unreachable_servers_are_passed_over_in_order(self, method):
        placement = method(THREE)
        for key in KEYS:
            order, reason = answer(placement, key)
            if reason is None:
                assert placement.place(key, unreachable=order[:1]) == order[1]
                assert placement.place(key, unreachable=set(order[:2])) == order[2]
                assert placement.place(key, unreachable=order[0]) == order[1]

    def test_nothing_is_left_when_all_are_unreachable(self, method):
        with pytest.raises(PlacementUndetermined, match="502"):
            method(THREE[:1]).place("a", unreachable=THREE)

    def test_all_down_is_an_order_of_none(self, method):
        placement = method([f"{server} down" for server in THREE])
        assert list(placement.order("a")) == []
        with pytest.raises(PlacementUndetermined, match="all of"):
            placement.place("a")

    def test_an_empty_key_cannot_be_predicted(self, method):
        for key in ("", b""):
            with pytest.raises(PlacementUndetermined, match="key is empty"):
                method(THREE).place(key)

    @pytest.mark.parametrize("key", ["", "a"])
    def test_a_single_server_gets_every_key(self, method, key):
        assert list(method(["127.0.0.2:80 weight=7"]).order(key)) == ["127.0.0.2:80"]

    def test_the_one_server_that_is_up_gets_every_key(self, method):
        placement = method(["127.0.0.2:80 down weight=500", "127.0.0.3:80", "127.0.0.4:80 down"])
        assert {placement.place(key) for key in KEYS} == {"127.0.0.3:80"}

    def test_more_than_twenty_skips_end_the_prediction(self, method):
        placement = method(["127.0.0.2:80 down weight=900", "127.0.0.3:80", "127.0.0.4:80"])
        reasons = [reason for key in KEYS if (reason := answer(placement, key)[1])]
        assert len(reasons) > 200
        assert all(reason.startswith("more than 20 skips") for reason in reasons)

    def test_twenty_skips_are_still_predicted(self, method):
        placement = method(["127.0.0.2:80 down weight=40", "127.0.0.3:80", "127.0.0.4:80"])
        seen = set()
        for key in map(str, range(2000)):
            skips = skips_before_the_first(placement, key)
            seen.add(skips)
            if skips <= 20:
                assert placement.place(key) in {"127.0.0.3:80", "127.0.0.4:80"}
            else:
                with pytest.raises(PlacementUndetermined):
                    placement.place(key)
        assert {19, 20, 21, 22} <= seen

    def test_a_backup_comes_last(self, method):
        placement = method(["127.0.0.9:80 backup", *THREE[:2]])
        order = list(placement.order("a"))
        assert order[2] == "127.0.0.9:80"
        assert set(order[:2]) == set(THREE[:2])

    def test_several_backups_end_the_prediction(self, method):
        placement = method([*THREE[:2], "127.0.0.8:80 backup", "127.0.0.9:80 backup"])
        order, reason = answer(placement, "a")
        assert len(order) == 2
        assert "127.0.0.8:80, 127.0.0.9:80" in reason

    def test_one_backup_that_is_up_is_predicted(self, method):
        placement = method([*THREE[:2], "127.0.0.8:80 backup", "127.0.0.9:80 backup down"])
        assert list(placement.order("a"))[2:] == ["127.0.0.8:80"]

    def test_a_server_named_twice_is_tried_twice(self, method):
        order = list(method(["127.0.0.2:80", "127.0.0.3:80", "127.0.0.2:80"]).order("b"))
        assert sorted(order) == ["127.0.0.2:80", "127.0.0.2:80", "127.0.0.3:80"]

    def test_addresses_are_in_the_order_of_the_file(self, method):
        placement = method(
            ["[::1]:8", "127.0.0.9:1 backup", "n:2", "unix:/x", "127.0.0.9:1"],
            resolve=lambda _: ["127.0.0.7", "127.0.0.6"],
        )
        assert placement.addresses == (
            "[::1]:8",
            "127.0.0.9:1",
            "127.0.0.7:2",
            "127.0.0.6:2",
            "unix:/x",
        )

    def test_a_name_that_does_not_resolve_is_never_guessed(self, method):
        def fails(name: str) -> list[str]:
            raise OSError(name)

        for resolve in (None, fails, lambda _: [], {}.__getitem__):
            placement = method(["node1.example.test:80", "node2.example.test:80"], resolve)
            with pytest.raises(PlacementUndetermined, match=r"node[12]\.example\.test:80"):
                placement.place("a")

    def test_shares_of_all_addresses_add_up_to_one(self, method):
        placement = method([*THREE, "127.0.0.5:80 weight=4"])
        assert sum(map(placement.share, placement.addresses)) == pytest.approx(1)
        assert placement.share("127.0.0.5:80") == pytest.approx(4 / 7, rel=0.1)
        assert placement.share("127.0.0.99:80") == 0

    def test_shares_are_what_keys_do(self, method):
        placement = method([*THREE, "127.0.0.5:80 weight=4 down"])
        direct = [key for key in map(str, range(20_000)) if placement._cell(crc32(key.encode()))]
        for server in THREE:
            seen = sum(placement.place(key) == server for key in direct) / 20_000
            assert seen == pytest.approx(placement.share(server), abs=0.02)
        assert placement.share("127.0.0.5:80") == 0

    def test_a_plain_string_is_refused_as_list_of_servers(self, method):
        with pytest.raises(InvalidPlacement, match="list"):
            method("127.0.0.1:80")

    @pytest.mark.parametrize("servers", [[], ["127.0.0.1:80 backup"]])
    def test_an_upstream_needs_a_server_that_is_not_a_backup(self, method, servers):
        with pytest.raises(InvalidPlacement, match="not backups"):
            method(servers)

    @given(key=st.binary(min_size=1), dead=st.sets(st.sampled_from(THREE), max_size=2))
    def test_any_key_goes_to_a_living_server_or_to_none(self, method, key, dead):
        try:
            assert method(THREE).place(key, unreachable=dead) in set(THREE) - dead
        except PlacementUndetermined:
            assert dead


def skips_before_the_first(placement: NginxHash | NginxConsistentHash, key: str) -> int:
    """How often nginx comes to the first of the servers, which is down."""
    if isinstance(placement, NginxConsistentHash):
        start = bisect_left(placement._points, crc32(key.encode()))
        texts = placement._texts[start:] + placement._texts[:start]
        return next(i for i, text in enumerate(texts) if text != "127.0.0.2:80")
    total = 0
    for i in count():
        total += crc32(f"{i or ''}{key}".encode()) >> 16 & 0x7FFF
        if total % 42 >= 40:
            return i
    raise AssertionError


def ring_point(ring: NginxConsistentHash, key: str) -> int:
    position = bisect_left(ring._points, crc32(key.encode()))
    return ring._points[position % len(ring._points)]


def test_plain_makes_a_peer_of_each_address_of_a_name():
    names = {"two.example.test": ["127.0.0.2", "127.0.0.3"]}.__getitem__
    by_name = NginxHash(["two.example.test:80 weight=2", "127.0.0.4:80"], resolve=names)
    by_hand = NginxHash(["127.0.0.2:80 weight=2", "127.0.0.3:80 weight=2", "127.0.0.4:80"])
    for key in KEYS:
        assert answer(by_name, key)[0] == answer(by_hand, key)[0]


def test_consistent_predicts_until_it_meets_a_name_with_several_addresses():
    names = {"two.example.test": ["127.0.0.2", "127.0.0.3"]}.__getitem__
    servers = ["two.example.test:80", "127.0.0.4:80"]
    placement = NginxConsistentHash(servers, resolve=names)
    answers = [answer(placement, key) for key in KEYS]
    assert all("takes turns among 127.0.0.2:80, 127.0.0.3:80" in str(why) for _, why in answers)
    firsts = {tuple(order) for order, _ in answers}
    assert firsts == {(), ("127.0.0.4:80",)}


def test_consistent_hashes_the_name_and_not_the_address():
    by_name = NginxConsistentHash(
        ["a.example.test:80", "b.example.test:80"],
        lambda n: {"a.example.test": ["127.0.0.2"], "b.example.test": ["127.0.0.3"]}[n],
    )
    by_address = NginxConsistentHash(["127.0.0.2:80", "127.0.0.3:80"])
    together = sum(by_name.place(key) == by_address.place(key) for key in KEYS)
    assert 0.3 < together / len(KEYS) < 0.7


def test_of_colliding_points_the_first_in_the_file_stays():
    first, second = "127.215.82.169:27811", "127.156.246.46:31464"
    assert {NginxConsistentHash([first, second]).place(key) for key in KEYS} == {first}
    assert {NginxConsistentHash([second, first]).place(key) for key in KEYS} == {second}
    assert NginxConsistentHash([first, second]).share(second) == 0


@pytest.mark.parametrize("servers", [COLLIDING, COLLIDING[::-1]])
def test_a_single_colliding_point_goes_to_the_first_too(servers: list[str]):
    ring = NginxConsistentHash(servers)
    keys = [key for key in map(str, range(200_000)) if ring_point(ring, key) == SHARED_POINT]
    assert len(keys) > 20
    assert {ring.place(key) for key in keys} == {servers[0]}
    assert {answer(ring, key)[0][0] for key in keys} == {servers[0]}


def test_plain_cannot_know_what_nginx_looks_up_while_it_runs():
    placement = NginxHash(["n.example.test:80 resolve", THREE[0]], resolve=lambda _: ["127.0.0.9"])
    with pytest.raises(PlacementUndetermined, match="while it runs"):
        placement.place("a")


def test_consistent_can_where_the_name_has_one_address():
    looked_up = NginxConsistentHash(
        ["n.example.test:80 resolve", THREE[0]], lambda _: ["127.0.0.9"]
    )
    fixed = NginxConsistentHash(["n.example.test:80", THREE[0]], lambda _: ["127.0.0.9"])
    assert [looked_up.place(key) for key in KEYS] == [fixed.place(key) for key in KEYS]


def test_consistent_cannot_know_the_names_in_srv_records():
    placement = NginxConsistentHash(["n.example.test service=http resolve", THREE[0]])
    with pytest.raises(PlacementUndetermined, match="SRV"):
        placement.place("a")


def test_weights_beyond_the_hash_values_get_nothing():
    placement = NginxHash(["127.0.0.2:80 weight=40000", "127.0.0.3:80"])
    assert placement.share("127.0.0.2:80") == 1
    assert next(placement.order("a")) == "127.0.0.2:80"


def test_a_ring_of_absurd_weight_is_refused():
    with pytest.raises(InvalidPlacement, match="smaller weights"):
        NginxConsistentHash(["127.0.0.2:80 weight=1000000000", "127.0.0.3:80"])


def test_the_directive_decides_the_method():
    assert type(nginx_placement("hash $http_machineid;", THREE)) is NginxHash
    assert type(nginx_placement("hash $http_machineid", THREE)) is NginxHash
    assert type(nginx_placement("  hash $x  consistent ;", THREE)) is NginxConsistentHash


@pytest.mark.parametrize(
    "directive",
    [
        "ip_hash;",
        "least_conn",
        "",
        "hash;",
        "hash $a sticky;",
        "hash $a consistent x;",
        "hash $a; x",
        None,
    ],
)
def test_any_other_directive_is_refused(directive):
    with pytest.raises(InvalidPlacement, match="expected 'hash"):
        nginx_placement(directive, THREE)


# ---- the ring ----

ONE, OTHER = "10.0.0.1:8093", "10.0.0.2:8093"


def test_each_server_has_160_points_per_weight():
    points, owners = _make_ring(map(parse_server, [ONE, f"{OTHER} weight=3"]))
    assert Counter(owners) == {ONE: 160, OTHER: 480}
    assert all(one < next_ for one, next_ in pairwise(points))


def test_each_point_is_chained_from_the_one_before_it():
    points, _ = _make_ring([parse_server(ONE)])
    expected, point = set(), 0
    for _ in range(160):
        point = crc32(b"10.0.0.1\0" + b"8093" + point.to_bytes(4, "little"))
        expected.add(point)
    assert set(points) == expected

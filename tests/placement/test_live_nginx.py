"""Fresh random keys through the nginx of this machine, so that a new nginx is noticed."""

from __future__ import annotations

import os
import random
import socket
import uuid
from collections.abc import Iterator
from itertools import zip_longest

import pytest

from pavics_affinity.errors import PlacementUndetermined
from pavics_affinity.placement import NginxConsistentHash, key_for, nginx_placement, steer

from .drawn import draw_case, draw_keys
from .live import Case, Nginx, running
from .test_nginx import SHARED_POINT, ring_point

PLAIN = "hash $http_machineid;"
RING = "hash $http_machineid consistent;"
NEVER_MARKED = " max_fails=0"


def alive(*parameters: str) -> tuple[str, ...]:
    return tuple(f"{{{i}}} {rest}".rstrip() for i, rest in enumerate(parameters))


def refusing(*parameters: str, net: int = 88) -> tuple[str, ...]:
    # Nothing listens there: nginx goes through all its tries, and we see their order.
    return tuple(
        f"127.0.{net}.{i + 1}:{{dead}} {rest}{NEVER_MARKED}" for i, rest in enumerate(parameters)
    )


SERVERS = {
    "three": alive("", "", ""),
    "two": alive("", ""),
    "hundred": alive(*[""] * 100),
    "weights": alive("weight=1", "weight=2", "weight=5", "weight=40"),
    "heavy": alive("weight=30000", "weight=30000", "weight=7"),
    "down": alive("", "down", "weight=3", "down weight=2", ""),
    "only_one_up": alive("down", "", "down", "down weight=5"),
    "repeated": ("{0}", "{1} weight=2", "{0}", "{0} weight=3", "{2}"),
    "repeated_down": ("{0} down", "{1}", "{0}", "{2}"),
    "one": alive("weight=3"),
    "one_and_backup": ("{0}", "{1} backup"),
    "backup": ("{0}", "{1}", "{2} backup", "{3} backup"),
    "all_down_but_backup": ("{0} down", "{1} down", "{2} backup"),
    "socket": ("unix:{sockets}/alive.sock", "{0}", "{1}"),
    "refused_three": refusing("", "", ""),
    "refused_nine": refusing(*[""] * 9),
    "refused_hundred": refusing(*[""] * 100),
    "refused_weights": refusing("weight=1", "weight=2", "weight=5", "weight=40"),
    "refused_down": refusing("", "down", "weight=3", "down weight=7", ""),
    "refused_heavy_down": refusing("down weight=90", "", "weight=2"),
    "refused_one_left": refusing("down weight=300", "", "down"),
    "refused_repeated": (
        *refusing("", ""),
        *refusing("weight=2"),
        *refusing("", "", net=89),
        *refusing("weight=4", net=89),
    ),
    "refused_backup": (*refusing("", "weight=2"), *refusing("backup", "backup down", net=89)),
    "refused_backups": (*refusing("", ""), *refusing("backup", "backup", net=89)),
    "refused_same_backups": (*refusing("", ""), *refusing("backup") * 2),
    "refused_one": refusing(""),
    "refused_one_and_backup": (*refusing(""), *refusing("backup", net=89)),
    # CRC-32 of host, NUL, port is the same for both, and so is each of their points.
    "refused_colliding": (
        "127.215.82.169:27811 max_fails=0",
        "127.156.246.46:31464 max_fails=0",
        *refusing("", ""),
    ),
    "refused_colliding_sockets": (
        "unix:{sockets}/h3sk5otk max_fails=0",
        *refusing("", ""),
        "UNIX:{sockets}/8i8e8pg5 weight=2 max_fails=0",
    ),
    "refused_names": ("localhost:{dead} max_fails=0", "LOCALHOST:{dead} max_fails=0", "{0}", "{1}"),
    "refused_ipv6": ("[::1]:{dead} max_fails=0", "[0:0::0001]:{dead} max_fails=0", "{0}"),
    "refused_odd_spelling": ("127.0.00.88:{dead} max_fails=0", "127..88.1:{dead} max_fails=0"),
    "refused_no_port": (
        "127.0.91.1 max_fails=0",
        "127.0.91.2 max_fails=0",
        "127.0.91.3 max_fails=0",
    ),
}
CASES = [
    Case(f"{name}_{method}", directive, servers)
    for name, servers in SERVERS.items()
    for method, directive in (("plain", PLAIN), ("ring", RING))
    if (name, method) != ("heavy", "ring")  # nginx would build 10 million points
]
MARKED = [
    Case(f"marked_{method}", directive, ("{0}", "127.0.88.1:{dead}", "{1} weight=2"))
    for method, directive in (("plain", PLAIN), ("ring", RING))
]
# One of their 160 points each is the same number.
COLLIDING = ("127.0.3.20:22101 max_fails=0", "127.0.3.90:22101 max_fails=0")
ONE_POINT = [
    Case("point_forwards", RING, COLLIDING),
    Case("point_backwards", RING, COLLIDING[::-1]),
]
COMPOSITE = [
    Case("uri_plain", "hash $http_machineid$request_uri;", SERVERS["weights"]),
    Case("uri_ring", 'hash "${http_machineid}-$uri?$args" consistent;', SERVERS["weights"]),
    Case("host_plain", "hash $host$http_machineid$http_host;", SERVERS["weights"]),
    Case("arg_plain", "hash $http_machineid$arg_identifier;", SERVERS["weights"]),
    Case("arg_ring", "hash $arg_Job-$arg_x-$http_machineid consistent;", SERVERS["weights"]),
]


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    with running(
        tmp_path_factory.mktemp("nginx"), [*CASES, *MARKED, *ONE_POINT, *COMPOSITE]
    ) as started:
        yield started


def fresh_keys(count: int) -> list[bytes]:
    seed = int.from_bytes(os.urandom(4))
    print(f"keys from seed {seed}")
    rng = random.Random(seed)
    letters = "abcXYZ019-._~!#$%&'*+^`|é漢🚀"
    keys = []
    for i in range(count):
        if i % 3 == 0:
            keys.append(str(uuid.UUID(int=rng.getrandbits(128))))
        elif i % 3 == 1:
            keys.append(str(rng.randrange(10_000)))
        else:
            keys.append("".join(rng.choices(letters, k=rng.randint(1, 40))))
    return [key.encode() for key in keys]


def resolved(name: str) -> list[str]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nginx_tries_the_servers_in_the_predicted_order(nginx: Nginx, case: Case):
    foreseen = sum(tries_agree(nginx, case, fresh_keys(90)))
    assert foreseen >= 45, "the comparison compares too little"


def tries_agree(nginx: Nginx, case: Case, keys: list[bytes]) -> Iterator[int]:
    """Send keys, hold nginx's tries against the prediction, and give how many were compared."""
    placement = nginx_placement(case.directive, nginx.servers(case), resolve=resolved)
    for key, (status, tried) in zip(keys, nginx.ask(case, keys), strict=True):
        addresses: list[str] = []
        ended = True
        compared = 0
        try:
            for address in placement.order(key):
                addresses.append(address)
        except PlacementUndetermined:
            ended = False
        # nginx stops at the first that answers, and we where the prediction ends.
        for seen, expected in zip_longest(tried, addresses):
            if expected is None and not ended:
                break
            if seen is None and status == 200:
                break
            assert seen == expected, (nginx.servers(case), case.directive, key, tried, addresses)
            compared += 1
        if status == 200 and ended:
            assert placement.place(key, unreachable=tried[:-1]) == tried[-1]
        yield compared


@pytest.mark.parametrize("case", MARKED, ids=lambda case: case.name)
def test_a_dead_server_hands_its_keys_to_the_predicted_ones(nginx: Nginx, case: Case):
    servers = nginx.servers(case)
    placement = nginx_placement(case.directive, servers)
    keys = fresh_keys(300)
    for key, (status, tried) in zip(keys, nginx.ask(case, keys), strict=True):
        assert status == 200
        assert placement.place(key, unreachable=[servers[1]]) == tried[-1], key


def test_upstreams_drawn_at_random_are_predicted(tmp_path):
    seed = int.from_bytes(os.urandom(4))
    print(f"upstreams from seed {seed}")
    rng = random.Random(seed)
    cases = [draw_case(rng, f"drawn{i}") for i in range(60)]
    foreseen = 0
    with running(tmp_path, cases) as nginx:
        for case in cases:
            keys = draw_keys(rng, 30)
            foreseen += sum(tries_agree(nginx, case, keys))
    assert foreseen > 900, "the comparison compares too little"


@pytest.mark.parametrize("case", ONE_POINT, ids=lambda case: case.name)
def test_a_point_that_two_servers_have_goes_to_the_first(nginx: Nginx, case: Case):
    placement = NginxConsistentHash(case.servers)
    keys = [str(i).encode() for i in range(60_000) if ring_point(placement, str(i)) == SHARED_POINT]
    assert len(keys) > 5
    for key, (_, tried) in zip(keys, nginx.ask(case, keys), strict=True):
        assert tried == list(placement.order(key)), key


@pytest.mark.parametrize("case", COMPOSITE, ids=lambda case: case.name)
def test_composite_keys_are_evaluated_as_nginx_does(nginx: Nginx, case: Case):
    placement = nginx_placement(case.directive, nginx.servers(case))
    uri = "/wps?service=WPS&x&identifiers=1&Identifier=sub%20set&job=7&x=&JOB=8"
    keys = fresh_keys(100)
    for key, (_, tried) in zip(keys, nginx.ask(case, keys, uri), strict=True):
        whole = key_for(
            case.directive,
            key.decode(),
            uri=f"/{case.name}{uri}",
            host=f"127.0.0.1:{nginx.front}",
        )
        assert [placement.place(whole)] == tried, key


@pytest.mark.parametrize(
    "name", ["three", "hundred", "weights", "down", "repeated", "backup", "socket"]
)
@pytest.mark.parametrize("method", ["plain", "ring"])
def test_a_steered_key_reaches_its_target_through_nginx(nginx: Nginx, name: str, method: str):
    case = next(case for case in CASES if case.name == f"{name}_{method}")
    placement = nginx_placement(case.directive, nginx.servers(case))
    targets = [address for address in placement.addresses if not placement.obstacle(address)]
    ids = [f"id{i}-{os.urandom(4).hex()}" for i in range(max(30, len(targets)))]
    wanted = [targets[i % len(targets)] for i in range(len(ids))]
    keys = [
        steer(placement, machineid, target).encode()
        for machineid, target in zip(ids, wanted, strict=True)
    ]
    assert [tried for _, tried in nginx.ask(case, keys)] == [[target] for target in wanted]

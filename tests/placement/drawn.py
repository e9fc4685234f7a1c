"""Upstreams drawn at random, of all that a ``server`` line may say beside a hash."""

from __future__ import annotations

import random

from .live import BACKENDS, Case

# Pairs that collide under consistent: CRC-32 of host, NUL, port is the same for both.
COLLIDING = ("127.215.82.169:27811", "127.156.246.46:31464")
DIRECTIVES = ("hash $http_machineid;", "hash $http_machineid consistent;")


def draw_case(rng: random.Random, name: str) -> Case:
    """Draw an upstream; every server that refuses has max_fails=0, so that it does so each time."""
    directive = rng.choice(DIRECTIVES)
    count = rng.choice([1, 2, 2, 3, 3, 3, 4, 5, 8, 15, 40, 100])
    alive = rng.sample(range(BACKENDS), BACKENDS)
    dead_share = rng.choice([0, 0, 0.2, 0.5, 1])
    weighted, marked = rng.random() < 0.5, rng.random() < 0.4
    addresses = [
        _refusing(rng) if rng.random() < dead_share else _answering(rng, alive[i])
        for i in range(count)
    ]
    if rng.random() < 0.3:
        addresses += rng.choices(addresses, k=rng.randint(1, 3))
    lines = [_line(rng, address, weighted, marked) for address in addresses]
    if directive == DIRECTIVES[1] and rng.random() < 0.3:
        lines[:0] = [f"{address} max_fails=0" for address in COLLIDING]
    if rng.random() < 0.3:
        # nginx accepts backups only after a regular server, both before the hash line.
        lines += [f"{_answering(rng, alive[-1])} backup"]
    return Case(name, directive, tuple(lines))


def draw_keys(rng: random.Random, count: int) -> list[bytes]:
    """Draw keys as nginx may get them: short, long, of any bytes that a header may hold."""
    bytes_of_a_header = [b for b in range(0x21, 0x100) if b != 0x7F]
    keys = []
    for i in range(count):
        length = rng.choice([1, 2, 3, 8, 32, 32, 32, 200, 4000])
        if i % 2:
            keys.append(bytes(rng.choices(bytes_of_a_header, k=length)))
        else:
            keys.append(bytes(rng.choices(b"0123456789abcdefghijklmnop-._~", k=length)))
    return keys


def _answering(rng: random.Random, i: int) -> str:
    return rng.choice(
        [f"{{{i}}}"] * 8 + [f"127.0.77.{i + 1}:{{other}}", "unix:{sockets}/alive.sock"]
    )


def _refusing(rng: random.Random) -> str:
    return rng.choice(
        [
            f"127.0.{rng.randint(80, 90)}.{rng.randint(1, 250)}:{{dead}}",
            f"127.0.{rng.randint(80, 90)}.{rng.randint(1, 250)}:{{dead}}",
            f"[::{rng.choice(['1', '0:1', 'ffff:127.0.0.81'])}]:{{dead}}",
            "localhost:{dead}",
            f"unix:{{sockets}}/closed{rng.randint(1, 9)}",
        ]
    )


def _line(rng: random.Random, address: str, weighted: bool, marked: bool) -> str:
    line = address + " max_fails=0"
    if weighted and rng.random() < 0.6:
        line += f" weight={rng.choice([1, 2, 3, 7, 20, 100])}"
    if marked and rng.random() < 0.3:
        line += " down"
    return line

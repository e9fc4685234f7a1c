"""Loopback addresses and ports that belong to one cluster."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

from .control import ClusterError

# Held for as long as the block is used; nothing listens there.
_RESERVATION = 28_417
_RESERVED_HOST = 254
# Below the range that systems use for outgoing connections.
_LOWEST, _HIGHEST = 20_000, 32_000
_TRIES = 50

# A separate generator, because test runners seed the global one, and clusters must differ.
_RANDOM = random.SystemRandom()


class AddressBlock:
    """256 loopback addresses that no other cluster on this machine uses.

    Where only 127.0.0.1 is configured (macOS), `distinct` is False: all hosts
    are 127.0.0.1, and their ports differ instead.
    """

    def __init__(self) -> None:
        self._reservation: socket.socket | None = None
        self._prefix = ""
        self.distinct = _can_bind("127.77.0.1", 0)
        if self.distinct:
            self._reserve()

    def host(self, number: int) -> str:
        """Return an address of the block, by a number from 1 to 253."""
        return f"{self._prefix}.{number}" if self.distinct else "127.0.0.1"

    def port(self, hosts: Iterable[str], preferred: int | None = None) -> int:
        """Choose a port that is free on all hosts: the preferred one if hosts are distinct."""
        hosts = set(hosts)
        candidates = [preferred] if preferred and self.distinct else []
        candidates += _RANDOM.sample(range(_LOWEST, _HIGHEST), _TRIES)
        for port in candidates:
            if all(_can_bind(host, port) for host in hosts):
                return port
        raise ClusterError(f"no free port on {', '.join(sorted(hosts))} among {_TRIES} tried")

    def close(self) -> None:
        """Release the block."""
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None

    def _reserve(self) -> None:
        for _ in range(_TRIES):
            # Low second bytes are in use, as 127.0.0.53 and 127.0.1.1.
            prefix = f"127.{_RANDOM.randint(32, 250)}.{_RANDOM.randint(1, 254)}"
            reservation = socket.socket()
            try:
                reservation.bind((f"{prefix}.{_RESERVED_HOST}", _RESERVATION))
            except OSError:
                reservation.close()
                continue
            self._reservation, self._prefix = reservation, prefix
            return
        raise ClusterError(
            f"no block of loopback addresses is free after {_TRIES} tries; if a program listens on "
            f"0.0.0.0:{_RESERVATION}, stop it"
        )


def _can_bind(host: str, port: int) -> bool:
    with socket.socket() as probe:
        # Like servers, so that ended connections (TIME_WAIT) do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True

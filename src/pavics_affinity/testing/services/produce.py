"""Bytes that are the same on every machine, for outputs of any size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

_CHUNK = 1 << 20


def produced_chunks(megabytes: float, seed: int = 0) -> Iterator[bytes]:
    """Yield what the process ``produce`` writes.

    Each chunk begins with its own number, so that a chunk lost, doubled or
    put elsewhere by a resumed download is noticed.

    Parameters
    ----------
    megabytes : float
        Size in units of 2**20 bytes.
    seed : int, default 0
        Other seeds give other bytes.

    Yields
    ------
    bytes
        At most 2**20 of them.
    """
    size = int(megabytes * _CHUNK)
    block = hashlib.shake_256(b"produce %d" % seed).digest(_CHUNK - 8)
    for number, start in enumerate(range(0, size, _CHUNK)):
        yield (number.to_bytes(8, "big") + block)[: size - start]


def produced_sha256(megabytes: float, seed: int = 0) -> str:
    """Return the SHA-256 of what the process ``produce`` writes, as hexadecimal digits.

    Parameters
    ----------
    megabytes : float
        Size in units of 2**20 bytes.
    seed : int, default 0
        As for `produced_chunks`.
    """
    digest = hashlib.sha256()
    for chunk in produced_chunks(megabytes, seed):
        digest.update(chunk)
    return digest.hexdigest()

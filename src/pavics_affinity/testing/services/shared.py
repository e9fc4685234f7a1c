"""Shared by the owner of a cluster and its backends: settings, log files, produced bytes.

The owner imports this module, so it imports neither PyWPS nor gunicorn.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Answered by the application itself, and not logged.
READY_PATH = "/.local-cluster/ready"

_CHUNK = 1 << 20


@dataclass(frozen=True)
class BackendSettings:
    """One backend: a service on a node, and PyWPS's settings for it.

    `factory` is the ``module:function`` that makes the application of another service.
    """

    node: str
    service: str
    disk: str
    url: str
    outputurl: str
    workers: int
    parallelprocesses: int
    maxprocesses: int
    factory: str | None = None


# ---- logs, written by many processes and read by the owner ----


def append_to_log(path: str | os.PathLike[str], entry: dict[str, Any]) -> None:
    """Append one JSON line to a log, unbroken even while other processes write."""
    line = (json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape")
    # A single write to a file opened for appending, so lines of different processes do not mix.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def read_log(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the complete lines of a log; none if the file is missing."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return []
    # The process that wrote an incomplete last line may have been killed.
    lines = data.split(b"\n")[:-1]
    return [json.loads(line.decode("utf-8", "replace")) for line in lines]


# ---- the output of the process `produce` ----


def produced_chunks(megabytes: float, seed: int = 0) -> Iterator[bytes]:
    """Yield the bytes that the process ``produce`` writes, the same on every machine.

    Each chunk begins with its number, so a test notices if a resumed download
    loses, repeats or misplaces a chunk. A megabyte is 2**20 bytes.
    """
    size = int(megabytes * _CHUNK)
    block = hashlib.shake_256(b"produce %d" % seed).digest(_CHUNK - 8)
    for number, start in enumerate(range(0, size, _CHUNK)):
        yield (number.to_bytes(8, "big") + block)[: size - start]


def produced_sha256(megabytes: float, seed: int = 0) -> str:
    """Return the SHA-256 of the bytes that ``produce`` writes, as hexadecimal digits."""
    digest = hashlib.sha256()
    for chunk in produced_chunks(megabytes, seed):
        digest.update(chunk)
    return digest.hexdigest()

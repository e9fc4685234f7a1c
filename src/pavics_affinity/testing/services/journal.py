"""Append-only logs of a node, written by many processes and read by the cluster's owner."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def append(path: str | os.PathLike[str], entry: dict[str, Any]) -> None:
    """Add an entry to a log of JSON lines; whole, whoever else writes.

    Parameters
    ----------
    path : str or path
        The log; made where it is missing.
    entry : dict
        What JSON can hold.
    """
    line = (json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape")
    # One write to a file opened for appending: lines of different processes do not mix.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def read(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read the whole lines of a log; none where it is missing.

    Parameters
    ----------
    path : str or path
        The log.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return []
    # A line without its end was being written, by a process that may have been killed.
    lines = data.split(b"\n")[:-1]
    return [json.loads(line.decode("utf-8", "replace")) for line in lines]

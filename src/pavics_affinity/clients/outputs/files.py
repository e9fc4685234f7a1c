"""Files that stand under their name whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ...errors import DownloadFailed


@contextlib.contextmanager
def part(path: Path) -> Iterator[BinaryIO]:
    """Open a part file beside a path, which takes its place when the block ends well.

    Raises
    ------
    DownloadFailed
        It could not be written.
    """
    beside = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with writing(path):
        # 0o666 leaves the permissions to the user's umask, which mkstemp would not
        file = os.fdopen(os.open(beside, flags, 0o666), "wb")
    try:
        with file:
            yield file
            with writing(path):
                file.flush()
        with writing(path):
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Say of a fault inside that it is this path that could not be written.

    Raises
    ------
    DownloadFailed
        With the operating system's words.
    """
    try:
        yield
    except DownloadFailed:
        raise
    except OSError as error:
        raise DownloadFailed(f"{str(path)!r} could not be written: {error}") from error

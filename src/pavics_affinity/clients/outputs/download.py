"""Files that come whole or not at all.

A download is streamed into a part file beside its final name; `transfer` handles
connections that break, lengths and checksums; and only then is the file given its name.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ...errors import DownloadFailed, InvalidRequest
from ...markup import without_login
from ..progress import bar
from .names import from_disposition
from .resource import Source
from .transfer import Remote, Transfer, writing


@dataclass(frozen=True)
class Download(os.PathLike[str]):
    """A file that was fetched; it can be used wherever a path can.

    Attributes
    ----------
    path : pathlib.Path
        Where it is.
    url : str or None
        Where it came from, without user and password; None for an output that its response
        held.
    size : int
        Bytes.
    seconds : float
        How long it took.
    attempts : int
        Requests made; more than one where the connection broke.
    node : str or None
        Name of the workflow's node.
    """

    path: Path
    url: str | None
    size: int
    seconds: float
    attempts: int
    node: str | None

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)


def save(
    source: Source,
    target: str | os.PathLike[str] | None,
    *,
    name: str,
    progress: bool | None = None,
) -> Download:
    """Write a resource to a file, whole or not at all.

    The target is the file, or a directory (the working directory if it is None). In a directory
    the file gets the name that the answer gives it, or else `name`, which is a clean one.
    """
    started = time.monotonic()
    path, is_directory = _resolved(target)
    if not isinstance(source, Remote):
        if is_directory:
            path = path / name
        with part(path) as file, writing(path):
            source.fill(file)
            size = file.tell()
        url, attempts = source.resource.url, 0
    else:
        transfer = Transfer(source)
        first = transfer.open()
        if is_directory:
            path = path / (from_disposition(first.headers.get("Content-Disposition")) or name)
        shown = bar(progress, total=transfer.total, desc=path.name, unit="B", unit_scale=True)
        with first, part(path) as file, shown as move:
            transfer.run(first, file, move)
        url, size, attempts = without_login(source.url), transfer.offset, transfer.attempts
    return Download(path, url, size, time.monotonic() - started, attempts, source.session.node)


def save_all(
    wanted: Sequence[tuple[str, Callable[[Path], Download]]],
    directory: str | os.PathLike[str],
    *,
    parallel: int,
    progress: bool | None,
) -> list[Download]:
    """Save files into a directory, several at a time; each is a name and what saves it.

    Of equal names the second gets a number. If one fails, those that were not begun are not
    fetched, and those that are complete stay.
    """
    from concurrent.futures import ThreadPoolExecutor, as_completed

    if isinstance(parallel, bool) or not isinstance(parallel, int) or parallel < 1:
        raise InvalidRequest(f"parallel is {parallel!r}; expected a whole number above 0")
    target = _made(Path(directory))
    paths = [target / name for name in _distinct([name for name, _ in wanted])]
    with (
        bar(progress, total=len(wanted), desc="files", unit="file") as move,
        ThreadPoolExecutor(min(parallel, len(wanted) or 1)) as pool,
    ):
        futures = [
            pool.submit(copy_context().run, save_to, path)
            for (_, save_to), path in zip(wanted, paths, strict=True)
        ]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                move(done, future.result().path.name)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


@contextlib.contextmanager
def part(path: Path) -> Iterator[BinaryIO]:
    """Open a part file beside a path; it takes the path's place when the block ends well."""
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


def _resolved(target: str | os.PathLike[str] | None) -> tuple[Path, bool]:
    """Return the path, and whether it is a directory to write into."""
    path = Path.cwd() if target is None else Path(target)
    with writing(path):
        is_directory = path.is_dir()
        if not is_directory:
            _made(path.parent)
    return path, is_directory


def _made(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadFailed(
            f"{str(directory)!r} is not a directory to write into: {error}. Pass another path"
        ) from error
    return directory


def _distinct(wanted: list[str]) -> list[str]:
    """Give names that occur again a number, also where they differ in case only."""
    taken: set[str] = set()
    result = []
    for name in wanted:
        path, number, free = PurePosixPath(name), 1, name
        while free.casefold() in taken:
            number += 1
            free = f"{path.stem}-{number}{path.suffix}"
        taken.add(free.casefold())
        result.append(free)
    return result

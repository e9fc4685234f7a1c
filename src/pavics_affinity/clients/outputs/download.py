"""Files that come whole or not at all.

A download is streamed into a part file beside its final name; what `transfer`
says of connections that break, lengths and checksums holds; and only then is the
file given its name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from requests.utils import get_encoding_from_headers

from ...errors import DownloadFailed
from ...markup import without_login
from ..progress import bar
from . import names
from .files import part, writing
from .local import LocalFile
from .transfer import Source, Transfer

__all__ = ["Download", "Source", "fill", "save", "save_bytes"]


@dataclass(frozen=True)
class Download(os.PathLike[str]):
    """A file that was fetched; it stands for its path wherever one is taken.

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
    source: Source | LocalFile,
    target: str | os.PathLike[str] | None,
    *,
    name: str,
    progress: bool | None = None,
) -> Download:
    """Fetch a file.

    Parameters
    ----------
    source : Source or LocalFile
        What is fetched.
    target : path or None
        The file to write, or a directory, in which it gets the name that the
        server gives it, cleaned; None is the working directory.
    name : str
        The name in a directory if the server gives none that is usable.
    progress : bool, optional
        Show a progress bar; by default in a notebook only.

    Raises
    ------
    OutputUnavailable
        The URL answers with an error.
    DownloadFailed
        It broke off too often, or could not be written. Nothing stands under
        the final name that was not there before.
    """
    started = time.monotonic()
    path, into = _resolved(target)
    if isinstance(source, LocalFile):
        path = path / (names.clean(source.path.name) or name) if into else path
        with part(path) as copy:
            size = source.fill(copy)
        return Download(path, source.url, size, time.monotonic() - started, 0, source.session.node)
    transfer = Transfer(source)
    first = transfer.open()
    if into:
        path = path / (
            names.from_disposition(first.headers.get("Content-Disposition"))
            or names.from_url(source.url)
            or names.clean(name)
            or "output"
        )
    shown = bar(progress, total=transfer.total, desc=path.name, unit="B", unit_scale=True)
    with first, part(path) as file, shown as move:
        transfer.run(first, file, move)
    return Download(
        path=path,
        url=without_login(source.url),
        size=transfer.offset,
        seconds=time.monotonic() - started,
        attempts=transfer.attempts,
        node=source.session.node,
    )


def save_bytes(
    content: bytes,
    target: str | os.PathLike[str] | None,
    *,
    name: str,
    node: str | None,
) -> Download:
    """Write what is at hand, as `save` writes what it fetches.

    Raises
    ------
    DownloadFailed
        It could not be written.
    """
    started = time.monotonic()
    path, into = _resolved(target)
    if into:
        path = path / name
    with part(path) as file, writing(path):
        file.write(content)
    return Download(path, None, len(content), time.monotonic() - started, 0, node)


def _resolved(target: str | os.PathLike[str] | None) -> tuple[Path, bool]:
    """Return the path, and whether it is a directory to write into."""
    path = Path.cwd() if target is None else Path(target)
    with writing(path):
        into = path.is_dir()
        if not into and not path.parent.is_dir():
            raise DownloadFailed(
                f"there is no directory {str(path.parent)!r} to write into; make it first"
            )
    return path, into


def fill(source: Source | LocalFile, file: BinaryIO, *, limit: int | None = None) -> str | None:
    """Fetch into a file that is open already, whole or with an error.

    Parameters
    ----------
    source : Source or LocalFile
        What is fetched.
    file : binary file
        Written from its start, and seekable.
    limit : int, optional
        Bytes; a larger one is refused.

    Returns
    -------
    str or None
        The charset that the server names for it.

    Raises
    ------
    OutputUnavailable
        The URL answers with an error.
    DownloadFailed
        It broke off too often, or is larger than `limit`.
    """
    if isinstance(source, LocalFile):
        source.fill(file, limit)
        return None
    transfer = Transfer(source, limit)
    with transfer.open() as first:
        transfer.run(first, file, lambda position, words: None)
        return stated_charset(first.headers)


def stated_charset(headers: Mapping[str, str]) -> str | None:
    """Return the charset that a ``Content-Type`` names, or None."""
    stated = "charset" in headers.get("content-type", "").lower()
    return get_encoding_from_headers(headers) if stated else None

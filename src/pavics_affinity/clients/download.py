"""Files that come whole or not at all.

A download is streamed into a part file beside its final name. A connection
that breaks is taken up again where it broke (``Range`` with ``If-Range``), or
from the start where the server cannot do that or the file has changed; the
length is checked; and only then is the file given its name.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from requests.utils import get_encoding_from_headers

from ..errors import DownloadFailed, OutputUnavailable
from ..record import operation
from . import names
from .answers import BodyBroken, chunks
from .progress import Move, bar

if TYPE_CHECKING:
    import requests

    from ..transport import AffinitySession

#: Attempts that bring nothing new, one after the other, before it is given up.
FRUITLESS = 5
#: Attempts in all: a server that breaks off every few bytes is given up, too.
ATTEMPTS = 100

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_LONGEST_PAUSE = 2.0


@dataclass(frozen=True)
class Download(os.PathLike[str]):
    """A file that was fetched; it stands for its path wherever one is taken.

    Attributes
    ----------
    path : pathlib.Path
        Where it is.
    url : str or None
        Where it came from; None for an output that its response held.
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


@dataclass
class Source:
    """A URL, and how it is asked for.

    Attributes
    ----------
    session : AffinitySession
        Asks.
    url : str
        Absolute, http or https.
    label : str
        What it is, in the record and in messages: ``"output 'output'"``.
    options : dict
        Further arguments of ``session.get``.
    """

    session: AffinitySession
    url: str
    label: str
    options: Mapping[str, Any]

    def get(self, headers: Mapping[str, str] | None = None) -> requests.Response:
        """Ask for it, and hand the answer over unread.

        Raises
        ------
        OutputUnavailable
            The answer is an error.
        """
        options = dict(self.options)
        merged = {**(options.pop("headers", None) or {}), **(headers or {})}
        with operation(self.label):
            response = self.session.get(self.url, stream=True, headers=merged or None, **options)
        if not 200 <= response.status_code < 300 and response.status_code != 416:
            response.close()
            raise OutputUnavailable(
                f"{self.label} at {self.url} answers HTTP {response.status_code}"
                f"{self._cause(response.status_code)}",
                url=self.url,
                machineid=self.session.machineid,
                node=self.session.node,
                response=response,
            )
        return response

    def _cause(self, status: int) -> str:
        if status in (401, 403):
            return "; it wants credentials, or other ones: pass auth= to the service's client"
        if status in (404, 410):
            node = self.session.node
            where = f" (this workflow's node is {node!r})" if node else ""
            return (
                f". Files are visible only on the node that wrote them{where}: it was removed, or "
                "another node answered; run the chain anew, in one workflow"
            )
        return "; try again later"


def save(
    source: Source,
    target: str | os.PathLike[str] | None,
    *,
    name: str,
    progress: bool | None = None,
) -> Download:
    """Fetch a file.

    Parameters
    ----------
    source : Source
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
    transfer = _Transfer(source)
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
        url=source.url,
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
    with part(path) as file, _writing(path):
        file.write(content)
    return Download(path, None, len(content), time.monotonic() - started, 0, node)


def _resolved(target: str | os.PathLike[str] | None) -> tuple[Path, bool]:
    """Return the path, and whether it is a directory to write into."""
    path = Path.cwd() if target is None else Path(target)
    with _writing(path):
        into = path.is_dir()
        if not into and not path.parent.is_dir():
            raise DownloadFailed(
                f"there is no directory {str(path.parent)!r} to write into; make it first"
            )
    return path, into


def fill(source: Source, file: BinaryIO, *, limit: int | None = None) -> str | None:
    """Fetch into a file that is open already, whole or with an error.

    Parameters
    ----------
    source : Source
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
    transfer = _Transfer(source, limit)
    with transfer.open() as first:
        transfer.run(first, file, lambda position, words: None)
        return get_encoding_from_headers(first.headers) if _has_charset(first) else None


def _has_charset(response: requests.Response) -> bool:
    return "charset" in response.headers.get("Content-Type", "").lower()


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
    with _writing(path):
        # 0o666 leaves the permissions to the user's umask, which mkstemp would not
        file = os.fdopen(os.open(beside, flags, 0o666), "wb")
    try:
        with file:
            yield file
            with _writing(path):
                file.flush()
        with _writing(path):
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def _writing(path: str | Path) -> Iterator[None]:
    try:
        yield
    except DownloadFailed:
        raise
    except OSError as error:
        raise DownloadFailed(f"{str(path)!r} could not be written: {error}") from error


class _Transfer:
    """One download: what has come so far, and how the rest is asked for."""

    def __init__(self, source: Source, limit: int | None = None) -> None:
        self.source = source
        self.limit = limit
        self.offset = 0
        self.total: int | None = None
        self.attempts = 0
        self._validator: str | None = None

    def open(self) -> requests.Response:
        """Ask for the whole file."""
        self.attempts += 1
        # a coding would make lengths and ranges those of something else
        response = self.source.get({"Accept-Encoding": "identity"})
        self._begin(response)
        return response

    def run(self, response: requests.Response, file: BinaryIO, move: Move) -> None:
        """Write the file, as many attempts as it takes."""
        furthest, fruitless = 0, 0
        while True:
            try:
                self._copy(response, file, move)
            except BodyBroken as error:
                broken = error
            else:
                return
            finally:
                response.close()
            fruitless = 0 if self.offset > furthest else fruitless + 1
            furthest = max(furthest, self.offset)
            if fruitless >= FRUITLESS or self.attempts >= ATTEMPTS:
                raise self._failed(broken) from broken
            time.sleep(min(0.1 * 2**fruitless, _LONGEST_PAUSE))
            response = self._again(file)

    def _copy(self, response: requests.Response, file: BinaryIO, move: Move) -> None:
        for piece in chunks(response):
            with _writing(self.source.label):
                file.write(piece)
            self.offset += len(piece)
            if self.total is not None and self.offset > self.total:
                break
            if self.limit is not None and self.offset > self.limit:
                raise DownloadFailed(
                    f"{self.source.label} at {self.source.url} is larger than "
                    f"{self.limit // 2**20} MB; use .download(path) or .open()",
                    url=self.source.url,
                )
            move(self.offset, None)
        if self.total is not None and self.offset != self.total:
            raise BodyBroken(f"{self.offset} bytes came of {self.total}")

    def _again(self, file: BinaryIO) -> requests.Response:
        """Ask for the rest, or for the whole again where a rest cannot be trusted to fit."""
        self.attempts += 1
        headers = {"Accept-Encoding": "identity"}
        whole = self.total is not None and self.offset > self.total
        if self._validator and self.offset and not whole:
            headers |= {"Range": f"bytes={self.offset}-", "If-Range": self._validator}
        response = self.source.get(headers)
        if response.status_code == 206 and self._fits(response):
            return response
        if response.status_code != 200:
            response.close()
            self.attempts += 1
            response = self.source.get({"Accept-Encoding": "identity"})
        file.seek(0)
        file.truncate()
        self._begin(response)
        return response

    def _begin(self, response: requests.Response) -> None:
        headers = response.headers
        self.offset = 0
        self.total, self._validator = None, None
        if response.status_code == 200 and not headers.get("Content-Encoding"):
            length = headers.get("Content-Length", "")
            self.total = int(length) if length.isdecimal() else None
            if headers.get("Accept-Ranges", "").lower() != "none":
                self._validator = _validator(headers)

    def _fits(self, response: requests.Response) -> bool:
        headers = response.headers
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if match is None or int(match[1]) != self.offset or headers.get("Content-Encoding"):
            return False
        return match[3] == "*" or self.total is None or int(match[3]) == self.total

    def _failed(self, broken: BodyBroken) -> DownloadFailed:
        of = f" of {self.total}" if self.total is not None else ""
        return DownloadFailed(
            f"{self.source.label} at {self.source.url} broke off {self.attempts} times, the last "
            f"after {self.offset}{of} bytes ({broken}); nothing was left behind. Try again later",
            url=self.source.url,
            machineid=self.source.session.machineid,
            node=self.source.session.node,
            attempts=self.attempts,
        )


def _validator(headers: Mapping[str, str]) -> str | None:
    """Return what names this version of the file for ``If-Range`` (RFC 9110, 13.1.5).

    That is a strong ETag, or a Last-Modified that is a second older than the answer.
    """
    etag = headers.get("ETag", "")
    if etag:
        return None if etag.startswith("W/") else etag
    modified = headers.get("Last-Modified")
    try:
        age = parsedate_to_datetime(headers["Date"]) - parsedate_to_datetime(modified or "")
    except (KeyError, ValueError, TypeError):
        return None
    return modified if age >= timedelta(seconds=1) else None

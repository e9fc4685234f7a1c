"""One file on its way: streamed, and taken up again where its connection broke.

The rest is asked for by ``Range`` with ``If-Range``, or the whole anew where the
server cannot do that or the file has changed; length and checksum are compared.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

from ...errors import DownloadFailed, OutputUnavailable
from ...record import operation
from ...transport.times import asked_to_wait, moment_of
from ..http.answers import BodyBroken, chunks
from ..http.urls import named_by
from ..progress import Move
from . import codings, names
from .files import writing

if TYPE_CHECKING:
    import requests

    from ...transport import AffinitySession

#: Attempts that bring nothing new, one after the other, before it is given up.
FRUITLESS = 5
#: Attempts in all: a server that breaks off every few bytes is given up, too.
ATTEMPTS = 100

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_LONGEST_PAUSE = 2.0


@dataclass(frozen=True)
class Expected:
    """What somebody else says that a file is.

    Attributes
    ----------
    size : int or None
        Bytes.
    algorithm : str or None
        Of the checksum, as `hashlib` names it.
    digest : str or None
        The checksum, hexadecimal.
    """

    size: int | None = None
    algorithm: str | None = None
    digest: str | None = None

    def hasher(self) -> Any:
        """Return what computes the checksum, or None where none is stated."""
        return (
            None if self.algorithm is None else hashlib.new(self.algorithm, usedforsecurity=False)
        )

    def wrong(self, size: int, hashed: Any) -> str | None:
        """Say in which way a file is another one; None if it is not."""
        if self.size is not None and size != self.size:
            return f"{size} bytes, and should be {self.size}"
        if hashed is not None and hashed.hexdigest() != self.digest:
            return f"of {self.algorithm} {hashed.hexdigest()}, and should be of {self.digest}"
        return None


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
    expected : Expected
        What a metalink says of it.
    service : str
        URL of the service whose document named it.
    name, kind : str
        File name and media type, as the document that names the URL states them.
    unpack : bool
        Take off every content coding, also one with which the file is stored.
    """

    session: AffinitySession
    url: str
    label: str
    options: Mapping[str, Any]
    expected: Expected = field(default_factory=Expected)
    service: str = ""
    name: str = ""
    kind: str | None = None
    unpack: bool = False

    def get(self, headers: Mapping[str, str]) -> requests.Response:
        """Ask for it, and hand the answer over unread.

        Raises
        ------
        OutputUnavailable
            The answer is an error.
        """
        options = dict(self.options)
        merged = {**(options.pop("headers", None) or {}), **headers}
        with named_by(self.service, self.session, self.url):
            with operation(self.label):
                response = self.session.get(self.url, stream=True, headers=merged, **options)
            partial = "Range" in headers and response.status_code in (206, 416)
            if response.status_code not in (200, 203) and not partial:
                response.close()
                raise OutputUnavailable(
                    f"{self.label} at {self.url} answers HTTP {response.status_code}"
                    f"{self._cause(response)}",
                    url=self.url,
                    machineid=self.session.machineid,
                    node=self.session.node,
                    response=response,
                )
        return response

    def _cause(self, response: requests.Response) -> str:
        status = response.status_code
        if status in (401, 403):
            return "; it wants credentials, or other ones: pass auth= to the service's client"
        if status in (404, 410):
            node = self.session.node
            where = f" (this workflow's node is {node!r})" if node else ""
            return (
                f". Files are visible only on the node that wrote them{where}: it was removed, or "
                "another node answered; run the chain anew, in one workflow"
            )
        return f"{asked_to_wait(response.headers)}; try again later"


class _Misread(Exception):
    """The coding of an answer is the file's own, or is not: the other way round than assumed."""


class Transfer:
    """One download: what has come so far, and how the rest is asked for."""

    def __init__(self, source: Source, limit: int | None = None) -> None:
        self.source = source
        self.limit = limit
        self.offset = 0
        self.total: int | None = None
        self.attempts = 0
        self._validator: str | None = None
        self._hash = source.expected.hasher()
        self._stored: list[str] = []
        self._keep: bool | None = None  # by what the bytes have shown
        self._ambiguous = False
        self._twice: codings.Twice | None = None

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
            broken: BodyBroken | None = None
            try:
                self._copy(response, file, move)
                return self._compare()
            except _Misread:
                self._keep = not self._stored
            except BodyBroken as error:
                broken = error
            finally:
                response.close()
            if broken is None:
                response = self._whole(file)
                continue
            fruitless = 0 if self.offset > furthest else fruitless + 1
            furthest = max(furthest, self.offset)
            if fruitless >= FRUITLESS or self.attempts >= ATTEMPTS:
                raise self._failed(broken) from broken
            time.sleep(min(0.1 * 2**fruitless, _LONGEST_PAUSE))
            response = self._again(file)

    def _copy(self, response: requests.Response, file: BinaryIO, move: Move) -> None:
        for piece in chunks(response):
            if self._twice is not None and self._twice.seen_in(piece):
                raise _Misread
            with writing(self.source.label):
                file.write(piece)
            if self._hash is not None:
                self._hash.update(piece)
            self.offset += len(piece)
            if self.total is not None and self.offset > self.total:
                break
            if self.offset > (self.source.expected.size or self.offset):
                self._compare()
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
        if response.status_code in (206, 416):
            response.close()
            return self._whole(file)
        return self._begun(response, file)

    def _whole(self, file: BinaryIO) -> requests.Response:
        """Ask for the whole again."""
        self.attempts += 1
        return self._begun(self.source.get({"Accept-Encoding": "identity"}), file)

    def _begun(self, response: requests.Response, file: BinaryIO) -> requests.Response:
        file.seek(0)
        file.truncate()
        self._begin(response)
        return response

    def _begin(self, response: requests.Response) -> None:
        headers = response.headers
        self.offset = 0
        self._hash = self.source.expected.hasher()
        self.total, self._validator = None, None
        coded = self._judge_codings(response)
        if response.status_code == 200 and not coded:
            length = headers.get("Content-Length", "")
            self.total = int(length) if _LENGTH.fullmatch(length) else None
            if headers.get("Accept-Ranges", "").lower() != "none":
                self._validator = _validator(headers)

    def _judge_codings(self, response: requests.Response) -> list[str]:
        """Decide which coding is the file's own, and return those that are taken off."""
        applied = codings.stated(response.headers)
        keep = bool(applied) and self._is_stored_as(applied, response)
        self._stored = applied[:1] if keep else []
        self._ambiguous = bool(applied) and self._keep is None
        self._twice = codings.Twice() if self._ambiguous and self._stored == ["gzip"] else None
        taken = applied[len(self._stored) :]
        obstacle = codings.unreadable(taken)
        if obstacle is not None:
            response.close()
            raise DownloadFailed(
                f"{self.source.label} at {self.source.url} came packed as {obstacle!r}, although "
                "no coding was asked for, and that cannot be unpacked here. Install "
                "urllib3[brotli,zstd] if it is one of these; else ask the site's operator",
                url=self.source.url,
            )
        if keep:
            _leave_coded(response, taken)
        return taken

    def _is_stored_as(self, applied: list[str], response: requests.Response) -> bool:
        source, headers = self.source, response.headers
        if self._keep is not None:
            return self._keep
        if source.unpack:
            return False
        if len(applied) == 1 and headers.get("Content-Length") == str(source.expected.size):
            return True
        given = names.from_disposition(headers.get("Content-Disposition"))
        urls = (response.url or "", source.url)
        called = [given] if given else [*map(names.from_url, urls), source.name]
        kinds = (headers.get("Content-Type"), source.kind)
        return codings.is_stored_as(applied[0], called, kinds)

    def _fits(self, response: requests.Response) -> bool:
        headers = response.headers
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if match is None or int(match[1]) != self.offset:
            return False
        applied = codings.stated(headers)
        if applied and applied != self._stored:
            return False
        _leave_coded(response, [])
        return match[3] == "*" or self.total is None or int(match[3]) == self.total

    def _compare(self) -> None:
        """Hold what came against what it should be."""
        wrong = self.source.expected.wrong(self.offset, self._hash)
        if wrong is None:
            return
        if self._ambiguous:
            raise _Misread
        raise DownloadFailed(
            f"{self.source.label} at {self.source.url} is {wrong}, as the metalink has it: it "
            "is damaged, or another file. Nothing was left behind",
            url=self.source.url,
            machineid=self.source.session.machineid,
            node=self.source.session.node,
            attempts=self.attempts,
        )

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


def _leave_coded(response: requests.Response, taken: list[str]) -> None:
    """Have only these codings taken off as the body is read."""
    for headers in (response.headers, response.raw.headers):
        headers.pop("Content-Encoding", None)
        if taken:
            headers["Content-Encoding"] = ", ".join(taken)


def _validator(headers: Mapping[str, str]) -> str | None:
    """Return what names this version of the file for ``If-Range`` (RFC 9110, 13.1.5).

    That is a strong ETag, or a Last-Modified that is a second older than the answer.
    """
    etag = headers.get("ETag", "")
    if etag:
        return None if etag.startswith("W/") else etag
    sent, modified = moment_of(headers.get("Date", "")), moment_of(headers.get("Last-Modified", ""))
    if sent is None or modified is None or sent - modified < timedelta(seconds=1):
        return None
    return headers["Last-Modified"]

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
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import DownloadFailed, OutputUnavailable
from ..record import operation
from ..transport.times import asked_to_wait
from .addresses import named_by
from .answers import BodyBroken, chunks
from .files import writing
from .progress import Move

if TYPE_CHECKING:
    import requests

    from ..transport import AffinitySession

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
    """

    session: AffinitySession
    url: str
    label: str
    options: Mapping[str, Any]
    expected: Expected = field(default_factory=Expected)
    service: str = ""

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


class Transfer:
    """One download: what has come so far, and how the rest is asked for."""

    def __init__(self, source: Source, limit: int | None = None) -> None:
        self.source = source
        self.limit = limit
        self.offset = 0
        self.total: int | None = None
        self.attempts = 0
        self._validator: str | None = None
        self._hash = self._hasher()

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
                return self._compare()
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
            self.attempts += 1
            response = self.source.get({"Accept-Encoding": "identity"})
        file.seek(0)
        file.truncate()
        self._begin(response)
        return response

    def _begin(self, response: requests.Response) -> None:
        headers = response.headers
        self.offset = 0
        self._hash = self._hasher()
        self.total, self._validator = None, None
        if response.status_code == 200 and not headers.get("Content-Encoding"):
            length = headers.get("Content-Length", "")
            self.total = int(length) if _LENGTH.fullmatch(length) else None
            if headers.get("Accept-Ranges", "").lower() != "none":
                self._validator = _validator(headers)

    def _fits(self, response: requests.Response) -> bool:
        headers = response.headers
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if match is None or int(match[1]) != self.offset or headers.get("Content-Encoding"):
            return False
        return match[3] == "*" or self.total is None or int(match[3]) == self.total

    def _hasher(self) -> Any:
        algorithm = self.source.expected.algorithm
        return None if algorithm is None else hashlib.new(algorithm, usedforsecurity=False)

    def _compare(self) -> None:
        """Hold what came against what it should be."""
        expected = self.source.expected
        wrong = None
        if expected.size is not None and self.offset != expected.size:
            wrong = f"{self.offset} bytes, and should be {expected.size}"
        elif self._hash is not None and self._hash.hexdigest() != expected.digest:
            wrong = (
                f"of {expected.algorithm} {self._hash.hexdigest()}, and should be of "
                f"{expected.digest}"
            )
        if wrong is not None:
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

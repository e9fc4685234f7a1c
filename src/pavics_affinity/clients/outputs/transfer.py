"""One file on its way: streamed, and resumed where its connection broke.

The rest is asked for by ``Range`` with ``If-Range``, or the whole again where the
server cannot do that or the file has changed. Length and checksum are compared.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

from ...errors import AffinityError, DownloadFailed, OutputUnavailable
from ...record import operation
from ...transport.times import asked_to_wait, moment_of
from ..http.answers import BodyBroken, chunks
from ..http.urls import named_by
from ..progress import Move
from . import codings
from .resource import Resource, Source, charset_of

if TYPE_CHECKING:
    import requests

    from ...transport import AffinitySession

#: Attempts that bring nothing new, one after the other, before it is given up.
FRUITLESS = 5
#: Attempts in all: a server that breaks off every few bytes is given up, too.
ATTEMPTS = 100

_CONTENT_RANGE = r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)"
_LENGTH = r"\d{1,18}"
_LONGEST_PAUSE = 2.0
# A coding would make lengths and ranges those of something else.
_PLAIN = {"Accept-Encoding": "identity"}


class Remote(Source):
    """A URL, and how it is asked for."""

    def __init__(
        self,
        session: AffinitySession,
        resource: Resource,
        label: str,
        *,
        options: Mapping[str, Any] = MappingProxyType({}),
        service: str = "",
        unpack: bool = False,
    ) -> None:
        super().__init__(session, resource, label)
        self.options = options  # of `session.get`
        self.service = service  # URL of the service whose document named it
        self.unpack = unpack  # take off also a content coding with which the file is stored

    def fill(self, file: BinaryIO, limit: int | None = None) -> str | None:
        """Fetch it."""
        transfer = Transfer(self, limit)
        with transfer.open() as first:
            transfer.run(first, file, lambda position, words: None)
            return charset_of(first.headers)

    def get(self, headers: Mapping[str, str]) -> requests.Response:
        """Ask for it, and return the answer unread; raise OutputUnavailable if it is an error."""
        options = {**self.options, "headers": {**self.options.get("headers", {}), **headers}}
        with named_by(self.service, self.session, self.url):
            with operation(self.label):
                response = self.session.get(self.url, stream=True, **options)
            partial = "Range" in headers and response.status_code in (206, 416)
            if response.status_code not in (200, 203) and not partial:
                response.close()
                raise self.error(
                    OutputUnavailable,
                    f"answers HTTP {response.status_code}{self._cause(response)}",
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
                "another node answered. Run the chain again, in one workflow"
            )
        return f"{asked_to_wait(response.headers)}; try again later"


class Transfer:
    """One download: what has come so far, and how the rest is asked for."""

    def __init__(self, source: Remote, limit: int | None = None) -> None:
        self.source = source
        self.limit = limit
        self.offset = 0
        self.total: int | None = None
        self.attempts = 0
        self._validator: str | None = None
        self._expected = source.resource.expected
        self._hash = self._expected.hasher()
        self._decoder = codings.Decoder(source, unpack=source.unpack)

    def open(self) -> requests.Response:
        """Ask for the whole file."""
        response = self._ask(_PLAIN)
        self._begin(response)
        return response

    def run(self, response: requests.Response, file: BinaryIO, move: Move) -> None:
        """Write the file, in as many attempts as it takes."""
        furthest, fruitless = 0, 0
        while True:
            try:
                self._copy(response, file, move)
                return self._compare()
            except codings.WrongGuess:
                self._decoder.reverse()
                pause, ask_again = 0.0, self._whole
            except BodyBroken as error:
                fruitless = 0 if self.offset > furthest else fruitless + 1
                furthest = max(furthest, self.offset)
                if fruitless >= FRUITLESS or self.attempts >= ATTEMPTS:
                    raise self._given_up(error) from error
                pause, ask_again = min(0.1 * 2**fruitless, _LONGEST_PAUSE), self._rest
            finally:
                response.close()
            time.sleep(pause)
            response = ask_again(file)

    def _copy(self, response: requests.Response, file: BinaryIO, move: Move) -> None:
        for piece in chunks(response):
            self._decoder.look_at(piece)
            with writing(self.source.label):
                file.write(piece)
            if self._hash is not None:
                self._hash.update(piece)
            self.offset += len(piece)
            if self.total is not None and self.offset > self.total:
                break
            if self.offset > (self._expected.size or self.offset):
                self._compare()
            if self.limit is not None and self.offset > self.limit:
                raise too_large(self.source, self.limit)
            move(self.offset, None)
        if self.total is not None and self.offset != self.total:
            raise BodyBroken(f"{self.offset} of {self.total} bytes came")

    def _ask(self, headers: Mapping[str, str]) -> requests.Response:
        self.attempts += 1
        return self.source.get(headers)

    def _rest(self, file: BinaryIO) -> requests.Response:
        """Ask for the rest, or for the whole where a rest cannot be trusted to fit."""
        headers = dict(_PLAIN)
        too_much = self.total is not None and self.offset > self.total
        if self._validator and self.offset and not too_much:
            headers |= {"Range": f"bytes={self.offset}-", "If-Range": self._validator}
        response = self._ask(headers)
        if response.status_code == 206 and self._fits(response):
            return response
        if response.status_code in (206, 416):
            response.close()
            return self._whole(file)
        return self._from_start(response, file)

    def _whole(self, file: BinaryIO) -> requests.Response:
        return self._from_start(self._ask(_PLAIN), file)

    def _from_start(self, response: requests.Response, file: BinaryIO) -> requests.Response:
        file.seek(0)
        file.truncate()
        self._begin(response)
        return response

    def _begin(self, response: requests.Response) -> None:
        headers = response.headers
        self.offset = 0
        self._hash = self._expected.hasher()
        self.total, self._validator = None, None
        coded = self._decoder.begin(response)
        if response.status_code == 200 and not coded:
            length = headers.get("Content-Length", "")
            self.total = int(length) if re.fullmatch(_LENGTH, length, re.ASCII) else None
            if headers.get("Accept-Ranges", "").lower() != "none":
                self._validator = _validator(headers)

    def _fits(self, response: requests.Response) -> bool:
        headers = response.headers
        match = re.fullmatch(_CONTENT_RANGE, headers.get("Content-Range", ""), re.ASCII)
        if match is None or int(match[1]) != self.offset:
            return False
        applied = codings.stated(headers)
        if applied and applied != self._decoder.stored:
            return False
        codings.leave_coded(response, [])
        return match[3] == "*" or self.total is None or int(match[3]) == self.total

    def _compare(self) -> None:
        """Raise if what came is not what the metalink states."""
        difference = self._expected.difference(self.offset, self._hash)
        if difference is not None:
            self._decoder.check_guess()
            raise not_expected(self.source, difference, attempts=self.attempts)

    def _given_up(self, broken: BodyBroken) -> DownloadFailed:
        of = f" of {self.total}" if self.total is not None else ""
        return self.source.error(
            DownloadFailed,
            f"broke off {self.attempts} times, the last after {self.offset}{of} bytes ({broken}). "
            "No file was written. Try again later",
            attempts=self.attempts,
        )


def too_large(source: Source, limit: int) -> DownloadFailed:
    """Make the error for content that is too large to be held in memory."""
    return source.error(
        DownloadFailed, f"is larger than {limit // 2**20} MB; use .download(path) or .open()"
    )


def not_expected(source: Source, difference: str, **details: Any) -> DownloadFailed:
    """Make the error for a file that is not what a metalink states."""
    return source.error(
        DownloadFailed,
        f"is {difference}, as the metalink states: it is damaged, or another file. No file was "
        "written. Try again later, or ask the service's operator",
        **details,
    )


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn the operating system's errors inside into a DownloadFailed that names the path."""
    try:
        yield
    except AffinityError:
        raise
    except OSError as error:
        raise DownloadFailed(
            f"{str(path)!r} could not be written: {error}. Pass another path"
        ) from error


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

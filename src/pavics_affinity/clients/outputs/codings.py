"""Content codings of an answer: which one is the file's own, and which were added on its way.

A server that stores ``a.nc.gz`` may say ``Content-Encoding: gzip`` of it (Apache's
``AddEncoding``), although no coding was asked for. The file is then what curl saves:
the bytes as they are stored. A server or a proxy that packs a plain file sends the same
header, and there the coding is taken off.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import urllib3.util

from ...errors import DownloadFailed
from . import names
from .resource import Source, plain_type

if TYPE_CHECKING:
    import requests

_ALIASES = {"x-gzip": "gzip", "x-compress": "compress", "x-bzip2": "bzip2"}
#: By coding: suffixes and media types of files that are stored so.
_FILES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    coding: (
        frozenset(suffixes.split()),
        frozenset(f"application/{kind}" for kind in kinds.split()),
    )
    for coding, suffixes, kinds in (
        ("gzip", ".gz .gzip .tgz .taz .svgz", "gzip x-gzip x-tgz x-tar-gz x-gtar-compressed"),
        ("compress", ".z .taz", "x-compress"),
        ("bzip2", ".bz2 .tbz .tbz2", "x-bzip2 x-bzip"),
        ("xz", ".xz .txz", "x-xz"),
        ("zstd", ".zst .tzst", "zstd x-zstd"),
        ("br", ".br", "x-brotli brotli"),
        ("deflate", ".zz .zlib", "zlib"),
    )
}
_GZIP = b"\x1f\x8b"


def stated(headers: Mapping[str, str]) -> list[str]:
    """Return the codings that an answer states, in the order in which they were applied.

    Words that are not a coding of a body (``utf-8``, ``identity``, ``aws-chunked``) say
    nothing about its bytes.
    """
    words = (w.strip().lower() for w in headers.get("Content-Encoding", "").split(","))
    return [coding for w in words if (coding := _ALIASES.get(w, w)) in _FILES]


def is_stored_as(coding: str, called: Iterable[str], kinds: Iterable[str | None]) -> bool:
    """Tell by its names or media types whether a file is stored with this coding."""
    suffixes, types = _FILES[coding]
    return any(PurePosixPath(name).suffix.lower() in suffixes for name in called) or any(
        plain_type(kind) in types for kind in kinds
    )


def is_packed(kind: str | None) -> bool:
    """Return whether a media type is that of a packed file."""
    return any(is_stored_as(coding, (), (kind,)) for coding in _FILES)


def unreadable(codings: Iterable[str]) -> str | None:
    """Return the first coding that cannot be taken off here, if there is one."""
    known = urllib3.util.make_headers(accept_encoding=True)["accept-encoding"].split(",")
    return next((coding for coding in codings if coding not in known), None)


def leave_coded(response: requests.Response, taken: list[str]) -> None:
    """Have only these codings taken off as the body is read."""
    for headers in (response.headers, response.raw.headers):
        headers.pop("Content-Encoding", None)
        if taken:
            headers["Content-Encoding"] = ", ".join(taken)


class WrongGuess(Exception):
    """The bytes show that the coding is the file's own, or is not, contrary to the guess."""


class Decoder:
    """Decides, for each answer of one download, which of its codings are taken off.

    Name, media type and expected size decide. Where they only suggest it, the bytes may show
    that the guess was wrong; the file is then asked for again, and read the other way.
    """

    def __init__(self, source: Source, *, unpack: bool) -> None:
        self.stored: list[str] = []  # the file's own
        self._source = source
        self._unpack = unpack
        self._keep: bool | None = None  # once the bytes have shown it
        self._guessed = False
        self._twice: Twice | None = None

    def begin(self, response: requests.Response) -> list[str]:
        """Decide for an answer, and return the codings that are taken off its body."""
        applied = stated(response.headers)
        self._guessed = bool(applied) and self._keep is None
        keep = bool(applied) and self._is_stored(applied, response)
        self.stored = applied[:1] if keep else []
        self._twice = Twice() if self._guessed and self.stored == ["gzip"] else None
        taken = applied[len(self.stored) :]
        obstacle = unreadable(taken)
        if obstacle is not None:
            response.close()
            raise self._source.error(
                DownloadFailed,
                f"came packed as {obstacle!r}, although no coding was asked for, and that cannot "
                "be unpacked here. Install urllib3[brotli,zstd] if it is one of these; else ask "
                "the site's operator",
            )
        if keep:
            leave_coded(response, taken)
        return taken

    def look_at(self, piece: bytes) -> None:
        """Look at the next bytes of the body; raise `WrongGuess` if they contradict the guess."""
        if self._twice is not None and self._twice.seen_in(piece):
            raise WrongGuess

    def check_guess(self) -> None:
        """Raise `WrongGuess` if the file may differ from what is expected by a wrong guess."""
        if self._guessed:
            raise WrongGuess

    def reverse(self) -> None:
        """Read the next answer the other way."""
        self._keep = not self.stored

    def _is_stored(self, applied: list[str], response: requests.Response) -> bool:
        if self._keep is not None:
            return self._keep
        if self._unpack:
            return False
        headers, resource = response.headers, self._source.resource
        if len(applied) == 1 and headers.get("Content-Length") == str(resource.expected.size):
            return True
        given = names.from_disposition(headers.get("Content-Disposition"))
        urls = (response.url or "", resource.url or "")
        called = [given] if given else [*map(names.from_url, urls), resource.name]
        return is_stored_as(applied[0], called, (headers.get("Content-Type"), resource.media_type))


class Twice:
    """Finds out from its first bytes whether a gzip file was packed by gzip twice."""

    def __init__(self) -> None:
        self._begin = b""
        self._unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._decided = False

    def seen_in(self, piece: bytes) -> bool:
        """Look at the next bytes; return True once it is sure."""
        if self._decided:
            return False
        try:
            self._begin += self._unpack.decompress(piece, len(_GZIP))
        except zlib.error:
            self._decided = True
        self._decided |= self._unpack.eof or len(self._begin) >= len(_GZIP)
        return self._begin.startswith(_GZIP)

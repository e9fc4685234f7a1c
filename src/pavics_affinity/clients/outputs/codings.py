"""Content codings of an answer: which one is the file's own, and which were added on its way.

A server that stores ``a.nc.gz`` may say ``Content-Encoding: gzip`` of it (Apache's
``AddEncoding``), although no coding was asked for. The file is then what curl saves:
the bytes as they are stored. The same words stand where a server or a proxy has packed
a plain file, and there the coding is taken off.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import urllib3.util

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

    Words that are no coding of a body (``utf-8``, ``identity``, ``aws-chunked``) say
    nothing about its bytes.
    """
    words = (w.strip().lower() for w in headers.get("Content-Encoding", "").split(","))
    return [coding for w in words if (coding := _ALIASES.get(w, w)) in _FILES]


def is_stored_as(coding: str, names: Iterable[str], kinds: Iterable[str | None]) -> bool:
    """Tell by its name or media type whether a file is stored with this coding."""
    suffixes, types = _FILES[coding]
    return any(PurePosixPath(name).suffix.lower() in suffixes for name in names) or any(
        (kind or "").split(";")[0].strip().lower() in types for kind in kinds
    )


def is_packed(kind: str | None) -> bool:
    """Tell whether a media type is that of a packed file."""
    return any(is_stored_as(coding, (), (kind,)) for coding in _FILES)


def unreadable(codings: Iterable[str]) -> str | None:
    """Return the first coding that cannot be taken off here, if there is one."""
    known = urllib3.util.make_headers(accept_encoding=True)["accept-encoding"].split(",")
    return next((coding for coding in codings if coding not in known), None)


class Twice:
    """Finds out from its first bytes whether a gzip file was packed by gzip once more."""

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

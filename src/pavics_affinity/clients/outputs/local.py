"""Outputs that a service on this machine names by path: ``file:///tmp/out.nc``.

A service elsewhere means its own disk by that, so the path is read only where the
service's own host is this machine. The service decides which path that is, so only regular
files are read, and never more than such a file says that it holds.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ...errors import AffinityError, OutputUnavailable
from ...topology.urls import is_loopback
from .resource import Resource, Source
from .transfer import not_expected, too_large

if TYPE_CHECKING:
    from ...transport import AffinitySession

_PIECE = 1 << 20


class LocalFile(Source):
    """A file of this machine."""

    def __init__(
        self, session: AffinitySession, resource: Resource, label: str, path: Path
    ) -> None:
        super().__init__(session, resource, label)
        self.path = path

    def fill(self, file: BinaryIO, limit: int | None = None) -> None:
        """Copy it; raise OutputUnavailable if it cannot be read."""
        try:
            with self._opened() as source:
                self._copy(source, file, limit)
        except AffinityError:
            raise
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            raise self._unreadable(str(error)) from error

    def _opened(self) -> BinaryIO:
        # Looked at before it is opened: to open a pipe or a device may have an effect, or block.
        _check_regular(self.path.stat())
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self.path, flags)
        try:
            _check_regular(os.fstat(descriptor))
            return os.fdopen(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise

    def _copy(self, source: BinaryIO, file: BinaryIO, limit: int | None) -> None:
        size = os.fstat(source.fileno()).st_size
        if limit is not None and size > limit:
            raise too_large(self, limit)
        expected = self.resource.expected
        hashed, copied = expected.hasher(), 0
        while copied <= size and (piece := source.read(min(_PIECE, size + 1 - copied))):
            file.write(piece)
            copied += len(piece)
            if hashed is not None:
                hashed.update(piece)
        if copied != size:
            raise self._unreadable(f"it held {size} bytes, and not the same later")
        difference = expected.difference(size, hashed)
        if difference is not None:
            raise not_expected(self, difference)

    def _unreadable(self, why: str) -> OutputUnavailable:
        return self.error(
            OutputUnavailable,
            f"cannot be read: {why}. A service at localhost names files of this machine. If it "
            "runs elsewhere, behind a tunnel, configure it to give its outputs by http",
        )


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")


def local_path(url: str, *, service: str) -> Path | None:
    """Return the path that a URL names on this machine, or None if it is not such a URL.

    It is one only if the URL of the service has a loopback address or ``localhost``.
    """
    scheme, _, rest = url.strip().partition(":")
    if scheme.lower() != "file" or not _is_this_machine(service):
        return None
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host and not is_loopback(host):
            return None
        rest = slash + path
    name = url2pathname(rest)
    # Of two slashes, the first part may be taken for a host to be asked.
    usable = Path(name).is_absolute() and not name.startswith(("//", "\\\\"))
    return Path(name) if usable and name.isprintable() else None


def _is_this_machine(service: str) -> bool:
    try:
        return is_loopback(urlsplit(service).hostname or "")
    except ValueError:
        return False

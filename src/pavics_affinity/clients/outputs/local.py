"""Outputs that a service on this machine names by path: ``file:///tmp/out.nc``.

A service elsewhere means its own disk by that, so the path is read only where the
service's own host is this machine. A service decides which path that is: only regular
files are read, and never more than such a file says that it holds.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ...errors import DownloadFailed, OutputUnavailable
from .transfer import Expected

if TYPE_CHECKING:
    from ...transport import AffinitySession

_PIECE = 1 << 20


@dataclass(frozen=True)
class LocalFile:
    """A file of this machine that is an output.

    Attributes
    ----------
    session : AffinitySession
        The workflow's; for what an error says.
    url, path : str, pathlib.Path
        Where it is.
    label : str
        What it is, for messages: ``"output 'output'"``.
    expected : Expected
        What a metalink says of it.
    """

    session: AffinitySession
    url: str
    path: Path
    label: str
    expected: Expected = field(default_factory=Expected)

    def fill(self, file: BinaryIO, limit: int | None = None) -> int:
        """Copy it into an open file, and return its size.

        Raises
        ------
        OutputUnavailable
            There is no such file, or it is not a regular one, or may not be read.
        DownloadFailed
            It is larger than `limit`, or is not what a metalink says.
        """
        try:
            with self._opened() as source:
                return self._copy(source, file, limit)
        except (OSError, ValueError) as error:  # a NUL in the path, for one
            if isinstance(error, DownloadFailed | OutputUnavailable):
                raise
            raise self._unavailable(str(error)) from error

    def _opened(self) -> BinaryIO:
        # Looked at before it is opened: to open a pipe or a device may have an effect, or block.
        self._check(self.path.stat())
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self.path, flags)
        try:
            self._check(os.fstat(descriptor))
            return os.fdopen(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise

    @staticmethod
    def _check(status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")

    def _copy(self, source: BinaryIO, file: BinaryIO, limit: int | None) -> int:
        size = os.fstat(source.fileno()).st_size
        if limit is not None and size > limit:
            raise DownloadFailed(
                f"{self.label} at {self.url} is larger than {limit // 2**20} MB; use "
                ".download(path) or .open()",
                url=self.url,
            )
        hashed, copied = self.expected.hasher(), 0
        while copied <= size and (piece := source.read(min(_PIECE, size + 1 - copied))):
            file.write(piece)
            copied += len(piece)
            if hashed is not None:
                hashed.update(piece)
        if copied != size:
            raise self._unavailable(f"it held {size} bytes, and not the same later")
        wrong = self.expected.wrong(size, hashed)
        if wrong is not None:
            raise DownloadFailed(
                f"{self.label} at {self.url} is {wrong}, as the metalink defines it: it is "
                "damaged, or another file",
                url=self.url,
            )
        return size

    def _unavailable(self, why: str) -> OutputUnavailable:
        return OutputUnavailable(
            f"{self.label} at {self.url} cannot be read: {why}. A service at localhost names "
            "files of this machine; if it runs elsewhere, behind a tunnel, let it give its outputs "
            "by http",
            url=self.url,
            machineid=self.session.machineid,
            node=self.session.node,
        )


def local_path(url: str, *, service: str) -> Path | None:
    """Return the path that a URL names on this machine, or None if it is no such URL.

    Parameters
    ----------
    url : str
        As a document has it: ``file:///tmp/out.nc``.
    service : str
        URL of the service; at a loopback address or ``localhost``, if it is to be a path.
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


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, by its literal name or address."""
    host = host.lower().strip("[]").removesuffix(".")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

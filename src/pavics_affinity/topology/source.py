"""Where a topology comes from, and whether it is still the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from ..errors import TopologyError
from .model import Topology


class TopologySource(Protocol):
    """A topology that may change while a workflow runs."""

    current: Topology

    def renew(self) -> bool:
        """Read again if it has changed; return whether `current` is another one now."""


class FixedSource:
    """A topology that was built in Python: it never changes."""

    def __init__(self, topology: Topology) -> None:
        self.current = topology

    def renew(self) -> bool:
        """Return False: there is nothing to read again."""
        return False


class FileSource:
    """A topology file, read again when it has changed.

    Parameters
    ----------
    path : str or path
        The TOML file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._stamp = self._read_stamp()
        self.current = Topology.load(self.path)

    def renew(self) -> bool:
        """Read the file again if its time, size or inode changed.

        A file that has vanished, or does not make sense at this instant, is
        being written: the topology known so far stays in force.
        """
        stamp = self._read_stamp()
        if stamp is None or stamp == self._stamp:
            return False
        try:
            topology = Topology.load(self.path)
        except TopologyError:
            return False
        self._stamp = stamp
        changed = topology != self.current
        self.current = topology
        return changed

    def _read_stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

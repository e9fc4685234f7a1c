"""Where a topology comes from, and whether it is still the same."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from ..errors import TopologyError
from .lookup import default_topology_path
from .model import Topology


@runtime_checkable
class TopologySource(Protocol):
    """A topology that may change while a workflow runs."""

    current: Topology

    def renew(self, *, thorough: bool = False) -> bool:
        """Read again if it has changed; return whether `current` is another one now."""


class FixedSource:
    """A topology that was built in Python: it never changes."""

    def __init__(self, topology: Topology) -> None:
        self.current = topology

    def renew(self, *, thorough: bool = False) -> bool:
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
        self.path = Path(path).absolute()
        self._stamp = self._read_stamp()
        self.current = Topology.load(self.path)

    def renew(self, *, thorough: bool = False) -> bool:
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
        except (OSError, ValueError):
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


Known = Topology | TopologySource | str | os.PathLike[str]


def sources_of(topology: Known | Iterable[Known]) -> list[TopologySource]:
    """Make sources of what a user gives as topology: one or several, built or on file.

    What is a source already stays as it is.

    Raises
    ------
    TopologyError
        A file makes no sense, the value is neither a topology nor a path, or two
        cover one URL.
    """
    if isinstance(topology, Topology):
        return [FixedSource(topology)]
    if isinstance(topology, TopologySource):
        return [topology]
    if isinstance(topology, str | os.PathLike):
        return [FileSource(topology)]
    try:
        several = list(topology)
    except TypeError:
        raise TopologyError(
            f"{topology!r} is no topology: expected a Topology, the path of a TOML file, or "
            "several of these"
        ) from None
    sources = [source for one in several for source in sources_of(one)]
    _check_apart([source.current for source in sources])
    return sources


def default_sources() -> list[TopologySource]:
    """Return the topology that the user has configured, if any.

    From ``PAVICS_AFFINITY_TOPOLOGY``, else the user's configuration directory; never
    from the working directory, where a file may have come with somebody's notebook.
    """
    path = default_topology_path()
    return [] if path is None else [FileSource(path)]


def _check_apart(topologies: Sequence[Topology]) -> None:
    for i, topology in enumerate(topologies):
        for service in topology.services:
            for other in topologies[:i]:
                match = other.covering(service.url) if service.url else None
                if match is not None and not match.by_port:
                    raise TopologyError(
                        f"two topologies cover {service.url}: service {service.name!r} of one and "
                        f"{match.service.name!r} of another; give each site once"
                    )

"""Sources of a topology, which know whether it has changed."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from ..errors import TopologyError

if TYPE_CHECKING:
    from .model import Topology

    Known: TypeAlias = "Topology | TopologySource | str | os.PathLike[str]"

VARIABLE = "PAVICS_AFFINITY_TOPOLOGY"


@runtime_checkable
class TopologySource(Protocol):
    """A topology that may change while a workflow runs."""

    current: Topology

    def renew(self, *, thorough: bool = False) -> bool:
        """Read again if it has changed; return whether `current` is different now."""


class FixedSource:
    """A topology that was built in Python: it never changes."""

    def __init__(self, topology: Topology) -> None:
        self.current = topology

    def renew(self, *, thorough: bool = False) -> bool:
        """Return False, because there is nothing to read again."""
        return False


class FileSource:
    """A topology file, read again when it has changed."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self._stamp = self._read_stamp()
        self.current = self._loaded()

    def renew(self, *, thorough: bool = False) -> bool:
        """Read the file again if its time, size or inode changed.

        A file that is missing or not valid is being written: the last topology stays in use.
        """
        stamp = self._read_stamp()
        if stamp is None or stamp == self._stamp:
            return False
        try:
            topology = self._loaded()
        except TopologyError:
            return False
        self._stamp = stamp
        changed = topology != self.current
        self.current = topology
        return changed

    def _loaded(self) -> Topology:
        from .model import Topology

        return Topology.load(self.path)

    def _read_stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except (OSError, ValueError):
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def sources_of(topology: Known | Iterable[Known]) -> list[TopologySource]:
    """Return sources for a user's ``topology=``: one or several, objects or files.

    A source is returned unchanged. Raises `TopologyError` if a file or the value is not valid, or
    two topologies cover one URL.
    """
    from .model import Topology

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
            f"{topology!r} is not a topology: expected a Topology, the path of a TOML file, or "
            "several of these"
        ) from None
    sources = [source for one in several for source in sources_of(one)]
    _check_apart([source.current for source in sources])
    return sources


def _check_apart(topologies: Sequence[Topology]) -> None:
    for i, topology in enumerate(topologies):
        for service in topology.services:
            for other in topologies[:i]:
                match = other.covering(service.url) if service.url else None
                if match is not None and not match.by_port:
                    raise TopologyError(
                        f"two topologies cover {service.url}: by service {service.name!r} of one "
                        f"and {match.service.name!r} of the other; give each site once"
                    )


# ---- the user's own file ----


def default_sources() -> list[TopologySource]:
    """Return the topology that the user has configured, if any."""
    path = default_topology_path()
    return [] if path is None else [FileSource(path)]


def default_topology_path() -> Path | None:
    """Return the user's topology file, if there is one.

    It is the file that ``PAVICS_AFFINITY_TOPOLOGY`` names, or
    ``pavics-affinity/topology.toml`` in the user's configuration directory. It is never a
    file in the working directory, because a file that comes with another person's notebook
    must not name hosts.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return _named(Path(named))
    base = _configuration_directory()
    if base is None or not base.is_absolute():
        return None
    path = base / "pavics-affinity" / "topology.toml"
    return path if path.is_file() else None


def _named(path: Path) -> Path:
    with contextlib.suppress(RuntimeError):  # as below
        path = path.expanduser()
    if not path.is_absolute():
        raise TopologyError(
            f"{VARIABLE} is {str(path)!r}, a relative path, which names a different file in each "
            "directory; write an absolute path",
            file=str(path),
        )
    if not path.is_file():
        raise TopologyError(
            f"{VARIABLE} names {str(path)!r}, but there is no such file; correct or unset it",
            file=str(path),
        )
    return path


def _configuration_directory() -> Path | None:
    windows = sys.platform == "win32"
    base = Path(os.environ.get("APPDATA" if windows else "XDG_CONFIG_HOME", ""))
    # The XDG specification says to ignore relative paths.
    if base.is_absolute():
        return base
    try:
        return Path.home() / ("AppData/Roaming" if windows else ".config")
    except RuntimeError:  # no HOME, and no entry in the password database
        return None

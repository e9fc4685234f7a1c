"""Where a topology file is looked for when none is given."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..errors import TopologyError

VARIABLE = "PAVICS_AFFINITY_TOPOLOGY"


def default_topology_path() -> Path | None:
    """Return the user's topology file.

    Returns
    -------
    Path or None
        What ``PAVICS_AFFINITY_TOPOLOGY`` names; else
        ``pavics-affinity/topology.toml`` in the user's configuration directory
        (``$XDG_CONFIG_HOME`` or ``~/.config``; ``%APPDATA%`` on Windows), if it is
        there. Never a file of the working directory: one that came with
        somebody's notebook must not name hosts.

    Raises
    ------
    TopologyError
        The variable names a relative path, or no file.
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
    if path.parts[0] == "~":
        path = _below_home(*path.parts[1:]) or path
    if not path.is_absolute():
        raise TopologyError(
            f"{VARIABLE} is {str(path)!r}: a relative path would mean another file in each "
            "directory; give it from the root on",
            file=str(path),
        )
    if not path.is_file():
        raise TopologyError(
            f"{VARIABLE} names {str(path)!r}, and there is no such file; correct it or unset it",
            file=str(path),
        )
    return path


def _configuration_directory() -> Path | None:
    if sys.platform == "win32":
        base = os.environ.get("APPDATA")
        return Path(base) if base else _below_home("AppData", "Roaming")
    base = os.environ.get("XDG_CONFIG_HOME", "")
    # The XDG specification has relative paths ignored.
    return Path(base) if Path(base).is_absolute() else _below_home(".config")


def _below_home(*parts: str) -> Path | None:
    home = _home()
    return None if home is None else home.joinpath(*parts)


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and no entry in the password database
        return None

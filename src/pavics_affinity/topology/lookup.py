"""Where a topology file is looked for when none is given."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "PAVICS_AFFINITY_TOPOLOGY"


def default_topology_path() -> Path | None:
    """Return the user's topology file.

    Returns
    -------
    Path or None
        What ``PAVICS_AFFINITY_TOPOLOGY`` names, whether it exists or not; else
        ``pavics-affinity/topology.toml`` in the user's configuration directory
        (``$XDG_CONFIG_HOME`` or ``~/.config``; ``%APPDATA%`` on Windows), if it is
        there. Never a file of the working directory: one that came with
        somebody's notebook must not name hosts.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    path = _configuration_directory() / "pavics-affinity" / "topology.toml"
    return path if path.is_file() else None


def _configuration_directory() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("APPDATA")
        return Path(base) if base else Path.home() / "AppData" / "Roaming"
    base = os.environ.get("XDG_CONFIG_HOME", "")
    # The XDG specification has relative paths ignored.
    return Path(base) if Path(base).is_absolute() else Path.home() / ".config"

"""The command ``pavics-affinity``."""

from __future__ import annotations

import sys

COMMANDS = {
    "demo": "Run chains of processes on a cluster of this machine, pinned and unpinned.",
    "cluster": "Keep a cluster of this machine up, and print its URLs.",
    "where": "Show on which node a machineid lands.",
    "mint": "Print fresh machineids, for a chosen node if asked.",
    "spread": "Show the balance over nodes, and what a change would move.",
    "check": "Look for mistakes in nginx and compose files.",
    "render": "Write the files of a proxy from a topology.",
    "probe": "Ask a live proxy whether affinity works.",
}
"""Each command's line in the help. Its module here has its name, and holds `command`."""


def main() -> None:
    """Run the command line."""
    try:
        import click  # noqa: F401 - only to tell whether it is there
    except ImportError:
        sys.exit(_without_click())
    from .group import group

    group(prog_name="pavics-affinity")


def _without_click() -> int:
    sys.stderr.write(
        "pavics-affinity: the command line needs packages that are not installed; "
        "run: pip install 'pavics-affinity[cli]'\n"
    )
    return 2

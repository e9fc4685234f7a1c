"""The command ``pavics-affinity``."""

from __future__ import annotations

import sys

COMMANDS = {
    "demo": "Run chains of processes on a cluster on this machine, pinned and unpinned.",
    "cluster": "Start a cluster on this machine, and print its URLs.",
    "where": "Show the node of a machineid.",
    "mint": "Print new machineids, also for a chosen node.",
    "spread": "Show the balance over nodes, and what a change would move.",
    "check": "Look for mistakes in nginx and compose files.",
    "render": "Write the files of a proxy from a topology.",
    "probe": "Ask a live proxy whether affinity works.",
}
"""Each command's line in the help. The module of the same name defines `command`."""


def main() -> None:
    """Run the command line."""
    try:
        import click  # noqa: F401 - only to see whether it is installed
    except ImportError:
        sys.stderr.write(
            "pavics-affinity: the command line needs packages that are not installed; "
            "run: pip install 'pavics-affinity[cli]'\n"
        )
        sys.exit(2)
    from .group import group

    group(prog_name="pavics-affinity")

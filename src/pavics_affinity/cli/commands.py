"""The commands and their lines in the help; each is a module here that defines `command`."""

from __future__ import annotations

COMMANDS = {
    "demo": "Run chains of processes on a cluster on this machine, pinned and unpinned.",
    "cluster": "Start a cluster on this machine, and print its URLs.",
    "where": "Show the node of a machineid.",
    "mint": "Print new machineids, optionally for one node.",
    "spread": "Show the balance over nodes, and what a change would move.",
    "check": "Look for mistakes in nginx and compose files.",
    "render": "Write the files of a proxy from a topology.",
    "log": "Count requests, errors and chains in a strict proxy's access log.",
    "probe": "Ask a live proxy whether affinity works.",
}
"""Each command's line in the help."""

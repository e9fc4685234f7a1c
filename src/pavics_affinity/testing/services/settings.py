"""What the owner of a cluster tells a backend."""

from __future__ import annotations

from dataclasses import dataclass

# Answered by the application itself, and not logged.
READY_PATH = "/.local-cluster/ready"


@dataclass(frozen=True)
class BackendSettings:
    """What makes a backend.

    Attributes
    ----------
    node, service : str
        Their names.
    disk : str
        The node's directory.
    url, outputurl : str
        What PyWPS writes into its documents.
    workers : int
        Requests answered at a time.
    parallelprocesses, maxprocesses : int
        PyWPS's own settings: jobs at a time, and jobs queued.
    """

    node: str
    service: str
    disk: str
    url: str
    outputurl: str
    workers: int
    parallelprocesses: int
    maxprocesses: int

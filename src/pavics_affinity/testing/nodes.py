"""The nodes of a cluster, the requests that they received, and the processes that they ran."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .services.shared import read_log


@dataclass(frozen=True)
class NodeRequest:
    """One request that a node received.

    Attributes
    ----------
    node, service : str
        The node and the service that received it.
    time : float
        Seconds since the epoch, on arrival.
    method, path, query : str
        As received.
    headers : tuple of (str, str)
        Every header line, in order; names in lower case.
    operation : str
        ``"GetCapabilities"``, ``"DescribeProcess"``, ``"Execute"``,
        ``"status"``, ``"output"``, or empty.
    identifier : str or None
        The process that DescribeProcess and Execute name.
    """

    node: str
    service: str
    time: float
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    operation: str
    identifier: str | None

    def values(self, header: str) -> list[str]:
        """Return the value of each line of a header; a header sent twice has two values."""
        return [value for name, value in self.headers if name == header.lower()]

    @property
    def machineid(self) -> str | None:
        """The first ``machineid`` header: the routing key, as received."""
        return next(iter(self.values("machineid")), None)


@dataclass(frozen=True)
class Execution:
    """One run of a process on a node.

    Attributes
    ----------
    node, service, identifier : str
        The node, the service and the process.
    uuid : str
        PyWPS's id of the run, as in the names of its status document and outputs.
    inputs : dict of str to list
        The literal inputs.
    started : float
        Seconds since the epoch.
    ended : float or None
        None while it runs, or if it was killed.
    error : str or None
        The error that the process raised.
    """

    node: str
    service: str
    identifier: str
    uuid: str
    inputs: dict[str, list[Any]]
    started: float
    ended: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class ClusterNode:
    """A node of the cluster: its address, its ports by service, and its own disk."""

    name: str
    host: str
    ports: dict[str, int]
    disk: Path

    def address(self, service: str) -> str:
        """Return ``host:port`` of a service."""
        return f"{self.host}:{self.ports[service]}"

    def log(self) -> str:
        """Return everything that its processes printed and logged."""
        files = [self.disk / f"{service}.log" for service in self.ports]
        files += [self.disk / service / "pywps.log" for service in self.ports]
        return "\n".join(path.read_text(errors="replace") for path in files if path.is_file())

    def requests(self) -> list[NodeRequest]:
        """Return the requests that the node received, in order of arrival."""
        return [
            NodeRequest(
                node=self.name,
                **{**entry, "headers": tuple((name, value) for name, value in entry["headers"])},
            )
            for entry in read_log(self.disk / "requests.jsonl")
        ]

    def executions(self) -> list[Execution]:
        """Return the runs of processes on the node, in order of start."""
        runs: dict[str, dict[str, Any]] = {}
        for entry in read_log(self.disk / "executions.jsonl"):  # at the start and at the end
            runs.setdefault(entry["uuid"], {}).update(entry)
        return [Execution(node=self.name, **run) for run in runs.values()]

"""The owner's side of the supervisor, the parent of all processes of a cluster."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, cast

from ..errors import AffinityError

_STOP_SECONDS = 30.0
_TAIL = 2000


class ClusterError(AffinityError, RuntimeError):
    """The local cluster failed to do something; the message says why."""


class AddressInUse(ClusterError):
    """Another program listens on an address that the cluster chose."""


class Supervisor:
    """A process that starts, signals and ends the others; see `supervisor`.

    It imports PyWPS once and forks each backend. When its standard input ends,
    it ends all processes and removes the cluster's directory, so nothing is
    left behind if the owner dies.
    """

    def __init__(self, directory: Path) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._log = directory / "supervisor.log"
        # PyWPS reads its configuration from PYWPS_CFG, and requests reads its proxies.
        kept = {k: v for k, v in os.environ.items() if k not in {"PYWPS_CFG", "PYTHONSTARTUP"}}
        environment = kept | {
            "NO_PROXY": "*",
            "OPENBLAS_NUM_THREADS": "1",  # threads do not survive a fork
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        reader, writer = os.pipe()
        module = "pavics_affinity.testing.supervisor"
        with self._log.open("wb") as log:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our module
                    [sys.executable, "-m", module, str(directory), str(writer)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    pass_fds=[writer],
                    start_new_session=True,  # Ctrl-C is for the owner
                )
            finally:
                os.close(writer)
        self._answers = os.fdopen(reader, "rb")

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Call the method ``do_...`` of `supervisor.ProcessGroups`, and return its answer.

        Raises
        ------
        ClusterError
            The supervisor is gone, or reports a failure.
        """
        if os.getpid() != self._owner:
            raise ClusterError(
                "this cluster belongs to the parent of this process; start another cluster here"
            )
        commands = cast("IO[bytes]", self._process.stdin)
        with self._lock:
            try:
                commands.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
                commands.flush()
                line = self._answers.readline()
            except (OSError, ValueError):
                line = b""
        if not line:
            raise ClusterError(
                f"the cluster is not running; its supervisor wrote: {self._tail() or 'nothing'}"
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            kind = AddressInUse if answer.get("in_use") else ClusterError
            raise kind(answer["error"])
        return answer

    def stop(self) -> None:
        """End every process and remove the directory; safe to call twice."""
        with contextlib.suppress(OSError):
            cast("IO[bytes]", self._process.stdin).close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()

    def _tail(self) -> str:
        try:
            return self._log.read_text(errors="replace")[-_TAIL:].strip()
        except OSError:
            return ""

"""The owner's side of the supervisor, the parent of all processes of a cluster."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from ..errors import AffinityError

_STOP_SECONDS = 30.0
_TAIL = 2000


class ClusterError(AffinityError, RuntimeError):
    """The local cluster failed to do something; the message says why."""


class AddressInUse(ClusterError):
    """Another program listens on an address that the cluster chose."""


class Supervisor:
    """A process that starts, signals and ends the others of a cluster; see `supervisor`.

    When its channel is closed, it ends all processes and removes the cluster's directory, so
    nothing is left behind if the owner dies.
    """

    def __init__(self, directory: Path) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._server = _fork_server()
        self._log_begin = self._server.log_size()
        self._channel = self._server.fork(directory)
        self._stream = self._channel.makefile("rwb")
        self._pid: int | None = None

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Call the method ``do_...`` of `supervisor.ProcessGroups`, and return its answer."""
        if os.getpid() != self._owner:
            raise ClusterError(
                "this cluster belongs to the parent of this process; start another cluster here"
            )
        with self._lock:
            try:
                if self._pid is None:
                    self._pid = json.loads(self._stream.readline())["pid"]
                self._stream.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
                self._stream.flush()
                line = self._stream.readline()
            except (OSError, ValueError):
                line = b""
        if not line:
            raise ClusterError(
                "the cluster is not running; its supervisor wrote: "
                f"{self._server.log(self._log_begin) or 'nothing'}"
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            kind = AddressInUse if answer.get("in_use") else ClusterError
            raise kind(answer["error"])
        return answer

    def stop(self) -> None:
        """End every process and remove the directory; safe to call twice."""
        # Closed at its other end when the supervisor has ended.
        try:
            self._channel.shutdown(socket.SHUT_WR)
            self._channel.settimeout(_STOP_SECONDS)
            while self._channel.recv(_TAIL):
                pass  # the answer to a command that was interrupted
        except TimeoutError:  # an import of a service that does not end
            if self._pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)
        except OSError:
            pass
        with contextlib.suppress(OSError):
            self._stream.close()
        self._channel.close()


class _ForkServer:
    """A process that imports PyWPS once, and forks the supervisor of each cluster.

    It ends with its owner, as the supervisors do.
    """

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed at the end of the process
        self._requests, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our module
                [sys.executable, "-m", f"{__package__}.supervisor", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=_environment(),
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the owner
            )
        atexit.register(self._close)

    def is_running(self) -> bool:
        """Return whether it can fork; a fork of the owner needs its own."""
        return self._owner == os.getpid() and self._process.poll() is None

    def fork(self, directory: Path) -> socket.socket:
        """Fork a supervisor; return the socket on which it takes commands and answers."""
        ours, theirs = socket.socketpair()
        start = {"directory": str(directory), "environment": _environment()}
        # If the server is gone, the first command finds the socket closed.
        with theirs, contextlib.suppress(OSError):
            socket.send_fds(self._requests, [b"fork"], [theirs.fileno()])
            ours.sendall(json.dumps(start).encode() + b"\n")
        return ours

    def log_size(self) -> int:
        """Return the length of what it and the supervisors printed."""
        return os.fstat(self._log.fileno()).st_size

    def log(self, begin: int) -> str:
        """Return the end of what they printed since then."""
        # Not by a seek, because the processes write at the same position.
        tail = os.pread(self._log.fileno(), _TAIL, max(begin, self.log_size() - _TAIL))
        return tail.decode(errors="replace").strip()

    def _close(self) -> None:
        if self._owner == os.getpid():
            # Not only closed, because a fork may have a copy.
            with contextlib.suppress(OSError):
                self._requests.shutdown(socket.SHUT_RDWR)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:  # its imports do not end
                self._process.kill()
                self._process.wait()
        self._requests.close()
        self._log.close()


# Of the whole process, so that the next cluster needs no import: docs/design/0011.
_SERVERS: list[_ForkServer] = []
_STARTING = threading.Lock()


def _fork_server() -> _ForkServer:
    """Return this process's server, and start it first if none is running."""
    with _STARTING:
        if not _SERVERS or not _SERVERS[-1].is_running():
            _SERVERS.append(_ForkServer())
        return _SERVERS[-1]


def _environment() -> dict[str, str]:
    # PyWPS reads its configuration from PYWPS_CFG, and requests reads its proxies.
    kept = {k: v for k, v in os.environ.items() if k not in {"PYWPS_CFG", "PYTHONSTARTUP"}}
    return kept | {
        "NO_PROXY": "*",
        "OPENBLAS_NUM_THREADS": "1",  # threads do not survive a fork
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        # The working directory is the first, as for `python -m`.
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(map(os.path.abspath, ["", *sys.path]))),
    }

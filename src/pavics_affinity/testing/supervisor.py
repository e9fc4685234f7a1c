"""The parent process of all others in a local cluster, and the process that forks it.

``python -m pavics_affinity.testing.supervisor FD`` is that process: it forks a supervisor for
each socket that arrives at the descriptor. A supervisor reads commands as JSON lines from its
socket, and answers there. When the socket is closed, or its parent changes, it ends everything
that it started, and itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

# One import for the backends of all clusters: it takes longer than everything else.
import gunicorn.arbiter
import gunicorn.workers.sync  # noqa: F401 - for the forks
import netCDF4  # noqa: F401 - for the forks
import sqlalchemy.dialects.sqlite  # noqa: F401 - for the forks
import xarray

from .services.backend import load_factory, serve
from .services.shared import BackendSettings

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_WATCH_SECONDS = 0.5
_GONE_SECONDS = 20.0
_BACKLOG = 512


class ProcessGroups:
    """The cluster's process groups by name; each ``do_`` method is a command of the owner.

    The descriptor `private` is closed in every process that is started.
    """

    def __init__(self, directory: Path, private: int) -> None:
        self._directory = directory
        self._private = private
        self._groups: dict[str, int] = {}
        self._exits: dict[int, int] = {}

    def do_backend(self, settings: dict[str, Any], **place: Any) -> dict[str, Any]:
        """Fork the process tree of a backend."""
        factory = settings["factory"]
        try:
            if factory is not None:
                # Imported here once for all nodes; some open a log in the current directory.
                load_factory(factory)
        except Exception as error:  # noqa: BLE001 - an import may raise anything
            return {"error": f"{place['name']}: {factory} cannot be loaded: {error!r}"}
        return self._serve(lambda it: _serve_backend(BackendSettings(**settings), it), **place)

    def do_twitcher(self, urls: dict[str, str], **place: Any) -> dict[str, Any]:
        """Fork the process of a Twitcher in front of the services at these URLs."""
        return self._serve(lambda it: _serve_twitcher(urls, it), **place)

    def _serve(
        self,
        serve: Callable[[socket.socket], object],
        *,
        name: str,
        host: str,
        port: int,
        log: str,
    ) -> dict[str, Any]:
        """Open a socket and fork the process that serves it."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            return {
                "error": f"cannot listen on {host}:{port}: {error}",
                "in_use": error.errno == errno.EADDRINUSE,
            }
        with listener:
            return self._fork(name, log, lambda: serve(listener))

    def do_program(self, name: str, argv: list[str], log: str) -> dict[str, Any]:
        """Start a program."""
        return self._fork(name, log, lambda: _execute(argv))

    def do_signal(self, name: str, number: int, group: bool = True) -> dict[str, Any]:
        """Send a signal to a process group, or to its leader only."""
        pid = self._groups.get(name)
        if pid is None:
            return {"error": f"{name} is not running"}
        try:
            (os.killpg if group else os.kill)(pid, number)
        except ProcessLookupError:
            return {"error": f"{name} is not running"}
        return {}

    def do_kill(self, names: list[str]) -> dict[str, Any]:
        """Kill process groups and return when every process of them is gone."""
        pids = [self._groups[name] for name in names if name in self._groups]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        deadline = time.monotonic() + _GONE_SECONDS
        while any(_group_exists(pid) for pid in pids):
            self.reap()
            if time.monotonic() > deadline:
                return {"error": f"{', '.join(names)}: still running after SIGKILL"}
            time.sleep(0.002)
        for name in names:
            self._groups.pop(name, None)
        return {}

    def do_status(self, name: str) -> dict[str, Any]:
        """Return the pid of a group's leader, and its exit status if it has ended."""
        self.reap()
        pid = self._groups.get(name)
        return {"pid": pid, "exit": self._exits.get(pid) if pid else None}

    def reap(self) -> None:
        """Collect ended processes, grandchildren included on systems that hand them over."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self._exits[pid] = os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """Kill everything and remove the directory."""
        self.do_kill(list(self._groups))
        shutil.rmtree(self._directory, ignore_errors=True)

    def _fork(self, name: str, log: str, run: Callable[[], object]) -> dict[str, Any]:
        parent = os.getpid()

        def run_with_log() -> None:
            if os.getppid() != parent:
                os._exit(1)
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            os.close(descriptor)
            run()

        self._groups[name] = pid = fork(self._private, run_with_log)
        return {"pid": pid}


def fork(private: int, run: Callable[[], object]) -> int:
    """Fork a process group without the descriptor `private`, and return its pid."""
    pid = os.fork()
    if pid == 0:
        _become(private, run)
    # Called by parent and child, so that both see the group from the start.
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    return pid


def _become(private: int, run: Callable[[], object]) -> NoReturn:
    code = 1
    try:
        os.close(private)
        os.setpgid(0, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        run()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001 - the fork must never return to its parent's code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve_backend(settings: BackendSettings, listener: socket.socket) -> None:
    # If the supervisor is killed, this ends, and so do its forks: workers and jobs.
    os.register_at_fork(after_in_child=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    serve(settings, listener)


def _serve_twitcher(urls: dict[str, str], listener: socket.socket) -> None:
    from .services import twitcher  # of another extra

    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    twitcher.serve(urls, listener)


def _execute(argv: list[str]) -> NoReturn:
    # Not SIGKILL, because a program such as nginx ends its own children.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted


def _group_exists(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS raises this for a group of zombies
        return False
    return True


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def supervise(channel: socket.socket, parent: int) -> None:
    """Obey commands until the channel is closed, and then remove the cluster's directory."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    stream = channel.makefile("rwb", buffering=0)  # select does not see what a buffer holds
    start = json.loads(stream.readline())
    os.environ.clear()
    os.environ.update(start["environment"])
    sys.path[:] = os.environ["PYTHONPATH"].split(os.pathsep)
    importlib.invalidate_caches()  # a directory may be newer than the import of PyWPS
    os.chdir(start["directory"])
    groups = ProcessGroups(Path(start["directory"]), channel.fileno())
    try:
        stream.write(json.dumps({"pid": os.getpid()}).encode() + b"\n")
        while os.getppid() == parent:
            groups.reap()
            if select.select([channel], [], [], _WATCH_SECONDS)[0]:
                line = stream.readline()
                if not line:
                    return
                command = json.loads(line)
                answer = getattr(groups, f"do_{command.pop('do')}")(**command)
                stream.write(json.dumps(answer).encode() + b"\n")
    finally:
        groups.close()


def main(requests: socket.socket) -> None:
    """Fork a supervisor for each socket that the owner sends, until the owner ends."""
    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system collects ended supervisors
    with tempfile.TemporaryDirectory() as directory:
        # Opening the first file takes 0.3 s if Dask is installed, because xarray imports it.
        # Each asynchronous job, a fork, would need that time again.
        xarray.Dataset({"first": 0}).to_netcdf(f"{directory}/first.nc", engine="netcdf4")
    tempfile.tempdir = None  # the next cluster may have another
    while True:
        if select.select([requests], [], [], _WATCH_SECONDS)[0]:
            # Even if the owner has ended, because its cluster has a directory.
            data, descriptors, _, _ = socket.recv_fds(requests, len(b"fork"), 1)
            if not data:
                return
            with socket.socket(fileno=descriptors[0]) as channel:
                try:
                    fork(requests.fileno(), functools.partial(supervise, channel, os.getpid()))
                except OSError:  # too many processes; the other clusters run
                    traceback.print_exc()
        elif os.getppid() != parent:
            return


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
    # Everything has ended. Taking all modules apart would take the owner's end half a second.
    os._exit(0)

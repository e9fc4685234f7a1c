"""The parent process of all others in a local cluster.

It is started as ``python -m pavics_affinity.testing.supervisor DIRECTORY FD``, reads
commands as JSON lines from standard input, and answers on the descriptor. When the
input ends, or its parent changes, it ends everything that it started, and itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

# One import for all backends: on a busy machine, six interpreters that import at the same
# time make a cluster slow to start.
import netCDF4  # noqa: F401 - imported for the forks
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

    The descriptors in `private` are closed in every process that is started.
    """

    def __init__(self, directory: Path, private: tuple[int, ...]) -> None:
        self._directory = directory
        self._private = private
        self._groups: dict[str, int] = {}
        self._exits: dict[int, int] = {}
        # Opening the first file takes 0.3 s if Dask is installed, because xarray imports it.
        # Each asynchronous job, a fork, would need that time again.
        xarray.Dataset({"first": 0}).to_netcdf(directory / "first.nc", engine="netcdf4")

    def do_backend(self, settings: dict[str, Any], **place: Any) -> dict[str, Any]:
        """Fork the process tree of a backend."""
        factory = settings["factory"]
        try:
            if factory is not None:
                # Imported here once for all nodes; some open a log in the current directory.
                with contextlib.chdir(self._directory):
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
        pid = os.fork()
        if pid == 0:
            _become(parent, self._private, log, run)
        # Called by parent and child, so that both see the group from the start.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        self._groups[name] = pid
        return {"pid": pid}


def _become(parent: int, private: tuple[int, ...], log: str, run: Callable[[], object]) -> NoReturn:
    code = 1
    try:
        for descriptor in private:
            os.close(descriptor)
        os.setpgid(0, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        if os.getppid() != parent:
            os._exit(1)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)
        run()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001 - the fork must never return into the supervisor
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


def main(directory: Path, answers: int) -> None:
    """Obey commands until the input ends, and then remove the cluster's directory."""
    parent = os.getppid()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    commands = os.dup(0)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.set_inheritable(answers, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    groups = ProcessGroups(directory, (commands, answers))
    pending = b""
    try:
        while os.getppid() == parent:
            groups.reap()
            if not select.select([commands], [], [], _WATCH_SECONDS)[0]:
                continue
            data = os.read(commands, 1 << 16)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                command = json.loads(line)
                answer = getattr(groups, f"do_{command.pop('do')}")(**command)
                os.write(answers, json.dumps(answer).encode() + b"\n")
    finally:
        groups.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
    # Everything has ended. Taking all modules apart would take the owner's `stop` half a second.
    os._exit(0)

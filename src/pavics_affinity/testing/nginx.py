"""The cluster's nginx: its configuration files, its process, its logs."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .control import AddressInUse, ClusterError, Supervisor
from .services.shared import read_log

_SERVER_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin")
_NAME = "proxy"
_START_SECONDS = 30.0
_RELOAD_SECONDS = 30.0
_QUIET_SECONDS = 0.05
_MAIN = """\
worker_processes {workers};
events {{ worker_connections 1024; }}
http {{
  default_type application/octet-stream;
  client_max_body_size 1g;
  include /etc/nginx/conf.d/*.conf;
}}
"""
_TYPES = "types { text/html html; text/xml xml; application/json json; }\n"
_ENDED = re.compile(r"(\d+)#\d+: (?:gracefully shutting down|exiting)|worker process (\d+) exited")


@dataclass(frozen=True)
class ProxyRequest:
    """One request as the proxy logged it, after it was answered.

    Attributes
    ----------
    time : float
        Seconds since the epoch, at the end of the answer.
    service, node : str or None
        Taken from the URL, and from the last upstream address.
    method, uri : str
        As received; the query is part of the URI.
    status : int
        The status that the client received.
    machineid : str or None
        The value of nginx's ``$http_machineid``; only the nodes' logs show if
        there were several headers.
    upstreams : tuple of str
        Addresses tried, in order.
    upstream_status : tuple of str
        The status of each.
    seconds : float
        From the first byte of the request to the last byte of the answer.
    bytes : int
        Length of the answer's body.
    """

    time: float
    service: str | None
    node: str | None
    method: str
    uri: str
    status: int
    machineid: str | None
    upstreams: tuple[str, ...]
    upstream_status: tuple[str, ...]
    seconds: float
    bytes: int


_LOG_FIELDS = {
    "time": "$msec",
    "port": "$server_port",
    "method": "$request_method",
    "uri": "$request_uri",
    "status": "$status",
    "machineid": "$http_machineid",
    "upstreams": "$upstream_addr",
    "upstream_status": "$upstream_status",
    "seconds": "$request_time",
    "bytes": "$body_bytes_sent",
}


def find_nginx() -> str | None:
    """Return the path of nginx, from the PATH or a usual directory; None if not found."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SERVER_DIRECTORIES))
    return shutil.which("nginx", path=path)


class Nginx:
    """A real nginx, started from files in its own directory.

    `workers` is its ``worker_processes``, unless the user's configuration sets it.
    """

    def __init__(self, supervisor: Supervisor, directory: Path, workers: int) -> None:
        found = find_nginx()
        if found is None:
            raise ClusterError(
                "nginx was not found; install it (Debian: apt-get install nginx-light; "
                "macOS: brew install nginx), or use proxy='none'"
            )
        self._nginx = found
        self._supervisor = supervisor
        self._directory = directory
        self._workers = workers
        self._logs = directory / "logs"
        self._error_log = self._logs / "error.log"
        self._access_log = self._logs / "access.jsonl"
        self._begin = 0
        self._files: dict[str, str] = {}
        for made in (directory, self._logs, directory / "temp"):
            made.mkdir(exist_ok=True)

    def write(self, files: Mapping[str, str]) -> None:
        """Replace the configuration files, by path below nginx's directory, and test them.

        Paths below ``/etc/nginx`` and ``/var/log/nginx`` are moved to the cluster's directory.
        Without an ``nginx.conf``, ``conf.d/*.conf`` are included. If nginx refuses the files,
        the earlier ones are back, and `ClusterError` says why.
        """
        given = {"nginx.conf": _MAIN.format(workers=self._workers), "mime.types": _TYPES, **files}
        written = {name: self._moved(text) for name, text in given.items()}
        written["nginx.conf"] = self._adapted(written["nginx.conf"])
        before = self._files
        self._replace(written)
        test = subprocess.run(  # noqa: S603 - the nginx that was found
            [*self._command(), "-t"], capture_output=True, text=True, timeout=60, check=False
        )
        if test.returncode:
            self._replace(before)
            raise ClusterError(f"nginx refuses the configuration: {test.stderr.strip()}")

    def start(self, listens: Iterable[tuple[str, int]]) -> None:
        """Start it and wait until it accepts connections at each host and port."""
        mark = self._begin = _size(self._error_log)
        argv = [*self._command(), "-g", "daemon off;"]
        self._supervisor.ask("program", name=_NAME, argv=argv, log=str(self._logs / "stderr.log"))
        deadline = time.monotonic() + _START_SECONDS
        while True:
            log = self._errors(mark)
            if "start worker process" in log and all(map(_accepts, listens)):
                return
            ended = self._supervisor.ask("status", name=_NAME)["exit"] is not None
            if ended or time.monotonic() > deadline:
                self.kill()
                log = log or (self._logs / "stderr.log").read_text(errors="replace")
                kind = AddressInUse if "Address already in use" in log else ClusterError
                raise kind(f"nginx did not start: {log.strip()[-2000:]}")
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill it at once."""
        self._supervisor.ask("kill", names=[_NAME])

    def reload(self) -> None:
        """Make it read its files again; return when only new workers accept connections."""
        mark = _size(self._error_log)
        old = _serving_workers(self._errors(self._begin))
        self._supervisor.ask("signal", name=_NAME, number=signal.SIGHUP, group=False)
        deadline = time.monotonic() + _RELOAD_SECONDS
        while True:
            log = self._errors(mark)
            serving = _serving_workers(self._errors(self._begin))
            if "start worker process" in log and not old & serving:
                return
            if time.monotonic() > deadline:
                raise ClusterError(f"nginx did not reload: {log.strip()[-2000:]}")
            time.sleep(0.01)

    def requests(
        self, service_of: Callable[[int, str], str | None], nodes: Mapping[str, str]
    ) -> list[ProxyRequest]:
        """Read the access log; find the service by port and URI, and the node by address."""
        # nginx logs a request after the client has the answer: wait until the log is quiet.
        size = -1
        while size != (size := _size(self._access_log)):
            time.sleep(_QUIET_SECONDS)
        return [_proxy_request(entry, service_of, nodes) for entry in read_log(self._access_log)]

    def errors(self) -> str:
        """Return the error log, at level notice."""
        return self._errors(0)

    def _command(self) -> list[str]:
        prefix = f"{self._directory}{os.sep}"
        # Before it has read its configuration, nginx logs to the compiled-in path.
        return [self._nginx, "-p", prefix, "-c", f"{prefix}nginx.conf", "-e", "stderr"]

    def _adapted(self, main: str) -> str:
        """Return the main file with the cluster's own directives."""
        text = re.sub(r"(?m)^\s*(user|pid|error_log|daemon)\s[^;]*;", "", main)
        first = [f"pid {self._directory}/nginx.pid;", f"error_log {self._error_log} notice;"]
        if os.geteuid() == 0:
            import grp
            import pwd

            # As root, nginx runs its workers as another user, who may not enter the directory.
            user = pwd.getpwuid(0).pw_name
            first.append(f"user {user} {grp.getgrgid(os.getegid()).gr_name};")
        fields = ",".join(f'"{name}":"{variable}"' for name, variable in _LOG_FIELDS.items())
        http = [
            "http {",
            f"  log_format local_cluster escape=json '{{{fields}}}';",
            f"  access_log {self._access_log} local_cluster;",
        ]
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
            http.append(f"  {kind}_temp_path {self._directory}/temp/{kind};")
        with_http = re.sub(r"\bhttp\s*\{", lambda _: "\n".join(http), text, count=1)
        return "\n".join([*first, with_http])

    def _moved(self, text: str) -> str:
        text = text.replace("/etc/nginx/", f"{self._directory}/")
        return text.replace("/var/log/nginx/", f"{self._logs}/")

    def _replace(self, files: dict[str, str]) -> None:
        for name in set(self._files) - set(files):
            (self._directory / name).unlink()
        for name, text in files.items():
            path = self._directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self._files = files

    def _errors(self, start: int) -> str:
        try:
            return self._error_log.read_bytes()[start:].decode(errors="replace")
        except FileNotFoundError:
            return ""


def _serving_workers(log: str) -> set[str]:
    workers: set[str] = set()
    for line in log.splitlines():
        if started := re.search(r"start worker process (\d+)", line):
            workers.add(started[1])
        elif ended := _ENDED.search(line):
            workers.discard(ended[1] or ended[2])
    return workers


def _proxy_request(
    entry: dict[str, Any],
    service_of: Callable[[int, str], str | None],
    nodes: Mapping[str, str],
) -> ProxyRequest:
    upstreams = tuple(re.findall(r"[^,:\s]+:\d+", entry["upstreams"]))
    return ProxyRequest(
        time=float(entry["time"]),
        service=service_of(int(entry["port"]), entry["uri"]),
        node=nodes.get(upstreams[-1]) if upstreams else None,
        method=entry["method"],
        uri=entry["uri"],
        status=int(entry["status"]),
        machineid=entry["machineid"] or None,
        upstreams=upstreams,
        upstream_status=tuple(re.findall(r"[^,:\s]+", entry["upstream_status"])),
        seconds=float(entry["seconds"]),
        bytes=int(entry["bytes"]),
    )


def _accepts(address: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=5):
        return True
    return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0

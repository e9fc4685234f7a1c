"""One backend: PyWPS in gunicorn, its outputs, and a log of every request."""

from __future__ import annotations

import io
import json
import mimetypes
import multiprocessing
import os
import re
import socket
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from gunicorn.app.base import BaseApplication
from pywps import Service, dblog
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.security import safe_join
from werkzeug.utils import send_file

from .processes import Place, processes_of
from .shared import READY_PATH, BackendSettings, append_to_log

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# A synchronous Execute occupies its worker for as long as it runs.
_WORKER_TIMEOUT = 4 * 3600

# Enough for the root element and the identifier, even if a large file is embedded.
_HEAD = 1 << 16
_ROOT = re.compile(rb"<(?:\w+:)?(GetCapabilities|DescribeProcess|Execute)\b")
_IDENTIFIER = re.compile(rb"<(?:\w+:)?Identifier[^>]*>\s*([^<]*?)\s*</")
_OPERATIONS = {name.lower(): name for name in ("GetCapabilities", "DescribeProcess", "Execute")}

mimetypes.add_type("application/x-netcdf", ".nc")
mimetypes.add_type("application/metalink4+xml", ".meta4")


def serve(settings: BackendSettings, listener: socket.socket) -> None:
    """Answer requests on a listening socket until killed."""
    # PyWPS runs asynchronous jobs as forks on every platform that can fork.
    multiprocessing.set_start_method("fork", force=True)
    os.chdir(settings.disk)
    _Gunicorn(settings, listener).run()


class _Gunicorn(BaseApplication):
    def __init__(self, settings: BackendSettings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        # The header lines of the current request, because WSGI joins lines of the same name.
        self._raw_headers: list[tuple[str, str]] = []
        super().__init__()

    def load_config(self) -> None:
        settings = {
            "bind": f"fd://{self._listener.detach()}",
            "worker_class": "sync",
            "workers": self._settings.workers,
            "preload_app": True,
            "timeout": _WORKER_TIMEOUT,
            "worker_tmp_dir": self._settings.disk,
            "errorlog": "-",
            "loglevel": "warning",
            "pre_request": self._remember_headers,
            "control_socket_disable": True,
        }
        for name, value in settings.items():
            # Older versions of gunicorn have neither a control socket nor its setting.
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> NodeApp:
        return NodeApp(_pywps(self._settings), self._settings, self._raw_headers)

    def _remember_headers(self, _worker: Any, request: Any) -> None:
        self._raw_headers[:] = [(name.lower(), value) for name, value in request.headers]


# ---- PyWPS ----


def _pywps(settings: BackendSettings) -> WSGIApplication:
    """Make the service, and configure PyWPS in this process for the backend."""
    disk = Path(settings.disk)
    own = disk / settings.service
    cache = disk / "cache"
    for directory in (own / "outputs", own / "work", cache):
        directory.mkdir(parents=True, exist_ok=True)
    configuration = own / "pywps.cfg"
    configuration.write_text(_configuration(settings, own), encoding="utf-8")
    files = [str(configuration)]
    wps: WSGIApplication
    if settings.factory is not None:
        wps = load_factory(settings.factory)(files)
    else:
        place = Place(settings.node, settings.service, cache, disk / "executions.jsonl")
        wps = Service(processes_of(place), files)
    _prepare_database()
    return wps


def load_factory(name: str) -> Callable[[list[str]], WSGIApplication]:
    """Import the function that makes the application of a service from configuration files."""
    module, _, function = name.partition(":")
    factory: Callable[[list[str]], WSGIApplication] = getattr(import_module(module), function)
    return factory


def _prepare_database() -> None:
    # Before the workers fork, because several of them at once would all create the tables.
    with dblog.get_session() as session:
        # Otherwise jobs of a killed backend would count as running for ever.
        unfinished = session.query(dblog.ProcessInstance).filter(
            dblog.ProcessInstance.percent_done < 100
        )
        unfinished.update({"percent_done": 100})
        session.commit()


def _configuration(settings: BackendSettings, own: Path) -> str:
    values: dict[str, dict[str, Any]] = {
        "metadata:main": {"identification_title": settings.service},
        "server": {
            "url": settings.url,
            "outputurl": settings.outputurl,
            "outputpath": own / "outputs",
            "workdir": own / "work",
            "parallelprocesses": settings.parallelprocesses,
            "maxprocesses": settings.maxprocesses,
            "allowedinputpaths": Path(settings.disk) / "cache",
            "storage_copy_function": "link",
        },
        "processing": {"mode": "default"},
        "logging": {
            "level": "WARNING",
            "file": own / "pywps.log",
            # Many processes write; the default of 5 s is too short on a busy machine.
            "database": f"sqlite:///{own / 'pywps.sqlite'}?timeout=60",
        },
    }
    if settings.factory is None:  # other services have their own limits
        values["server"] |= {"maxrequestsize": "1gb", "maxsingleinputsize": "1gb"}
    lines = []
    for section, options in values.items():
        lines.append(f"[{section}]")
        # The parser interpolates at a percent sign.
        lines += [f"{key} = {str(value).replace('%', '%%')}" for key, value in options.items()]
    return "\n".join(lines) + "\n"


# ---- the WSGI application ----


class NodeApp:
    """Logs each request, serves the outputs, and passes everything else to PyWPS."""

    def __init__(
        self,
        wps: WSGIApplication,
        settings: BackendSettings,
        raw_headers: list[tuple[str, str]],
    ) -> None:
        disk = Path(settings.disk)
        self._wps = wps
        self._service = settings.service
        self._outputs = (disk / settings.service / "outputs").resolve()
        self._log = disk / "requests.jsonl"
        self._raw_headers = raw_headers

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Log the request and answer it."""
        path: str = environ["PATH_INFO"]
        if path == READY_PATH:
            start_response("204 No Content", [])
            return []
        self._write_log(environ, path)
        if path != "/outputs" and not path.startswith("/outputs/"):
            return self._wps(environ, start_response)
        try:
            answer = self._output(environ, path.removeprefix("/outputs").lstrip("/"))
        except HTTPException as error:
            return error(environ, start_response)
        return answer(environ, start_response)

    def _output(self, environ: WSGIEnvironment, name: str) -> WSGIApplication:
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            raise MethodNotAllowed(["GET", "HEAD"])
        found = safe_join(str(self._outputs), name)
        if found is None:
            raise NotFound
        try:
            path = Path(found).resolve()
        except ValueError:  # a NUL in it
            raise NotFound from None
        if not path.is_relative_to(self._outputs) or not path.is_file():
            raise NotFound
        return send_file(path, environ, conditional=True, etag=True)

    def _write_log(self, environ: WSGIEnvironment, path: str) -> None:
        if path.startswith("/outputs/"):
            is_status = path.count("/") == 2 and path.endswith(".xml")
            operation, identifier = ("status" if is_status else "output"), None
        elif environ["REQUEST_METHOD"] == "POST":
            operation, identifier = _posted_operation(environ)
        else:
            query = {key.lower(): value for key, value in parse_qsl(environ["QUERY_STRING"])}
            operation = _OPERATIONS.get(query.get("request", "").lower(), "")
            identifier = query.get("identifier")
        entry = {
            "time": time.time(),
            "service": self._service,
            "method": environ["REQUEST_METHOD"],
            "path": path,
            "query": environ.get("QUERY_STRING", ""),
            "headers": self._raw_headers,
            "operation": operation,
            "identifier": identifier,
        }
        append_to_log(self._log, entry)


def _posted_operation(environ: WSGIEnvironment) -> tuple[str, str | None]:
    """Read the operation and the process from the start of the body; put the start back."""
    head = environ["wsgi.input"].read(_HEAD)
    environ["wsgi.input"] = io.BufferedReader(_Replay(head, environ["wsgi.input"]))
    root, identifier = _ROOT.search(head), _IDENTIFIER.search(head)
    if root:
        return root[1].decode(), identifier[1].decode("utf-8", "replace") if identifier else None
    if "json" in environ.get("CONTENT_TYPE", ""):
        try:
            return "Execute", str(json.loads(head)["identifier"])
        except (ValueError, KeyError, TypeError):
            pass
    return "", None


class _Replay(io.RawIOBase):
    """A body whose beginning was already read."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = len(buffer)
        data, self._head = self._head[:size], self._head[size:]
        if not data:
            data = self._rest.read(size)
        buffer[: len(data)] = data
        return len(data)

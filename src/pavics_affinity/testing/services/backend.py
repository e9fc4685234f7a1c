"""One backend: gunicorn, in a process tree of its own, on a socket that is open already."""

from __future__ import annotations

import multiprocessing
import os
import socket
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from pywps import Service, dblog

from .app import NodeApp
from .processes import Place, processes_of
from .settings import BackendSettings

# A synchronous Execute holds its worker as long as it takes.
_WORKER_TIMEOUT = 4 * 3600
_RAW_HEADERS: list[tuple[str, str]] = []


def serve(settings: BackendSettings, listener: socket.socket) -> None:
    """Answer requests until killed.

    Parameters
    ----------
    settings : BackendSettings
        What to serve.
    listener : socket.socket
        Bound and listening.
    """
    # PyWPS runs asynchronous jobs as forks, on every platform that can.
    multiprocessing.set_start_method("fork", force=True)
    os.chdir(settings.disk)
    _Gunicorn(settings, listener).run()


def create_app(settings: BackendSettings) -> NodeApp:
    """Make the WSGI application; PyWPS's configuration of this process becomes the backend's.

    Parameters
    ----------
    settings : BackendSettings
        What to serve.
    """
    disk = Path(settings.disk)
    own = disk / settings.service
    outputs, work, cache = own / "outputs", own / "work", disk / "cache"
    for directory in (outputs, work, cache):
        directory.mkdir(parents=True, exist_ok=True)
    configuration = own / "pywps.cfg"
    configuration.write_text(_configuration(settings, own), encoding="utf-8")
    place = Place(
        node=settings.node,
        service=settings.service,
        cache=cache,
        executions=disk / "executions.jsonl",
    )
    wps = Service(processes_of(place), [str(configuration)])
    _prepare_database()
    return NodeApp(
        wps,
        service=settings.service,
        outputs=outputs,
        log=disk / "requests.jsonl",
        raw_headers=lambda: _RAW_HEADERS,
    )


def _prepare_database() -> None:
    # Now, and not by several workers at once: they would all make the tables.
    with dblog.get_session() as session:
        # Jobs of a backend that was killed would count as running for ever.
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
            "maxrequestsize": "1gb",
            "maxsingleinputsize": "1gb",
            "allowedinputpaths": Path(settings.disk) / "cache",
            "storage_copy_function": "link",
        },
        "processing": {"mode": "default"},
        "logging": {
            "level": "WARNING",
            "file": own / "pywps.log",
            # Many processes write; the default of 5 s is short on a loaded machine.
            "database": f"sqlite:///{own / 'pywps.sqlite'}?timeout=60",
        },
    }
    lines = []
    for section, options in values.items():
        lines.append(f"[{section}]")
        # The parser would take a percent sign for an interpolation.
        lines += [f"{key} = {str(value).replace('%', '%%')}" for key, value in options.items()]
    return "\n".join(lines) + "\n"


def _remember_headers(_worker: Any, request: Any) -> None:
    _RAW_HEADERS[:] = [(name.lower(), value) for name, value in request.headers]


class _Gunicorn(BaseApplication):
    def __init__(self, settings: BackendSettings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
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
            "pre_request": _remember_headers,
            "control_socket_disable": True,
        }
        for name, value in settings.items():
            # Older gunicorns know no control socket, and have none.
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> NodeApp:
        return create_app(self._settings)

"""One node's Emu, the service that birdy's tests are written for: a WSGI application."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import emu
from emu.processes import processes
from pywps import Service, dblog
from werkzeug.middleware.shared_data import SharedDataMiddleware

DISK, URL = Path.cwd(), os.environ["EMU_URL"]

multiprocessing.set_start_method("fork", force=True)  # PyWPS forks its asynchronous jobs
for name in ("outputs", "work"):
    (DISK / name).mkdir(exist_ok=True)
(DISK / "pywps.cfg").write_text(f"""
[server]
url = {URL}/wps
outputurl = {URL}/outputs
outputpath = {DISK}/outputs
workdir = {DISK}/work
[logging]
level = WARNING
file = {DISK}/pywps.log
database = sqlite:///{DISK}/pywps.sqlite?timeout=60
""")
DEFAULTS = Path(emu.__file__).with_name("default.cfg")
application = SharedDataMiddleware(
    Service(processes, [str(DEFAULTS), str(DISK / "pywps.cfg")]),
    {"/outputs": str(DISK / "outputs")},
)
with dblog.get_session():
    pass  # makes the tables, before the workers would all make them

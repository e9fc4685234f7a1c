"""What the figures were measured on."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from pavics_affinity import __version__
from pavics_affinity.testing.nginx import find_nginx

PACKAGES = (
    "requests",
    "urllib3",
    "OWSLib",
    "birdhouse-birdy",
    "pywps",
    "lxml",
    "mmh3",
    "uhashring",
    "pymemcache",
)


def machine() -> dict[str, str]:
    """Return machine, versions and date, as text to show."""
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{_processor()}, {os.cpu_count()} processors, {_memory()}",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "Python": sys.version.split()[0],
        "pavics-affinity": f"{__version__}, commit {_commit()}",
        **{name: version(name) for name in PACKAGES},
        "nginx": _says(find_nginx() or "nginx", "-v"),
        "curl": _says("curl", "--version"),
    }


def _processor() -> str:
    try:
        names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        names = []
    return names[0] if names else platform.processor() or "unknown processor"


def _memory() -> str:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{size / 2**30:.0f} GB"


def _commit() -> str:
    argv = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(
        argv, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def _says(program: str, option: str) -> str:
    try:
        done = subprocess.run([program, option], capture_output=True, text=True, check=False)
    except OSError:
        return "not found"
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "unknown"

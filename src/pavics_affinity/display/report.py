"""A report of a workflow as plain text, for an operator or an issue, without secrets."""

from __future__ import annotations

import platform
import re
import sys
import time
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import NamedTuple

from ..markup import clean
from ..record import Step
from ..record.requests import in_units
from .overview import Overview, clock, describe_state

MOST_REQUESTS = 30
"""Most requests that are shown: the last ones."""

_QUERY = re.compile(r"(https?://[^\s'\"?]+)\?[^\s'\")]*")  # it may hold a token

_PACKAGES = (
    "pavics-affinity",
    "requests",
    "urllib3",
    "owslib",
    "lxml",
    "mmh3",
    "birdhouse-birdy",
    "pydap",
    "xarray",
    "netcdf4",
    "distributed",
    "crossplane",
)


def versions() -> list[tuple[str, str]]:
    """Return the versions of Python, the system and the packages that send requests."""
    found = [("python", sys.version.split()[0]), ("platform", platform.platform())]
    for name in _PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            found.append((name, "not installed"))
    return found


class Report(NamedTuple):
    """The data of a report that a user can send to an operator."""

    overview: Overview
    options: Sequence[tuple[str, str]]
    topologies: Sequence[str]
    """The topologies of its sites, as TOML."""

    def as_text(self) -> str:
        """Return the report, section by section."""
        seen = self.overview
        now = time.strftime("%Y-%m-%d %H:%M:%S %z")
        state = [
            ("machineid", seen.machineid),
            ("node", f"{seen.node or 'unknown'} ({seen.node_known})"),
            ("closed", "yes" if seen.closed else "no"),
            *self.options,
            ("requests", seen.requests),
            ("last error", seen.record.last_error or "none"),
        ]
        sections = [
            (f"pavics-affinity report, {now}", _pairs(state)),
            ("Versions", _pairs(versions())),
            *(("Topology", text.splitlines()) for text in self.topologies),
            ("Warnings and notes", seen.notes),
            ("Steps", [_step(step) for step in seen.record.steps]),
            (f"Requests, the last {MOST_REQUESTS}", _requests(seen)),
        ]
        return "\n\n".join(_section(title, lines) for title, lines in sections) + "\n"


def _section(title: str, lines: Iterable[str]) -> str:
    written = [_QUERY.sub(r"\1?...", clean(line)) for line in lines] or ["none"]
    return "\n".join([title, "-" * len(title), *written])


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{name}: {value}" for name, value in pairs]


def _step(step: Step) -> str:
    return (
        f"{step.number}. {step.process or '?'} at {step.service} on {step.node or 'unknown'}, "
        f"{clock(step.started)}: {describe_state(step)}"
    )


def _requests(seen: Overview) -> list[str]:
    return [
        f"{clock(entry.started)} {entry.method} {entry.operation or '-'} {entry.url} -> "
        f"{entry.status or entry.error or 'no answer'} on {entry.node or 'unknown'} "
        f"({entry.node_known}, {entry.route}), {entry.seconds:.2f} s, "
        f"{in_units(entry.bytes or 0)}, {entry.attempts} sent"
        for entry in list(seen.record)[-MOST_REQUESTS:]
    ]

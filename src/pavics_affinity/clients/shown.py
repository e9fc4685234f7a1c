"""What a notebook shows of outputs and values; showing them sends no request."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from ..display.results import Result
from ..errors import OutOfScope
from .http.urls import web_url

_MOST_VALUES = 20  # of an output that the response holds
_LONGEST = 1000  # characters of each that are looked at


def result_of(
    name: str, title: str | None, kind: str | None, url: str | None, base: str, values: list[Any]
) -> Result:
    """Return what is shown of an output: its URL, or the beginning of its values."""
    return Result(
        identifier=name,
        title=title,
        kind=kind,
        url=None if url is None else _absolute(url, base),
        value="" if url else " ".join(_beginning(value) for value in values[:_MOST_VALUES]),
    )


def result_of_json(name: str, value: Any, base: str) -> Result:
    """Return what is shown of a value or a link of an OGC API."""
    stated = value if isinstance(value, Mapping) else {}
    kind = str(stated.get("mediaType") or stated.get("type") or "")
    href = stated.get("href")
    if isinstance(href, str):
        return Result(name, None, kind, _absolute(href, base))
    return Result(name, None, kind, None, _beginning(stated.get("value", value)))


def _absolute(url: str, base: str) -> str:
    with contextlib.suppress(OutOfScope):  # raised when it is fetched
        return web_url(url, base=base, what="an output")
    return url


def _beginning(value: Any) -> str:
    return f"{len(value):,} bytes" if isinstance(value, bytes) else str(value)[:_LONGEST]

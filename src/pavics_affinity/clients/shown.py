"""How executions and outputs show themselves in a notebook; nothing is asked for it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..display.overview import LinkTo
from ..display.results import Result, execution_card, result_card
from ..errors import OutOfScope
from .http.urls import web_url

if TYPE_CHECKING:
    from ..transport import AffinitySession
    from .ogcapi.jobs import Job
    from .ogcapi.results import Results
    from .outputs.output import Output
    from .wps.execution import Execution

_MOST_VALUES = 20  # of an output that the response holds
_LONGEST = 1000  # characters of each that are looked at


def show_output(output: Output) -> str:
    """Return HTML."""
    return result_card(_result(output), _link_to(output.session))


def show_execution(execution: Execution) -> str:
    """Return HTML."""
    errors = "; ".join(e.text.strip() for e in execution.errors if e.text)
    return execution_card(
        str(getattr(execution.process, "identifier", None) or "a process"),
        execution.status,
        execution.percentCompleted,
        errors or execution.statusMessage,
        execution.step,
        [_result(output) for output in execution.processOutputs],
        _link_to(execution.session),
    )


def show_job(job: Job) -> str:
    """Return HTML."""
    return execution_card(
        job.step.process or "a process",
        job.status or "submitted",
        job.progress,
        job.message,
        job.step,
        [Result(name, None, None, url) for name, url in job.step.outputs.items()],
        _link_to(job.session),
    )


def show_results(results: Results) -> str:
    """Return HTML."""
    shown = [_value(results.url, name, value) for name, value in results.values_by_name().items()]
    link_to = _link_to(results.session)
    return execution_card("a process", "successful", 100, None, None, shown, link_to)


def _link_to(session: AffinitySession) -> LinkTo:
    return session.pin.shown_link


def _result(output: Output) -> Result:
    url = output.reference
    return Result(
        identifier=str(getattr(output, "identifier", None) or "output"),
        title=getattr(output, "title", None),
        kind=output.mimeType or output.dataType,
        url=None if url is None else _absolute(url, output.service),
        value="" if url else " ".join(_begin_of(value) for value in output.data[:_MOST_VALUES]),
    )


def _value(base: str, name: str, value: Any) -> Result:
    qualified = value if isinstance(value, Mapping) else {}
    href, kind = qualified.get("href"), qualified.get("mediaType") or qualified.get("type")
    if isinstance(href, str):
        return Result(name, None, str(kind or ""), _absolute(href, base))
    return Result(name, None, str(kind or ""), None, _begin_of(qualified.get("value", value)))


def _absolute(url: str, base: str) -> str:
    with contextlib.suppress(OutOfScope):  # raised when it is fetched
        return web_url(url, base=base, what="an output")
    return url


def _begin_of(value: Any) -> str:
    return f"{len(value):,} bytes" if isinstance(value, bytes) else str(value)[:_LONGEST]

"""HTML of executions, jobs and outputs for a notebook; showing them sends no request."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..display.overview import LinkTo
from ..display.results import Result, execution_card, result_card
from ..errors import OutOfScope
from ..markup.cards import Card
from .http.urls import web_url

if TYPE_CHECKING:
    from ..transport import AffinitySession
    from .ogcapi.jobs import Job
    from .ogcapi.results import Results
    from .outputs.output import Output
    from .wps.execution import Execution

_MOST_VALUES = 20  # of an output that the response holds
_LONGEST = 1000  # characters of each that are looked at


def show_output(output: Output) -> Card:
    """Return an output as a card."""
    return result_card(_result(output), _link_to(output.session))


def show_execution(execution: Execution) -> Card:
    """Return a WPS execution as a card."""
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


def show_job(job: Job) -> Card:
    """Return a job as a card, with the outputs that are known so far."""
    return execution_card(
        job.step.process or "a process",
        job.status or "submitted",
        job.progress,
        job.message,
        job.step,
        [Result(name, None, None, url) for name, url in job.step.outputs.items()],
        _link_to(job.session),
    )


def show_results(results: Results) -> Card:
    """Return the results of an OGC API process as a card."""
    shown = [_value(results.url, name, value) for name, value in results.values_by_name().items()]
    link_to = _link_to(results.session)
    return execution_card("a process", "successful", 100, None, None, shown, link_to)


def _link_to(session: AffinitySession) -> LinkTo:
    return session.pin.shown_link


def _result(output: Output) -> Result:
    url = output.reference
    return Result(
        identifier=str(output.identifier or "output"),
        title=output.title,
        kind=output.mimeType or output.dataType,
        url=None if url is None else _absolute(url, output.service),
        value="" if url else " ".join(_beginning(value) for value in output.data[:_MOST_VALUES]),
    )


def _value(base: str, name: str, value: Any) -> Result:
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

"""An execution and its outputs, as a notebook shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..markup import Html, card, clean, facts, join, link, table, tag
from ..record import Step
from .overview import LinkTo, clock, spent

MOST = 100

_GOOD = frozenset({"ProcessSucceeded", "successful"})
_BAD = frozenset({"ProcessFailed", "Exception", "failed", "dismissed"})


@dataclass(frozen=True)
class Result:
    """One output.

    Parameters
    ----------
    identifier : str
        Its name.
    title : str or None
        As the service has it.
    kind : str or None
        Its media type, or the type of a literal.
    url : str or None
        Where it is; None for one that the response holds.
    value : str
        What the response holds, or its beginning.
    """

    identifier: str
    title: str | None
    kind: str | None
    url: str | None
    value: str = ""

    def place(self, link_to: LinkTo) -> Html:
        """Return a link that leads to it, or its value."""
        if self.url is None:
            return tag("code", self.value)
        to = link_to(self.url)
        if to is not None:
            return link(to, self.url)
        how = tag("span", " (no link: only a request header leads there)", class_="paf-still")
        return join((tag("code", self.url), how))


def result_card(result: Result, link_to: LinkTo) -> str:
    """Return what is shown of one output."""
    return card(
        join(("Output ", tag("strong", result.identifier))),
        facts(
            (
                ("title", result.title or None),
                ("type", result.kind or None),
                ("value" if result.url is None else "at", result.place(link_to)),
            )
        ),
    )


def execution_card(
    name: str,
    status: str | None,
    percent: int,
    message: str | None,
    step: Step | None,
    results: Sequence[Result],
    link_to: LinkTo,
) -> str:
    """Return what is shown of an execution.

    Parameters
    ----------
    name : str
        Identifier of the process.
    status : str or None
        In the words of the service's standard; None before it was sent.
    percent : int
        As the server says.
    message : str or None
        The server's last words.
    step : Step or None
        Its entry in the workflow's record.
    results : sequence of Result
        The outputs, once there are any.
    link_to : callable
        See `LinkTo`.
    """
    look = "good" if status in _GOOD else "bad" if status in _BAD else "busy"
    state = clean(status or "not sent")
    if look == "busy" and percent:
        state += f", {percent} %"
    shown = list(results[:MOST])
    rows: list[list[object]] = [
        [tag("strong", r.identifier), r.title or "", r.kind or "", r.place(link_to)] for r in shown
    ]
    if len(results) > len(shown):
        rows.append([f"{len(results) - len(shown):,} more"])
    return card(
        join(("Execution of ", tag("strong", name))),
        facts(
            (
                ("state", tag("span", state, class_=f"paf-{look}")),
                ("message", message or None),
                ("node", None if step is None else step.node or "unknown"),
                ("service", None if step is None else step.service),
                ("started", clock(step.started) if step and step.started else None),
                ("seconds", spent(step) or None if step else None),
            )
        ),
        table(("output", "title", "type", "where"), rows) if rows else "",
    )

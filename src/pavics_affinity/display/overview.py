"""A workflow at a glance: where it is, what it ran, what came of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..markup import Html, card, clean, facts, join, link, listing, table, tag
from ..record import NodeKnown, Record, Step, StepState
from ..record.requests import in_units

MOST_STEPS = 50
MOST_OUTPUTS = 8
MOST_SERVICES = 20

LinkTo = Callable[[str], str | None]
"""Gives the URL with which a browser reaches a file, or None where only a header does."""

HEADINGS = ("", "process", "service", "node", "state", "started", "seconds", "outputs")
_LOOKS: Mapping[StepState, tuple[str, str]] = {
    "sending": ("…", "busy"),
    "not sent": ("-", "still"),
    "refused": ("✗", "bad"),
    "unknown": ("?", "bad"),
    "answered": ("…", "busy"),
    "accepted": ("…", "busy"),
    "running": ("…", "busy"),
    "succeeded": ("✓", "good"),
    "failed": ("✗", "bad"),
}
_HOW = {
    "unknown": "the proxy's hash decides",
    "predicted": "from the topology",
    "proved": "its answers say so",
}


@dataclass(frozen=True)
class Overview:
    """What is shown of a workflow.

    Parameters
    ----------
    machineid : str
        Its identity.
    node : str or None
        Its node.
    node_known : {"unknown", "predicted", "proved"}
        How that is known.
    closed : bool
        Whether it has ended.
    record : Record
        Requests and steps.
    warned : sequence of str
        What the user was warned of.
    link_to : callable
        See `LinkTo`.
    """

    machineid: str
    node: str | None
    node_known: NodeKnown
    closed: bool
    record: Record
    warned: Sequence[str]
    link_to: LinkTo

    @property
    def title(self) -> str:
        """The state of the workflow in a word."""
        return "Workflow, closed" if self.closed else "Workflow"

    @property
    def requests(self) -> str:
        """The requests, counted."""
        entries = list(self.record)
        again = sum(max(0, entry.attempts - 1) for entry in entries)
        came = in_units(sum(entry.bytes or 0 for entry in entries))
        repeated = f", {again:,} of them repeated" if again else ""
        return f"{len(entries) + self.record.dropped:,}{repeated}; {came} came"

    @property
    def notes(self) -> list[str]:
        """Remarks and warnings, each once."""
        return list(dict.fromkeys([*self.record.notes, *self.warned]))

    @property
    def services(self) -> list[tuple[str, str]]:
        """Name of each service that was used, and a URL that a browser can show."""
        asked = [e.url for e in self.record if e.operation == "GetCapabilities"]
        run = [step.service for step in self.record.steps]
        names = self._names
        return [
            (names.get(url) or _short(url), _document(url) if url in asked else url)
            for url in dict.fromkeys([*asked, *run])
        ]

    @property
    def _names(self) -> dict[str, str]:
        return {entry.url: entry.service for entry in self.record if entry.service}

    def as_card(self) -> str:
        """Return HTML for a notebook; a terminal shows the same."""
        steps = list(self.record.steps)
        title = join((tag("strong", self.title), " ", tag("code", self.machineid)))
        used = self.services
        shown = [link(url, name) for name, url in used[:MOST_SERVICES]]
        if len(used) > MOST_SERVICES:
            shown.append(Html(f"{len(used) - MOST_SERVICES:,} more"))
        return card(
            title,
            facts(
                (
                    ("node", self._node()),
                    ("services", join(shown, ", ") if shown else None),
                    ("requests", self.requests),
                    ("steps", counted(steps) if len(steps) > 1 else None),
                )
            ),
            steps_table(steps, self.link_to, self._names),
            listing(self.notes),
        )

    def _node(self) -> Html:
        how = f"{self.node_known}: {_HOW[self.node_known]}"
        if self.node is None:
            return join((how,))
        return join((tag("strong", self.node), f" ({how})"))


# ---- steps ----


def steps_table(
    steps: Sequence[Step], link_to: LinkTo, names: Mapping[str, str] | None = None
) -> Html:
    """Return the table of steps, the last `MOST_STEPS` of them.

    Parameters
    ----------
    steps : sequence of Step
        In their order.
    link_to : callable
        See `LinkTo`.
    names : mapping of str to str, optional
        Names of services by URL.
    """
    if not steps:
        return Html("")
    rows: list[list[object]] = []
    if len(steps) > MOST_STEPS:
        earlier = f"{len(steps) - MOST_STEPS:,} earlier steps; .record.steps has them all"
        rows.append([tag("span", earlier, class_="paf-still")])
    outputs = [_Outputs(step, link_to) for step in steps[-MOST_STEPS:]]
    for step, written in zip(steps[-MOST_STEPS:], outputs, strict=True):
        rows.append(
            [
                str(step.number),
                tag("strong", step.process or "?"),
                (names or {}).get(step.service) or _short(step.service),
                step.node or "unknown",
                _state(step),
                clock(step.started),
                spent(step),
                written.as_html(),
            ]
        )
    hint = tag("p", _HINT, class_="paf-still") if any(o.hidden for o in outputs) else ""
    return join((table(HEADINGS, rows), hint))


_HINT = (
    "Behind this proxy only a request header leads to the node, which a browser does not send: "
    "fetch what is no link here with .download(), or with the headers that .headers(url) gives."
)


@dataclass(frozen=True)
class _Outputs:
    """The outputs of a step, as many as are shown, each with its link."""

    step: Step
    link_to: LinkTo

    @property
    def shown(self) -> list[tuple[str, str, str | None]]:
        first = list(self.step.outputs.items())[:MOST_OUTPUTS]
        return [(name, url, self.link_to(url)) for name, url in first]

    @property
    def hidden(self) -> bool:
        """Whether one is no link that a browser could follow."""
        return any(to is None for _, _, to in self.shown)

    @property
    def more(self) -> int:
        return len(self.step.outputs) - len(self.shown)

    def as_html(self) -> Html:
        written = [
            tag("code", name, title=clean(url)) if to is None else link(to, name)
            for name, url, to in self.shown
        ]
        if self.more > 0:
            written.append(Html(f"{self.more:,} more"))
        return join(written, ", ")


# ---- words ----


def state_in_words(step: Step) -> str:
    """Say what became of a step, with the words of whoever decided it where it went wrong."""
    if _LOOKS[step.state][1] == "busy" and step.percent:
        return f"{step.state} {step.percent} %"
    wrong = _LOOKS[step.state][1] == "bad" and step.message
    return f"{step.state}: {clean(step.message)}" if wrong else step.state


def _state(step: Step) -> Html:
    sign, look = _LOOKS[step.state]
    words = f"{state_in_words(step)}{' (by an earlier process)' if step.recalled else ''}"
    return tag("span", f"{sign} {words}", class_=f"paf-{look}")


def counted(steps: Sequence[Step]) -> str:
    """Say how many steps are in which state."""
    found = Counter(step.state for step in steps)
    return ", ".join(f"{count:,} {state}" for state, count in found.most_common())


def clock(moment: float | None) -> str:
    """Return the local time, with the date if it is not today's."""
    if not moment:
        return ""
    local, today = time.localtime(moment), time.localtime()
    day = "" if local[:3] == today[:3] else "%Y-%m-%d "
    return time.strftime(f"{day}%H:%M:%S", local)


def spent(step: Step) -> str:
    """Return the seconds that a step took, or has taken so far."""
    if not step.started:
        return ""
    seconds = time.time() - step.started if step.seconds is None else step.seconds
    return f"{max(0.0, seconds):.2f}{'' if step.seconds is not None else ' so far'}"


def _short(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.netloc}{parts.path}" or url


def _document(url: str) -> str:
    """Return what of a service a browser can show."""
    return f"{url}?service=WPS&request=GetCapabilities"

"""The overview of a workflow: its node, its steps and their outputs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from ..markup import cards, clean
from ..record import NodeKnown, Record, Step, StepState
from ..record.requests import in_units

MOST_STEPS = 50
MOST_OUTPUTS = 8
MOST_SERVICES = 20

LinkTo = Callable[[str], str | None]
"""Returns the URL by which a browser reaches a file; None if that needs a header."""

HEADINGS = ("", "process", "service", "node", "state", "started", "seconds", "outputs")
_LOOKS: Mapping[StepState, tuple[str, cards.Look]] = {
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


class Overview(NamedTuple):
    """The data that is shown of a workflow."""

    machineid: str
    node: str | None
    node_known: NodeKnown
    closed: bool
    record: Record
    warned: Sequence[str]
    """The warnings that its user has seen."""
    link_to: LinkTo

    @property
    def requests(self) -> str:
        """The number of requests and of bytes."""
        entries = list(self.record)
        again = sum(max(0, entry.attempts - 1) for entry in entries)
        received = in_units(sum(entry.bytes or 0 for entry in entries))
        repeated = f", {again:,} of them repeated" if again else ""
        return f"{len(entries) + self.record.dropped:,}{repeated}; {received} received"

    @property
    def notes(self) -> list[str]:
        """Notes and warnings, each once."""
        return list(dict.fromkeys([*self.record.notes, *self.warned]))

    @property
    def services(self) -> list[tuple[str, str]]:
        """The name of each service that was used, and a URL that a browser can show."""
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

    def as_card(self) -> cards.Card:
        """Return the card for notebooks and terminals."""
        title = "Workflow, closed" if self.closed else "Workflow"
        steps = list(self.record.steps)
        used = self.services
        shown = [cards.link(url, name) for name, url in used[:MOST_SERVICES]]
        if len(used) > MOST_SERVICES:
            shown.append(cards.Span(f"{len(used) - MOST_SERVICES:,} more"))
        return cards.card(
            cards.text(cards.strong(title), " ", cards.code(self.machineid)),
            cards.facts(
                (
                    ("node", self._node()),
                    ("services", cards.join(shown, ", ") if shown else None),
                    ("requests", self.requests),
                    ("steps", counted(steps) if len(steps) > 1 else None),
                )
            ),
            *_steps(steps, self.link_to, self._names),
            cards.listing(self.notes),
        )

    def _node(self) -> cards.Text:
        how = f"{self.node_known}: {_HOW[self.node_known]}"
        if self.node is None:
            return cards.text(how)
        return cards.text(cards.strong(self.node), f" ({how})")


# ---- steps ----


def _steps(steps: Sequence[Step], link_to: LinkTo, names: Mapping[str, str]) -> list[cards.Block]:
    """Return the table of the last steps, and a hint if an output cannot be a link."""
    if not steps:
        return []
    rows: list[list[object]] = []
    if len(steps) > MOST_STEPS:
        earlier = f"{len(steps) - MOST_STEPS:,} earlier steps; .record.steps has them all"
        rows.append([cards.styled(earlier, "still")])
    hidden = False
    for step in steps[-MOST_STEPS:]:
        outputs = _outputs(step, link_to)
        hidden = hidden or any(output.look == "code" for output in outputs)
        rows.append(
            [
                str(step.number),
                cards.strong(step.process or "?"),
                names.get(step.service) or _short(step.service),
                step.node or "unknown",
                _state(step),
                clock(step.started),
                spent(step),
                cards.join(outputs, ", "),
            ]
        )
    hint = [cards.text(cards.styled(_HINT, "still"))] if hidden else []
    return [cards.table(HEADINGS, rows), *hint]


_HINT = (
    "Behind this proxy only a request header leads to the node, and a browser does not send it. "
    "Fetch the outputs that are not links with .download(), or with the headers of .headers(url)."
)


def _outputs(step: Step, link_to: LinkTo) -> list[cards.Span]:
    """Return the first outputs of a step; one that a browser cannot reach is code."""
    shown = []
    for name, url in list(step.outputs.items())[:MOST_OUTPUTS]:
        to = link_to(url)
        shown.append(cards.code(name, title=url) if to is None else cards.link(to, name))
    if len(step.outputs) > MOST_OUTPUTS:
        shown.append(cards.Span(f"{len(step.outputs) - MOST_OUTPUTS:,} more"))
    return shown


# ---- texts ----


def describe_state(step: Step) -> str:
    """Return the state of a step, with the message if it failed."""
    if _LOOKS[step.state][1] == "busy" and step.percent:
        return f"{step.state} {step.percent} %"
    wrong = _LOOKS[step.state][1] == "bad" and step.message
    return f"{step.state}: {clean(step.message)}" if wrong else step.state


def _state(step: Step) -> cards.Span:
    sign, look = _LOOKS[step.state]
    words = f"{describe_state(step)}{' (by an earlier process)' if step.recalled else ''}"
    return cards.styled(f"{sign} {words}", look)


def counted(steps: Sequence[Step]) -> str:
    """Return how many steps are in each state."""
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
    """Return the seconds that a step took or has run so far."""
    if not step.started:
        return ""
    seconds = time.time() - step.started if step.seconds is None else step.seconds
    return f"{max(0.0, seconds):.2f}{'' if step.seconds is not None else ' so far'}"


def _short(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.netloc}{parts.path}" or url


def _document(url: str) -> str:
    """Return the URL of a service's capabilities, which a browser can show."""
    return f"{url}?service=WPS&request=GetCapabilities"

"""OWSLib's process, which shows its inputs: type, count and default."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import owslib.wps

from ...markup import clean
from ...markup.shown import ShownAsCard

if TYPE_CHECKING:
    from ...markup.cards import Card

_MOST = 100


class Process(ShownAsCard, owslib.wps.Process):
    """A process as the service describes it, with OWSLib's attributes."""

    def __repr__(self) -> str:
        inputs = [
            f"{name} ({', '.join(filter(None, (kind, count, default and f'default {default}')))})"
            for name, kind, count, default in self._inputs()
        ]
        shown = ", ".join(inputs) or self.title or "not described"
        return f"<{type(self).__name__} {clean(self.identifier)}: {clean(shown)}>"

    def _inputs(self) -> list[tuple[str, str, str, str]]:
        """Return name, type, count and default of each input."""
        return [
            (
                str(each.identifier),
                _type_of(each),
                _count_of(each),
                # Of complex inputs OWSLib has the default format there.
                str(each.defaultValue) if isinstance(each.defaultValue, str | int | float) else "",
            )
            for each in getattr(self, "dataInputs", ())
        ]

    def _card(self) -> Card:
        from ...markup import cards

        rows = self._inputs()
        outputs = [[str(o.identifier), _type_of(o)] for o in getattr(self, "processOutputs", ())]
        # GetCapabilities only lists a process. A description has an output at least.
        unknown = f"not asked for; call .describeprocess({self.identifier!r})"
        return cards.card(
            cards.text("Process ", cards.strong(self.identifier)),
            cards.facts(
                (
                    ("title", self.title or None),
                    ("abstract", self.abstract or None),
                    ("inputs", None if rows or outputs else unknown),
                )
            ),
            cards.table(
                ("input", "type", "count", "default"),
                [
                    (cards.strong(name), kind, count, default)
                    for name, kind, count, default in rows[:_MOST]
                ],
            )
            if rows
            else None,
            cards.table(("output", "type"), outputs[:_MOST]) if outputs else None,
        )


def shown_processes(processes: Iterable[owslib.wps.Process]) -> None:
    """Let the processes that OWSLib has made show themselves."""
    for process in processes:
        process.__class__ = Process


def service_card(url: str, processes: Iterable[Any], *, asked: bool) -> Card:
    """Return the card of a client: the processes of its service."""
    from ...markup import cards

    listed = list(processes)
    rows: list[list[object]] = [
        [cards.strong(each.identifier), each.title or ""] for each in listed[:_MOST]
    ]
    if len(listed) > _MOST:
        rows.append([f"{len(listed) - _MOST:,} more; .processes has them all"])
    unknown = "not asked for; call .getcapabilities()"
    return cards.card(
        cards.text(cards.strong("WPS"), " ", cards.link(url)),
        cards.facts((("processes", f"{len(listed):,}" if asked else unknown),)),
        cards.table(("process", "title"), rows) if rows else None,
    )


def _type_of(each: Any) -> str:
    """Return a type in a word: ``float``, a media type, or ``bounding box``."""
    said = str(each.dataType or "")
    if said == "ComplexData":
        formats = [str(f.mimeType) for f in getattr(each, "supportedValues", ()) if f.mimeType]
        return " or ".join(dict.fromkeys(formats)) or "complex"
    if said == "BoundingBoxData":
        return "bounding box"
    return said.rpartition("#")[2].rpartition(":")[2] or "text"


def _count_of(each: Any) -> str:
    least, most = max(0, each.minOccurs), each.maxOccurs
    if most < 0 or least == most:
        return str(least) if least == most else f"{least} or more"
    return f"{least} to {most}"

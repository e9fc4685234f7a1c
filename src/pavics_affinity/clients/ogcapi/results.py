"""Results of an OGC API - Processes: the server's document, and each value as an output."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeGuard

from ...errors import OutOfScope, UnknownOutput
from ...markup.shown import ShownAsCard
from ...markup.suggest import suggest
from ..http.answers import Answer
from ..http.urls import web_url
from ..http.xml import UNWRITABLE
from ..outputs.output import Output, names_no_place
from ..outputs.resource import HasOutputs, Resource
from .answers import expect_json

if TYPE_CHECKING:
    from ...markup.cards import Card
    from ...transport import AffinitySession

_QUALIFIED = frozenset({"value", "mediaType", "encoding", "schema"})
_BESIDE_OUTPUTS = frozenset({"outputs", "links"})


class Results(ShownAsCard, HasOutputs, dict[str, Any]):
    """The results of a process: the server's document as a dict, and its values as outputs.

    Made by `Processes.execute` and `Job.results`.

    Attributes
    ----------
    url : str
        Where the document came from.
    """

    def __init__(self, document: Mapping[str, Any], *, session: AffinitySession, url: str) -> None:
        super().__init__(document)
        self.session = session
        self.url = url
        for value in (self, *self.values_by_name().values()):
            for link in _links(value):
                with contextlib.suppress(OutOfScope):  # raised when it is asked for
                    place = web_url(link["href"], base=url, what="a link")
                    if not names_no_place(link["href"], place, url):
                        session.note_reference(place)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self.values_by_name()) or 'none'}>"

    def wait(self, timeout: float | timedelta | None = None, progress: bool | None = None) -> Self:
        """Return these results at once, so that code for a `Job` works for them as well."""
        return self

    def results(self) -> Self:
        """Return these results."""
        return self

    def _card(self) -> Card:
        from ...display.results import execution_card
        from ..shown import result_of_json

        shown = [result_of_json(n, v, self.url) for n, v in self.values_by_name().items()]
        link_to = self.session.pin.shown_link
        return execution_card("a process", "successful", 100, None, None, shown, link_to)

    def values_by_name(self) -> dict[str, Any]:
        """Return the outputs by identifier.

        The standard defines it so. pygeoapi sends a list of ``{"id", "value"}`` below
        ``outputs``, or one such entry alone; Weaver sends them by name below ``outputs``.
        """
        listed = self.get("outputs")
        if _are_named(listed) and self.keys() <= _BESIDE_OUTPUTS:
            return dict(listed)
        entries = listed if isinstance(listed, list) else [self] if "id" in self else []
        named = [e for e in entries if isinstance(e, Mapping) and isinstance(e.get("id"), str)]
        if named and len(named) == len(entries):
            return {e["id"]: e["value"] if "value" in e else dict(e) for e in named}
        return dict(self)

    def output(self, identifier: str) -> Output:
        """Return the output of this name.

        Raises
        ------
        UnknownOutput
            It does not exist; the message lists those that do.
        """
        found = self.outputs()
        if identifier not in found:
            raise UnknownOutput(
                f"{self.url} gave no output {identifier!r}; {suggest(identifier, found, 'output')}",
                output=identifier,
                about=self.session,
                url=self.url,
            )
        return found[identifier]

    def outputs(self) -> dict[str, Output]:
        """Return all outputs by name."""
        return {
            name: output_of(name, value, session=self.session, base=self.url)
            for name, value in self.values_by_name().items()
        }


def raw_results(
    answer: Answer, identifier: str, *, doing: str, session: AffinitySession
) -> Results:
    """Return what came in answer to an Execute: the results, or one output without a document.

    Raise NotAService, which names what was done, if its media type is JSON, and it is not.
    """
    value: Any
    if answer.is_json:
        value = expect_json(answer, doing=doing, session=session, execute=True)
        if isinstance(value, dict):
            return Results(value, session=session, url=answer.url)
    else:
        text = base64.b64encode(answer.body).decode()
        kind = answer.content_type.split(";")[0].strip()
        value = {"value": text, "encoding": "base64", "mediaType": kind}
    return Results({identifier: value}, session=session, url=answer.url)


def output_of(name: str, value: Any, *, session: AffinitySession, base: str) -> Output:
    """Return a value of a results document as an output.

    The value is a link (``href``), a qualified value (``value`` with ``mediaType`` and
    ``encoding``), an array of links, or the value itself. `base` is the document's URL.
    """
    files = None
    if isinstance(value, list) and value and len(_links(value)) == len(value):
        files = [output_of(name, item, session=session, base=base) for item in value]
    resource = _resource(name, value, base)
    return Output(resource, identifier=name, session=session, service=base, files=files)


def _resource(name: str, value: Any, base: str) -> Resource:
    qualified = value if isinstance(value, Mapping) else {}
    kind = text_of(qualified.get("mediaType")) or text_of(qualified.get("type"))
    href = qualified.get("href")
    if isinstance(href, str):
        url = web_url(href, base=base, what=f"output {name!r}")
        return Resource(href if names_no_place(href, url, base) else url, media_type=kind)
    encoding = None
    if "value" in qualified and set(qualified) <= _QUALIFIED:
        value, encoding = qualified["value"], text_of(qualified.get("encoding"))
    is_text = isinstance(value, str)
    text = value if is_text else json.dumps(value)
    if re.search(UNWRITABLE, text):  # the next step may be a WPS
        text = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
        encoding = "base64"
    return Resource(
        content=text.encode(),
        media_type=kind or ("text/plain" if is_text else "application/json"),
        encoding=encoding,
        data_type="ComplexData",
    )


def _links(value: Any) -> list[Mapping[str, Any]]:
    """Return the links that the value of an output is, or is a list of."""
    if isinstance(value, Mapping) and "href" not in value and "value" in value:
        value = value["value"]
    items = value if isinstance(value, list) else [value]
    return [e for e in items if isinstance(e, Mapping) and isinstance(e.get("href"), str)]


def _are_named(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Return whether a value holds links and qualified values by name, and is not one output."""
    entries = value.values() if isinstance(value, Mapping) else ()
    named = [isinstance(e, Mapping) and ("href" in e or "value" in e) for e in entries]
    return bool(named) and all(named)


def text_of(value: Any) -> str | None:
    """Return the value if it is a text, and not empty; else None."""
    return value if isinstance(value, str) and value else None

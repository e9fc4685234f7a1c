"""Results of an OGC API - Processes: the server's document, and each value as an output."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeGuard

from lxml import etree

from ...errors import OutOfScope, UnknownOutput
from ...markup.shown import ShownAsCard
from ..http.answers import Answer
from ..http.urls import web_url
from ..outputs.output import Output, names_no_place
from ..wps.descriptions import near
from .problems import expect_json, is_json

if TYPE_CHECKING:
    from ...markup.cards import Card
    from ...transport import AffinitySession

_QUALIFIED = frozenset({"value", "mediaType", "encoding", "schema"})
_BESIDE_OUTPUTS = frozenset({"outputs", "links"})
_UNWRITABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WPS = "http://www.opengis.net/wps/1.0.0"
_OWS = "http://www.opengis.net/ows/1.1"
_XLINK = "http://www.w3.org/1999/xlink"


class Results(ShownAsCard, dict[str, Any]):
    """The results of a process, as the server's document has them.

    Parameters
    ----------
    document : mapping
        The document.
    session : AffinitySession
        Fetches what it refers to.
    url : str
        Where it came from.
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
        """Return at once: these are here. So a chain reads the same either way."""
        return self

    def results(self) -> Self:
        """Return these."""
        return self

    def _card(self) -> Card:
        from ..shown import show_results

        return show_results(self)

    def values_by_name(self) -> dict[str, Any]:
        """Return the outputs by identifier.

        The standard has them so; pygeoapi has a list of ``{"id", "value"}`` below
        ``outputs``, or one such entry alone; Weaver has them by name below ``outputs``.
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
            There is none; the message lists those that there are.
        """
        found = self.outputs()
        if identifier not in found:
            raise UnknownOutput(
                f"{self.url} gave no output {identifier!r}; {near(identifier, found, 'output')}",
                url=self.url,
                output=identifier,
            )
        return found[identifier]

    def outputs(self) -> dict[str, Output]:
        """Return all outputs by name."""
        return {
            name: output_of(name, value, session=self.session, base=self.url)
            for name, value in self.values_by_name().items()
        }


def raw_results(answer: Answer, identifier: str, session: AffinitySession) -> Results:
    """Return an output that came as it is, in answer to an Execute.

    Raises
    ------
    NotAService
        It says that it is JSON, and is none.
    """
    value: Any
    if is_json(answer):
        value = expect_json(answer, doing=f"for output {identifier!r}", asker=session, execute=True)
        if isinstance(value, dict):
            return Results(value, session=session, url=answer.url)
    else:
        text = base64.b64encode(answer.body).decode()
        kind = answer.content_type.split(";")[0].strip()
        value = {"value": text, "encoding": "base64", "mediaType": kind}
    return Results({identifier: value}, session=session, url=answer.url)


def output_of(name: str, value: Any, *, session: AffinitySession, base: str) -> Output:
    """Return a value of a results document as an output.

    Parameters
    ----------
    name : str
        Its identifier.
    value : object
        A link (``href``), a qualified value (``value`` with ``mediaType`` and
        ``encoding``), or the value itself.
    session : AffinitySession
        Fetches it.
    base : str
        URL of the document.
    """
    element = etree.Element(f"{{{_WPS}}}Output")
    for tag in ("Identifier", "Title"):
        etree.SubElement(element, f"{{{_OWS}}}{tag}").text = _writable(name)
    qualified = value if isinstance(value, Mapping) else {}
    kind = text_of(qualified.get("mediaType")) or text_of(qualified.get("type"))
    if isinstance(qualified.get("href"), str):
        url = web_url(qualified["href"], base=base, what=f"output {name!r}")
        if names_no_place(qualified["href"], url, base):
            url = qualified["href"]
        inner = etree.SubElement(element, f"{{{_WPS}}}Reference")
        inner.set(f"{{{_XLINK}}}href", _writable(url))
    else:
        data = etree.SubElement(element, f"{{{_WPS}}}Data")
        inner = etree.SubElement(data, f"{{{_WPS}}}ComplexData")
        encoding = None
        if "value" in qualified and set(qualified) <= _QUALIFIED:
            value, encoding = qualified["value"], text_of(qualified.get("encoding"))
        plain = isinstance(value, str)
        kind = kind or ("text/plain" if plain else "application/json")
        _embed(inner, value if plain else json.dumps(value), encoding)
    if kind:
        inner.set("mimeType", _writable(kind))
    if not isinstance(value, list) or not value or len(_links(value)) < len(value):
        return Output(element, session=session, service=base)
    return _Files(
        element,
        session=session,
        service=base,
        files=[output_of(name, item, session=session, base=base) for item in value],
    )


class _Files(Output):
    """An output of several files: an array of links."""

    def __init__(self, element: etree._Element, *, files: list[Output], **options: Any) -> None:
        super().__init__(element, **options)
        self._files = files

    def files(self) -> list[Output]:
        """Return the files, each as an output of its own."""
        return list(self._files)


def _links(value: Any) -> list[Mapping[str, Any]]:
    """Return the links that the value of an output is, or is a list of."""
    if isinstance(value, Mapping) and "href" not in value and "value" in value:
        value = value["value"]
    items = value if isinstance(value, list) else [value]
    return [e for e in items if isinstance(e, Mapping) and isinstance(e.get("href"), str)]


def _are_named(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Tell whether it holds links and qualified values by name, rather than being one output."""
    entries = value.values() if isinstance(value, Mapping) else ()
    named = [isinstance(e, Mapping) and ("href" in e or "value" in e) for e in entries]
    return bool(named) and all(named)


def _embed(element: etree._Element, text: str, encoding: str | None) -> None:
    if text != _writable(text):  # XML cannot hold it
        text = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
        encoding = "base64"
    element.text = text
    if encoding is not None:
        element.set("encoding", _writable(encoding))


def _writable(text: str) -> str:
    """Leave out what XML cannot hold."""
    return _UNWRITABLE.sub("", text)


def text_of(value: Any) -> str | None:
    """Return a text that is one and not empty, else None."""
    return value if isinstance(value, str) and value else None

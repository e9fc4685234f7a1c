"""An Execute document, built from a user's inputs or as the user built it, and a raw answer to it.

A raw data response, one output as the answer itself, is put into a response document, so that the
execution, the journal and OWSLib read it as any other.
"""

from __future__ import annotations

import base64
import datetime as dt
import numbers
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from lxml import etree
from owslib.wps import (
    ASYNC,
    AUTO,
    SYNC,
    ComplexDataInput,
    WPSExecution,
    is_boundingboxdata,
    is_complexdata,
    is_reference,
)

from ...errors import InvalidRequest
from ..embedding import Attached, Embedded, new_mark, with_large
from ..http import xml
from ..http.answers import Answer, given
from ..outputs import names
from ..outputs.boxes import Box

if TYPE_CHECKING:
    from .descriptions import Description, Value

#: Characters from which on an input is put into the document past the XML tree: a tree,
#: and what is made of it, would hold it five times over.
LARGE = 2**20

_WPS = "{http://www.opengis.net/wps/1.0.0}"
_OWS = "{http://www.opengis.net/ows/1.1}"
#: How Python and XML Schema write them.
_NOT_FINITE = {"inf": "INF", "-inf": "-INF", "nan": "NaN"}


class ExecuteRequest(NamedTuple):
    """An Execute document, and what it asks for."""

    document: bytes
    process: str
    asynchronous: bool
    raw: etree._Element | None  # RawDataOutput
    sent: Mapping[str, str]  # form of each input, as in `Step`

    @classmethod
    def read(cls, document: str | bytes) -> Self:
        """Read a document that the user has built."""
        root = given(document, own=True)
        form = root.find("{*}ResponseForm/{*}ResponseDocument")
        return cls(
            document.encode() if isinstance(document, str) else document,
            process=xml.text_of(xml.child(root, "Identifier")),
            asynchronous=form is not None and form.get("status") == "true",
            raw=root.find("{*}ResponseForm/{*}RawDataOutput"),
            sent={},
        )


def build_request(
    execution: WPSExecution,
    identifier: str,
    inputs: list[tuple[str, Value]],
    output: Any,
    *,
    mode: str,
    lineage: bool,
    described: Description | None,
    sent: Mapping[str, str],
) -> ExecuteRequest:
    """Build a request for inputs that were checked; `execution` is OWSLib's builder."""
    if mode not in (ASYNC, SYNC, AUTO):
        raise InvalidRequest(f"mode is {mode!r}; expected {ASYNC!r}, {SYNC!r} or {AUTO!r}")
    wanted = None if output is None else _outputs(output)
    asynchronous = mode != SYNC
    if described is not None:
        for name, *_ in wanted or []:
            described.check_output(name)
        # asked for what it does not support, the server would refuse
        asynchronous = asynchronous and described.asynchronous
    if asynchronous and wanted is None:
        wanted = []  # both flags belong to the ResponseDocument: without one it runs at once
    large: dict[bytes, Iterable[bytes]] = {}
    try:
        root = execution.buildRequest(
            identifier,
            [(name, _marked(value, large)) for name, value in inputs],
            wanted,
            mode=ASYNC if asynchronous else SYNC,
            lineage=lineage,
        )
        document = with_large(etree.tostring(root), large)
    except (ValueError, TypeError) as error:  # lxml: control characters, NUL
        raise InvalidRequest(
            f"the inputs of {identifier!r} cannot be written as XML: {error}. Leave out "
            "control characters"
        ) from error
    return ExecuteRequest(document, identifier, asynchronous, None, sent)


def _outputs(output: Any) -> list[tuple[Any, ...]]:
    """Return the wanted outputs as OWSLib's tuples."""
    listed = output if isinstance(output, list | tuple) else [output]
    entries = [(item, None) if isinstance(item, str) else item for item in listed]
    if all(
        isinstance(entry, list | tuple) and len(entry) in (2, 3) and isinstance(entry[0], str)
        for entry in entries
    ):
        return [tuple(entry) for entry in entries]
    raise InvalidRequest(
        f"output is {output!r}; expected a name, or a list of names, of (name, as_reference) or "
        "of (name, as_reference, mimetype)"
    )


# ---- values ----


def pairs(inputs: Any) -> list[tuple[str, Any]]:
    """Return a user's inputs, a mapping or an iterable, as pairs of name and value."""
    try:
        listed = [
            (name, value)
            for name, value in (inputs.items() if isinstance(inputs, Mapping) else inputs)
        ]
    except (TypeError, ValueError):
        raise InvalidRequest(
            f"inputs are {inputs!r}; expected pairs of a name and a value, as in "
            '[("delay", "2"), ("resource", url)]'
        ) from None
    for name, _ in listed:
        if not isinstance(name, str):
            raise InvalidRequest(f"the name of an input is {name!r}; expected a str")
    return listed


def as_value(name: str, value: Any) -> Value:
    """Return what OWSLib builds a request from: a str or an OWSLib input object."""
    if isinstance(value, str) or is_complexdata(value) or is_boundingboxdata(value):
        return value
    if isinstance(value, Box):  # a value of an output's `data`
        return value.as_input()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, numbers.Real):
        return _NOT_FINITE.get(repr(float(value)), repr(float(value)))
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    hint = (
        f"; to give it several times, repeat the pair: [({name!r}, a), ({name!r}, b)]"
        if isinstance(value, list | tuple | set)
        else ""
    )
    raise InvalidRequest(
        f"input {name!r} is {value!r}, a {type(value).__name__}; expected a str, a number, a bool, "
        f"a date, a ComplexDataInput or a BoundingBoxDataInput{hint}",
        input=name,
        value=value,
    )


# ---- large inputs ----


def _marked(value: Value, large: dict[bytes, Iterable[bytes]]) -> Value:
    """Return a value, or a mark instead of a large text, whose pieces are put aside."""
    pieces: Iterable[str]
    if isinstance(value, Attached):
        if len(value.content) < LARGE:
            return value
        pieces = value.pieces()
    else:
        text = value.value if isinstance(value, ComplexDataInput) else None
        if not isinstance(text, str) or len(text) < LARGE or is_reference(text):
            return value
        if re.search(xml.UNWRITABLE, text):
            raise ValueError("a large input has characters that XML cannot hold")
        pieces = (text[start : start + LARGE] for start in range(0, len(text), LARGE))
    mark = new_mark()
    large[mark.encode()] = map(_escaped, pieces)
    return Embedded(mark, value.mimeType, value.encoding, value.schema)


def _escaped(text: str) -> bytes:
    for character, reference in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
        text = text.replace(character, reference)
    return text.encode("ascii", "xmlcharrefreplace")


# ---- raw data ----


def raw_response(raw: etree._Element, process: str, answer: Answer) -> etree._Element | None:
    """Return a response document that holds the answer as the raw output that was asked for.

    None is returned if the answer is a document of the service: an exception, a response
    document after all, or a web page where another media type was asked for.
    """
    if not _is_data(answer, raw.get("mimeType")):
        return None
    root = etree.Element(f"{_WPS}ExecuteResponse", service="WPS", version="1.0.0")
    _named(root, "Process", process)
    etree.SubElement(etree.SubElement(root, f"{_WPS}Status"), f"{_WPS}ProcessSucceeded")
    outputs = etree.SubElement(root, f"{_WPS}ProcessOutputs")
    output = _named(outputs, "Output", xml.text_of(xml.child(raw, "Identifier")) or "output")
    name = names.from_disposition(answer.response.headers.get("Content-Disposition"))
    if name:
        output.set("fileName", name)
    data = etree.SubElement(output, f"{_WPS}Data")
    held = etree.SubElement(data, f"{_WPS}ComplexData", encoding="base64")
    kind = answer.content_type or raw.get("mimeType")
    if kind and kind.isascii() and kind.isprintable():
        held.set("mimeType", kind)
    held.text = base64.b64encode(answer.body).decode()
    return root


def _is_data(answer: Answer, mimetype: str | None) -> bool:
    if answer.status not in (200, 203):
        return False
    start = answer.start
    root = "" if start is None else xml.local_name(start)
    if start is not None and xml.is_wps(start, "ExecuteResponse") and xml.service_of(start):
        return False
    page = "html" in answer.content_type and "html" not in (mimetype or "html").lower()
    return root not in ("ExceptionReport", "ServiceExceptionReport") and not page


def _named(parent: etree._Element, tag: str, identifier: str) -> etree._Element:
    element = etree.SubElement(parent, f"{_WPS}{tag}")
    for name in ("Identifier", "Title"):
        etree.SubElement(element, f"{_OWS}{name}").text = identifier
    return element

"""An Execute document, built from a user's inputs."""

from __future__ import annotations

import datetime as dt
import numbers
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

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
from ..http.xml import UNWRITABLE
from ..outputs.boxes import Box
from .submission import ExecuteRequest

if TYPE_CHECKING:
    from .descriptions import Description, Value

#: Characters from which on an input is put into the document past the XML tree: a tree,
#: and what is made of it, would hold it five times over.
LARGE = 2**20

#: How Python and XML Schema write them.
_NOT_FINITE = {"inf": "INF", "-inf": "-INF", "nan": "NaN"}


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
    wanted = _outputs(output)
    asynchronous = mode != SYNC
    if described is not None:
        described.check_outputs([name for name, *_ in wanted or []])
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
        return ExecuteRequest.of(root, with_large(etree.tostring(root), large), sent)
    except (ValueError, TypeError) as error:  # lxml: control characters, NUL
        raise InvalidRequest(
            f"the inputs of {identifier!r} cannot be written as XML: {error}. Leave out "
            "control characters"
        ) from error


def _outputs(output: Any) -> list[tuple[Any, ...]] | None:
    """Return the wanted outputs as OWSLib's tuples."""
    if output is None:
        return None
    listed = [output] if isinstance(output, str) else output
    result: list[tuple[Any, ...]] = []
    if isinstance(listed, list | tuple):
        for item in listed:
            entry = (item, None) if isinstance(item, str) else tuple(item)
            if len(entry) not in (2, 3) or not isinstance(entry[0], str):
                break
            result.append(entry)
        else:
            return result
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


def values(inputs: Any) -> list[tuple[str, Value]]:
    """Return inputs as OWSLib builds a request from them.

    A value may be a str, one of OWSLib's own input objects, a number, a boolean, a date or
    a time.
    """
    return [(name, _value(name, value)) for name, value in pairs(inputs)]


def _value(name: str, value: Any) -> Value:
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
    pieces = _pieces(value)
    if pieces is None:
        return value
    mark = new_mark()
    large[mark.encode()] = map(_escaped, pieces)
    return Embedded(mark, value.mimeType, value.encoding, value.schema)


def _pieces(value: Value) -> Iterable[str] | None:
    """Return a large input in pieces; None for any other."""
    if isinstance(value, Attached):
        return value.pieces() if len(value.content) >= LARGE else None
    if not isinstance(value, ComplexDataInput) or not isinstance(value.value, str):
        return None
    text: str = value.value
    if len(text) < LARGE or is_reference(text):
        return None
    if re.search(UNWRITABLE, text):
        raise ValueError("a large input has characters that XML cannot hold")
    return (text[start : start + LARGE] for start in range(0, len(text), LARGE))


def _escaped(text: str) -> bytes:
    for character, reference in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
        text = text.replace(character, reference)
    return text.encode("ascii", "xmlcharrefreplace")

"""What a response holds of an output itself, character for character."""

from __future__ import annotations

import base64
import binascii
from xml.sax.saxutils import escape

from lxml import etree

from ..http.xml import local_name
from .boxes import Box, box_element

_VALUES = ("{*}ComplexData", "{*}LiteralData")
#: Types of a literal whose white space belongs to it; XML Schema collapses it for all others.
_TEXTS = frozenset({"", "string", "normalizedstring"})


def content_of(output: etree._Element) -> bytes:
    """Return the content that an ``Output`` element holds, decoded.

    Raises
    ------
    ValueError
        It holds none, or not what it says.
    """
    data = output.find("{*}Data")
    if data is None:
        raise ValueError("the response holds neither data nor a reference")
    box = box_element(data)
    if box is not None:
        return Box.of(box).text.encode()
    held = next(data.iterchildren(*_VALUES), data)
    if held is data and not _text(data).strip():
        children = [local_name(e) for e in data.iterchildren("{*}*")]
        raise ValueError(f"its data element holds {', '.join(children) or 'nothing'}")
    content = _content(held)
    if (held.get("encoding") or "").strip().lower() == "base64":
        return _decoded(content)
    return content


def _content(held: etree._Element) -> bytes:
    if next(held.iterchildren("{*}*"), None) is None:
        text = _text(held)
        if local_name(held) == "LiteralData" and _kind(held) not in _TEXTS:
            text = text.strip()
        return text.encode()
    text = held.text or ""
    begin = escape(text).encode("ascii", "xmlcharrefreplace") if text.strip() else b""
    return begin + b"".join(etree.tostring(child) for child in held)


def _text(element: etree._Element) -> str:
    """Return an element's own text; what comments say is none of it."""
    if len(element) == 0:
        return element.text or ""
    return (element.text or "") + "".join(child.tail or "" for child in element)


def _kind(literal: etree._Element) -> str:
    stated = literal.get("dataType") or ""
    return stated.strip().replace("#", ":").replace("/", ":").rpartition(":")[2].lower()


def _decoded(content: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error as error:
        start = content[:60]
        raise ValueError(
            f"no base64 ({error}): {len(content)} bytes that start with {start!r}"
        ) from error

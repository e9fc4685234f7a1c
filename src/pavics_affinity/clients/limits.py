"""How large a server's document may be, and how documents are checked.

Bytes alone are not a limit: 15 kB of gzip unpack to four million empty elements, and each
becomes an object. So the content of a document is counted before a tree of it is built: first
by the bytes that each element needs, which takes no time, and exactly only if that is too many.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from lxml import etree

from ..errors import NotAService, ServiceError


class Limits(NamedTuple):
    """How much a server may send as one document."""

    document: int = 64 * 2**20
    """Bytes, unpacked; embedded outputs are part of it."""
    metadata: int = 16 * 2**20
    """Bytes of capabilities and descriptions: OWSLib makes ten times of it."""
    seconds: float = 300.0
    """Time for a document to be complete once its headers have come."""
    elements: int = 300_000
    """Elements, comments and processing instructions of XML; as many attributes and namespaces."""
    text: int = 10_000_000
    """Bytes of one text of XML that libxml2 accepts by default."""
    values: int = 1_000_000
    """Values of JSON: numbers, texts, lists, objects."""
    data: int = 10_000_000
    """Values of an output that is read as JSON."""
    depth: int = 256
    """Levels of JSON and YAML."""
    nodes: int = 200_000
    """Values of YAML, with aliases written out; each takes a kilobyte."""


LIMITS = Limits()

_DECLARED = rb"""[^<]{0,8}<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([\w.:-]+)"""
_UTF_16 = r"(?i)(utf-?16|ucs-?2|iso-10646-ucs-2)"
_ASCII = bytes(range(32, 127)) + b"\t\n\r"
# An unfinished string runs to the end, so that none is looked at twice.
_STRING = r'(?s)"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'


# ---- XML ----


def check_xml(document: bytes, options: dict[str, Any]) -> None:
    """Raise ServiceError if a document has more in it than `LIMITS`.

    Raise NotAService if its encoding is one in which XML does not look like XML. `options` are
    those with which it will be parsed.
    """
    head = document[:400].replace(b"\0", b"")
    declared = re.match(_DECLARED, head)
    if declared is not None and not _is_countable(declared[1].decode()):
        raise NotAService(
            f"an XML document in the encoding {declared[1].decode()!r} was refused: no OGC service "
            "uses it. Have the service send UTF-8"
        )
    most = LIMITS.elements
    if len(document) <= most:  # each takes a byte at least
        return
    nodes = _starts(document) + has_doctype(document) * document.count(b"&")
    if nodes <= most and document.count(b"=") <= most:
        return
    if has_doctype(document) or not _is_within(document, options):
        raise ServiceError(
            f"an XML document of {len(document) / 2**20:.1f} MB was refused: it has more than "
            f"{most:,} elements or attributes, and would fill the memory. Ask for large outputs "
            "as references"
        )


def _starts(document: bytes) -> int:
    """Count what begins with ``<`` and is not an end tag: at least all elements."""
    # Two bytes of UTF-16 may be these two characters, where the second is the half of a name.
    ends = 0 if b"\0" in document else document.count(b"</")
    return document.count(b"<") - ends


def has_doctype(document: bytes) -> bool:
    """Return whether there may be a document type declaration, and entities with it."""
    plain = document.replace(b"\0", b"") if b"\0" in document else document
    return b"<!DOCTYPE" in plain


def _is_countable(encoding: str) -> bool:
    """Return whether each ``<`` of a document is one in its bytes."""
    if re.match(_UTF_16, encoding):
        return True
    try:
        return codecs.decode(_ASCII, encoding) == _ASCII.decode()
    except (LookupError, ValueError, TypeError):
        return False


def _is_within(document: bytes, options: dict[str, Any]) -> bool:
    counter: Any = _Counter()  # lxml needs no more of it than it has
    parser = etree.XMLParser(target=counter, **{**options, "huge_tree": False})
    try:
        etree.fromstring(document, parser)  # a parser that is fed is slow at long tags
    except _TooMany:
        return False
    except etree.XMLSyntaxError:
        # As far as it can be read; what libxml2's own limits stopped was not counted.
        return len(document) <= LIMITS.text
    return True


class _TooMany(Exception):
    """A document has more in it than the limit."""


class _Counter:
    """A parser's target that counts and builds nothing."""

    def __init__(self) -> None:
        self._nodes = self._attributes = 0

    def start(self, tag: str | bytes, attrib: dict[str | bytes, str | bytes]) -> None:
        """Count an element and its attributes."""
        self._count(1, len(attrib))

    def start_ns(self, *_: Any) -> None:
        """Count the declaration of a namespace."""
        self._count(0, 1)

    def comment(self, text: str | bytes) -> None:
        """Count a comment."""
        self._count(1, 0)

    def pi(self, target: str | bytes, data: str | bytes | None = None) -> None:
        """Count a processing instruction."""
        self._count(1, 0)

    def close(self) -> None:
        """Do nothing."""

    def _count(self, nodes: int, attributes: int) -> None:
        self._nodes += nodes
        self._attributes += attributes
        if max(self._nodes, self._attributes) > LIMITS.elements:
            raise _TooMany


# ---- JSON and YAML ----


def read_json(document: str | bytes, *, most: int = LIMITS.values) -> Any:
    """Return the value of a JSON document of at most so many values.

    Raise ValueError if it is not JSON, or has more values or levels than the limits.
    """
    if _values(document, most) > most:
        raise ValueError(f"it has more than {most:,} values")
    try:
        value = json.loads(document)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    check_depth(value)
    return value


def check_depth(value: Any) -> None:
    """Raise ValueError if lists and objects are nested too deeply."""
    level: list[Any] = [value]
    for _ in range(LIMITS.depth):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return
    raise ValueError(f"it is nested more than {LIMITS.depth} levels deep")


def _inside(value: Any) -> Iterable[Any]:
    if not isinstance(value, dict | list):
        return ()
    inner = value.values() if isinstance(value, dict) else value
    return [each for each in inner if isinstance(each, dict | list)]


def _values(document: str | bytes, most: int) -> int:
    """Return how many values a document has at most; if that is too many, without its texts."""
    if isinstance(document, bytes):
        rough = sum(map(document.count, (b"[", b"{", b",")))
        if rough <= most:
            return rough
        document = document.decode(json.detect_encoding(document), "surrogatepass")
    rough = sum(map(document.count, "[{,"))
    return rough if rough <= most else sum(map(re.sub(_STRING, "", document).count, "[{,"))

"""Reading XML from servers, also for OWSLib.

Entities are never expanded, and nothing is fetched. A document that declares entities, or has
more in it than `limits.LIMITS`, is refused before a tree of it is built.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, NamedTuple, Self

from lxml import etree

from ...errors import NotAService
from ..limits import LIMITS, check_xml, has_doctype

#: Characters that no XML document can hold, not even escaped.
UNWRITABLE = "[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"
_SAFELY: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
}
_PIECE = 512
_WPS_1 = "http://www.opengis.net/wps/1.0.0"
_SERVICE = r"(?i)/(csw|sos|sps|wcps|wcs|wfs|wms|wmts|wps)(?:/([0-9][0-9.]*))?(?![a-z])"
#: Byte order mark and blanks, which some servers send before the document.
_BLANK = b"\xef\xbb\xbf \t\r\n"
#: What of a response OWSLib walks through, and the elements there that hold an output.
_CONTENTS = ("ComplexData", "LiteralData", "BoundingBoxData")
_ENVELOPE = (
    ".",
    "*",
    "{*}Status/*",
    "{*}DataInputs/{*}Input/*",
    "{*}DataInputs/{*}Input/{*}Data/*",
    "{*}ProcessOutputs/*",
    "{*}ProcessOutputs/{*}Output/*",
    "{*}ProcessOutputs/{*}Output/{*}Data/*",
)


#: What OWSLib raises if a document is well-formed, but not what it expects.
MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class OWSException(NamedTuple):
    """What an OWS ``ExceptionReport`` says."""

    text: str  # the server's own words; several exceptions are joined by newlines
    code: str | None  # of the first, such as InvalidParameterValue
    locator: str | None  # of the first: what the server names as the cause

    @classmethod
    def of(cls, text: str, code: str | None, locator: str | None) -> Self:
        """Return what an exception says, without what PyWPS writes where there is no locator."""
        return cls(text, code, None if locator in ("", "None") else locator)

    def __str__(self) -> str:
        named = {"code": self.code, "locator": self.locator}
        details = ", ".join(f"{name} {value}" for name, value in named.items() if value)
        words = self.text or "no reason given"
        return f"{words} ({details})" if details else words


def parse(text: str | bytes, *, own: bool = False) -> etree._Element:
    """Parse a document without resolving anything, and return its root element.

    The encoding that a str declares is ignored. No limits apply to the user's `own` document.
    Raises XMLSyntaxError if it is not well-formed, NotAService if it declares XML entities, which
    no OGC service does, and ServiceError if it has more in it than the limits.
    """
    encoding = "utf-8" if isinstance(text, str) else None
    data = text.encode() if isinstance(text, str) else text.lstrip(_BLANK)
    options = {**_SAFELY, "encoding": encoding}
    if not own:
        check_xml(data, options)
    # Only a large document can have a text beyond libxml2's limits; that on depth is 2048 then.
    options["huge_tree"] = own or (len(data) > LIMITS.text and not has_doctype(data))
    root = etree.fromstring(data, etree.XMLParser(**options))
    _refuse_entities(root)
    return root


def start(document: bytes) -> etree._Element | None:
    """Return the root element up to its start tag; None if the document does not begin as XML.

    A document that passes may be given to another parser: entities are declared before the root.
    Raises NotAService and ServiceError as `parse`.
    """
    document = document.lstrip(_BLANK)
    if document.lstrip()[:1] not in (b"[", b"{"):
        check_xml(document, _SAFELY)
    # `iterparse` would parse 32 kB for the root's start tag: a tenth of what a client costs.
    parser = etree.XMLPullParser(("start",), **_SAFELY)
    begin, size = 0, _PIECE
    while begin < len(document):
        with contextlib.suppress(etree.XMLSyntaxError):
            parser.feed(document[begin : begin + size])
        begin, size = begin + size, 2 * size  # a tag that is not complete is read again
        for _, root in parser.read_events():
            _refuse_entities(root)  # type: ignore[arg-type]  # of a start, it is an element
            return root  # type: ignore[return-value]  # as above
    return None


def _refuse_entities(root: etree._Element) -> None:
    dtd: Any = root.getroottree().docinfo.internalDTD  # the stubs lack iterentities
    if dtd is not None and next(dtd.iterentities(), None) is not None:
        raise NotAService(
            "an XML document that declares entities was refused: "
            "no OGC service needs them, and attacks are made of them. Check the URL"
        )


def plain(document: bytes) -> bytes:
    """Return a document without comments and leading blanks, on which OWSLib fails.

    Raises the same errors as `parse`.
    """
    document = document.lstrip(_BLANK)
    begin = max(document.find(b"<wps:"), document.find(b":schemaLocation"), 0)
    if document.find(b"<!--", begin) < 0 and document.find(b"<?", begin) < 0:
        return document  # comments before the root do no harm
    root = parse(document)
    etree.strip_tags(root, etree.Comment, etree.ProcessingInstruction)
    return etree.tostring(root)


def local_name(element: etree._Element) -> str:
    """Return the element's name without its namespace; `etree.QName` raises for ``<:I>``."""
    return str(element.tag).rpartition("}")[2]


def child(element: etree._Element, name: str) -> etree._Element | None:
    """Return the first child of this name, in any namespace."""
    return next(element.iterchildren(f"{{*}}{name}"), None)


def text_of(element: etree._Element | None) -> str:
    """Return an element's text without the blanks around it, or an empty string."""
    return (element.text or "").strip() if element is not None else ""


def is_wps(root: etree._Element, name: str) -> bool:
    """Return whether an element looks like the root of a WPS 1.0.0 document of this name.

    Its start tag is enough. Namespaces are not compared as a whole: servers send older ones, and
    none. Only ``Capabilities`` is a name that other services use, too.
    """
    if local_name(root) != name or is_wps_2(root):
        return False
    if name != "Capabilities" or root.find("{*}ProcessOfferings") is not None:
        return True
    return service_of(root).startswith("WPS")


def is_wps_2(root: etree._Element) -> bool:
    """Return whether an element looks like the root of a WPS 2.0 document."""
    if "/wps/2" in str(root.tag).lower():  # in its namespace: a name has no slash
        return True
    return (
        local_name(root) == "Capabilities"
        and root.find("{*}ProcessOfferings") is None
        and service_of(root).startswith("WPS 2")
    )


def service_of(root: etree._Element) -> str:
    """Return the kind of service that sends such a document, as ``"WMS 1.3.0"``, or nothing."""
    named = re.match(r"(W[A-Z]+)(?:_MS)?_Capabilities$", local_name(root))
    found = re.search(_SERVICE, str(root.tag).rpartition("}")[0])
    kind = root.get("service") or (found[1] if found else None) or (named[1] if named else "")
    kind = "WMS" if kind == "WMT" else kind.strip().upper()[:20]
    version = (root.get("version") or (found[2] if found else None) or "").strip()[:20]
    return f"{kind} {version}".strip() if kind else ""


def readable(root: etree._Element) -> etree._Element:
    """Change a response, in place, so that OWSLib can read it; the content of outputs stays.

    OWSLib fails on comments, and needs a namespace to find the status.
    """
    bare = "}" not in str(root.tag)
    if not bare and next(root.iter(etree.Comment, etree.ProcessingInstruction), None) is None:
        return root
    for path in _ENVELOPE:
        for element in root.iterfind(path):
            if bare and "}" not in str(element.tag):
                element.tag = f"{{{_WPS_1}}}{element.tag}"
            if local_name(element) not in _CONTENTS:
                for comment in element.iterchildren(etree.Comment, etree.ProcessingInstruction):
                    element.remove(comment)
    return root


def exception_of(root: etree._Element) -> OWSException | None:
    """Return what an ``ExceptionReport`` says, or None if the root is something else."""
    if local_name(root) not in ("ExceptionReport", "ServiceExceptionReport"):
        return None
    exceptions = list(root.iterchildren("{*}Exception", "{*}ServiceException"))
    texts = [" ".join(" ".join(str(t) for t in e.itertext()).split()) for e in exceptions]
    first = exceptions[0] if exceptions else root
    return OWSException.of(
        text="\n".join(t for t in texts if t),
        code=first.get("exceptionCode") or first.get("code"),
        locator=first.get("locator"),
    )

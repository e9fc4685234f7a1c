"""Raw data responses: an Execute that asks for one output, and gets it as the answer itself.

The answer is put into a response document, so that the execution, the journal and OWSLib read it
as any other.
"""

from __future__ import annotations

import base64
from typing import NamedTuple, Self

from lxml import etree

from ..http import xml
from ..http.answers import Answer
from ..outputs import names

_WPS = "{http://www.opengis.net/wps/1.0.0}"
_OWS = "{http://www.opengis.net/ows/1.1}"


class RawOutput(NamedTuple):
    """The output that a request asks for as raw data, and the media type that it asks for."""

    identifier: str
    mimetype: str | None

    @classmethod
    def asked_for(cls, request: etree._Element) -> Self | None:
        """Read an Execute document; return None if it asks for a response document."""
        element = request.find("{*}ResponseForm/{*}RawDataOutput")
        if element is None:
            return None
        identifier = (element.findtext("{*}Identifier") or "").strip()
        return cls(identifier or "output", element.get("mimeType"))

    def response(self, answer: Answer, process: str) -> etree._Element | None:
        """Return a response document that holds the answer as the output.

        None is returned if the answer is a document of the service: an exception, a response
        document after all, or a web page where another media type was asked for.
        """
        if not self._is_data(answer):
            return None
        root = etree.Element(f"{_WPS}ExecuteResponse", service="WPS", version="1.0.0")
        _named(root, "Process", process)
        etree.SubElement(etree.SubElement(root, f"{_WPS}Status"), f"{_WPS}ProcessSucceeded")
        outputs = etree.SubElement(root, f"{_WPS}ProcessOutputs")
        output = _named(outputs, "Output", self.identifier)
        name = names.from_disposition(answer.response.headers.get("Content-Disposition"))
        if name:
            output.set("fileName", name)
        data = etree.SubElement(output, f"{_WPS}Data")
        held = etree.SubElement(data, f"{_WPS}ComplexData", encoding="base64")
        kind = answer.content_type or self.mimetype
        if kind and kind.isascii() and kind.isprintable():
            held.set("mimeType", kind)
        held.text = base64.b64encode(answer.body).decode()
        return root

    def _is_data(self, answer: Answer) -> bool:
        if answer.status not in (200, 203):
            return False
        start = answer.start
        root = "" if start is None else xml.local_name(start)
        if start is not None and xml.is_wps(start, "ExecuteResponse") and xml.service_of(start):
            return False
        page = "html" in answer.content_type and "html" not in (self.mimetype or "html").lower()
        return root not in ("ExceptionReport", "ServiceExceptionReport") and not page


def _named(parent: etree._Element, tag: str, identifier: str) -> etree._Element:
    element = etree.SubElement(parent, f"{_WPS}{tag}")
    for name in ("Identifier", "Title"):
        etree.SubElement(element, f"{_OWS}{name}").text = identifier
    return element

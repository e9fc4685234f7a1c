"""Raw data responses: an Execute that asks for one output, and gets it as the answer itself."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Self

from lxml import etree

from ..http import xml
from ..http.answers import Answer
from ..outputs import names

_WPS = "http://www.opengis.net/wps/1.0.0"
_OWS = "http://www.opengis.net/ows/1.1"


@dataclass(frozen=True)
class RawOutput:
    """The output that a request asks for as raw data.

    Attributes
    ----------
    identifier : str
        Its name.
    mimetype : str or None
        Media type that is asked for.
    """

    identifier: str
    mimetype: str | None

    @classmethod
    def asked_for(cls, request: etree._Element) -> Self | None:
        """Read an Execute document; None where it asks for a response document."""
        element = request.find("{*}ResponseForm/{*}RawDataOutput")
        if element is None:
            return None
        identifier = (element.findtext("{*}Identifier") or "").strip()
        return cls(identifier or "output", element.get("mimeType"))

    def response(self, answer: Answer, process: str) -> etree._Element | None:
        """Return the response document that holds the answer as the output.

        Parameters
        ----------
        answer : Answer
            What came.
        process : str
            Identifier of the process.

        Returns
        -------
        lxml.etree._Element or None
            None where the answer is a document of the service: an exception, a response
            document after all, or a web page where another media type was asked for.
        """
        if not self._came_as(answer):
            return None
        root = etree.Element(f"{{{_WPS}}}ExecuteResponse", service="WPS", version="1.0.0")
        _named(etree.SubElement(root, f"{{{_WPS}}}Process"), process)
        status = etree.SubElement(root, f"{{{_WPS}}}Status")
        etree.SubElement(status, f"{{{_WPS}}}ProcessSucceeded")
        outputs = etree.SubElement(root, f"{{{_WPS}}}ProcessOutputs")
        output = _named(etree.SubElement(outputs, f"{{{_WPS}}}Output"), self.identifier)
        name = names.from_disposition(answer.response.headers.get("Content-Disposition"))
        if name:
            output.set("fileName", name)
        data = etree.SubElement(output, f"{{{_WPS}}}Data")
        held = etree.SubElement(data, f"{{{_WPS}}}ComplexData", encoding="base64")
        kind = answer.content_type or self.mimetype
        if kind and kind.isascii() and kind.isprintable():
            held.set("mimeType", kind)
        held.text = base64.b64encode(answer.body).decode()
        return root

    def _came_as(self, answer: Answer) -> bool:
        if answer.status not in (200, 203):
            return False
        start = answer.start
        root = "" if start is None else xml.local_name(start)
        if start is not None and xml.is_wps(start, "ExecuteResponse") and xml.service_of(start):
            return False
        page = "html" in answer.content_type and "html" not in (self.mimetype or "html").lower()
        return root not in ("ExceptionReport", "ServiceExceptionReport") and not page


def _named(element: etree._Element, identifier: str) -> etree._Element:
    for tag in ("Identifier", "Title"):
        etree.SubElement(element, f"{{{_OWS}}}{tag}").text = identifier
    return element

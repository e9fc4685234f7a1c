"""An Execute document on its way to a WPS, and what answers it.

A raw data response, one output as the answer itself, is put into a response document, so that the
execution, the journal and OWSLib read it as any other.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from lxml import etree

from ...errors import JournalError, ServiceError, message_of
from ...record import Step
from ..embedding import within_limits
from ..http import xml
from ..http.answers import Answer, expect, given
from ..http.execute import noting, send_once
from ..outputs import names

if TYPE_CHECKING:
    from ...transport import AffinitySession

_WPS = "{http://www.opengis.net/wps/1.0.0}"
_OWS = "{http://www.opengis.net/ows/1.1}"


class ExecuteRequest(NamedTuple):
    """An Execute document, and what it asks for."""

    document: bytes
    process: str
    asynchronous: bool
    raw: RawOutput | None
    sent: Mapping[str, str]  # form of each input, as in `Step`

    @classmethod
    def read(cls, document: str | bytes) -> Self:
        """Read a document that the user has built."""
        root = given(document, own=True)
        return cls.of(root, document.encode() if isinstance(document, str) else document)

    @classmethod
    def of(
        cls, root: etree._Element, document: bytes, sent: Mapping[str, str] | None = None
    ) -> Self:
        """Return the request whose root this is; large inputs are only in the document."""
        form = root.find("{*}ResponseForm/{*}ResponseDocument")
        return cls(
            document,
            process=(root.findtext("{*}Identifier") or "").strip(),
            asynchronous=form is not None and form.get("status") == "true",
            raw=RawOutput.asked_for(root),
            sent=sent or {},
        )


def submit(
    session: AffinitySession, url: str, request: ExecuteRequest, step: Step, timeout: Any
) -> etree._Element:
    """Send an Execute, and return the root of the answer."""
    step.inputs = dict(request.sent)
    doing = f"Execute {request.process}"
    with within_limits(session, url, len(request.document), step), noting(step):
        answer = send_once(
            session,
            "POST",
            url,
            doing=doing,
            step=step,
            is_xml=True,
            data=request.document,
            headers={"Content-Type": "text/xml"},
            timeout=timeout,
        )
        held = None if request.raw is None else request.raw.response(answer, request.process)
        if held is not None:
            return held
        return expect(answer, "ExecuteResponse", doing=doing, session=session, execute=True)


def kept(answer: bytes) -> etree._Element:
    """Return the root of an answer that a journal has kept."""
    try:
        return xml.parse(answer)
    except (etree.XMLSyntaxError, ServiceError) as error:
        raise JournalError(
            f"an answer in the journal cannot be read ({message_of(error)}): the file was changed "
            "by something else. Restore an intact copy, or run the chain again"
        ) from error


# ---- raw data ----


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

"""An Execute document on its way to a WPS; and an answer that a journal has kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lxml import etree

from ...errors import JournalError, ServiceError, message_of
from ...record import Step
from ..embedding import within_limits
from ..http import xml
from ..http.answers import expect
from ..http.execute import noting, send_once

if TYPE_CHECKING:
    from ...transport import AffinitySession
    from .inputs import ExecuteRequest


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

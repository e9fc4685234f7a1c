"""An Execute document on its way to a WPS; and an answer that a journal has kept."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from lxml import etree

from ...errors import JournalError, ServiceError
from ...record import Step
from ..embedding import within_limits
from ..http import waiting, xml
from ..http.answers import expect
from ..http.execute import noting, send_once, size_limit

if TYPE_CHECKING:
    from ...transport import AffinitySession
    from .inputs import ExecuteRequest


def submit(
    session: AffinitySession, url: str, request: ExecuteRequest, step: Step, timeout: Any
) -> etree._Element:
    """Send an Execute, and return the root of the answer.

    It is sent again only if the server says that it was too busy to do anything.
    """
    step.inputs = dict(request.sent)
    end = time.monotonic() + session.busy_patience
    for attempt in itertools.count():
        try:
            with within_limits(session, url, len(request.document), step), noting(step):
                return _post(session, url, request, timeout)
        except ServiceError as error:
            left = end - time.monotonic()
            if step.ran or left <= 0 or size_limit(error) is not None:
                raise
            time.sleep(min(left, waiting.busy_pause(attempt)))
    raise AssertionError("never reached: the loop above has no end")


def _post(
    session: AffinitySession, url: str, request: ExecuteRequest, timeout: Any
) -> etree._Element:
    doing = f"Execute {request.process}"
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
            f"an answer in the journal cannot be read ({error}): the file was changed by "
            "something else. Restore an intact copy, or run the chain again"
        ) from error

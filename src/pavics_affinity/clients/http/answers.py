"""What a service answered, read within bounds and checked for what it is."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from functools import cached_property, partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from lxml import etree

from ...errors import ExecutionFailed, InvalidRequest, NotAService, ServiceError
from ...transport.times import asked_to_wait
from ..limits import LIMITS, read_json
from . import xml

if TYPE_CHECKING:
    from ...transport import AffinitySession

#: Bytes. No document of a service is larger; embedded outputs are part of one.
MAX_DOCUMENT = LIMITS.document
#: Seconds in which a document must be complete once its headers have come.
MAX_SECONDS = LIMITS.seconds

_CHUNK = 1 << 16
_PAGE = 1 << 18
_OGC_API = ("links", "conformsTo", "processes")
_VERSIONS = (
    "This library speaks WPS 1.0.0 and OGC API - Processes, which many servers offer beside WPS "
    "2.0: ask the site for the URL of one of them. The client of the latter is "
    "Workflow.processes(url)"
)
#: OWSLib raises requests' HTTPError for these, and its own ServiceException otherwise.
_HTTP_ERRORS = frozenset({404, 500, 502, 503, 504})
#: A refusal that says nothing about what kind of service this is.
_UNDECIDED = frozenset({401, 403, 408, 413, 429})


class HTTPServiceError(ServiceError, requests.HTTPError):
    """A `ServiceError` that came with an HTTP status for which OWSLib raises requests' error."""


class HTTPExecutionFailed(ExecutionFailed, requests.HTTPError):
    """An `ExecutionFailed` that came with such a status: 404, 500, 502, 503 or 504."""


class TooLarge(ServiceError):
    """A `ServiceError`: what came is larger than the limit, and was not read to its end."""


class BodyBroken(Exception):
    """The body of an answer did not come to its end."""


def chunks(response: requests.Response, *, until: float | None = None) -> Iterator[bytes]:
    """Yield the body as it comes, decoded, until this moment of `time.monotonic`.

    `BodyBroken` is raised if the connection ends or times out before the body does.
    """
    read1 = getattr(response.raw, "read1", None)  # since urllib3 2.1
    try:
        if read1 is None:
            pieces = response.iter_content(_CHUNK)
        else:  # as the bytes come, so that a trickle cannot outlast the deadline
            come = partial(read1, _CHUNK, decode_content=True)
            pieces = takewhile(bool, iter(come, None))
        for piece in pieces:
            yield piece
            if until is not None and time.monotonic() > until:
                raise BodyBroken("it was still coming when the time was up")
    except (urllib3.exceptions.HTTPError, requests.RequestException, OSError) as error:
        raise BodyBroken(str(error) or type(error).__name__) from error


class Answer:
    """A document that a service sent, and the response in which it came."""

    def __init__(self, url: str, body: bytes, response: requests.Response) -> None:
        self.url = url  # for messages
        self.body = body
        self.response = response
        self.status = response.status_code
        self.content_type = response.headers.get("Content-Type", "").lower()

    @cached_property
    def start(self) -> etree._Element | None:
        """The root element up to its start tag; None if the body does not begin as XML."""
        try:
            return xml.start(self.body)
        except ServiceError as error:
            raise self._refused(error) from None

    @cached_property
    def root(self) -> etree._Element | None:
        """The root element; None if the body is not well-formed XML."""
        try:
            return xml.parse(self.body)
        except etree.XMLSyntaxError as error:
            self._not_xml = str(error)[:200]
            return None
        except ServiceError as error:
            raise self._refused(error) from None

    @cached_property
    def said(self) -> xml.OWSException | None:
        """What the service says if it is an exception report."""
        return None if self.root is None else xml.exception_of(self.root)

    def _refused(self, error: ServiceError) -> ServiceError:
        """Name the URL in the parser's refusal: entities, or more than the limits."""
        return type(error)(f"{self.url}: {error.message}", url=self.url)

    @property
    def may_be_cut(self) -> bool:
        """Whether only the end of the connection ended it, and it is not a whole document."""
        headers = self.response.headers
        if self.status >= 400 or "Content-Length" in headers or "Transfer-Encoding" in headers:
            return False
        return (not self.body or "xml" in self.content_type) and self.root is None

    def announces(self, name: str) -> bool:
        """Tell from the start tag alone whether it is a WPS document of this name."""
        return self.status < 400 and self.start is not None and xml.is_wps(self.start, name)

    @property
    def server_busy(self) -> str | None:
        """The words of a WPS that was too busy to take an Execute; None if it does not say so."""
        said = self.said
        return said.text if said is not None and said.code == "ServerBusy" else None

    @property
    def is_wps_2(self) -> bool:
        """Whether it is a document of WPS 2.0."""
        return self.status < 400 and self.root is not None and xml.is_wps_2(self.root)

    @property
    def is_json(self) -> bool:
        """Whether it says that it is JSON."""
        kind = self.content_type.split(";")[0].strip()
        return kind == "application/json" or kind.endswith("+json")

    @property
    def summary(self) -> str:
        """Status and kind of the body, for messages."""
        return f"HTTP {self.status} and {self._kind}"

    @property
    def _kind(self) -> str:
        text = self.body[:4096].decode(errors="replace").lstrip("\ufeff \t\r\n")
        if not text:
            return "an empty body"
        if "html" in self.content_type or re.match(r"(?i)<!doctype html|<html", text):
            title = re.search(r"(?is)<title[^>]*>(.*?)</title>", text)
            words = " ".join(title.group(1).split())[:80] if title else ""
            return f"an HTML page titled {words!r}" if words else "an HTML page"
        if self.root is not None:
            return f"XML with the root element <{xml.local_name(self.root)}>"
        with contextlib.suppress(ValueError):
            read_json(self.body)
            return "JSON"
        if text.startswith("<") and "xml" in self.content_type:
            return f"XML that cannot be read ({self._not_xml})"
        kind = self.content_type.split(";")[0] or "no content type"
        start = " ".join(text[:60].split())
        if not start.isprintable() or "\ufffd" in start:
            return f"{len(self.body)} bytes of {kind}"
        return f"{kind} that starts with {start!r}"


def read(
    response: requests.Response,
    *,
    url: str,
    limit: int = MAX_DOCUMENT,
    until: float | None = None,
    timed: bool = True,
) -> Answer:
    """Read and close an answer that was asked for with ``stream=True``.

    Parameters
    ----------
    url : str
        For messages.
    limit : int
        Bytes; a larger body is `TooLarge`, and is not read to its end.
    until : float, optional
        When it must be complete, on `time.monotonic`'s clock; at most `MAX_SECONDS`
        from now, if it is `timed`. If it is not, `BodyBroken` is raised.
    """
    if timed:
        end = time.monotonic() + MAX_SECONDS
        until = end if until is None else min(until, end)
    body = bytearray()
    with response:
        for piece in chunks(response, until=until):
            body += piece
            if len(body) > limit:
                raise TooLarge(
                    f"{url} sent more than {limit // 2**20} MB as one document; the rest was not "
                    "read. Ask for large outputs as references",
                    url=url,
                )
    return Answer(url, bytes(body), response)


def given(document: str | bytes, *, own: bool = False) -> etree._Element:
    """Return the root of a document that the user passes; `own` ones have no limits."""
    try:
        return xml.parse(document, own=own)
    except (etree.XMLSyntaxError, AttributeError, TypeError, ValueError) as error:
        raise InvalidRequest(
            f"the document is not XML ({error}); it starts with {document[:60]!r}. "
            "Pass the document as the service sent it"
        ) from error


def expect(
    answer: Answer, name: str, *, doing: str, session: AffinitySession, execute: bool = False
) -> etree._Element:
    """Return the root element if it is a WPS document of this name; raise what it is otherwise.

    In answer to an Execute, the service's refusals are `ExecutionFailed`.
    """
    root, said = answer.root, answer.said
    if root is not None and answer.status < 400:
        wanted = xml.is_wps(root, name) if said is None else execute and not _owslib_raises(answer)
        if wanted:
            return root
    http = answer.status in _HTTP_ERRORS
    kind: type[ServiceError] = HTTPServiceError if http else ServiceError
    details: dict[str, Any] = {}
    if said is not None:
        if execute:
            kind = HTTPExecutionFailed if http else ExecutionFailed
        words = f"{answer.url} refused {doing}: {said}"
        words += f". {_VERSIONS}" if _of_version(said) else ""
        details = said._asdict()
    elif answer.status in _UNDECIDED or answer.status >= 500:
        words = f"{answer.url} answered {doing} with {answer.summary}{_advice_on_status(answer)}"
    else:
        kind = NotAService
        words = (
            f"{answer.url} is not a WPS 1.0.0: it answered {doing} with {answer.summary}; "
            f"{advice(answer, 'WPS')}"
        )
    raise kind(words, response=answer.response, about=session, url=answer.url, **details)


def advice(answer: Answer, service: str) -> str:
    """Say what to do if another kind of service answered than a ``"WPS"`` or ``"OGC API"``."""
    root = answer.root
    found = "" if root is None else xml.service_of(root)
    if root is not None and xml.is_wps_2(root):
        return f"it speaks {found}. {_VERSIONS}"
    if found and not found.startswith("WPS"):
        return f"it is a {found}: ask the site for the URL of its {service}"
    if service != "WPS" and (found or answer.said is not None):
        return f"it looks like a WPS: use Workflow.wps({answer.url!r})"
    if service == "WPS" and _is_ogc_api(answer.body):
        return f"it is an OGC API: use Workflow.processes({answer.url!r})"
    if re.search(rb"(?i)<input[^>]{0,200}type=.?password", answer.body[:_PAGE]):
        return "it is a login page: pass auth= or headers="
    return f"check the URL against the one that the site lists for its {service}"


def _is_ogc_api(body: bytes) -> bool:
    with contextlib.suppress(ValueError):
        page = read_json(body)
        return isinstance(page, dict) and not page.keys().isdisjoint(_OGC_API)
    return False


def _owslib_raises(answer: Answer) -> bool:
    """Return whether OWSLib raises for this exception report; otherwise it returns it parsed."""
    return answer.response.headers.get("Content-Type") in (
        "text/xml",
        "application/xml",
        "application/vnd.ogc.se_xml",
    )


def _of_version(said: xml.OWSException) -> bool:
    """Return whether the service refuses the version of WPS that it was asked in."""
    named = (said.locator or "").lower() in ("version", "acceptversions")
    return said.code == "VersionNegotiationFailed" or (
        said.code == "InvalidParameterValue" and named
    )


def _advice_on_status(answer: Answer) -> str:
    if answer.status in (401, 403):
        return "; it wants credentials, or other ones: pass auth="
    if answer.status == 413:
        return "; the request is too large for it: pass large inputs as references"
    asks = asked_to_wait(answer.response.headers)
    if answer.status == 429:
        return f"; it receives too many requests{asks}: wait, and try again"
    return f"{asks}; try again then" if asks and answer.status == 503 else ""

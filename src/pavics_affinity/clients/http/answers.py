"""What a service answered, read within bounds and judged."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn, Protocol

import requests
import urllib3
from lxml import etree

from ...errors import ExecutionFailed, InvalidRequest, NotAService, ServiceError
from ...transport.times import asked_to_wait
from ..limits import LIMITS, read_json
from . import xml

#: Bytes. No document of a service is larger; embedded outputs are part of one.
MAX_DOCUMENT = LIMITS.document
#: Bytes. No service has more to say of itself and its processes; OWSLib makes ten times of it.
MAX_METADATA = LIMITS.metadata
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


class BodyBroken(Exception):
    """The body of an answer did not come to its end."""


class Asker(Protocol):
    """Who asks: what an error says about it. A session fits."""

    @property
    def machineid(self) -> str:
        """The workflow's id."""

    @property
    def node(self) -> str | None:
        """The node that the workflow is pinned to."""


def chunks(response: requests.Response, *, until: float | None = None) -> Iterator[bytes]:
    """Yield the body as it comes, decoded.

    Parameters
    ----------
    response : requests.Response
        One whose body was not read.
    until : float, optional
        Moment on `time.monotonic`'s clock at which the body must be complete.

    Raises
    ------
    BodyBroken
        The connection ended or timed out before the body did.
    """
    read1 = getattr(response.raw, "read1", None)  # since urllib3 2.1
    try:
        if read1 is None:
            pieces = response.iter_content(_CHUNK)
        else:  # as the bytes come, so that a trickle cannot outlast the deadline
            pieces = iter(lambda: read1(_CHUNK, decode_content=True) or b"", b"")
        for piece in pieces:
            yield piece
            if until is not None and time.monotonic() > until:
                raise BodyBroken("it was still coming when the time was up")
    except (urllib3.exceptions.HTTPError, requests.RequestException, OSError) as error:
        raise BodyBroken(str(error) or type(error).__name__) from error


@dataclass(frozen=True)
class Answer:
    """A document that a service sent.

    Attributes
    ----------
    url : str
        Where it came from.
    status : int
        The HTTP status.
    content_type : str
        As the header has it, or an empty string.
    body : bytes
        The document.
    start : lxml.etree._Element or None
        Its root element as far as the start tag; None where it does not begin as XML.
    response : requests.Response
        What it came in.
    """

    url: str
    status: int
    content_type: str
    body: bytes
    start: etree._Element | None
    response: requests.Response

    @cached_property
    def root(self) -> etree._Element | None:
        """The root element; None where it is no well-formed XML."""
        return self._parsed[0]

    @cached_property
    def _parsed(self) -> tuple[etree._Element | None, str]:
        """The root element, or why there is none, in the parser's words."""
        try:
            return xml.parse(self.body), ""
        except etree.XMLSyntaxError as error:
            return None, str(error)[:200]
        except ServiceError as error:
            raise type(error)(f"{self.url}: {error}", url=self.url) from None

    @property
    def may_be_cut(self) -> bool:
        """Whether the end of the connection was its only end, and it is not a whole document."""
        headers = self.response.headers
        if self.status >= 400 or "Content-Length" in headers or "Transfer-Encoding" in headers:
            return False
        return (not self.body or "xml" in self.content_type) and self.root is None

    def announces(self, *names: str) -> bool:
        """Tell whether its start tag alone shows that it is a WPS document of one of these names.

        Parameters
        ----------
        *names : str
            Of root elements, without namespace.
        """
        return self.status < 400 and self.start is not None and xml.is_wps(self.start, *names)

    @property
    def is_wps_2(self) -> bool:
        """Whether it is a document of WPS 2.0."""
        return self.status < 400 and self.root is not None and xml.is_wps_2(self.root)

    @property
    def what_came(self) -> str:
        """Say in a few words what the body is."""
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
            return f"XML that cannot be read ({self._parsed[1]})"
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
) -> Answer:
    """Read an answer whose body was not read yet, and close it.

    Parameters
    ----------
    response : requests.Response
        One made with ``stream=True``.
    url : str
        As the caller knows it.
    limit : int
        Bytes; a larger body is not read to its end.
    until : float, optional
        Moment on `time.monotonic`'s clock at which it must be complete, if that
        is before `MAX_SECONDS` from now.

    Raises
    ------
    BodyBroken
        The body did not come to its end.
    ServiceError
        It is larger than `limit`, or has more in it than `LIMITS`.
    NotAService
        It declares XML entities.
    """
    end = time.monotonic() + MAX_SECONDS
    body = bytearray()
    with response:
        for piece in chunks(response, until=end if until is None else min(until, end)):
            body += piece
            if len(body) > limit:
                raise ServiceError(
                    f"{url} sent more than {limit // 2**20} MB as one document, and was not read "
                    "any further; ask for large outputs as references",
                    url=url,
                )
    document = bytes(body)
    try:
        start = xml.start(document)
    except ServiceError as error:
        raise type(error)(f"{url}: {error}", url=url) from None
    content_type = response.headers.get("Content-Type", "").lower()
    return Answer(url, response.status_code, content_type, document, start, response)


def given(document: str | bytes, *, own: bool = False) -> etree._Element:
    """Return the root of a document that the user has got elsewhere.

    Parameters
    ----------
    document : str or bytes
        The document.
    own : bool
        It is a request that the user has made.

    Raises
    ------
    InvalidRequest
        It is no XML.
    """
    try:
        return xml.parse(document, own=own)
    except (etree.XMLSyntaxError, AttributeError, TypeError, ValueError) as error:
        raise InvalidRequest(
            f"the document given is no XML ({error}); it starts with {document[:60]!r}"
        ) from error


def expect(
    answer: Answer, *names: str, doing: str, service: str, asker: Asker, execute: bool = False
) -> etree._Element:
    """Return the root element if it is one of these, and raise what it is otherwise.

    Parameters
    ----------
    answer : Answer
        What came.
    *names : str
        Names of the root elements that would do, without namespace.
    doing : str
        What was asked, for the message: ``"GetCapabilities"``.
    service : str
        What kind of service it should be, for the message: ``"WPS"``.
    asker : Asker
        The session.
    execute : bool
        The answer is one to an Execute: exceptions are `ExecutionFailed`.

    Raises
    ------
    ServiceError
        The service says why it would not.
    ExecutionFailed
        The same, in answer to an Execute.
    NotAService
        It is something else altogether.
    """
    root = answer.root
    said = None if root is None else xml.exception_of(root)
    if root is not None and said is not None:
        if answer.status < 400 and execute and not _owslib_raises(answer):
            return root
        _refused(answer, said, doing=doing, asker=asker, execute=execute)
    if root is not None and answer.status < 400 and xml.is_wps(root, *names):
        return root
    came = f"HTTP {answer.status} and {answer.what_came}"
    details: dict[str, Any] = {"url": answer.url, "machineid": asker.machineid, "node": asker.node}
    if answer.status in _UNDECIDED or answer.status >= 500:
        text = f"{answer.url} answered {doing} with {came}{_advice(answer)}"
        kind = HTTPServiceError if answer.status in _HTTP_ERRORS else ServiceError
        raise kind(text, response=answer.response, **details)
    raise NotAService(
        f"{answer.url} is not a {service} 1.0.0: it answered {doing} with {came}; "
        f"{advice(answer, service)}",
        response=answer.response,
        **details,
    )


def advice(answer: Answer, service: str) -> str:
    """Say what to do about an answer that another kind of service gave, or none.

    Parameters
    ----------
    answer : Answer
        What came.
    service : str
        What was expected: ``"WPS"`` or ``"OGC API"``.
    """
    root = answer.root
    found = "" if root is None else xml.service_of(root) or ""
    if root is not None and xml.is_wps_2(root):
        return f"it speaks {found}. {_VERSIONS}"
    if found and not found.startswith("WPS"):
        return f"it is a {found}: ask the site for the URL of its {service}"
    if service != "WPS" and (found or (root is not None and xml.exception_of(root) is not None)):
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
    """Tell whether OWSLib raises for this exception report; otherwise it returns it parsed."""
    return answer.response.headers.get("Content-Type") in (
        "text/xml",
        "application/xml",
        "application/vnd.ogc.se_xml",
    )


def _refused(
    answer: Answer, said: xml.OWSException, *, doing: str, asker: Asker, execute: bool
) -> NoReturn:
    http = answer.status in _HTTP_ERRORS
    if execute:
        kind: type[ServiceError] = HTTPExecutionFailed if http else ExecutionFailed
    else:
        kind = HTTPServiceError if http else ServiceError
    raise kind(
        f"{answer.url} refused {doing}: {said}{'. ' + _VERSIONS if _of_version(said) else ''}",
        url=answer.url,
        machineid=asker.machineid,
        node=asker.node,
        response=answer.response,
        code=said.code,
        locator=said.locator,
        text=said.text,
    )


def _of_version(said: xml.OWSException) -> bool:
    """Tell whether the service refuses the version of WPS that it was asked in."""
    named = (said.locator or "").lower() in ("version", "acceptversions")
    return said.code == "VersionNegotiationFailed" or (
        said.code == "InvalidParameterValue" and named
    )


def _advice(answer: Answer) -> str:
    if answer.status in (401, 403):
        return "; it wants credentials, or other ones: pass auth="
    if answer.status == 413:
        return "; the request is too large for it: pass large inputs as references"
    asks = asked_to_wait(answer.response.headers)
    if answer.status == 429:
        return f"; it is asked too often{asks}: wait, and try again"
    return f"{asks}; try again then" if asks and answer.status == 503 else ""

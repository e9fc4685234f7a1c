"""What an output is, wherever it came from: a URL, or content that a document holds."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Self, TypeVar

from lxml import etree
from requests.utils import get_encoding_from_headers

from ...errors import AffinityError, OutputUnavailable
from ..http.xml import child, local_name
from .boxes import Box, box_element

if TYPE_CHECKING:
    from ...transport import AffinitySession

E = TypeVar("E", bound=AffinityError)

_HREF = "{http://www.w3.org/1999/xlink}href"
#: Types of a literal whose white space belongs to it; XML Schema collapses it for all others.
_TEXTS = frozenset({"", "string", "normalizedstring"})


class HasOutputs:
    """Results with outputs by name, whichever kind of service gave them."""

    def outputs(self) -> Mapping[str, Any]:
        """Return all outputs by name."""
        raise NotImplementedError


class Expected(NamedTuple):
    """What a metalink states about a file; `algorithm` is a name of `hashlib`."""

    size: int | None = None
    algorithm: str | None = None
    digest: str | None = None

    def hasher(self) -> Any:
        """Return a hash object, or None if no checksum is stated."""
        if self.algorithm is None:
            return None
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def difference(self, size: int, hashed: Any) -> str | None:
        """Say how a file differs from what is expected; None if it does not."""
        if self.size is not None and size != self.size:
            return f"{size} bytes, and should be {self.size}"
        if hashed is not None and hashed.hexdigest() != self.digest:
            return f"of {self.algorithm} {hashed.hexdigest()}, and should be of {self.digest}"
        return None


class Resource(NamedTuple):
    """A URL, or content, as a document states it."""

    url: str | None = None  # may be relative, and may lead nowhere
    content: bytes | None = None  # in its encoding
    media_type: str | None = None
    encoding: str | None = None
    data_type: str | None = None  # OWSLib's word for the kind of content
    name: str = ""  # file name, hostile until cleaned
    expected: Expected = Expected()
    box: Box | None = None  # which the content is
    problem: str = ""  # why there is neither URL nor content

    @classmethod
    def of_element(cls, output: etree._Element) -> Self:
        """Read the ``Output`` element of a WPS response."""
        reference, data = child(output, "Reference"), child(output, "Data")
        if reference is not None:
            return cls(
                url=reference.get(_HREF) or reference.get("href") or "",  # "" leads nowhere
                media_type=reference.get("mimeType"),
                encoding=reference.get("encoding"),
                name=output.get("fileName") or "",
            )
        if data is None:
            return cls(problem="the response holds neither data nor a reference")
        found = box_element(data)
        if found is not None:
            return cls._of_box(found)
        held = next(data.iterchildren("{*}ComplexData", "{*}LiteralData"), data)
        if held is data and not _text(data).strip():
            children = [local_name(e) for e in data.iterchildren("{*}*")]
            return cls(problem=f"its data element holds {', '.join(children) or 'nothing'}")
        is_complex = local_name(held) == "ComplexData"
        return cls(
            content=_content(held),
            media_type=held.get("mimeType") if is_complex else None,
            encoding=held.get("encoding"),
            data_type="ComplexData" if is_complex else held.get("dataType"),
            name=output.get("fileName") or "",
        )

    @classmethod
    def _of_box(cls, element: etree._Element) -> Self:
        try:
            box = Box.of(element)
        except ValueError as error:
            return cls(data_type="BoundingBoxData", problem=str(error))
        return cls(content=box.text.encode(), data_type="BoundingBoxData", box=box)

    @property
    def is_base64(self) -> bool:
        """Whether the content is in base64."""
        return (self.encoding or "").strip().lower() == "base64"

    def read(self) -> bytes:
        """Return the content, decoded; raise ValueError if there is none, or it is damaged."""
        if self.content is None:
            raise ValueError(self.problem or "the response does not hold it")
        if not self.is_base64:
            return self.content
        try:
            return base64.b64decode(b"".join(self.content.split()), validate=True)
        except binascii.Error as error:
            raise ValueError(
                f"it is not base64 ({error}): {len(self.content)} bytes that start with "
                f"{self.content[:60]!r}"
            ) from error


class Source:
    """A resource that a workflow reads, and what its errors say."""

    def __init__(self, session: AffinitySession, resource: Resource, label: str) -> None:
        self.session = session
        self.resource = resource  # its URL, if it has one, is absolute
        self.label = label  # in the record and in messages: "output 'output'"

    @property
    def url(self) -> str:
        """Where it is."""
        return self.resource.url or ""

    def fill(self, file: BinaryIO, limit: int | None = None) -> str | None:
        """Write it, whole, into an open file that is seekable and empty; return its charset.

        DownloadFailed is raised if it is larger than the limit, and not in memory already.
        """
        raise NotImplementedError

    def read(self, limit: int | None = None) -> tuple[bytes, str | None]:
        """Return its content and charset; see `fill`."""
        file = io.BytesIO()
        charset = self.fill(file, limit)
        return file.getvalue(), charset

    def error(self, kind: type[E], what: str, **details: Any) -> E:
        """Make an error that says what is wrong with it."""
        return kind(
            f"{self.label} at {self.url} {what}",
            url=self.url,
            about=self.session,
            **details,
        )


class Held(Source):
    """Content that a document of the service holds."""

    def fill(self, file: BinaryIO, limit: int | None = None) -> str | None:
        """Write it, decoded."""
        content, charset = self.read()
        file.write(content)
        return charset

    def read(self, limit: int | None = None) -> tuple[bytes, str | None]:
        """Return it, decoded; raise OutputUnavailable if it cannot be."""
        # Text was decoded with the document.
        media_type = self.resource.media_type if self.resource.is_base64 else None
        try:
            return self.resource.read(), charset_of({"content-type": media_type or ""})
        except ValueError as error:
            raise OutputUnavailable(
                f"{self.label} cannot be read from the response: {error}. Look at the status "
                "message of the execution, or ask the service's operator",
                url=None,
                about=self.session,
            ) from error


def plain_type(media_type: str | None) -> str:
    """Return a media type without its parameters, in small letters; "" for None."""
    return (media_type or "").partition(";")[0].strip().lower()


def charset_of(headers: Mapping[str, str]) -> str | None:
    """Return the charset that a ``Content-Type`` names, or None."""
    stated = "charset" in headers.get("content-type", "").lower()
    return get_encoding_from_headers(headers) if stated else None


def _content(held: etree._Element) -> bytes:
    """Return what an element holds, character for character."""
    if next(held.iterchildren("{*}*"), None) is None:
        text = _text(held)
        if local_name(held) == "LiteralData" and _literal_type(held) not in _TEXTS:
            text = text.strip()
        return text.encode()
    from xml.sax.saxutils import escape

    text = held.text or ""
    begin = escape(text).encode("ascii", "xmlcharrefreplace") if text.strip() else b""
    return begin + b"".join(etree.tostring(each) for each in held)


def _text(element: etree._Element) -> str:
    """Return an element's own text, without what comments say."""
    if len(element) == 0:
        return element.text or ""
    return (element.text or "") + "".join(each.tail or "" for each in element)


def _literal_type(literal: etree._Element) -> str:
    stated = literal.get("dataType") or ""
    return stated.strip().replace("#", ":").replace("/", ":").rpartition(":")[2].lower()

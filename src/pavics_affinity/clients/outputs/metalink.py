"""Metalink documents, versions 3 and 4: lists of files as one output."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import urljoin

from lxml import etree

from ..http import xml
from .transfer import Expected

_WPS = "http://www.opengis.net/wps/1.0.0"
_OWS = "http://www.opengis.net/ows/1.1"
_XLINK = "http://www.w3.org/1999/xlink"
#: hashlib's names by metalink's, the strongest first.
_ALGORITHMS = {
    "sha-512": "sha512",
    "sha512": "sha512",
    "sha-384": "sha384",
    "sha384": "sha384",
    "sha-256": "sha256",
    "sha256": "sha256",
    "sha-1": "sha1",
    "sha1": "sha1",
    "md5": "md5",
}
_DESCRIPTIONS = ("torrent", "application/x-bittorrent", "application/metalink4+xml")


@dataclass(frozen=True)
class File:
    """One file of a metalink.

    Attributes
    ----------
    name : str
        As the document has it; hostile until cleaned.
    url : str
        The preferred one of its URLs.
    mimetype : str or None
        Stated by version 4 only.
    expected : Expected
        Size and strongest checksum, where they are stated.
    """

    name: str
    url: str
    mimetype: str | None
    expected: Expected = field(default_factory=Expected)

    def below(self, base: str) -> File:
        """Return the file with its URL taken from that of the document."""
        return replace(self, url=urljoin(base, self.url))

    def as_output(self) -> etree._Element:
        """Return it as the ``Output`` element that a WPS would have sent."""
        output = etree.Element(f"{{{_WPS}}}Output")
        for tag in ("Identifier", "Title"):
            etree.SubElement(output, f"{{{_OWS}}}{tag}").text = self.name
        reference = etree.SubElement(output, f"{{{_WPS}}}Reference")
        reference.set(f"{{{_XLINK}}}href", self.url)
        if self.mimetype:
            reference.set("mimeType", self.mimetype)
        return output


def is_metalink(mimetype: str | None) -> bool:
    """Tell whether a media type is metalink's, of whatever version."""
    kind = (mimetype or "").split(";")[0].strip().lower()
    return kind in ("application/metalink+xml", "application/metalink4+xml")


def references(document: bytes) -> list[File]:
    """Read a metalink.

    Raises
    ------
    lxml.etree.XMLSyntaxError
        It is no XML.
    ValueError
        It is XML, but no metalink.
    """
    root = xml.parse(document)
    if xml.local_name(root) != "metalink":
        raise ValueError(f"its root element is <{xml.local_name(root)}>")
    return [file for e in root.iter("{*}file") if (file := _file(e)) is not None]


def _file(element: etree._Element) -> File | None:
    # PyWPS names the file itself in a version 4 <metaurl>, with the file's media type;
    # by the standard one names a description of it, such as a torrent.
    urls = sorted(element.iter("{*}url"), key=_preference)
    others = [e for e in element.iter("{*}metaurl") if e.get("mediatype") not in _DESCRIPTIONS]
    for url in (*urls, *others):
        stated = (url.text or "").strip()
        if stated:
            kind = element.findtext("{*}mediatype") or url.get("mediatype")
            return File(element.get("name") or stated, stated, kind, _expected(element))
    return None


def _expected(element: etree._Element) -> Expected:
    size = (element.findtext("{*}size") or "").strip()
    stated = {
        (e.get("type") or "").strip().lower(): (e.text or "").strip().lower()
        for e in (*element.iterfind("{*}hash"), *element.iterfind("{*}verification/{*}hash"))
    }
    best = next((name for name in _ALGORITHMS if stated.get(name)), None)
    return Expected(
        size=int(size) if size.isdecimal() and len(size) < 19 else None,
        algorithm=None if best is None else _ALGORITHMS[best],
        digest=None if best is None else stated[best],
    )


def _preference(url: etree._Element) -> int:
    """Order as the versions have it: 4 has the lowest priority first, 3 the highest preference."""
    for attribute, sign in (("priority", 1), ("preference", -1)):
        stated = url.get(attribute, "")
        if stated.isdecimal() and len(stated) < 10:
            return sign * int(stated)
    return 10**6

"""Metalink documents, versions 3 and 4: lists of files as one output."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from . import xml

_WPS = "http://www.opengis.net/wps/1.0.0"
_OWS = "http://www.opengis.net/ows/1.1"
_XLINK = "http://www.w3.org/1999/xlink"
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
    """

    name: str
    url: str
    mimetype: str | None

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
            return File(element.get("name") or stated, stated, kind)
    return None


def _preference(url: etree._Element) -> int:
    """Order as the versions have it: 4 has the lowest priority first, 3 the highest preference."""
    for attribute, sign in (("priority", 1), ("preference", -1)):
        stated = url.get(attribute, "")
        if stated.isdecimal():
            return sign * int(stated)
    return 10**6

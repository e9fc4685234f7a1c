"""Metalink documents, versions 3 and 4: lists of files as one output."""

from __future__ import annotations

from lxml import etree

from ..http import xml
from .resource import Expected, Resource, plain_type

#: hashlib's names, the strongest first. Metalink's may have a hyphen: ``sha-256``.
_ALGORITHMS = ("sha512", "sha384", "sha256", "sha1", "md5")
_DESCRIPTIONS = ("torrent", "application/x-bittorrent", "application/metalink4+xml")


def is_metalink(mimetype: str | None) -> bool:
    """Return whether a media type is metalink's, of either version."""
    return plain_type(mimetype) in ("application/metalink+xml", "application/metalink4+xml")


def read_metalink(document: bytes) -> list[Resource]:
    """Return the files of a metalink, each with the preferred one of its URLs.

    Raises XMLSyntaxError if it is not XML, and ValueError if it is not a metalink.
    """
    root = xml.parse(document)
    if xml.local_name(root) != "metalink":
        raise ValueError(f"its root element is <{xml.local_name(root)}>")
    return [file for e in root.iter("{*}file") if (file := _file(e)) is not None]


def _file(element: etree._Element) -> Resource | None:
    # PyWPS names the file itself in a version 4 <metaurl>, with the file's media type;
    # by the standard one names a description of it, such as a torrent.
    urls = sorted(element.iter("{*}url"), key=_preference)
    others = [e for e in element.iter("{*}metaurl") if e.get("mediatype") not in _DESCRIPTIONS]
    for url in (*urls, *others):
        stated = (url.text or "").strip()
        if stated:
            kind = element.findtext("{*}mediatype") or url.get("mediatype")
            name = element.get("name") or stated
            return Resource(stated, media_type=kind, name=name, expected=_expected(element))
    return None


def _expected(element: etree._Element) -> Expected:
    size = (element.findtext("{*}size") or "").strip()
    stated = {
        (e.get("type") or "").strip().lower().replace("-", ""): (e.text or "").strip().lower()
        for e in (*element.iterfind("{*}hash"), *element.iterfind("{*}verification/{*}hash"))
    }
    best = next((name for name in _ALGORITHMS if stated.get(name)), None)
    return Expected(
        size=int(size) if size.isdecimal() and len(size) < 19 else None,
        algorithm=best,
        digest=None if best is None else stated[best],
    )


def _preference(url: etree._Element) -> int:
    """Return a key that sorts the preferred URL first.

    Version 4 has the lowest priority first, version 3 the highest preference.
    """
    for attribute, sign in (("priority", 1), ("preference", -1)):
        stated = url.get(attribute, "")
        if stated.isdecimal() and len(stated) < 10:
            return sign * int(stated)
    return 10**6

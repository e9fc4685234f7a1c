"""File names that a server gives: hostile until cleaned."""

from __future__ import annotations

import re
import unicodedata
from email.message import Message
from pathlib import PurePosixPath
from urllib.parse import parse_qsl, unquote, urlsplit

#: Bytes; most file systems take 255, and a part file's name is longer than the final one.
LONGEST = 200

_FORBIDDEN = re.compile(r'[<>:"|?*]')
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)")


def clean(name: str) -> str:
    r"""Return the name as one that is safe in any directory, on any platform.

    Directories are cut off (``/`` and ``\`` alike), control and formatting
    characters dropped, what Windows forbids replaced by ``_``, leading dots and
    spaces at either end removed, and the rest cut to 200 bytes with its suffix
    kept. The result may be empty.

    Parameters
    ----------
    name : str
        A name, or a path; percent-escapes are decoded.
    """
    name = unicodedata.normalize("NFC", unquote(name))
    name = re.split(r"[/\\]", name)[-1]
    name = "".join(c for c in name if unicodedata.category(c)[0] != "C")
    name = _FORBIDDEN.sub("_", name).lstrip(". ").rstrip(". ")
    if _DEVICES.match(name):
        name = f"_{name}"
    return _shortened(name)


def _shortened(name: str) -> str:
    if len(name.encode()) <= LONGEST:
        return name
    suffix = PurePosixPath(name).suffix
    if len(suffix.encode()) > LONGEST // 4:
        suffix = ""
    stem = name.encode()[: LONGEST - len(suffix.encode())].decode(errors="ignore")
    return stem.rstrip(". ") + suffix


def from_url(url: str) -> str:
    """Return the cleaned name that a URL gives, or an empty string.

    It is the path's last part if that has a suffix, else the value of the
    query's first parameter (``?id=1318.nc``, as OWSLib has it), else the path's
    last part.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # it is no URL, and refused where it is asked for
        return ""
    last = clean(parts.path)
    if PurePosixPath(last).suffix:
        return last
    query = parse_qsl(parts.query)
    return (clean(query[0][1]) if query else "") or last


def from_disposition(header: str | None) -> str:
    """Return the cleaned name of a ``Content-Disposition`` header, or an empty string."""
    if not header:
        return ""
    message = Message()
    message["content-disposition"] = header
    try:
        return clean(message.get_filename() or "")
    except (LookupError, ValueError):  # a charset that there is not, or text that is not in it
        return ""

"""File names that a server gives: hostile until cleaned."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from pathlib import PurePosixPath
from urllib.parse import parse_qsl, unquote, unquote_to_bytes, urlsplit

#: Bytes; most file systems take 255, and a part file's name is longer than the final one.
LONGEST = 200

_FORBIDDEN = r'[<>:"|?*]'
#: Suffixes of programs that answer for files.
_SCRIPTS = frozenset(
    {".action", ".asp", ".aspx", ".cgi", ".do", ".exe", ".fcgi", ".jsp", ".php", ".pl", ".py"}
)
#: A parameter of the path itself, as ``;jsessionid=1``.
_SESSION = r";\w+=[^/]*$"
_EXTENDED = r"""(?i);\s*filename\*\s*=\s*"?([\w-]*)'[^';]*'([^;"]*)"""
_ANY_EXTENDED = r'(?i);\s*filename\*\s*=\s*(?:"[^"]*"|[^;"]*)'
_DEVICES = r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)"


def clean(name: str) -> str:
    r"""Return the name as one that is safe in any directory, on any platform.

    Directories are cut off (``/`` and ``\`` alike), control and formatting
    characters dropped, what Windows forbids replaced by ``_``, leading dots and
    spaces at either end removed, and the rest cut to 200 bytes with its suffix
    kept. Percent-escapes are decoded. The result may be empty.
    """
    name = unicodedata.normalize("NFC", unquote(name))
    name = re.split(r"[/\\]", name)[-1]
    name = "".join(c for c in name if unicodedata.category(c)[0] != "C")
    name = re.sub(_FORBIDDEN, "_", name).lstrip(". ").rstrip(". ")
    if re.match(_DEVICES, name):
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

    It is the path's last part if that has a suffix, unless it is a script with a
    query. Otherwise it is a value of the query: the first that has a suffix, or the
    first (``?id=1318.nc``, as in OWSLib); else the path's last part. The URL of an
    OGC operation (``?request=...``) names no file.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    last = clean(re.sub(_SESSION, "", parts.path))
    query = parse_qsl(parts.query)
    suffix = PurePosixPath(last).suffix.lower()
    if suffix and not (query and suffix in _SCRIPTS):
        return last
    if any(key.lower() == "request" for key, _ in query):
        return ""
    values = [clean(value) for _, value in query]
    named = [value for value in values if re.search(r"[a-zA-Z]", PurePosixPath(value).suffix)]
    return next(iter(named + values[:1]), "") or last


def from_disposition(header: str | None) -> str:
    """Return the cleaned name of a ``Content-Disposition`` header, or an empty string.

    ``filename*`` wins over ``filename`` (RFC 6266, 4.3), unless it cannot be decoded. Names
    that are sent as UTF-8 bytes, or as an encoded word of a mail, are decoded too.
    """
    if not header:
        return ""
    extended = re.search(_EXTENDED, header)
    damaged = ""
    if extended is not None:
        charset = "latin-1" if extended[1].lower() in ("iso-8859-1", "latin-1") else "utf-8"
        name = unquote_to_bytes(extended[2]).decode(charset, "replace")
        damaged = clean(name)
        if damaged and "\ufffd" not in name:
            return damaged
    return _by_mail(re.sub(_ANY_EXTENDED, "", header)) or damaged or _by_mail(header)


def _by_mail(header: str) -> str:
    """Return the cleaned name that a header gives by the rules of mail, which go beyond HTTP's."""
    message = Message()
    message["content-disposition"] = header
    try:
        name = (message.get_filename() or "").strip('"')
    except (ValueError, LookupError, TypeError):  # of charsets, long numbers, and pieces
        return ""
    with contextlib.suppress(UnicodeError):  # the bytes, which HTTP libraries read as Latin-1
        name = name.encode("latin-1").decode("utf-8")
    if name.startswith("=?"):
        with contextlib.suppress(ValueError, LookupError, MessageError):
            name = str(make_header(decode_header(name)))
    return clean(name)

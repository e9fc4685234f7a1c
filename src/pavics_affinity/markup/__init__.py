"""Make texts safe to show: cut, cleaned and without passwords.

`cards` describes how an object is shown; `html` and `terminal` render that.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import urlsplit

LONGEST = 300
"""Most characters of a text that are shown; the object itself has the whole text."""

_LONGEST_URL = 4096
# After "://", or after "//" where a URL without a scheme may begin.
_LOGIN = r"((?:(?<=:)|(?<![^\s'\"<>(\[{,;=]))//)[^\s/?#]*@"
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def without_login(text: str) -> str:
    """Return a text without the user and password of its URLs."""
    return re.sub(_LOGIN, r"\1", text)


def quoted(value: object) -> str:
    """Return a value's repr for a message, even for numbers too long for Python's repr."""
    try:
        return repr(value)
    except ValueError:
        return "a number of thousands of digits"


def clean(text: object, limit: int = LONGEST) -> str:
    """Return a text as one line, cut, without passwords and control characters."""
    raw = str(text)
    # Joining white space makes a text shorter, so read a little more than the limit.
    words = " ".join(without_login(raw[: 4 * limit]).split())
    seen = "".join("�" if unicodedata.category(c) in _INVISIBLE else c for c in words)
    cut = len(seen) > limit or len(raw) > 4 * limit
    return seen[: limit - 1] + "…" if cut else seen


def some(names: Iterable[str], most: int = 20) -> str:
    """List names for a message, not a thousand of them."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "none") + more


def web_address(url: str) -> str | None:
    """Return a URL that may become a link: http or https, without user and password."""
    if len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        plain = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return url if plain and parts.username is None else None

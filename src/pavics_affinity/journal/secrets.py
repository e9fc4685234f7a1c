"""Keep secrets out of a journal: tokens in URLs, and inputs that an answer repeats."""

from __future__ import annotations

import contextlib
import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..markup import without_login

LARGEST_ANSWER = 64 * 1024
"""Bytes; a larger answer of a synchronous execution is not stored."""

_SENSITIVE = r"(?i)token|secret|passw|pwd|sig|auth|cred|key|session|jwt|policy|x-amz-|access"
_JWT = r"^eyJ[\w-]+\.[\w-]+\."
_LINKS = rb"""(?:href|statusLocation|serviceInstance)\s*=\s*["']([^"']*)["']"""
_INPUTS = rb"<(?:\w+:)?DataInputs\b"


def without_tokens(url: str) -> tuple[str, bool]:
    """Return a URL without user information and secrets, and whether its query had secrets."""
    try:
        parts = urlsplit(url)
        given = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return "", True
    kept = [(k, v) for k, v in given if not re.search(_SENSITIVE, k) and not re.match(_JWT, v)]
    cut = len(kept) < len(given)
    query = urlencode(kept) if cut else parts.query
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, query, "")), cut


def keepable(answer: bytes) -> str | None:
    """Return an answer as text if it is small and has neither inputs nor tokens."""
    if len(answer) > LARGEST_ANSWER or re.search(_INPUTS, answer):
        return None
    text = answer.decode("utf-8", "replace")
    if without_login(text) != text:
        return None
    for link in re.findall(_LINKS, answer):
        url = link.decode("utf-8", "replace").replace("&amp;", "&")
        if without_tokens(url) != (url, False):
            return None
    with contextlib.suppress(UnicodeDecodeError):
        return answer.decode()
    return None

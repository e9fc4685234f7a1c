"""How a ``server`` block changes paths: what clients request, and what a node sees."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence

from .servers import location_prefix
from .statements import Block, Statement, walk

OUTPUTS = re.compile(r"output|status|result", re.IGNORECASE)
"""Usual names in paths of outputs and status documents."""

_SPECIAL = frozenset(".^$*+?()[]{}|\\")
_QUANTIFIERS = frozenset("*+?{")
_GROUP = re.compile(r"\$\{?(\d)\}?")
_QUERY = re.compile(r"\$\{?(?:is_args|args|query_string)\b\}?")
_WHOLE_PATH = re.compile(r"\$\{?(?:uri|document_uri|request_uri)\b\}?")


def public_prefix(location: Statement | None, server: Block) -> str | None:
    """Return the prefix of the paths that lead to a location; None if it is not known.

    For a regular expression it is the text at its beginning. For an internal location it is
    the prefix of the paths that a rewrite sends there.
    """
    if location is None:
        return None
    prefix = location_prefix(location.args)
    if prefix is None:
        return None if location.args[0].startswith("@") else _literal(location.args[-1])
    if not location.named("internal"):
        return prefix
    return next((_literal(line.args[0]) for line in _rewrites_to(location, server)), None)


def path_on_node(
    path: str, location: Statement | None, inner: Block, server: Block, uri: str | None
) -> str:
    """Return the path that a node sees when a client requests `path`.

    `inner` is the block that passes the request on; `uri` is the part of ``proxy_pass`` after
    the name.
    """
    if location is not None and location.named("internal"):
        path = _rewritten(path, _rewrites_to(location, server)) or path
    stays = [line for line in inner.named("rewrite") if line.args[2:] == ("break",)]
    changed = _rewritten(path, stays)
    if changed is not None or uri is None or location is None:
        return path if changed is None else changed  # nginx ignores the URI after a rewrite
    if "$" in uri:
        return _filled(uri, path, location)
    prefix = location_prefix(location.args)
    return path if prefix is None else uri + path[len(prefix) :]


def _rewrites_to(location: Statement, server: Block) -> Iterator[Statement]:
    """Yield the rewrites of a server that lead to a location."""
    prefix = (location_prefix(location.args) or "").rstrip("/")
    for line in walk(server):
        if line.name == "rewrite" and len(line.args) > 1 and line.args[2:] != ("break",):
            goal = line.args[1].partition("$")[0].rstrip("/")
            if prefix and (goal == prefix or goal.startswith(prefix + "/")):
                yield line


def _rewritten(path: str, lines: Sequence[Statement] | Iterator[Statement]) -> str | None:
    """Return a path after the first rewrite that matches."""
    for line in lines:
        if len(line.args) < 2:
            continue
        found = _match(line.args[0], path)
        if found is not None:
            return _with_groups(line.args[1].partition("?")[0], found) or "/"
    return None


def _match(pattern: str, path: str) -> re.Match[str] | None:
    # A prefix is known without the slash at its end.
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            expression = re.compile(pattern)
    except re.error:
        return None  # PCRE knows more than re
    return expression.search(path) or expression.search(path + "/")


def _with_groups(text: str, found: re.Match[str]) -> str:
    groups = found.groups("")
    return _GROUP.sub(lambda each: (*groups, *[""] * 10)[int(each[1]) - 1], text)


def _filled(uri: str, path: str, location: Statement) -> str:
    """Fill in the variables of a URI; return the path unchanged if one is not known."""
    text = _WHOLE_PATH.sub(lambda _: path, _QUERY.sub("", uri))
    if _GROUP.search(text):
        found = _match(location.args[-1], path) if location_prefix(location.args) is None else None
        if found is None:
            return path
        text = _with_groups(text, found)
    return path if "$" in text else text


def _literal(pattern: str) -> str | None:
    """Return the text that every match of a regular expression begins with."""
    if not pattern.startswith("^/") or re.search(r"\|(?![^(]*\))", pattern):
        return None
    text, at = "", 1
    while at < len(pattern):
        escaped = pattern[at] == "\\" and not pattern[at + 1 : at + 2].isalnum()
        step = 2 if escaped else 1
        character = pattern[at + step - 1 : at + step]
        if not character or (not escaped and character in _SPECIAL):
            break
        if pattern[at + step : at + step + 1] in _QUANTIFIERS:
            break
        text += character
        at += step
    return text or None

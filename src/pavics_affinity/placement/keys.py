"""The key that nginx hashes: evaluate a ``hash`` directive for a request."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import InvalidPlacement, PlacementUndetermined
from ..protocol import DEFAULT_HEADER

_WORD = (
    r"""(?s)\s*(?:"(?P<double>(?:\\.|[^"\\])*)"|'(?P<single>(?:\\.|[^'\\])*)'"""
    r"""|(?P<plain>[^\s;"'][^\s;]*))(?=[\s;]|$)"""
)
_ESCAPE = r"""\\(["'\\trn])"""
_CONTROL = {"t": "\t", "r": "\r", "n": "\n"}
_PART = r"\$(?:\{(?P<braced>[A-Za-z0-9_]+)\}|(?P<bare>[A-Za-z0-9_]+))|(?P<text>[^$]+)"

OF_THE_URI = frozenset({"request_uri", "uri", "document_uri", "args", "query_string", "is_args"})
"""Variables that differ between the requests of a workflow, like $arg_NAME."""


class Part(NamedTuple):
    """A piece of a key: literal text, or the name of a variable in lower case."""

    text: str
    is_variable: bool


class HashDirective(NamedTuple):
    """A ``hash`` directive: the pieces of its key, and whether it uses the ketama ring."""

    parts: tuple[Part, ...]
    consistent: bool


def parse_hash(directive: str) -> HashDirective:
    """Read a ``hash`` directive, with or without the semicolon."""
    match _tokens(directive):
        case ["hash", key]:
            return HashDirective(_parts(key, directive), consistent=False)
        case ["hash", key, "consistent"]:
            return HashDirective(_parts(key, directive), consistent=True)
        case _:
            raise _refused(directive, "it is not a hash directive")


def is_of_the_uri(part: Part) -> bool:
    """Return whether a part differs between the requests of a workflow."""
    return part.is_variable and (part.text in OF_THE_URI or part.text.startswith("arg_"))


def key_for(
    directive: str,
    machineid: str,
    uri: str | None = None,
    host: str | None = None,
    *,
    header: str = DEFAULT_HEADER,
) -> str:
    """Evaluate the key of a ``hash`` directive for one request.

    Parameters
    ----------
    directive : str
        Text of the directive, such as ``"hash $http_machineid$request_uri;"``.
    machineid : str
        The value of the header: a machineid or a routing key.
    uri : str, optional
        The request's path and query as they are sent, beginning with ``/``.
    host : str, optional
        The request's ``Host`` header, with its port if it has one.
    header : str, default: "machineid"
        Name of the header that carries the machineid.

    Returns
    -------
    str
        The key; its UTF-8 bytes are what nginx hashes.

    Raises
    ------
    PlacementUndetermined
        The key holds a variable whose value cannot be known here.
    InvalidPlacement
        nginx does not accept the directive, or ``uri`` is not a path.
    """
    mine = header_variable(header)
    return "".join(
        machineid if part == (mine, True) else evaluate(part, uri, host)
        for part in parse_hash(directive).parts
    )


def header_variable(header: str) -> str:
    """Return the name of nginx's variable for a request header, without the dollar."""
    return "http_" + header.lower().replace("-", "_")


def evaluate(part: Part, uri: str | None, host: str | None) -> str:
    """Return the text of one part of a key, for a request to this URI and host."""
    if not part.is_variable:
        return part.text
    name = part.text
    if is_of_the_uri(part):
        if uri is None:
            raise PlacementUndetermined(f"the key holds ${name}: pass the request's path as uri=")
        return _of_uri(name, uri)
    if name in {"host", "http_host"}:
        if host is None:
            raise PlacementUndetermined(f"the key holds ${name}: pass the Host header as host=")
        return host if name == "http_host" else _host_name(host)
    raise PlacementUndetermined(
        f"the key holds ${name}, whose value is not known to a client; "
        "only the machineid's header, the URI's variables, $host and $http_host are. Hash the "
        "machineid's header on the proxy"
    )


def _tokens(directive: str) -> list[str]:
    if not isinstance(directive, str):
        raise _refused(directive, "it is not a string")
    tokens = []
    position = 0
    pattern = re.compile(_WORD)
    while match := pattern.match(directive, position):
        raw = match["double"] or match["single"] or match["plain"] or ""
        tokens.append(re.sub(_ESCAPE, lambda found: _CONTROL.get(found[1], found[1]), raw))
        position = match.end()
    if directive[position:].strip() not in {"", ";"}:
        raise _refused(directive, f"{directive[position:].strip()!r} is not allowed there")
    return tokens


def _parts(key: str, directive: str) -> tuple[Part, ...]:
    parts = []
    position = 0
    pattern = re.compile(_PART)
    while match := pattern.match(key, position):
        variable = match["braced"] or match["bare"]
        # nginx ignores the case of variables.
        parts.append(Part(variable.lower(), True) if variable else Part(match["text"], False))
        position = match.end()
    if position < len(key):
        raise _refused(directive, f"{key[position:]!r} is not a variable")
    return tuple(parts)


def _refused(directive: object, reason: str) -> InvalidPlacement:
    return InvalidPlacement(
        f"directive {directive!r}: {reason}; "
        "expected 'hash $http_machineid;' or 'hash $http_machineid consistent;'"
    )


def _of_uri(name: str, uri: str) -> str:
    if not uri.startswith("/"):
        raise InvalidPlacement(
            f"uri is {uri!r}; expected the path and query that are sent, such as '/wps?service=WPS'"
        )
    path, question, query = uri.partition("?")
    if name == "request_uri":
        return uri
    if name in {"args", "query_string"}:
        return query
    if name.startswith("arg_"):
        return _argument(name.removeprefix("arg_"), query)
    if name == "is_args":
        return "?" if question and query else ""
    if any(mark in path for mark in ("%", "//", "/.")):
        raise PlacementUndetermined(
            f"the key holds ${name}, and nginx would normalise the path {path!r}; "
            "send it without escapes, dots and double slashes"
        )
    return path


def _argument(name: str, query: str) -> str:
    # Like nginx: the first of this name, in any case, that has a "="; nothing is decoded.
    for pair in query.split("&"):
        key, equals, value = pair.partition("=")
        if name and equals and key.lower() == name:
            return value
    return ""


def _host_name(host: str) -> str:
    name = host.lower()
    if not name.startswith("["):
        name = name.partition(":")[0]
    elif "]" in name:
        name = name.partition("]")[0] + "]"
    return name.removesuffix(".")

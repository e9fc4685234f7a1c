"""The places from which requests go on to a node, and the settings that hold there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...errors import InvalidPlacement
from ...placement.servers import Server, parse_server
from .maps import Maps
from .statements import Statement
from .upstreams import location_prefix
from .values import Value, expand

_PASSES = {
    "proxy_pass": "proxy",
    "uwsgi_pass": "uwsgi",
    "fastcgi_pass": "fastcgi",
    "scgi_pass": "scgi",
    "grpc_pass": "grpc",
}
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>\d{1,5}))?", re.ASCII)
UNRESOLVED = re.compile(r"\$|\{\{|\{%|<%")
_SCHEME = re.compile(r"(?!unix:)(?:\w+|\$\{?\w+\}?|\{\{[^{}]*\}\})://")
_REAL = re.compile(r"[A-Za-z0-9_\[]", re.ASCII)
_SOCKET = re.compile(r"unix:[^:]+", re.IGNORECASE)
# A variable behind the upstream's name holds the URI.
_AUTHORITY = re.compile(
    r"(?:\{\{.*?\}\}|<%.*?%>|(?!\$\{?(?:request_uri|uri|document_uri|is_args|args|query_string)\b"
    r"|(?<=[\w.\]])\$\d+(?:[/?$]|\Z))[^/?])*"
)


@dataclass(frozen=True)
class Target:
    """Where requests can go from a place.

    Attributes
    ----------
    host : str
        Name of an upstream, or a host.
    port : int or None
        The port, if one is given: nginx takes no upstream with one.
    of_node : bool
        Whether a node's name in the key chooses it.
    variable : bool
        Whether a variable holds it, so that nginx looks it up for each request.
    deciders : frozenset of str
        The variables by which it is chosen among others.
    """

    host: str
    port: int | None
    of_node: bool = False
    variable: bool = False
    deciders: frozenset[str] = frozenset()

    @property
    def is_real(self) -> bool:
        """Whether it is known, and can be a machine: ``.unknown`` stands for a refusal."""
        return _REAL.match(self.host) is not None and not UNRESOLVED.search(self.host)

    def as_server(self) -> Server | None:
        """Return it as a server line would have it; None where that cannot be read."""
        try:
            return parse_server(self.host if self.port is None else f"{self.host}:{self.port}")
        except InvalidPlacement:
            return None


@dataclass(frozen=True)
class Passing:
    """A ``proxy_pass``, ``uwsgi_pass`` and so on.

    Attributes
    ----------
    statement : Statement
        The directive.
    kind : str
        What its settings begin with: ``"proxy"``, ``"uwsgi"`` ...
    levels : tuple of sequences of Statement
        What stands on each level around it, outermost (``http``) first.
    server : Statement
        Its ``server`` block.
    location : Statement or None
        The innermost ``location``.
    targets : tuple of Target
        Where requests can go, as far as that is known.
    unknown : frozenset of str
        Variables on which it depends, and whose values are not known.
    block : Statement
        What it stands in: a ``location``, or an ``if``.
    """

    statement: Statement
    kind: str
    levels: tuple[Sequence[Statement], ...]
    server: Statement
    location: Statement | None
    targets: tuple[Target, ...]
    unknown: frozenset[str]
    block: Statement

    @property
    def file(self) -> str:
        """The file."""
        return self.statement.file

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.statement.line

    @property
    def place(self) -> str:
        """The location, for a message."""
        return place_of(self.location)

    def setting(self, name: str) -> Statement | None:
        """Return the directive of this name that holds here: the innermost."""
        return next(
            (found[-1] for level in reversed(self.levels) if (found := _all(level, name))), None
        )

    def settings(self, name: str) -> tuple[Statement, ...]:
        """Return the directives of a name that adds up: none of an outer level counts beside."""
        return next((found for level in reversed(self.levels) if (found := _all(level, name))), ())

    def own_setting(self, name: str) -> Statement | None:
        """Return a setting of this kind of passing, such as ``proxy_next_upstream``."""
        return self.setting(f"{self.kind}_{name}")


def place_of(location: Statement | None) -> str:
    """Name a location, for a message."""
    return "the server" if location is None else f"location {' '.join(location.args)}"


def path_of(location: Statement | None) -> str:
    """Return the path, or the expression for it, of a location."""
    if location is None:
        return "/"
    return location_prefix(location.args) or " ".join(location.args)


def locations_in(block: Iterable[Statement]) -> Iterator[Statement]:
    """Yield the locations of a ``server`` block, nested ones included."""
    for inner in block:
        if inner.name == "location":
            yield inner
        yield from locations_in(inner.block)


def read_passings(statements: Sequence[Statement], maps: Maps) -> Iterator[Passing]:
    """Yield where requests are passed on, in the order of the files."""
    for server in statements:
        if server.name == "server":
            yield from _inside(server, (statements, server.block), server, None, maps)


def _inside(
    block: Statement,
    levels: tuple[Sequence[Statement], ...],
    server: Statement,
    location: Statement | None,
    maps: Maps,
) -> Iterator[Passing]:
    for inner in block.block:
        if inner.name in _PASSES and inner.args:
            targets, unknown = targets_of(inner, levels, maps)
            yield Passing(
                inner, _PASSES[inner.name], levels, server, location, targets, unknown, block
            )
        elif inner.block:
            here = inner if inner.name == "location" else location
            yield from _inside(inner, (*levels, inner.block), server, here, maps)


def targets_of(
    statement: Statement, levels: Sequence[Sequence[Statement]], maps: Maps
) -> tuple[tuple[Target, ...], frozenset[str]]:
    """Give where a ``proxy_pass`` and its like can lead, and what about that is not known."""
    scheme = _SCHEME.match(statement.args[0])
    text = statement.args[0].removeprefix(scheme[0] if scheme else "")
    found: dict[Target, None] = {}
    unknown: set[str] = set()
    for value in expand(text, levels, maps):
        target = _target(value, variable=value.text != text)
        if target is not None:
            found[target] = None
            unknown |= value.unknown if UNRESOLVED.search(target.host) else set()
    return tuple(found), frozenset(unknown)


def _target(value: Value, *, variable: bool) -> Target | None:
    text = value.text.removeprefix(found[0] if (found := _SCHEME.match(value.text)) else "")
    socket = _SOCKET.match(text)
    if socket is not None:
        return Target(socket[0], None, value.of_node, variable, value.deciders)
    authority = _AUTHORITY.match(text)
    found = _HOST_AND_PORT.fullmatch(authority[0] if authority else "")
    if authority and UNRESOLVED.search(authority[0]):
        return Target(authority[0], None, value.of_node, variable, value.deciders)
    if found is None or not found["host"]:
        return None
    port = None if found["port"] is None else int(found["port"])
    return Target(found["host"], port, value.of_node, variable, value.deciders)


def _all(level: Sequence[Statement], name: str) -> tuple[Statement, ...]:
    return tuple(each for each in level if each.name == name)

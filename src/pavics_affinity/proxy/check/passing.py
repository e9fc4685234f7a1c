"""The places from which requests go on to a node, and the settings that hold there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..maps import Maps, only_variable, pools_by_node
from ..statements import Statement
from ..upstreams import PASSED_TO, location_prefix

_PASSES = {
    "proxy_pass": "proxy",
    "uwsgi_pass": "uwsgi",
    "fastcgi_pass": "fastcgi",
    "scgi_pass": "scgi",
    "grpc_pass": "grpc",
}
_LEADING_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))(?P<rest>:\d+)?", re.ASCII)
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>\d{1,5}))?", re.ASCII)
_SCHEME = re.compile(r"\w+://")
_DEEPEST = 8


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
    """

    host: str
    port: int | None
    of_node: bool = False
    variable: bool = False


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
        Where requests can go; empty where that is not known.
    """

    statement: Statement
    kind: str
    levels: tuple[Sequence[Statement], ...]
    server: Statement
    location: Statement | None
    targets: tuple[Target, ...]

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
            targets = tuple(_targets(inner, levels, maps))
            yield Passing(inner, _PASSES[inner.name], levels, server, location, targets)
        elif inner.block:
            here = inner if inner.name == "location" else location
            yield from _inside(inner, (*levels, inner.block), server, here, maps)


def _targets(
    statement: Statement, levels: Sequence[Sequence[Statement]], maps: Maps
) -> Iterator[Target]:
    text = statement.args[0]
    whole = only_variable(text)
    texts = [text] if whole is None else [value for value, _ in _values(whole, levels, maps)]
    for each in texts:
        passed = PASSED_TO.fullmatch(each)
        if passed is None and (statement.name == "proxy_pass" or _SCHEME.match(each)):
            continue
        authority = passed["host"] if passed else each
        leading = _LEADING_VARIABLE.fullmatch(authority)
        if leading is None:
            yield from _target(authority, of_node=False, variable=whole is not None)
            continue
        rest = leading["rest"] or ""
        for value, of_node in _values((leading[1] or leading[2]).lower(), levels, maps):
            yield from _target(value + rest, of_node=of_node, variable=True)


def _target(authority: str, *, of_node: bool, variable: bool) -> Iterator[Target]:
    found = _HOST_AND_PORT.fullmatch(authority)
    if found is not None and found["host"] and "$" not in authority:
        port = None if found["port"] is None else int(found["port"])
        yield Target(found["host"], port, of_node, variable)


def _values(
    variable: str, levels: Sequence[Sequence[Statement]], maps: Maps, depth: int = 0
) -> Iterator[tuple[str, bool]]:
    """Yield what a variable can hold, and whether a node's name in the key chooses it."""
    if depth > _DEEPEST:
        return
    values: list[tuple[str, bool]] = []
    if variable in maps:
        mapped = maps[variable]
        by_node = set(pools_by_node(mapped).values())
        values = [(mapped.default, False)]
        values += [(value, value in by_node) for _, value in mapped.entries]
    else:
        for level in levels:
            values += [
                (line.args[1], False)
                for line in level
                if line.name == "set" and len(line.args) == 2 and _named(line.args[0], variable)
            ]
    for value, of_node in values:
        further = only_variable(value)
        if further is None:
            yield value, of_node
        else:
            yield from _values(further, levels, maps, depth + 1)


def _named(argument: str, variable: str) -> bool:
    return argument.lower() == f"${variable}"


def _all(level: Sequence[Statement], name: str) -> tuple[Statement, ...]:
    return tuple(each for each in level if each.name == name)

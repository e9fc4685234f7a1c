"""``upstream`` blocks, read in full even where nginx would refuse them."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InvalidPlacement, TopologyError
from ...placement.keys import HashDirective, parse_hash
from ...placement.servers import Server, parse_server
from ...topology import Backend
from ..statements import Statement
from ..upstreams import BARE_PORT

METHODS = ("hash", "ip_hash", "least_conn", "least_time", "random")
"""Directives of which the last in an upstream decides."""


@dataclass(frozen=True)
class ServerLine:
    """A ``server`` line of an upstream.

    Attributes
    ----------
    statement : Statement
        Where it stands.
    server : Server or None
        What nginx makes of it; None where it takes it for nothing, or for something else.
    problem : str
        Why there is no server.
    """

    statement: Statement
    server: Server | None
    problem: str = ""

    @property
    def text(self) -> str:
        """The line, without its semicolon."""
        return " ".join([self.statement.name, *self.statement.args])

    def has(self, parameter: str) -> bool:
        """Tell whether the line has exactly this parameter."""
        return parameter in self.statement.args[1:]


@dataclass(frozen=True)
class Pool:
    """An ``upstream`` block.

    Attributes
    ----------
    statement : Statement
        The block.
    lines : tuple of ServerLine
        Its servers, in order.
    hashed : HashDirective or None
        What it hashes; None where another method decides, or nginx would refuse it.
    problem : str
        Why nginx would refuse its ``hash``.
    """

    statement: Statement
    lines: tuple[ServerLine, ...]
    hashed: HashDirective | None
    problem: str

    @property
    def name(self) -> str:
        """Its name."""
        return self.statement.args[0]

    @property
    def methods(self) -> tuple[Statement, ...]:
        """The directives that say who chooses; the last one does."""
        return tuple(line for line in self.statement.block if line.name in METHODS)

    @property
    def method(self) -> Statement:
        """The directive that decides; without one, the block."""
        return self.methods[-1] if self.methods else self.statement

    @property
    def servers(self) -> tuple[Server, ...]:
        """The servers of the lines that nginx takes."""
        return tuple(line.server for line in self.lines if line.server is not None)

    @property
    def choices(self) -> tuple[ServerLine, ...]:
        """The lines among which the method chooses."""
        return tuple(line for line in self.lines if not line.has("backup"))

    def first(self, name: str) -> Statement | None:
        """Return the first directive of this name."""
        return next(self.statement.named(name), None)


def key_text(hashed: HashDirective) -> str:
    """Return a key as the file has it."""
    return "".join(f"${part.text}" if part.is_variable else part.text for part in hashed.parts)


def read_pool(statement: Statement) -> Pool:
    """Read an ``upstream`` block, refused lines included."""
    hashed, problem = None, ""
    methods = [line for line in statement.block if line.name in METHODS]
    if methods and methods[-1].name == "hash":
        try:
            hashed = parse_hash(_quoted(methods[-1]))
        except InvalidPlacement as bad:
            problem = str(bad)
    lines = tuple(_line(line) for line in statement.named("server"))
    return Pool(statement, lines, hashed, problem)


def _quoted(line: Statement) -> str:
    words = (f'"{word}"' if set(word) & set(" ;'") or not word else word for word in line.args)
    return " ".join(["hash", *words])


def _line(statement: Statement) -> ServerLine:
    text = " ".join(statement.args)
    if statement.args and BARE_PORT.fullmatch(statement.args[0]):
        return ServerLine(statement, None, "a bare number")
    try:
        server = parse_server(text)
        Backend("node", server.text)
        return ServerLine(statement, server)
    except (InvalidPlacement, TopologyError) as bad:
        return ServerLine(statement, None, str(bad))

"""``upstream`` blocks, read in full even where nginx would refuse them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import InvalidPlacement, TopologyError
from ...placement.keys import HashDirective, parse_hash
from ...placement.servers import Resolve, Server, parse_server, peers_of
from ...topology import Backend
from ..nginx.statements import Statement, has_placeholder
from ..nginx.upstreams import BARE_PORT, METHODS, STICKY, of_other_modules, server_text

# Marks that steer a template and bring no directives.
_CONTROL = re.compile(
    r"\{#|<%(?!=)|\{%(?!-?\s*(?:include|import|call))"
    r"|\{\{-?\s*(?:/\*|\$\w+\s*:?=|(?:if|else|end|range|with|define)\b)"
)
_LOOP = re.compile(r"\b(?:for|range|each)\b")


def is_control(mark: Statement) -> bool:
    """Tell whether a template's mark brings no directives by itself."""
    return _CONTROL.match(mark.name) is not None


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

    @property
    def is_template(self) -> bool:
        """Whether something is filled in here: it may be several servers."""
        return has_placeholder(self.statement)

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
    def sticky(self) -> Statement | None:
        """The directive by which a session decides before the method."""
        return next((line for line in self.statement.block if line.name in STICKY), None)

    @property
    def strange(self) -> list[Statement]:
        """Directives of which it is not known whether they choose the server."""
        return of_other_modules(self.statement.block)

    @property
    def balancer(self) -> Statement | None:
        """The program that chooses the server, whatever servers are named."""
        return next((line for line in self.strange if line.name.startswith("balancer_by_")), None)

    @property
    def incomplete(self) -> list[Statement]:
        """What a template has in here that stands for whole directives."""
        return [line for line in self.statement.block if line.is_mark and not is_control(line)]

    @property
    def is_template(self) -> bool:
        """Whether a template steers what is in here: lines may be left out, or come often."""
        return any(line.is_mark for line in self.statement.block)

    @property
    def repeats(self) -> bool:
        """Whether a template writes what is in here many times."""
        return any(line.is_mark and _LOOP.search(line.name) for line in self.statement.block)

    def chooses(self, resolve: Resolve | None) -> bool:
        """Tell whether there can be more than one server to choose from."""
        if len(self.choices) > 1 or self.incomplete or self.repeats or self.first("state"):
            return True
        return any(
            line.server.at_run_time is not None or len(peers_of(line.server, resolve)) > 1
            for line in self.choices
            if line.server is not None
        )

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
    lines = tuple(_line(line, statement) for line in statement.named("server"))
    return Pool(statement, lines, hashed, problem)


def _quoted(line: Statement) -> str:
    words = (f'"{word}"' if set(word) & set(" ;'") or not word else word for word in line.args)
    return " ".join(["hash", *words])


def _line(statement: Statement, upstream: Statement) -> ServerLine:
    text = server_text(statement, upstream)
    if statement.args and BARE_PORT.fullmatch(statement.args[0]):
        return ServerLine(statement, None, "a bare number")
    try:
        server = parse_server(text)
        Backend("node", server.text)
        return ServerLine(statement, server)
    except (InvalidPlacement, TopologyError) as bad:
        return ServerLine(statement, None, str(bad))

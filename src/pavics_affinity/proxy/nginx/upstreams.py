"""``upstream`` blocks: their servers, and how nginx chooses among them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...errors import InvalidPlacement, NginxConfigError, TopologyError
from ...placement.keys import HashDirective, parse_hash
from ...placement.servers import Resolve, Server, parse_server, peers_of
from ...topology import Backend
from ...topology.parts import Method
from .statements import Statement

BARE_PORT = re.compile(r"[0-9]+", re.ASCII)
# Of all directives in an upstream that choose among its servers, the last decides.
METHODS = ("hash", "ip_hash", "least_conn", "least_time", "random")
# With these, nginx refuses backups and the server parameter slow_start.
WITHOUT_BACKUPS = ("hash", "ip_hash", "random")
# These decide first, whatever the method: nginx's own, Angie's, Tengine's, and a module's.
STICKY = ("sticky", "sticky_cookie_insert", "session_sticky", "jvm_route")
_NEUTRAL = re.compile(
    r"server|zone|state|status_zone|keepalive(_requests|_timeout|_time)?|ntlm|queue|resolver"
    r"|resolver_timeout|check(_\w+)?|sticky_(secret|strict|hide_cookie\w*)|log_\w+|include"
)
# Marks that steer a template and stand for no directives.
_CONTROL = re.compile(
    r"\{#|<%(?!=)|\{%(?!-?\s*(?:include|import|call))"
    r"|\{\{-?\s*(?:/\*|\$\w+\s*:?=|(?:if|else|end|range|with|define)\b)"
)
_LOOP = re.compile(r"\b(?:for|range|each)\b")

Machine = tuple[str, int | None]
"""A host in lower case, and a port."""


@dataclass(frozen=True)
class Refusal:
    """A line that nginx refuses, or does not read as it was meant.

    `check` reports it as a finding, and `read_nginx` raises it.
    """

    statement: Statement
    reason: str
    remedy: str
    has_no_host: bool = False

    def error(self) -> NginxConfigError:
        """Make the error for a reader that needs the line."""
        return self.statement.error(f"{self.reason}; {self.remedy}")


@dataclass(frozen=True, eq=False)
class ServerLine:
    """A ``server`` line of an upstream; `server` is None if nginx refuses the line."""

    statement: Statement
    server: Server | None
    refusal: Refusal | None = None

    def has(self, parameter: str) -> bool:
        """Return whether the line has exactly this parameter."""
        return parameter in self.statement.args[1:]

    def number(self, parameter: str) -> str | None:
        """Return the number of a parameter, such as ``max_fails``; None if it is not there."""
        words = (word.partition("=") for word in self.statement.args[1:])
        found = [value for name, _, value in words if name == parameter]
        return found[-1].lstrip("0") or "0" if found else None


@dataclass(frozen=True, eq=False)
class Upstream:
    """An ``upstream`` block, read even where nginx would refuse it.

    `hashed` is its ``hash`` directive: None if another method decides, or nginx refuses the
    line. `refusals` are the lines that nginx refuses, server lines included.
    """

    statement: Statement
    lines: tuple[ServerLine, ...]
    hashed: HashDirective | None
    refusals: tuple[Refusal, ...] = ()

    @property
    def name(self) -> str:
        """Its name."""
        return self.statement.args[0]

    @property
    def methods(self) -> tuple[Statement, ...]:
        """The directives that choose the server; the last one decides."""
        return tuple(line for line in self.statement.block if line.name in METHODS)

    @property
    def method(self) -> Statement:
        """The directive that decides; the block itself if there is none."""
        return self.methods[-1] if self.methods else self.statement

    @property
    def is_consistent(self) -> bool:
        """Whether it hashes ``consistent``."""
        return self.hashed is not None and self.hashed.consistent

    @property
    def hash_method(self) -> Method:
        """Its method, as a topology writes it."""
        return "hash consistent" if self.is_consistent else "hash"

    @property
    def variables(self) -> list[str]:
        """The variables of the key."""
        return [
            part.text for part in (self.hashed.parts if self.hashed else ()) if part.is_variable
        ]

    @property
    def key(self) -> str:
        """The key, as written in the file."""
        parts = self.hashed.parts if self.hashed else ()
        return "".join(f"${part.text}" if part.is_variable else part.text for part in parts)

    @property
    def sticky(self) -> Statement | None:
        """The directive by which a session decides before the method."""
        return next((line for line in self.statement.block if line.name in STICKY), None)

    @property
    def of_other_modules(self) -> list[Statement]:
        """Directives of unknown modules, which may choose the server."""
        return [
            line
            for line in self.statement.block
            if not line.is_mark
            and line.name not in (*METHODS, *STICKY)
            and not _NEUTRAL.fullmatch(line.name)
        ]

    @property
    def balancer(self) -> Statement | None:
        """The directive of a program that chooses the server."""
        return next(
            (line for line in self.of_other_modules if line.name.startswith("balancer_by_")), None
        )

    @property
    def incomplete(self) -> list[Statement]:
        """Marks of a template in this block that stand for whole directives."""
        return _marks_for_directives(self.statement)

    @property
    def is_template(self) -> bool:
        """Whether a template steers this block: lines may be left out or repeated."""
        return any(line.is_mark for line in self.statement.block)

    def chooses(self, resolve: Resolve | None) -> bool:
        """Return whether there can be more than one server to choose from."""
        repeats = any(e.is_mark and _LOOP.search(e.name) for e in self.statement.block)
        if len(self.choices) > 1 or self.incomplete or repeats or self.first("state"):
            return True
        return any(
            line.server.at_run_time is not None or len(peers_of(line.server, resolve)) > 1
            for line in self.choices
            if line.server is not None
        )

    @property
    def servers(self) -> tuple[Server, ...]:
        """The servers of the lines that nginx accepts."""
        return tuple(line.server for line in self.lines if line.server is not None)

    @cached_property
    def machines(self) -> dict[Machine, ServerLine]:
        """The lines that nginx accepts, by their machines."""
        return {machine_of(each.server): each for each in self.lines if each.server is not None}

    @property
    def choices(self) -> tuple[ServerLine, ...]:
        """The lines among which the method chooses."""
        return tuple(line for line in self.lines if not line.has("backup"))

    def first(self, name: str) -> Statement | None:
        """Return the first directive of this name."""
        return next(iter(self.statement.named(name)), None)


def machine_of(server: Server) -> Machine:
    """Return the machine of a server."""
    return server.host.lower(), server.port


def read_upstreams(blocks: Iterable[Statement]) -> tuple[Upstream, ...]:
    """Read ``upstream`` blocks; nginx refuses a name that is defined twice, in any case."""
    found: list[Upstream] = []
    first: dict[str, Statement] = {}
    for block in blocks:
        if block.args:
            before = first.setdefault(block.args[0].lower(), block)
            found.append(_read(block, None if before is block else before))
    return tuple(found)


def _read(block: Statement, before: Statement | None) -> Upstream:
    refusals: list[Refusal] = []
    if before is not None:
        reason = f"upstream {block.args[0]!r} is defined twice, first in {before.where}"
        refusals.append(Refusal(block, reason, "rename or remove one of them"))
    methods = [line for line in block.block if line.name in METHODS]
    hashed = None
    for line in block.named("hash"):
        try:
            hashed = parse_hash(_quoted(line))
        except InvalidPlacement as bad:
            hashed = None
            refusals.append(Refusal(line, bad.message, "write 'hash $http_machineid;'"))
    if methods and methods[-1].name != "hash":
        hashed = None
    lines = tuple(_server_line(line, methods) for line in block.named("server"))
    refusals += _of_the_servers(block, lines)
    return Upstream(block, lines, hashed, tuple(refusals))


def _of_the_servers(block: Statement, lines: Sequence[ServerLine]) -> Iterator[Refusal]:
    name = block.args[0]
    if not lines and not _marks_for_directives(block) and not block.named("state"):
        yield Refusal(
            block,
            f"upstream {name!r} has no server",
            "add a line for each node, such as 'server 10.0.0.1:8093;'",
        )
    yield from (line.refusal for line in lines if line.refusal is not None)
    servers = [line for line in lines if line.server is not None]
    if servers and all(line.has("backup") for line in lines):
        yield Refusal(
            block,
            f"upstream {name!r} has backups only",
            "remove 'backup' from at least one of its servers",
        )


def _marks_for_directives(block: Statement) -> list[Statement]:
    return [each for each in block.block if each.is_mark and not _CONTROL.match(each.name)]


def _quoted(line: Statement) -> str:
    words = (f'"{word}"' if set(word) & set(" ;'") or not word else word for word in line.args)
    return " ".join(["hash", *words])


def _server_line(line: Statement, methods: list[Statement]) -> ServerLine:
    address = line.args[0] if line.args else ""
    is_number = BARE_PORT.fullmatch(address) is not None
    if is_number or address.startswith(":"):
        effect = (
            f"nginx reads the number as the address {_as_address(address)}, port 80, and "
            "'nginx -t' accepts it. Workflows of this node wait for a machine that does not "
            "exist, until they time out"
            if is_number
            else "nginx refuses the file ('no host in upstream'). Documentation without the "
            "addresses prints it like this"
        )
        refusal = Refusal(
            line,
            f"'{line.text};' has no host. {effect}",
            f"write the node's address before the port: 'server 10.0.0.1:{address.lstrip(':')};'",
            has_no_host=True,
        )
        return ServerLine(line, None, refusal)
    try:
        server = parse_server(_without_slow_start(line, methods))
        Backend("node", server.text)
    except (InvalidPlacement, TopologyError) as bad:
        return ServerLine(line, None, Refusal(line, bad.message, "write 'server HOST:PORT;'"))
    return ServerLine(line, server)


def _without_slow_start(line: Statement, methods: list[Statement]) -> str:
    if methods and methods[-1].name in WITHOUT_BACKUPS:
        return " ".join(line.args)
    return " ".join(word for word in line.args if not word.startswith("slow_start="))


def _as_address(number: str) -> str:
    value = int(number[:18]) & 0xFFFFFFFF
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))

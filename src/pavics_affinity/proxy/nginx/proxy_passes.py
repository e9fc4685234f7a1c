"""``proxy_pass`` and similar directives: where requests and connections go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...errors import InvalidPlacement
from ...placement.servers import Server, parse_server
from .maps import LOOKUPS, Maps, read_maps
from .servers import ServerBlock, path_on_node, place_of, public_prefix
from .statements import PLACEHOLDER, Block, Statement, walk
from .upstreams import Upstream, read_upstreams
from .values import Value, expand

_PASSES = ("proxy_pass", "uwsgi_pass", "fastcgi_pass", "scgi_pass", "grpc_pass")
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>\d{1,5}))?", re.ASCII)
_SCHEME = re.compile(r"\A(?!unix:)(?:\w+|\$\{?\w+\}?|\{\{[^{}]*\}\})://")
_REAL = re.compile(r"[A-Za-z0-9_\[]", re.ASCII)
_SOCKET = re.compile(r"unix:[^:]+", re.IGNORECASE)
# A variable after the upstream's name holds the URI.
_AUTHORITY = re.compile(
    r"(?:\{\{.*?\}\}|<%.*?%>|(?!\$\{?(?:request_uri|uri|document_uri|is_args|args|query_string)\b"
    r"|(?<=[\w.\]])\$\d+(?:[/?$]|\Z))[^/?])*"
)
# A second variable, after the one with the upstream's name, holds the unchanged URI.
_PASSED_TO = re.compile(
    r"(?P<scheme>https?)://(?:\$\w+(?=\$)|[^/]+)(?:\$\w+)?(?P<uri>/.*)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Target:
    """An upstream or a host to which requests can go.

    With a `port`, nginx takes the host for a machine. With `of_node`, a node's name in the key
    chooses the target. With `variable`, a variable holds it, so nginx looks it up for each
    request. `deciders` are the variables that choose it among others.
    """

    host: str
    port: int | None
    of_node: bool = False
    variable: bool = False
    deciders: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The host in lower case, as nginx compares names of upstreams."""
        return self.host.lower()

    @property
    def is_real(self) -> bool:
        """Whether it is known and can be a machine; ``.unknown`` stands for a refusal."""
        return _REAL.match(self.host) is not None and not PLACEHOLDER.search(self.host)

    @property
    def server(self) -> Server | None:
        """The server at this address; None if it cannot be read."""
        try:
            return parse_server(str(self))
        except InvalidPlacement:
            return None

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


@dataclass(frozen=True, eq=False)
class ProxyPass:
    """A ``proxy_pass``, ``uwsgi_pass`` and so on.

    `kind` is the prefix of its settings (``"proxy"``, ``"uwsgi"`` ...). `levels` are the blocks
    around it, the outermost (``http``) first. `block` is the innermost: a location, or an
    ``if``. `targets` are all targets unless a variable is in `unknown`.
    """

    statement: Statement
    kind: str
    levels: tuple[Block, ...]
    server: ServerBlock
    location: Statement | None
    targets: tuple[Target, ...]
    unknown: frozenset[str]
    block: Statement

    @property
    def place(self) -> str:
        """The location, for a message."""
        return place_of(self.location)

    def setting(self, name: str) -> Statement | None:
        """Return the directive of this name that applies here: the innermost."""
        found = self.settings(name)
        return found[-1] if found else None

    def settings(self, name: str) -> tuple[Statement, ...]:
        """Return the directives of this name on the innermost level that has any."""
        return next((found for level in reversed(self.levels) if (found := level.named(name))), ())

    def own_setting(self, name: str) -> Statement | None:
        """Return a setting of this kind, such as ``proxy_next_upstream``."""
        return self.setting(f"{self.kind}_{name}")

    @property
    def headers(self) -> dict[str, Statement]:
        """The ``add_header`` lines that apply here, by the names of the headers."""
        return {line.args[0]: line for line in self.settings("add_header") if len(line.args) > 1}

    # ---- paths, for requests straight to a node ----

    @property
    def prefix(self) -> str | None:
        """The prefix of the paths that clients request here; None if not known."""
        return public_prefix(self.location, self.server.statement.block)

    def backend_path(self, path: str) -> str:
        """Return the path that a node sees for a path that begins with the prefix."""
        found = _PASSED_TO.fullmatch(self.statement.args[0])
        uri = None if found is None else found["uri"]
        return path_on_node(path, self.location, self.levels[-1], self.server.statement.block, uri)

    @property
    def tls(self) -> bool:
        """Whether requests go to the nodes by https."""
        return self.statement.args[0].lower().startswith("https://")


def read_proxy_passes(
    statements: Block, servers: Sequence[ServerBlock], maps: Maps
) -> Iterator[ProxyPass]:
    """Yield where requests are passed on, in the order of the files."""
    for server in servers:
        block = server.statement
        yield from _inside(block, (statements, block.block), server, None, maps)


def _inside(
    block: Statement,
    levels: tuple[Block, ...],
    server: ServerBlock,
    location: Statement | None,
    maps: Maps,
) -> Iterator[ProxyPass]:
    for inner in block.block:
        if inner.name in _PASSES and inner.args:
            kind = inner.name.removesuffix("_pass")
            targets, unknown = targets_of(inner, levels, maps)
            yield ProxyPass(inner, kind, levels, server, location, targets, unknown, block)
        elif inner.block:
            here = inner if inner.name == "location" else location
            yield from _inside(inner, (*levels, inner.block), server, here, maps)


def targets_of(
    statement: Statement, levels: Sequence[Block], maps: Maps
) -> tuple[tuple[Target, ...], frozenset[str]]:
    """Return the targets of a ``proxy_pass`` or similar line, and its unknown variables."""
    text = _SCHEME.sub("", statement.args[0])
    found: dict[Target, None] = {}
    unknown: set[str] = set()
    for value in expand(text, levels, maps):
        target = _target(value, variable=value.text != text)
        if target is not None:
            found[target] = None
            unknown |= value.unknown if PLACEHOLDER.search(target.host) else set()
    return tuple(found), frozenset(unknown)


def _target(value: Value, *, variable: bool) -> Target | None:
    text = _SCHEME.sub("", value.text)
    whole = _SOCKET.match(text) or _AUTHORITY.match(text)
    host, port = whole[0] if whole else "", None
    if not _SOCKET.match(text) and not PLACEHOLDER.search(host):
        found = _HOST_AND_PORT.fullmatch(host)
        if found is None or not found["host"]:
            return None
        host, port = found["host"], None if found["port"] is None else int(found["port"])
    return Target(host, port, value.of_node, variable, value.deciders)


# ---- the ``stream`` part, which balances connections and sees no header ----


class StreamPass(NamedTuple):
    """A ``proxy_pass`` of connections: its server and line, its targets, what is unknown."""

    server: Statement
    statement: Statement
    targets: tuple[Target, ...]
    unknown: frozenset[str]


class Streams(NamedTuple):
    """The contents of ``stream`` blocks, and of snippets for them.

    `blocks` are its ``upstream`` and ``server`` blocks. The names of `upstreams` are in lower case.
    """

    blocks: frozenset[Statement]
    upstreams: dict[str, Upstream]
    maps: Maps
    proxy_passes: tuple[StreamPass, ...]


def read_streams(statements: Block) -> Streams:
    """Find the statements that belong to ``stream``.

    In a snippet, a ``server`` block with a ``proxy_pass`` outside of any location can only
    belong to a ``stream`` block. The same is true of upstreams that no other server uses.
    """
    inside = [inner for each in statements.named("stream") for inner in each.block]
    bare = [each for each in statements.named("server") if each.named("proxy_pass")]
    maps = [each for each in statements if bare and each.name in LOOKUPS]
    found = Block((*inside, *bare, *_upstreams_of(bare, statements), *maps))
    servers, blocks = found.named("server"), found.named("upstream")
    lookups = read_maps(found)
    passes = (
        StreamPass(server, line, *targets_of(line, (found, server.block), lookups))
        for server in servers
        for line in server.named("proxy_pass")
        if line.args
    )
    upstreams = {each.name.lower(): each for each in read_upstreams(blocks)}
    return Streams(frozenset((*servers, *blocks)), upstreams, lookups, tuple(passes))


def _upstreams_of(bare: list[Statement], statements: Block) -> Iterable[Statement]:
    named = {e.args[0].lower() for each in bare for e in each.named("proxy_pass") if e.args}
    if not named:
        return
    ours = frozenset(bare)
    others = [each for each in statements.named("server") if each not in ours]
    words = [arg.lower() for statement in walk(others) for arg in statement.args]
    for each in statements.named("upstream"):
        name = each.args[0].lower() if each.args else ""
        if name in named and not any(name in word for word in words):
            yield each

"""``server`` blocks: the ports they listen on, which location gets a path, and what a node sees."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ...topology.urls import origin_of
from .maps import compiled
from .statements import Block, Statement, walk
from .upstreams import BARE_PORT, Refusal

_REAL_NAME = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)
# HTTP/3 has no form without TLS.
_TLS = frozenset({"ssl", "quic"})
_MODIFIER = re.compile(r"(=|\^~|~\*?|@)?")
# The ordinary characters at the beginning of an expression, as long as none is repeated.
_LITERAL = re.compile(r"\^(?=/)((?:(?:\\[\W_]|[^.^$*+?()\[\]{}|\\])(?![*+?{]))+)")
_GROUP = re.compile(r"\$\{?(\d)\}?")
_QUERY = re.compile(r"\$\{?(?:is_args|args|query_string)\b\}?")
_WHOLE_PATH = re.compile(r"\$\{?(?:uri|document_uri|request_uri)\b\}?")

OUTPUTS = re.compile(r"output|status|result", re.IGNORECASE)
"""Usual names in paths of outputs and status documents."""


@dataclass(frozen=True, eq=False)
class Listen:
    """A ``listen`` line: its address (None for all), its port, and whether it speaks TLS."""

    statement: Statement
    address: str | None
    port: int
    tls: bool = False


@dataclass(frozen=True, eq=False)
class ServerBlock:
    """A ``server`` block; nginx refuses the `refusals`, and Unix sockets are left out."""

    statement: Statement
    listens: tuple[Listen, ...]
    names: tuple[str, ...]
    refusals: tuple[Refusal, ...]

    @property
    def ports(self) -> set[int]:
        """The ports at which it listens."""
        return {listen.port for listen in self.listens}

    @property
    def tls(self) -> bool:
        """Whether it speaks TLS at one of its ports."""
        return any(listen.tls for listen in self.listens)

    def listen_for(self, url: str | None) -> int | str:
        """Return the address or port for a URL, as a topology writes it; else the first one."""
        origin = origin_of(url) if url is not None else None
        fitting = [each for each in self.listens if origin and each.port == origin.port]
        # A block that listens only on a socket is reached through another server's port.
        listen = next(iter(fitting or self.listens), None)
        if listen is None:
            return 80
        return listen.port if listen.address is None else f"{listen.address}:{listen.port}"

    def base_url(self) -> str | None:
        """Return the scheme, name and port that a client would use, if the name is known."""
        name = next(filter(_REAL_NAME.fullmatch, self.names), None)
        if name is None:
            return None
        first = next(iter(self.listens), None)
        listen = next((each for each in self.listens if each.tls), first)
        port, tls = (80, False) if listen is None else (listen.port, listen.tls)
        scheme = "https" if tls else "http"
        return f"{scheme}://{name}" + ("" if port == (80, 443)[tls] else f":{port}")


def read_servers(http: Block, blocks: Iterable[Statement]) -> tuple[ServerBlock, ...]:
    """Read ``server`` blocks; `http` is the block around them."""
    read = [_read(block) for block in blocks]
    # One listen line with ssl is enough: nginx merges those of one address.
    old_form = [server for server in read if _switched_on(server.statement.block, http)]
    tls = {_socket(each) for server in read for each in server.listens if each.tls}
    tls |= {_socket(each) for server in old_form for each in server.listens}
    return tuple(
        replace(
            server,
            listens=tuple(replace(each, tls=_socket(each) in tls) for each in server.listens),
        )
        for server in read
    )


def _socket(listen: Listen) -> tuple[str | None, int]:
    return listen.address, listen.port


def _switched_on(*levels: Block) -> bool:
    """Return whether ``ssl on;``, which nginx had before 1.25.1, applies at the innermost level."""
    lines = next((found for level in levels if (found := level.named("ssl"))), ())
    return any(line.args == ("on",) for line in lines)


def _read(block: Statement) -> ServerBlock:
    read = [_listen(line) for line in block.named("listen")]
    listens = [each for each in read if isinstance(each, Listen)]
    if not read:
        listens = [Listen(block, None, 80)]
    names = tuple(name for line in block.named("server_name") for name in line.args)
    refusals = tuple(each for each in read if isinstance(each, Refusal))
    return ServerBlock(block, tuple(listens), names, refusals)


def _listen(line: Statement) -> Listen | Refusal | None:
    if not line.args:
        return Refusal(line, "'listen' has no port", "write a port such as 8093")
    text = line.args[0]
    if text.lower().startswith("unix:"):
        return None
    if BARE_PORT.fullmatch(text):
        address, port = "", text
    else:
        bare = text.endswith("]") or ":" not in text
        address, port = (text, "80") if bare else text.rsplit(":", 1)
    digits = port.lstrip("0") if BARE_PORT.fullmatch(port) else ""
    if not 0 < len(digits) < 6 or int(digits) > 65535:
        return Refusal(
            line, f"listen {text[:80]!r} has no valid port", "write a port from 1 to 65535"
        )
    anywhere = address in ("", "*", "0.0.0.0", "[::]")  # noqa: S104 - read here, not listened on
    return Listen(line, None if anywhere else address, int(digits), not _TLS.isdisjoint(line.args))


# ---- locations ----


def location_prefix(args: tuple[str, ...]) -> str | None:
    """Return the path of a location; None for a regular expression or a named one."""
    first = "".join(args[:1])
    modifier = found[0] if (found := _MODIFIER.match(first)) else ""
    if modifier[:1] in ("~", "@"):
        return None
    return args[-1] if len(args) > 1 else first.removeprefix(modifier)


def path_of(location: Statement | None) -> str:
    """Return the path of a location, or its regular expression."""
    if location is None:
        return "/"
    return location_prefix(location.args) or " ".join(location.args)


def place_of(location: Statement | None) -> str:
    """Return a location's name for a message."""
    return "the server" if location is None else f"location {' '.join(location.args)}"


def locations_in(block: Iterable[Statement]) -> Iterator[Statement]:
    """Yield the locations of a ``server`` block, nested ones included."""
    for inner in block:
        if inner.name == "location":
            yield inner
        yield from locations_in(inner.block)


def location_for(block: Statement, path: str) -> Statement | None:
    """Choose the location of a ``server`` block for a path, as nginx does.

    Raises `re.error` for a regular expression that Python cannot read.
    """
    prefixes: list[tuple[str, Statement]] = []
    expressions: list[tuple[str, Statement]] = []
    for inner in block.named("location"):
        modifier = inner.args[0] if len(inner.args) > 1 else ""
        prefix = location_prefix(inner.args)
        if prefix is None:
            expressions.append((modifier, inner))
        elif modifier == "=":
            if prefix == path:
                return inner
        elif path.startswith(prefix):
            prefixes.append((prefix, inner))
    best = max(prefixes, key=lambda each: len(each[0]), default=None)
    if best is None or best[1].args[0] != "^~":
        for modifier, inner in expressions:
            flags = re.IGNORECASE if "*" in modifier else re.NOFLAG
            if modifier.startswith("~") and compiled(inner.args[1], flags).search(path):
                return location_for(inner, path) or inner
    return None if best is None else location_for(best[1], path) or best[1]


def find_location(goal: str, server: Statement) -> Statement | None:
    """Find the location of a path, or of a name such as ``@spare``."""
    if not goal.startswith("/"):
        return next((each for each in locations_in(server.block) if path_of(each) == goal), None)
    try:
        return location_for(server, goal)
    except re.error:
        return None


# ---- paths: what clients request, and what a node sees ----


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


def _rewritten(path: str, lines: Iterable[Statement]) -> str | None:
    """Return a path after the first rewrite that matches."""
    for line in lines:
        if len(line.args) < 2:
            continue
        found = _match(line.args[0], path)
        if found is not None:
            return _with_groups(line.args[1].partition("?")[0], found) or "/"
    return None


def _match(pattern: str, path: str) -> re.Match[str] | None:
    try:
        expression = compiled(pattern)
    except re.error:
        return None
    # A prefix is known without the slash at its end.
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
    found = _LITERAL.match(pattern)
    if found is None or re.search(r"\|(?![^(]*\))", pattern):
        return None
    return re.sub(r"(?s)\\(.)", r"\1", found[1])

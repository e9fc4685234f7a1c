"""``server`` blocks: the ports they listen on, and which of their locations gets a path."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ...topology.urls import origin_of
from .statements import Block, Statement
from .upstreams import BARE_PORT, Refusal

_REAL_NAME = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)
# HTTP/3 has no form without TLS.
_TLS = frozenset({"ssl", "quic"})
_MODIFIER = re.compile(r"(=|\^~|~\*?|@)?")


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
    names: frozenset[str]
    real_names: tuple[str, ...]
    refusals: tuple[Refusal, ...]

    @property
    def ports(self) -> set[int]:
        """The ports at which it listens."""
        return {listen.port for listen in self.listens}

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
        if not self.real_names:
            return None
        first = next(iter(self.listens), None)
        listen = next((each for each in self.listens if each.tls), first)
        port, tls = (80, False) if listen is None else (listen.port, listen.tls)
        scheme = "https" if tls else "http"
        return f"{scheme}://{self.real_names[0]}" + ("" if port == (80, 443)[tls] else f":{port}")


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
    names = [name for line in block.named("server_name") for name in line.args]
    return ServerBlock(
        block,
        tuple(listens),
        frozenset(names),
        tuple(name for name in names if _REAL_NAME.fullmatch(name)),
        tuple(each for each in read if isinstance(each, Refusal)),
    )


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
            if modifier.startswith("~") and _matches(inner.args[1], path, modifier):
                return location_for(inner, path) or inner
    return None if best is None else location_for(best[1], path) or best[1]


def _matches(pattern: str, path: str, modifier: str) -> bool:
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        return re.search(pattern, path, re.IGNORECASE if "*" in modifier else 0) is not None


def find_location(goal: str, server: Statement) -> Statement | None:
    """Find the location of a path, or of a name such as ``@spare``."""
    if not goal.startswith("/"):
        return next((each for each in locations_in(server.block) if path_of(each) == goal), None)
    try:
        return location_for(server, goal)
    except re.error:
        return None  # PCRE accepts more than re

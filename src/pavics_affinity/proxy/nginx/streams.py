"""The ``stream`` part of a proxy, which balances connections and sees no header."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from .maps import Maps, read_maps
from .proxy_passes import Target, targets_of
from .statements import Block, Statement, walk
from .upstreams import Upstream, read_upstreams

_MAPS = ("map", "geo", "split_clients")


class StreamPass(NamedTuple):
    """A ``proxy_pass`` of connections: its server and line, its targets, what is unknown."""

    server: Statement
    statement: Statement
    targets: tuple[Target, ...]
    unknown: frozenset[str]


@dataclass(frozen=True)
class Streams:
    """The contents of ``stream`` blocks, and of snippets for them."""

    statements: Block
    servers: tuple[Statement, ...]
    upstreams: tuple[Upstream, ...]

    @cached_property
    def blocks(self) -> frozenset[Statement]:
        """Its ``upstream`` and ``server`` blocks."""
        return frozenset((*self.servers, *self.statements.named("upstream")))

    @cached_property
    def by_name(self) -> dict[str, Upstream]:
        """Its upstreams, by their names in lower case."""
        return {each.name.lower(): each for each in self.upstreams}

    @cached_property
    def maps(self) -> Maps:
        """Its maps."""
        return read_maps(self.statements)

    @cached_property
    def proxy_passes(self) -> tuple[StreamPass, ...]:
        """The places where its servers pass connections on."""
        return tuple(
            StreamPass(server, line, *targets_of(line, (self.statements, server.block), self.maps))
            for server in self.servers
            for line in server.named("proxy_pass")
            if line.args
        )


def read_streams(statements: Block) -> Streams:
    """Find the statements that belong to ``stream``.

    In a snippet, a ``server`` block with a ``proxy_pass`` outside of any location can only
    belong to a ``stream`` block. The same is true of upstreams that no other server uses.
    """
    inside = [inner for each in statements.named("stream") for inner in each.block]
    bare = [each for each in statements.named("server") if each.named("proxy_pass")]
    maps = [each for each in statements if bare and each.name in _MAPS]
    found = Block((*inside, *bare, *_upstreams_of(bare, statements), *maps))
    return Streams(found, found.named("server"), read_upstreams(found.named("upstream")))


def _upstreams_of(bare: list[Statement], statements: Block) -> Iterable[Statement]:
    named = {e.args[0].lower() for each in bare for e in each.named("proxy_pass") if e.args}
    if not named:
        return
    ours = frozenset(bare)
    others = [each for each in statements.named("server") if each not in ours]
    words = list(_words(others))
    for each in statements.named("upstream"):
        name = each.args[0].lower() if each.args else ""
        if name in named and not any(name in word for word in words):
            yield each


def _words(block: Iterable[Statement]) -> Iterator[str]:
    return (arg.lower() for statement in walk(block) for arg in statement.args)

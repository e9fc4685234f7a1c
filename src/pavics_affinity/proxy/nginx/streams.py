"""The ``stream`` part of a proxy, which balances connections and sees no header."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..check.pools import Pool, read_pool
from .maps import Maps, read_maps
from .passings import Target, targets_of
from .statements import Statement


@dataclass(frozen=True)
class Tcp:
    """What ``stream`` blocks hold, and snippets of them.

    Attributes
    ----------
    statements : tuple of Statement
        All of it.
    upstreams, servers : tuple of Statement
        Its ``upstream`` and ``server`` blocks.
    """

    statements: tuple[Statement, ...]
    upstreams: tuple[Statement, ...]
    servers: tuple[Statement, ...]

    def owns(self, statement: Statement) -> bool:
        """Tell whether a block belongs to it."""
        return id(statement) in self._ids

    @cached_property
    def _ids(self) -> frozenset[int]:
        return frozenset(id(each) for each in (*self.upstreams, *self.servers))

    @cached_property
    def pools(self) -> dict[str, Pool]:
        """Its upstreams, by their names in lower case."""
        return {each.args[0].lower(): read_pool(each) for each in self.upstreams if each.args}

    @cached_property
    def maps(self) -> Maps:
        """Its maps."""
        return read_maps(self.statements)

    def passings(self) -> Iterator[tuple[Statement, Statement, tuple[Target, ...], frozenset[str]]]:
        """Yield each server and its ``proxy_pass``, where that leads, and what is unknown."""
        for server in self.servers:
            for line in server.named("proxy_pass"):
                if line.args:
                    yield (
                        server,
                        line,
                        *targets_of(line, (self.statements, server.block), self.maps),
                    )


def read_tcp(statements: Sequence[Statement]) -> Tcp:
    """Find what belongs to ``stream``.

    In a snippet, a ``server`` block with a ``proxy_pass`` outside of any location can
    stand in a ``stream`` block only; so can the upstreams that no other server uses.
    """
    inside = [inner for each in statements if each.name == "stream" for inner in each.block]
    bare = [each for each in statements if each.name == "server" and any(each.named("proxy_pass"))]
    named = {
        line.args[0].lower() for each in bare for line in each.named("proxy_pass") if line.args
    }
    http = _words([each for each in statements if each.name == "server" and each not in bare])
    of_bare = [
        each
        for each in statements
        if each.name == "upstream"
        and each.args
        and (name := each.args[0].lower()) in named
        and not any(name in word for word in http)
    ]
    both = [*inside, *bare, *of_bare]
    maps = [each for each in statements if bare and each.name in ("map", "geo", "split_clients")]
    return Tcp(
        (*both, *maps),
        tuple(each for each in both if each.name == "upstream"),
        tuple(each for each in both if each.name == "server"),
    )


def _words(block: Sequence[Statement]) -> list[str]:
    return [
        word
        for each in block
        for word in [*(arg.lower() for arg in each.args), *_words(each.block)]
    ]

"""nginx's ``map`` and its kin: where a variable's value comes from, and what it says of nodes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..protocol import NODE_NAME
from .statements import Statement

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_CAPTURE = re.compile(r"\(\?P?<(\w+)>")
_NAMED_AT_THE_END = re.compile(rf"~.*[^a-z0-9-](?P<node>{NODE_NAME})\$")


# Blocks that look a value up, and those of their parameters that are no entries.
_LOOKUPS: Mapping[str, tuple[str, ...]] = {
    "map": (),
    "split_clients": (),
    "geo": ("proxy", "delete"),
}


@dataclass(frozen=True)
class Map:
    """One ``map``, ``split_clients`` or ``geo`` block.

    Attributes
    ----------
    source : str
        What is looked up, such as ``"$http_machineid"``.
    entries : tuple of (str, str)
        Keys and values, without ``default``.
    default : str
        Value of what no key fits.
    statement : Statement
        Where it stands.
    """

    source: str
    entries: tuple[tuple[str, str], ...]
    default: str
    statement: Statement

    @property
    def captures(self) -> frozenset[str]:
        """Variables that the keys' regular expressions set."""
        return frozenset(name for key, _ in self.entries for name in _CAPTURE.findall(key))


Maps = Mapping[str, Map]


def read_maps(statements: Iterable[Statement]) -> Maps:
    """Collect the blocks that look a value up, by the names of their variables."""
    maps = {}
    for statement in statements:
        if statement.name not in _LOOKUPS or not 1 <= len(statement.args) <= 2:
            continue
        *source, target = statement.args
        if not source and statement.name != "geo":
            continue
        entries, default = [], ""
        for entry in statement.block:
            if entry.name == "default" and entry.args:
                default = entry.args[0]
            elif entry.args and entry.name not in _LOOKUPS[statement.name]:
                entries.append((entry.name.removeprefix("\\"), entry.args[0]))
        known_by = source[0] if source else "$remote_addr"
        maps[target.lstrip("$").lower()] = Map(known_by, tuple(entries), default, statement)
    return maps


def read_sets(statements: Iterable[Statement]) -> Maps:
    """Collect what ``set`` gives variables anywhere, and what the ``if`` around it looks at."""
    found: dict[str, Map] = {}
    for statement, condition in _sets_in(statements, ""):
        name, value = statement.args[0].lstrip("$").lower(), statement.args[1]
        before = found.get(name)
        entries = (*(before.entries if before else ()), ("", value))
        source = (before.source if before else "") + condition
        found[name] = Map(source, entries, value, statement)
    return found


def _sets_in(block: Iterable[Statement], condition: str) -> Iterator[tuple[Statement, str]]:
    for statement in block:
        if statement.name == "set" and len(statement.args) == 2:
            yield statement, condition
        else:
            inside = " ".join(statement.args) if statement.name == "if" else ""
            yield from _sets_in(statement.block, condition + inside)


def variables_in(text: str) -> list[str]:
    """Name the variables in a text, in lower case, as nginx looks them up."""
    return [(braced or bare).lower() for braced, bare in _VARIABLE.findall(text)]


def only_variable(text: str) -> str | None:
    """Name the variable that a text consists of; None if it is something else."""
    found = _VARIABLE.fullmatch(text)
    return (found[1] or found[2]).lower() if found else None


def variables_behind(variable: str, maps: Maps) -> set[str]:
    """Name the variables whose value a variable can take as it is.

    Parameters
    ----------
    variable : str
        Without its dollar.
    maps : mapping
        All maps.

    Returns
    -------
    set of str
        The variable itself, and those that maps hand on by a value such as
        ``$http_machineid``, or by a capture from it.
    """
    seen: set[str] = set()
    waiting = [variable]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in maps:
            mapped = maps[name]
            for value in (mapped.default, *(value for _, value in mapped.entries)):
                handed_on = only_variable(value)
                if handed_on in mapped.captures or (handed_on or "").isdecimal():
                    handed_on = only_variable(mapped.source)
                if handed_on is not None:
                    waiting.append(handed_on)
    return seen


def headers_behind(variable: str, maps: Maps) -> set[str]:
    """Name the request headers whose value a variable can take as it is.

    Such as ``{"machineid"}`` for ``http_machineid``; see `variables_behind`.
    """
    return {
        name.removeprefix("http_").replace("_", "-")
        for name in variables_behind(variable, maps)
        if name.startswith("http_")
    }


def node_names(mapped: Map) -> Iterator[tuple[re.Pattern[str], str]]:
    """Yield what fits an address, and the node's name, of a map over ``$upstream_addr``."""
    for key, value in mapped.entries:
        if variables_in(value):
            continue
        flags = re.IGNORECASE
        if key.startswith("~"):
            pattern = key.removeprefix("~*") if key.startswith("~*") else key.removeprefix("~")
            flags = re.IGNORECASE if key.startswith("~*") else re.NOFLAG
        else:
            pattern = rf"\A{re.escape(key)}\Z"
        try:
            with warnings.catch_warnings(action="ignore", category=FutureWarning):
                compiled = re.compile(pattern, flags)
        except re.error:  # PCRE has more than re; such a key names no node here
            continue
        yield compiled, value


def pools_by_node(mapped: Map) -> dict[str, str]:
    """Give the upstreams that a map chooses by a node's name at the end of the key."""
    return {
        found["node"]: value
        for key, value in mapped.entries
        if (found := _NAMED_AT_THE_END.fullmatch(key))
    }

"""nginx's ``map``, ``split_clients``, ``geo`` and ``set``: where variables get their values."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ...protocol import NODE_NAME
from .statements import Block, Statement

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_CAPTURE = re.compile(r"\(\?P?<(\w+)>")
_NAMED_AT_THE_END = re.compile(rf"~.*[^a-z0-9-](?P<node>{NODE_NAME})\$")
# Blocks that look a value up, and those of their parameters that are not entries.
LOOKUPS: Mapping[str, tuple[str, ...]] = {
    "map": (),
    "split_clients": (),
    "geo": ("proxy", "delete"),
}
# Headers that clients and proxies send for other purposes.
FOREIGN_HEADERS = frozenset(
    {
        "accept", "authorization", "connection", "content-type", "cookie", "forwarded", "host",
        "referer", "user-agent", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
        "x-real-ip", "x-request-id",
    }
)  # fmt: skip
UPSTREAM_ADDR = "upstream_addr"


@dataclass(frozen=True, eq=False)
class Map:
    """A ``map``, ``split_clients`` or ``geo`` block; or the ``set`` lines of one variable.

    `source` is what is looked up, such as ``"$http_machineid"``, and `default` the value
    if no key of `entries` matches.
    """

    source: str
    entries: tuple[tuple[str, str], ...]
    default: str
    statement: Statement

    @property
    def values(self) -> tuple[str, ...]:
        """Each value that can come out, once; the default first."""
        return tuple(dict.fromkeys([self.default, *(value for _, value in self.entries)]))

    @property
    def captures(self) -> frozenset[str]:
        """Variables that the keys' regular expressions set."""
        return frozenset(name for key, _ in self.entries for name in captures_in(key))


Maps = Mapping[str, Map]


def read_maps(statements: Block) -> Maps:
    """Collect the blocks that look a value up, by the names of their variables."""
    found = {}
    for statement in statements:
        if statement.name not in LOOKUPS or not 1 <= len(statement.args) <= 2:
            continue
        *source, target = statement.args
        if not source and statement.name != "geo":
            continue
        entries, default = [], ""
        for entry in statement.block:
            if entry.name == "default" and entry.args:
                default = entry.args[0]
            elif entry.args and entry.name not in LOOKUPS[statement.name]:
                entries.append((entry.name.removeprefix("\\"), entry.args[0]))
        looked_up = source[0] if source else "$remote_addr"
        found[target.lstrip("$").lower()] = Map(looked_up, tuple(entries), default, statement)
    return found


def read_sets(statements: Iterable[Statement]) -> Maps:
    """Collect the values that ``set`` gives each variable, and the conditions around it."""
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


def captures_in(pattern: str) -> list[str]:
    """Return the variables that a regular expression sets."""
    return _CAPTURE.findall(pattern)


def compiled(pattern: str, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    """Compile a regular expression of nginx; PCRE accepts more than re, which may raise."""
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        return re.compile(pattern, flags)


# ---- variables ----


def variables_in(text: str) -> list[str]:
    """Return the variables in a text, in lower case, as nginx looks them up."""
    return [(braced or bare).lower() for braced, bare in _VARIABLE.findall(text)]


def only_variable(text: str) -> str | None:
    """Return the variable that is the whole text; None if it is something else."""
    found = _VARIABLE.fullmatch(text)
    return (found[1] or found[2]).lower() if found else None


def reachable(names: Iterable[str], onwards: Callable[[str], Iterable[str]]) -> dict[str, None]:
    """Return the names, and all names that they lead to in any number of steps."""
    seen: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen[name] = None
            waiting += onwards(name)
    return seen


def variables_behind(variable: str, maps: Maps) -> dict[str, None]:
    """Return the variables whose whole value a variable can take, itself included.

    Maps pass on a value as ``$http_machineid``, or as a capture from what they look up.
    """

    def passed_on(name: str) -> Iterator[str]:
        for value in maps[name].values if name in maps else ():
            found = only_variable(value)
            if found in maps[name].captures or (found or "").isdecimal():
                found = only_variable(maps[name].source)
            if found is not None:
                yield found

    return reachable([variable], passed_on)


def headers_in(variables: Iterable[str]) -> set[str]:
    """Return the request headers among variables."""
    return {
        name.removeprefix("http_").replace("_", "-")
        for name in variables
        if name.startswith("http_")
    }


def headers_behind(variable: str, maps: Maps) -> set[str]:
    """Return the request headers whose whole value a variable can take."""
    return headers_in(variables_behind(variable, maps))


def sources_of(variable: str, maps: Maps, header: str) -> set[str]:
    """Return the variables that decide a variable's value; none if it is the machineid."""

    def onwards(name: str) -> list[str]:
        if name not in maps or header in headers_behind(name, maps):
            return []
        named = {each for value in maps[name].values for each in variables_in(value)}
        return [*variables_in(maps[name].source), *(named - maps[name].captures)]

    found = {name for name in reachable([variable], onwards) if name not in maps}
    return {name for name in found if header not in headers_behind(name, maps)}


# ---- nodes ----


def shows_node(value: str, maps: Maps) -> str | None:
    """Return the variable in a header's value if it shows the node that answered."""
    variable = only_variable(value)
    mapped = maps.get(variable or "")
    source = variable if mapped is None else only_variable(mapped.source)
    return variable if source == UPSTREAM_ADDR else None


def node_names(mapped: Map) -> Iterator[tuple[re.Pattern[str], str]]:
    """Yield the pattern of each address in a map over ``$upstream_addr``, and the node's name."""
    for key, value in mapped.entries:
        if variables_in(value):
            continue
        if key.startswith("~*"):
            pattern, flags = key[2:], re.IGNORECASE
        elif key.startswith("~"):
            pattern, flags = key[1:], re.NOFLAG
        else:
            pattern, flags = rf"\A{re.escape(key)}\Z", re.IGNORECASE
        try:
            yield compiled(pattern, flags), value
        except re.error:
            continue  # such a key names no node here


def upstreams_by_node(mapped: Map) -> dict[str, str]:
    """Return the upstreams that a map chooses by a node's name at the end of the key."""
    return {
        found["node"]: value
        for key, value in mapped.entries
        if (found := _NAMED_AT_THE_END.fullmatch(key))
    }

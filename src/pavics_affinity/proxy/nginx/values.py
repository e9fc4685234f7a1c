"""Expand a text with variables into its possible values, and find what decides among them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from .maps import Map, Maps, upstreams_by_node, variables_in
from .statements import Block, Statement

_VARIABLE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|<%.*?%>|\$(?:\{(\w+)\}|(\w+))", re.ASCII | re.DOTALL)
_DEEPEST = 8
_MOST = 50
_URI = ("request_uri", "uri", "document_uri", "args", "is_args", "query_string")
_OF_NGINX = re.compile(
    r"(?:http|arg|cookie|sent_http|upstream|ssl|geoip2?|realip|proxy|tcpinfo|trailer|jwt)_\w+"
    r"|args|binary_remote_addr|body_bytes_sent|bytes_\w+|connection\w*|content_\w+|document_\w+"
    r"|host|hostname|https|is_args|limit_rate|msec|nginx_version|pid|pipe|protocol|query_string"
    r"|remote_\w+|request|request_\w+|scheme|server_\w+|status|time_\w+|uri|nginx_\w+|uid_\w+"
)
# Other ways to give a variable a value, which are programs.
_PROGRAMS = re.compile(r"js_set|perl_set|auth_request_set|set_\w+|.*_by_lua.*")
# A text of Lua that gives a variable a value, or a file of it, which may.
_LUA_SETS = r"ngx\.var(?:\.{0}\b|\[[\"']{0}[\"']\])\s*=[^=]"
_LUA_FILES = re.compile(r"(?:server_)?(?:rewrite|access)_by_lua_file")


@dataclass(frozen=True)
class Value:
    """A possible value of a text, with unknown variables left unchanged.

    `deciders` are the variables that choose this value among others. With `of_node`, a node's
    name in the key chooses it. `unknown` names the variables without a known value, or the
    directives that set them.
    """

    text: str
    deciders: frozenset[str] = frozenset()
    of_node: bool = False
    unknown: frozenset[str] = frozenset()


Levels = Sequence[Block]


def expand(text: str, levels: Levels, maps: Maps, depth: int = 0) -> list[Value]:
    """Return the possible values of a text with variables inside these levels.

    The levels are the blocks around the text, the outermost first.
    """
    found = [Value("")]
    at = 0
    for variable in _VARIABLE.finditer(text):
        choices = _values(variable, levels, maps, depth)
        found = _joined(found, text[at : variable.start()], choices)
        at = variable.end()
    return [replace(each, text=each.text + text[at:]) for each in found]


def _joined(found: list[Value], between: str, choices: list[Value]) -> list[Value]:
    both = [
        Value(
            one.text + between + other.text,
            one.deciders | other.deciders,
            one.of_node or other.of_node,
            one.unknown | other.unknown,
        )
        for one in found
        for other in choices
    ]
    return list(dict.fromkeys(both))[:_MOST]


def is_known(variable: str) -> bool:
    """Return whether nginx itself sets a variable, usually from the request."""
    return _OF_NGINX.fullmatch(variable) is not None


def _values(found: re.Match[str], levels: Levels, maps: Maps, depth: int) -> list[Value]:
    name = (found[1] or found[2] or "").lower()
    unknown = [Value(found[0], unknown=frozenset([found[0]]))]
    if not name or name in _URI or depth > _DEEPEST:
        return unknown
    by_programs = [
        Value(f"${name}", unknown=frozenset([f"${name} ({line.name})"]))
        for line in _programs_that_set(name, levels)
    ]
    if name in maps:
        return _mapped(maps[name], levels, maps, depth) + by_programs
    assigned = [
        value
        for text, deciders in _assigned(name, levels)
        for value in _with(expand(text, levels, maps, depth + 1), deciders)
    ]
    return [*assigned, *by_programs] or unknown


def _with(values: Iterable[Value], deciders: frozenset[str], of_node: bool = False) -> list[Value]:
    return [
        replace(each, deciders=each.deciders | deciders, of_node=each.of_node or of_node)
        for each in values
    ]


def _mapped(mapped: Map, levels: Levels, maps: Maps, depth: int) -> list[Value]:
    deciders = frozenset(variables_in(mapped.source) if len(mapped.values) > 1 else ())
    by_node = set(upstreams_by_node(mapped).values())
    found: list[Value] = []
    for value in mapped.values:
        captured = any(name in mapped.captures or name.isdigit() for name in variables_in(value))
        # A capture is part of what is looked up.
        text = mapped.source if captured else value
        expanded = expand(text, levels, maps, depth + 1)
        if captured and not variables_in(text):
            expanded = [Value(value, unknown=frozenset([value]))]
        found += _with(expanded, deciders, value in by_node)
    return list(dict.fromkeys(found))


def _sets(line: Statement, name: str) -> bool:
    return bool(line.args) and line.args[0].lower() == f"${name}"


def _assigned(name: str, levels: Levels) -> list[tuple[str, frozenset[str]]]:
    """Return the values that ``set`` gives a variable, and the variables of the ``if`` around."""
    found: list[tuple[str, frozenset[str]]] = []
    for level in reversed(levels):
        here, always = _assigned_in(level, name)
        found += here
        if always:
            break  # on an outer level it is set earlier
    many = len({text for text, _ in found}) > 1
    deciders = frozenset().union(*(each for _, each in found)) if many else frozenset()
    return [(text, deciders) for text, _ in found]


def _assigned_in(level: Block, name: str) -> tuple[list[tuple[str, frozenset[str]]], bool]:
    found: list[tuple[str, frozenset[str]]] = []
    always = False
    if not (level.named("set") or level.named("if")):
        return [], False
    for line in level:
        if line.name == "set" and len(line.args) == 2 and _sets(line, name):
            found, always = [(line.args[1], frozenset())], True
        elif line.name == "if":
            condition = frozenset(variables_in(" ".join(line.args)))
            found += [(text, more | condition) for text, more in _assigned_in(line.block, name)[0]]
    return found, always


def _programs_that_set(name: str, levels: Levels) -> Iterator[Statement]:
    by_lua = re.compile(_LUA_SETS.format(re.escape(name)), re.IGNORECASE)
    for level in levels:
        directives = filter(_PROGRAMS.fullmatch, level.names)
        for line in (line for directive in directives for line in level.named(directive)):
            text = line.args[-1] if "_by_lua" in line.name and line.args else ""
            if _sets(line, name) or _LUA_FILES.fullmatch(line.name) or by_lua.search(text):
                yield line

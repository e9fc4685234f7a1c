"""One rule for each key of a topology, whether it comes from Python, TOML or JSON."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, NamedTuple, NoReturn, TypeVar, get_args

from ..errors import TopologyError
from ..markup import quoted, without_login
from ..markup.suggest import suggest
from ..protocol import (
    DEFAULT_EVIDENCE,
    DEFAULT_HEADER,
    NODE_NAME_RULE,
    is_header_name,
    is_node_name,
)
from .urls import ADDRESS_RULE, BASE_URL_RULE, is_address, is_base_url, is_plain_path, join_host

Made = TypeVar("Made")
KeyPath = tuple[str, ...]

NODE_SEGMENT = "{node}"
"""Stands for a node's name in the path of output URLs."""

_SERVICE_NAME = r"[A-Za-z][A-Za-z0-9_-]*"
_PATH = r"/[^\x00-\x20?#\\\x7f\ud800-\udfff]*"
_FILE = r"(?:/[A-Za-z0-9._~@+=,-]+)+"
_CONTROL = r"[\x00-\x1f\x7f\ud800-\udfff]"
_MOST_SHOWN = 200


class Rule(NamedTuple):
    """A test of a key's values, and its description for messages."""

    fits: Callable[[Any], bool]
    expected: str

    def or_none(self) -> Rule:
        """Return the rule of a key that may be missing."""
        return Rule(lambda value: value is None or self.fits(value), self.expected)


Rules = Mapping[str, Rule]


def port_of(listen: int | str) -> int | None:
    """Return the port of a ``listen`` line's PORT, ADDRESS:PORT or ``*:PORT``; None if invalid."""
    if not isinstance(listen, str):
        return listen
    host, _, port = listen.rpartition(":")
    if not port.isascii() or not port.isdecimal() or len(port) > 5:
        return None
    return int(port) if host in ("", "*") or _is_host(host) else None


def _is_whole(value: object, below: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < below


def _is_port(value: object) -> bool:
    return _is_whole(value, 65536)


def _is_host(value: object) -> bool:
    if not isinstance(value, str) or value.lower().startswith("unix:"):
        return False
    return is_address(join_host(value, 80))


def _is_weight(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value <= sys.float_info.max


def _is_path(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(_PATH, value)) and is_plain_path(value)


def _names_nodes_well(url: str) -> bool:
    """Return whether the path has no braces, or ``{node}`` as one of several segments."""
    braces = url.count("{") + url.count("}")
    segments = [segment for segment in url.split("/")[3:] if segment]
    return braces == 0 or (braces == 2 and NODE_SEGMENT in segments and len(segments) > 1)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not re.search(_CONTROL, value)


def _matches(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def one_of(literal: Any) -> Rule:
    """Return the rule of a key that accepts the strings of a `Literal`."""
    *head, last = map(repr, get_args(literal))
    accepted = get_args(literal)
    # Not a set, so that a value that cannot be hashed is refused, too.
    return Rule(lambda value: value in accepted, f"{', '.join(head)} or {last}")


def list_of(kind: type) -> Rule:
    """Return the rule of a key that accepts a tuple of objects."""
    return Rule(
        lambda value: isinstance(value, tuple) and all(isinstance(each, kind) for each in value),
        f"a list of {kind.__name__}",
    )


FLAG = Rule(lambda value: isinstance(value, bool), "true or false")
NAME = Rule(lambda value: isinstance(value, str), "the name of a node")
NODE_NAME = Rule(is_node_name, f"{NODE_NAME_RULE}, such as 'node1'")
SERVICE_NAME = Rule(_matches(_SERVICE_NAME), "letters, digits, '-' and '_', a letter first")
HOST = Rule(_is_host, "a host name or an IP address, without a port")
ADDRESS = Rule(is_address, ADDRESS_RULE)
WEIGHT = Rule(
    _is_weight, "a number above 0 (to keep new workflows away from a node, set drain = true)"
)
PORT = Rule(_is_port, "a whole number of 1 to 65535")
LISTEN = Rule(
    lambda value: _is_port(port_of(value)),
    "a port of 1 to 65535, or an address and a port such as '127.0.0.1:8093'",
)
BASE_URL = Rule(is_base_url, BASE_URL_RULE)
BASE_URLS = Rule(
    lambda value: isinstance(value, tuple) and all(map(is_base_url, value)),
    f"a list, each item {BASE_URL_RULE}",
)
OUTPUTS_URL = Rule(
    lambda value: is_base_url(value) and _names_nodes_well(value),
    f"{BASE_URL_RULE}; {NODE_SEGMENT!r} may be one whole segment of its path, beside others",
)
PATH = Rule(
    _is_path,
    "a path on the backend that starts with '/', without query, blanks and dot segments, such as "
    "'/outputs'",
)
OUTPUTS_PATH = Rule(
    lambda value: _is_path(value) and NODE_SEGMENT not in value,
    f"{PATH.expected}; {NODE_SEGMENT!r} is for the public URL, since a node has its own files only",
)
FILE = Rule(
    _matches(_FILE),
    "the absolute path of a file, of letters, digits and ._~@+=,- only, such as "
    "'/etc/ssl/site.pem'",
)
HEADER = Rule(is_header_name, f"the name of an HTTP header, such as {DEFAULT_HEADER!r}")
EVIDENCE = Rule(is_header_name, f"the name of an HTTP header, such as {DEFAULT_EVIDENCE!r}")
TEXT = Rule(_is_text, "a text without control characters")
COUNT = Rule(lambda value: _is_whole(value, 2**63), "a whole number above 0 and below 2**63")
COUNT_OR_AUTO = Rule(
    lambda value: value == "auto" or COUNT.fits(value), f"{COUNT.expected}, or 'auto'"
)


def check(thing: object, rules: Rules, what: str = "") -> None:
    """Raise `TopologyError` for the first attribute that breaks its rule; `key` names it."""
    for key, rule in rules.items():
        value = getattr(thing, key)
        if not rule.fits(value):
            shown = without_login(quoted(value))
            if len(shown) > _MOST_SHOWN:
                shown = shown[:_MOST_SHOWN] + "..."
            raise TopologyError(
                f"{what}{': ' * bool(what)}{key} = {shown}: expected {rule.expected}",
                # The name of a node or a service is the path to it.
                key=None if key == "name" else key,
            )


def changed(thing: Any, rules: Rules) -> dict[str, Any]:
    """Return the attributes that differ from their default or have none."""
    return {
        field.name: value
        for field in fields(thing)
        if field.name in rules and (value := getattr(thing, field.name)) != field.default
    }


class Reader:
    """Builds the parts of a topology from plain data; each error names the key's path.

    `place` gets the path of a key and an item of its list, and returns the beginning of a message
    and the line in the file.
    """

    def __init__(
        self,
        place: Callable[[KeyPath, str | None], tuple[str, int | None]],
        file: str | None = None,
    ) -> None:
        self._place = place
        self._file = file

    def made(
        self, kind: Callable[..., Made], values: object, path: KeyPath, **given: object
    ) -> Made:
        """Build a dataclass from a table; `given` are its values from outside the table."""
        table = self.table(values, path)
        known = [each for each in fields(kind) if each.name not in given and each.repr]  # type: ignore[arg-type]  # a dataclass
        names = [each.name for each in known]
        for key in table:
            if key not in names:
                self.fail((*path, key), f"unknown key; {suggest(key, names, 'key')}")
        for each in known:
            if each.default is MISSING and each.name not in table:
                self.fail(path, f"{each.name!r} is missing")
        try:
            return kind(**table, **given)
        except TopologyError as bad:
            where = (*path, *(bad.key.split(".") if bad.key else ()))
            message = (
                f"{'.'.join(path)}: {bad.message}" if path and self._file is None else bad.message
            )
            raise self._error(where, message, bad.node, type(bad)) from bad

    def table(self, values: object, path: KeyPath) -> Mapping[str, Any]:
        """Return the values if they are a table, which JSON calls an object."""
        if not isinstance(values, dict):
            like = "; write a table with a host" if path[:-1] == ("nodes",) else ""
            self.fail(path, f"expected a table, not {quoted(values)[:_MOST_SHOWN]}{like}")
        return values

    def items(self, values: object, path: KeyPath) -> Sequence[Any]:
        """Return the values if they are a list."""
        if not isinstance(values, list):
            self.fail(path, f"expected a list, not {quoted(values)[:_MOST_SHOWN]}")
        return values

    def fail(self, path: KeyPath, message: str) -> NoReturn:
        """Raise `TopologyError` for a key."""
        raise self._error(path, f"{'.'.join(path)}: {message}" if path else message)

    def _error(
        self,
        path: KeyPath,
        message: str,
        item: str | None = None,
        kind: type[TopologyError] = TopologyError,
    ) -> TopologyError:
        place, line = self._place(path, item)
        error = kind(f"{place}: {message}", node=item, file=self._file, line=line)
        error.key = ".".join(path) or None
        return error

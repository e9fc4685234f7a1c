"""Read and write topology files in TOML; an error names its file, key and line."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import TopologyError
from .parts import BACKEND, NODE, OUTPUTS, SERVICE, TLS, Backend, Node, Outputs, Service, Tls
from .schema import KeyPath, Made, Reader, changed

_HEADER = r"\s*\[{1,2}\s*(?P<key>[^\]]+?)\s*\]"
_WORD = r"""(?:"[^"]*"|'[^']*'|[\w-]+)"""
_ASSIGNMENT = rf"\s*(?P<key>{_WORD}(?:\s*\.\s*{_WORD})*)\s*="
_PART = r"""\s*(?:"([^"]*)"|'([^']*)'|([^."'\s]+))\s*\.?"""


def load(path: str | os.PathLike[str], kind: Callable[..., Made]) -> Made:
    """Read a topology file; see `Topology.load`."""
    name = os.fspath(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as bad:
        raise TopologyError(
            f"cannot read the topology file {name!r}: {bad}. Check the path", file=name
        ) from bad
    return loads(text, file=name, kind=kind)


def loads(text: str, *, file: str, kind: Callable[..., Made]) -> Made:
    """Read a topology from text; see `Topology.loads`."""
    import tomllib

    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as bad:  # Python refuses numbers of thousands of digits
        found = re.search(r"at line (\d+)", str(bad))
        line = int(found[1]) if found else text.count("\n") + 1
        raise TopologyError(
            f"{file}, line {line}: not valid TOML: {bad or 'nested too deeply'}. Correct the line",
            file=file,
            line=line,
        ) from bad

    def place(path: KeyPath, item: str | None) -> tuple[str, int | None]:
        line = line_of(text, path, item)
        return (file if line is None else f"{file}, line {line}"), line

    reader = Reader(place, file)
    values = dict(data)
    for key, read in (("nodes", _node), ("services", _service)):
        table = reader.table(data.get(key, {}), (key,))
        values[key] = tuple(read(reader, name, each, (key, name)) for name, each in table.items())
    if isinstance(data.get("tls"), dict):
        values["tls"] = reader.made(Tls, data["tls"], ("tls",))
    return reader.made(kind, values, ())


def _node(reader: Reader, name: str, values: object, path: KeyPath) -> Node:
    return reader.made(Node, values, path, name=name)


def _service(reader: Reader, name: str, values: object, path: KeyPath) -> Service:
    table = dict(reader.table(values, path))
    if "outputs" in table:
        table["outputs"] = reader.made(Outputs, table["outputs"], (*path, "outputs"))
    if "backends" in table:
        inner = (*path, "backends")
        given = reader.items(table["backends"], inner)
        if not given:
            reader.fail(inner, "a service needs at least one backend; name a node, or leave it out")
        table["backends"] = [_backend(reader, each, inner) for each in given]
    return reader.made(Service, table, path, name=name)


def _backend(reader: Reader, value: object, path: KeyPath) -> Backend:
    return reader.made(Backend, {"node": value} if isinstance(value, str) else value, path)


def dump(text: str, path: str | os.PathLike[str]) -> None:
    """Write a topology file, all or nothing; see `Topology.dump`."""
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o777)
        temporary.replace(target)
    except OSError as bad:
        raise TopologyError(
            f"cannot write the topology file {os.fspath(path)!r}: {bad}. Pass another path",
            file=os.fspath(path),
        ) from bad
    finally:
        temporary.unlink(missing_ok=True)


def dumps(top: Mapping[str, Any], nodes: Iterable[Node], services: Iterable[Service]) -> str:
    """Write a topology as TOML; see `Topology.dumps`."""
    lines = [*_assignments(top), "", "[nodes]"]
    for node in nodes:
        table = changed(node, NODE)
        lines.append(f"{table.pop('name')} = {_value(table)}")
    for service in services:
        table = changed(service, SERVICE)
        lines += ["", f"[services.{table.pop('name')}]", *_assignments(table)]
    return "\n".join(lines) + "\n"


def _assignments(values: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in values.items()]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(_assignments(value))} }}" if value else "{}"
    if isinstance(value, Outputs):
        return _value(changed(value, OUTPUTS))
    if isinstance(value, Tls):
        return _value(changed(value, TLS))
    if isinstance(value, Backend):
        table = changed(value, BACKEND)
        return _value(table if len(table) > 1 else value.node)
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float) and value == int(value):
        value = int(value)
    # Strings, numbers and booleans without control characters are the same in JSON and TOML.
    return json.dumps(value, ensure_ascii=False)


def line_of(text: str, path: KeyPath, item: str | None = None) -> int | None:
    """Return the line, from 1, of a key or of the table nearest above it, in valid TOML.

    With an item, a string in the key's value, return the item's line. The text is read line by
    line, so text in a string of several lines is mistaken for a key if it looks like one.
    """
    # Not splitlines, because TOML's lines end only in a line feed.
    lines = text.split("\n")
    header: KeyPath = ()
    depth, found = 0, None
    for number, line in enumerate(lines, 1):
        if table := re.match(_HEADER, line):
            here = header = _split(table["key"])
        elif assignment := re.match(_ASSIGNMENT, line):
            here = header + _split(assignment["key"])
        else:
            continue
        # `[service.a]` is the line of `service`, too.
        shared = min(len(here), len(path))
        if shared > depth and here[:shared] == path[:shared]:
            depth, found = shared, number
    if found is None or item is None:
        return found
    for number, line in enumerate(lines[found - 1 :], found):
        if f'"{item}"' in line or f"'{item}'" in line:
            return number
        if number > found and re.match(_HEADER, line):
            break
    return found


def _split(key: str) -> KeyPath:
    return tuple(match[1] or match[2] or match[3] or "" for match in re.finditer(_PART, key))

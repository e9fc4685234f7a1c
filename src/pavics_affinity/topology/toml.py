"""The topology file: TOML in and out, each mistake with its file, key and line."""

from __future__ import annotations

import json
import os
import re
import secrets
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from ..errors import TopologyError
from .lines import Lines
from .model import Topology
from .parts import Backend, Node, Outputs, Service

Made = TypeVar("Made")

_NUMBER = (int, float)
_LARGEST = 2**1024  # no float is larger, and each is written as a whole number
_TOP: dict[str, tuple[type, ...]] = {
    "header": (str,),
    "evidence": (str,),
    "site": (str,),
    "proxy": (str,),
    "direct": (bool,),
    "workers": (int, str),
    "connections": (int,),
}
_NODE: dict[str, tuple[type, ...]] = {"host": (str,), "weight": _NUMBER, "drain": (bool,)}
_SERVICE: dict[str, tuple[type, ...]] = {
    "url": (str,),
    "port": (int,),
    "publish": (int,),
    "listen": (int, str),
    "path": (str,),
    "outputs": (dict,),
    "aliases": (list,),
    "method": (str,),
    "backends": (list,),
    "tls": (bool,),
}
_OUTPUTS: dict[str, tuple[type, ...]] = {"public": (str,), "backend": (str,)}
_BACKEND: dict[str, tuple[type, ...]] = {
    "node": (str,),
    "address": (str,),
    "weight": _NUMBER,
    "down": (bool,),
    "backup": (bool,),
}
_TYPE_NAMES = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
}


def load(path: str | os.PathLike[str]) -> Topology:
    """Read a topology file; see `Topology.load`."""
    name = os.fspath(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as bad:
        raise TopologyError(f"cannot read the topology file {name!r}: {bad}", file=name) from bad
    return loads(text, file=name)


def loads(text: str, *, file: str) -> Topology:
    """Read a topology from text; see `Topology.loads`."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as bad:  # Python refuses numbers of thousands of digits
        found = re.search(r"at line (\d+)", str(bad))
        line = int(found[1]) if found else text.count("\n") + 1
        raise TopologyError(
            f"{file}, line {line}: no valid TOML: {bad or 'nested too deeply'}",
            file=file,
            line=line,
        ) from bad
    try:
        return _Reader(text, file).topology(data)
    except TopologyError:
        raise
    except (ValueError, OverflowError) as bad:
        raise TopologyError(
            f"{file}: a number is too large to be meant ({bad}); write a smaller one", file=file
        ) from bad


def dump(topology: Topology, path: str | os.PathLike[str]) -> None:
    """Write a topology file, all or nothing; see `Topology.dump`."""
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(dumps(topology))
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o777)
        temporary.replace(target)
    except OSError as bad:
        raise TopologyError(
            f"cannot write the topology file {os.fspath(path)!r}: {bad}", file=os.fspath(path)
        ) from bad
    finally:
        temporary.unlink(missing_ok=True)


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.lines = Lines(text)
        self.file = file

    def topology(self, data: Mapping[str, Any]) -> Topology:
        self.check(data, {**_TOP, "nodes": (dict,), "services": (dict,)}, ())
        nodes = [
            self.node(name, values, ("nodes", name))
            for name, values in data.get("nodes", {}).items()
        ]
        services = [
            self.service(name, values, ("services", name))
            for name, values in data.get("services", {}).items()
        ]
        top = {key: data[key] for key in _TOP if key in data}
        return self.made((), Topology, nodes=tuple(nodes), services=tuple(services), **top)

    def node(self, name: str, values: Any, path: tuple[str, ...]) -> Node:
        self.check(self.table(values, path), _NODE, path)
        return self.made(path, Node, name=name, **values)

    def service(self, name: str, values: Any, path: tuple[str, ...]) -> Service:
        self.check(self.table(values, path), _SERVICE, path)
        values = dict(values)
        if "outputs" in values:
            inner = (*path, "outputs")
            self.check(values["outputs"], _OUTPUTS, inner, *_OUTPUTS)
            values["outputs"] = self.made(inner, Outputs, **values["outputs"])
        for alias in values.get("aliases", []):
            if not isinstance(alias, str):
                self.fail((*path, "aliases"), f"{alias!r} should be a string")
        if "backends" in values:
            inner = (*path, "backends")
            if not values["backends"]:
                self.fail(inner, "a service without backends answers nobody; name at least one")
            values["backends"] = tuple(self.backend(b, inner) for b in values["backends"])
        return self.made(path, Service, name=name, **values)

    def backend(self, value: Any, path: tuple[str, ...]) -> Backend:
        if isinstance(value, str):
            return self.made(path, Backend, node=value)
        self.check(self.table(value, path), _BACKEND, path, "node")
        return self.made(path, Backend, **value)

    def table(self, values: Any, path: tuple[str, ...]) -> Mapping[str, Any]:
        if not isinstance(values, dict):
            self.fail(path, f"{values!r} should be a table, such as {{ host = '10.0.0.1' }}")
        return values

    def check(
        self,
        values: Mapping[str, Any],
        known: Mapping[str, tuple[type, ...]],
        path: tuple[str, ...],
        *needed: str,
    ) -> None:
        for key, value in values.items():
            if key not in known:
                self.fail((*path, key), f"unknown key; expected one of: {', '.join(known)}")
            if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
                self.fail((*path, key), "a whole number that is too large; write a smaller one")
            wrong = not isinstance(value, known[key])
            if wrong or (isinstance(value, bool) and bool not in known[key]):
                expected = " or ".join(_TYPE_NAMES[kind] for kind in known[key])
                self.fail((*path, key), f"{value!r} should be {expected}")
        for key in needed:
            if key not in values:
                self.fail(path, f"{key!r} is missing")

    def made(self, path: tuple[str, ...], kind: Callable[..., Made], /, **values: Any) -> Made:
        """Build the object; what it refuses gets file, key and line."""
        try:
            return kind(**values)
        except TopologyError as bad:
            where = (*path, *(bad.key.split(".") if bad.key else ()))
            place, line = self.place(where, bad.node)
            error = type(bad)(f"{place}: {bad}", node=bad.node, file=self.file, line=line)
            error.key = ".".join(where) or None
            raise error from bad

    def fail(self, path: tuple[str, ...], message: str) -> NoReturn:
        key = ".".join(path)
        place, line = self.place(path)
        raise TopologyError(f"{place}: {key}: {message}", file=self.file, key=key, line=line)

    def place(self, path: tuple[str, ...], item: str | None = None) -> tuple[str, int | None]:
        line = self.lines.of(path, item)
        return (self.file if line is None else f"{self.file}, line {line}"), line


def dumps(topology: Topology) -> str:
    """Write a topology as TOML; see `Topology.dumps`."""
    top = {"header": topology.header, **_changed(topology, _TOP, _DEFAULTS)}
    lines = [f"{key} = {_value(value)}" for key, value in top.items()]
    lines += ["", "[nodes]"]
    for node in topology.nodes:
        lines.append(f"{node.name} = {_table(_changed(node, _NODE, Node('x')))}")
    for service in topology.services:
        lines += ["", f"[services.{service.name}]"]
        for key, value in _changed(service, _SERVICE, Service("x", port=1), "port").items():
            lines.append(f"{key} = {_value(value)}")
    return "\n".join(lines) + "\n"


_DEFAULTS = Topology(nodes=(Node("x"),))


def _changed(
    thing: object, keys: Mapping[str, Any], default: object, *always: str
) -> dict[str, Any]:
    return {
        key: value
        for key in keys
        if (value := getattr(thing, key)) is not None
        and (key in always or value != getattr(default, key))
    }


def _value(value: Any) -> str:
    if isinstance(value, Outputs):
        return _table({"public": value.public, "backend": value.backend})
    if isinstance(value, Backend):
        changed = _changed(value, _BACKEND, Backend(value.node), "node")
        return _value(value.node) if len(changed) == 1 else _table(changed)
    if isinstance(value, tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, float) and value == int(value):
        value = int(value)
    # For strings, numbers and booleans without control characters, JSON is TOML.
    return json.dumps(value, ensure_ascii=False)


def _table(values: Mapping[str, Any]) -> str:
    inner = ", ".join(f"{key} = {_value(value)}" for key, value in values.items())
    return f"{{ {inner} }}" if inner else "{}"

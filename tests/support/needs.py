"""Which tests start a cluster or an nginx: found by what they, and their fixtures, call."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

TESTS = Path(__file__).parent.parent
STARTS = ("LocalCluster", "find_nginx", "affinity_cluster")
"""Names of what starts one; also in the text of a program that a test runs."""


def needs_cluster(item: pytest.Item) -> bool:
    """Return whether a test, one of its fixtures or its parameters can start a cluster."""
    return any(_verdict(each) for each in _used_by(item))


def _verdict(value: Any) -> bool:
    if not isinstance(value, FunctionType):
        return _starts(value, set())
    if value not in _VERDICTS:
        _VERDICTS[value] = _starts(value, set())
    return _VERDICTS[value]


_VERDICTS: dict[FunctionType, bool] = {}


def _used_by(item: pytest.Item) -> Iterator[Any]:
    yield getattr(item, "function", None)
    definitions = getattr(item, "_fixtureinfo", None)
    if definitions is not None:
        for name in item.fixturenames:
            for definition in definitions.name2fixturedefs.get(name, ()):
                yield definition.func
    callspec = getattr(item, "callspec", None)
    if callspec is not None:
        yield from callspec.params.values()


def _starts(value: Any, seen: set[int]) -> bool:
    """Look through what a value calls, as far as that is code of the tests."""
    if id(value) in seen:
        return False
    seen.add(id(value))
    value = inspect.unwrap(value) if callable(value) else value
    if isinstance(value, str):
        return any(name in value for name in STARTS)
    if isinstance(value, tuple | list):
        return any(_starts(each, seen) for each in value)
    if isinstance(value, dict):
        return any(_starts(each, seen) for each in value.values())
    if isinstance(value, type):
        ours = getattr(sys.modules.get(value.__module__), "__file__", None) or ""
        within = [*vars(value).values(), *value.__mro__[1:]]
        return ours.startswith(str(TESTS)) and any(_starts(each, seen) for each in within)
    if isinstance(value, property):
        return _starts(value.fget, seen)
    if isinstance(value, FunctionType):
        return _code_starts(value.__code__, value, seen)
    return False


def _code_starts(code: CodeType, function: FunctionType, seen: set[int]) -> bool:
    if any(name in STARTS for name in code.co_names):
        return True
    if not code.co_filename.startswith(str(TESTS)):
        return False
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if _code_starts(constant, function, seen):
                return True
        elif _starts(constant, seen):
            return True
    known = function.__globals__
    named = [known[name] for name in code.co_names if name in known]
    modules = [vars(each) for each in named if isinstance(each, ModuleType)]
    named += [module[name] for module in modules for name in code.co_names if name in module]
    return any(_starts(each, seen) for each in named)

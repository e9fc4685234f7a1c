"""Which tests start a cluster or other programs: found by what they, and their fixtures, call."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

TESTS = Path(__file__).parent.parent
CLUSTER = ("LocalCluster", "find_nginx", "affinity_cluster")
"""Names of what starts PyWPS nodes or an nginx; also in the text of a program that a test runs."""

PROGRAM = ("subprocess", "ProcessPoolExecutor", "distributed")
"""Names of what starts a Python, which imports for a second."""


def needs(item: pytest.Item, *kinds: tuple[str, ...]) -> list[bool]:
    """Return whether a test, one of its fixtures or its parameters can use a name of each kind."""
    used = list(_used_by(item))
    return [any(uses(each, names) for each in used) for names in kinds]


def uses(value: Any, names: tuple[str, ...]) -> bool:
    """Return whether a function, or what it calls, uses one of the names."""
    if not isinstance(value, FunctionType):
        return _uses(value, names, set())
    if (value, names) not in _VERDICTS:
        _VERDICTS[value, names] = _uses(value, names, set())
    return _VERDICTS[value, names]


_VERDICTS: dict[tuple[FunctionType, tuple[str, ...]], bool] = {}


def _used_by(item: pytest.Item) -> Iterator[Any]:
    yield getattr(item, "function", None)
    callspec = getattr(item, "callspec", None)
    parameters = [] if callspec is None else list(callspec.params.values())
    yield from parameters
    fixtures = dict(item._fixtureinfo.name2fixturedefs) if hasattr(item, "_fixtureinfo") else {}
    # A parameter may be the name of a fixture, which the test asks for itself.
    named = [each for each in parameters if isinstance(each, str)]
    for name in named:
        if name not in fixtures:
            fixtures[name] = item.session._fixturemanager.getfixturedefs(name, item) or ()
            named += [each for found in fixtures[name] for each in found.argnames]
    yield from (definition.func for found in fixtures.values() for definition in found)


def _uses(value: Any, names: tuple[str, ...], seen: set[int]) -> bool:
    """Look through what a value calls, as far as that is code of the tests."""
    if id(value) in seen:
        return False
    seen.add(id(value))
    value = inspect.unwrap(value) if callable(value) else value
    if isinstance(value, str):
        return any(name in value for name in names)
    if isinstance(value, tuple | list):
        return any(_uses(each, names, seen) for each in value)
    if isinstance(value, dict):
        return any(_uses(each, names, seen) for each in value.values())
    if isinstance(value, type):
        ours = getattr(sys.modules.get(value.__module__), "__file__", None) or ""
        within = [*vars(value).values(), *value.__mro__[1:]]
        return ours.startswith(str(TESTS)) and any(_uses(each, names, seen) for each in within)
    if isinstance(value, property):
        return _uses(value.fget, names, seen)
    if isinstance(value, FunctionType):
        return _code_uses(value.__code__, value, names, seen)
    return False


def _code_uses(
    code: CodeType, function: FunctionType, names: tuple[str, ...], seen: set[int]
) -> bool:
    if any(name in names for name in code.co_names):
        return True
    if not code.co_filename.startswith(str(TESTS)):
        return False
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if _code_uses(constant, function, names, seen):
                return True
        elif _uses(constant, names, seen):
            return True
    known = function.__globals__
    named = [known[name] for name in code.co_names if name in known]
    # Imported inside the function.
    named += [import_module(name) for name in code.co_names if name.startswith("support.")]
    modules = [vars(each) for each in named if isinstance(each, ModuleType)]
    named += [module[name] for module in modules for name in code.co_names if name in module]
    return any(_uses(each, names, seen) for each in named)

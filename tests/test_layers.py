"""Inside a room no module imports itself through others, and a long module says why it is one.

`lint-imports` checks that a room knows only the rooms below it; it does not look inside.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "pavics_affinity"
LONGEST = 350
GIVES_A_REASON = re.compile(r"\b(because|one module|one file)\b", re.IGNORECASE)


def modules_of(package: Path) -> dict[str, Path]:
    """Return each module's name below the package, ``""`` for the package itself."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(name: str, path: Path, modules: dict[str, Path], package: str) -> Iterator[str]:
    """Yield the modules that a module imports, also for types only and inside functions."""
    here = [package, *filter(None, name.split("."))]
    if path.name != "__init__.py":
        here.pop()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            wanted = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = here[: len(here) + 1 - node.level] if node.level else []
            source = ".".join([*start, *filter(None, [node.module])])
            wanted = [f"{source}.{each.name}" for each in node.names]
        else:
            continue
        for dotted in wanted:
            first, _, below = dotted.partition(".")
            if first == package:
                # "from .model import Node" names a module and something in it.
                yield below if below in modules else below.rpartition(".")[0]


def graph_of(package: Path) -> dict[str, set[str]]:
    """Return the modules in its own room that each module imports."""
    modules = modules_of(package)

    def room(name: str) -> str:
        return name.partition(".")[0]

    return {
        name: {
            other
            for other in imports_of(name, path, modules, package.name)
            if other != name and room(other) == room(name)
        }
        for name, path in modules.items()
    }


def cycles_in(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Return the sets of modules that all reach each other."""
    reached: dict[str, set[str]] = {}
    for start, first in graph.items():
        seen: set[str] = set()
        left = list(first)
        while left:
            if (name := left.pop()) not in seen:
                seen.add(name)
                left += graph.get(name, ())
        reached[start] = seen
    return {
        frozenset(other for other in others if name in reached[other])
        for name, others in reached.items()
        if name in others
    }


def docstring_of(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def long_without_a_reason(package: Path) -> set[str]:
    return {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if len(path.read_text().splitlines()) > LONGEST
        and not GIVES_A_REASON.search(docstring_of(path))
    }


def listed(cycles: set[frozenset[str]]) -> str:
    return "".join(f"\n  {sorted(cycle)}" for cycle in sorted(cycles, key=sorted))


def test_no_room_has_an_import_cycle_inside():
    found = cycles_in(graph_of(PACKAGE))
    assert found == set(), listed(found)


def test_a_long_module_says_in_its_docstring_why_it_is_one():
    found = long_without_a_reason(PACKAGE)
    assert found == set(), f"above {LONGEST} lines without 'because' in the docstring"


@pytest.mark.parametrize(
    "statement",
    [
        "from .. import room\nroom.one",
        "from . import one",
        "from .one import first",
        "from ..room.one import first",
        "import made.room.one",
        "def late():\n    from .one import first",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .one import first",
    ],
)
def test_a_cycle_is_found(tmp_path, statement):
    """Guard of the tests above."""
    room = tmp_path / "made" / "room"
    room.mkdir(parents=True)
    (tmp_path / "made" / "__init__.py").touch()
    (room / "__init__.py").write_text("from .one import first")
    (room / "one.py").write_text("from . import two\nfirst = 1")
    (room / "two.py").write_text("first = 2")
    assert cycles_in(graph_of(tmp_path / "made")) <= {frozenset({"room", "room.one"})}
    (room / "two.py").write_text(statement)
    [cycle] = cycles_in(graph_of(tmp_path / "made"))
    assert "room.two" in cycle


def test_a_long_module_is_found(tmp_path):
    """Guard of the tests above."""
    (tmp_path / "long.py").write_text('"""Long."""\n' + "#\n" * LONGEST)
    (tmp_path / "reasoned.py").write_text('"""Long, because it is.\n"""\n' + "#\n" * LONGEST)
    (tmp_path / "short.py").write_text("#\n" * LONGEST)
    assert long_without_a_reason(tmp_path) == {"long.py"}

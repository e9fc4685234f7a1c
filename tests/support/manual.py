"""The manual, read by a program: its code runs at a cluster, page by page.

The Python blocks of a page run in its order, in one namespace, as if they stood inside of
``with Workflow() as wf``. What a page takes for given (`Given`) is made when its code uses it.
A block that cannot run here has a comment above it that says why: ``<!-- not run: ... -->``.
"""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from pavics_affinity import Workflow

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ERRORS = "docs/errors.md"
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*", re.DOTALL)
OUR_LINE = "our line"
"""The second column of the tables whose rows are run as well; it may say "the same"."""

AS_WELL = re.compile("works as well|Both work")
"""What the third column says if the first line runs, too."""

SERVICES = {58091: "malleefowl", 58093: "flyingpigeon"}
"""What the manual's URLs, http://proxy.example:PORT/wps, stand for."""


@dataclass(frozen=True)
class Block:
    """A block of code on a page, or the code in a cell of a table."""

    language: str
    code: str
    line: int
    not_run: str | None = None


def pages() -> list[str]:
    """Return the pages of the manual, and README, by their paths."""
    found = [path.relative_to(ROOT) for path in DOCS.rglob("*.md")]
    own = [path for path in found if path.parts[1] not in {"_build", "notebooks"}]
    return ["README.md", *sorted(path.as_posix() for path in own)]


def text_of(page: str) -> str:
    """Return the text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[Block]:
    """Return the blocks of these languages, in the order of the page."""
    return [block for block in _blocks_of(page) if block.language in languages]


@cache
def _blocks_of(page: str) -> list[Block]:
    return list(_blocks(text_of(page), 0))


def section_of_error(name: str) -> str:
    """Return what the manual's page on errors says about a class."""
    found = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", text_of(ERRORS), re.MULTILINE | re.DOTALL)
    assert found, f"{ERRORS} has no section {name!r}"
    return found[1]


def code_of_error(name: str, language: str = "python") -> list[str]:
    """Return the code of that section, block by block."""
    return [each.code for each in _blocks(section_of_error(name), 0) if each.language == language]


def _blocks(text: str, first: int) -> Iterator[Block]:
    reason: str | None = None
    row: list[str] = []
    is_ours = False  # whether it is in a table of lines
    line = first
    for token in MarkdownIt().enable("table").parse(text):
        line = line if token.map is None else first + token.map[0] + 1
        comment = NOT_RUN.fullmatch(token.content) if token.type == "html_block" else None
        if token.type == "fence" and token.info.startswith("{"):
            yield from _blocks(token.content, line)  # a directive may hold blocks, as tabs do
        elif token.type == "fence":
            yield Block(token.info.strip(), token.content, line, reason)
        elif token.type == "tr_open":
            row = []
        elif token.type == "inline":
            row.append(token.content)
        elif token.type == "tr_close" and is_ours:
            yield Block(OUR_LINE, _lines(row), line - 1)
        elif token.type in {"thead_close", "table_close"}:
            is_ours = token.type == "thead_close" and row[:2] == ["your line", OUR_LINE]
        reason = " ".join(comment[1].split()) if comment else None


def _lines(row: list[str]) -> str:
    """Return the code of a row that is run: our line, and yours where that runs, too."""
    yours, ours, differs, *_ = row
    if ours == "the same":
        ours = ""
    elif not AS_WELL.search(differs):
        yours = ""
    return "\n".join(re.findall("`([^`]+)`", yours + ours))


def commands(page: str) -> list[list[str]]:
    """Return the arguments of each ``pavics-affinity`` that a page's console blocks call."""
    found = []
    for block in blocks(page, "console"):
        for line in re.findall(r"^\$ (.+)$", block.code.replace("\\\n", " "), re.MULTILINE):
            for part in line.split(" | "):
                words = shlex.split(part)
                if words[0] == "pavics-affinity":
                    found.append(words[1:])
    return found


class Given:
    """What the manual's code takes for given, each made when a page first uses it."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster

    @cached_property
    def topology(self) -> Any:
        return self._cluster.topology

    @cached_property
    def wf(self) -> Workflow:
        return Workflow(topology=self.topology)

    @cached_property
    def url(self) -> str:
        return str(self._cluster.sample_url)

    @cached_property
    def urls(self) -> list[str]:
        return [f"{self._cluster.data_url}/{name}_north_america.nc" for name in ("E1", "A1B")]

    @cached_property
    def malleefowl(self) -> Any:
        return self.wf.wps(self._cluster.url("malleefowl"))

    @cached_property
    def flyingpigeon(self) -> Any:
        return self.wf.wps(self._cluster.url("flyingpigeon"))

    @cached_property
    def wps(self) -> Any:
        return self.flyingpigeon

    @cached_property
    def box(self) -> list[tuple[str, str]]:
        return [("lon0", "-100"), ("lon1", "-60"), ("lat0", "30"), ("lat1", "60")]

    @cached_property
    def path(self) -> str:
        download = self.malleefowl.execute("download", [("resource", self.url)]).wait()
        [path] = download.output("output").json()
        return str(path)

    @cached_property
    def execution(self) -> Any:
        return self.flyingpigeon.execute("subset_bbox", [("resource", self.path), *self.box]).wait()

    @cached_property
    def output(self) -> Any:
        return self.execution.output("output")


@dataclass
class Reader:
    """Runs the code of a page, with what it takes for given, and with other words replaced."""

    given: Given
    replaced: Mapping[str, str]
    fixture: Callable[[str], Any]
    """Returns a fixture by its name: a block may define tests."""

    def run(self, page: str) -> dict[str, Any]:
        """Run a page's Python; return its namespace."""
        module = types.ModuleType(f"the_code_of_{Path(page).stem.replace('-', '_')}")
        names = vars(module)
        sys.modules[module.__name__] = module  # for what a page sends to other processes
        try:
            for block in blocks(page, "python", OUR_LINE):
                if block.not_run is None:
                    self.run_block(page, block, names)
        finally:
            del sys.modules[module.__name__]
        return names

    def run_block(self, page: str, block: Block, names: dict[str, Any]) -> None:
        """Run one block; its tracebacks name the line of the page."""
        code = block.code
        for word, by in self.replaced.items():
            code = code.replace(word, by)
        for name in _read(code):
            known = name in vars(self.given) or hasattr(Given, name)
            if known and (name not in names or _ended(names[name])):
                names[name] = getattr(self.given, name)
        before = set(names)
        exec(compile("\n" * block.line + code, ROOT / page, "exec"), names)
        for name in set(names) - before:
            if name.startswith("test_"):
                test = names[name]
                test(*map(self.fixture, inspect.signature(test).parameters))


def _read(code: str) -> set[str]:
    """Return the names that code reads and does not set."""
    found = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)]
    by = {kind: {n.id for n in found if isinstance(n.ctx, kind)} for kind in (ast.Load, ast.Store)}
    return by[ast.Load] - by[ast.Store]


def _ended(value: Any) -> bool:
    """Whether it belongs to a workflow that a block has closed; birdy's clients have a `_wps`."""
    session = getattr(getattr(value, "_wps", value), "session", None)
    return bool(getattr(session, "closed", False))

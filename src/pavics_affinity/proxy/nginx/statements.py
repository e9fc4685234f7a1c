"""Read nginx files as statements: find them, parse them, and resolve their includes.

Reading is lenient: what does not parse is noted, and the rest is read.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ...errors import MissingExtra, NginxConfigError
from .lexing import Problem, has_marks
from .parsing import TEMPLATES, Raw, decoded, parse
from .trees import Tree, find_in_tree

StrPath = str | os.PathLike[str]

# The files of nginx's container; a site keeps them elsewhere and mounts them here.
_IN_THE_CONTAINER = "/etc/nginx/"
# Files that come with nginx or with Debian's package, and are not a site's own.
_SHIPPED = frozenset(
    {
        "fastcgi.conf", "fastcgi_params", "koi-utf", "koi-win", "mime.types", "proxy_params",
        "scgi_params", "uwsgi_params", "win-utf",
    }
)  # fmt: skip
_LONGEST = 70
PLACEHOLDER = re.compile(r"\$|\{\{|\{%|<%")
"""A variable, or the beginning of a template's mark."""


class Block(tuple["Statement", ...]):
    """The statements of one level, in order; `named` finds them by their names."""

    @cached_property
    def _by_name(self) -> dict[str, tuple[Statement, ...]]:
        found: dict[str, list[Statement]] = {}
        for statement in self:
            found.setdefault(statement.name, []).append(statement)
        return {name: tuple(statements) for name, statements in found.items()}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the statements, each once."""
        return tuple(self._by_name)

    def named(self, name: str) -> tuple[Statement, ...]:
        """Return the statements of this name."""
        return self._by_name.get(name, ())


_EMPTY = Block()


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One directive at its place in an nginx file; two are equal only if they are the same.

    `args` have no quotes, `line` counts from 1, `file` is as the caller or an ``include``
    names it, and includes in `block` are resolved. With `is_mark` it is a template's
    placeholder for whole directives, and `name` is that mark, such as
    ``"${SSL_SETTINGS}"`` or ``"{% endif %}"``.
    """

    name: str
    args: tuple[str, ...]
    file: str
    line: int
    block: Block = _EMPTY
    is_mark: bool = False

    @property
    def where(self) -> str:
        """File and line, for a message."""
        return f"{self.file}, line {self.line}"

    @property
    def text(self) -> str:
        """The directive as written, without quotes, semicolon and block; cut if it is long."""
        text = " ".join(" ".join([self.name, *self.args]).split())
        return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."

    def named(self, name: str) -> tuple[Statement, ...]:
        """Return the statements of this name in the block."""
        return self.block.named(name)

    def error(self, message: str) -> NginxConfigError:
        """Make an error that names the place of this statement."""
        return NginxConfigError(f"{self.where}: {message}", file=self.file, line=self.line)


def has_placeholder(statement: Statement) -> bool:
    """Return whether the arguments hold a variable, or a template's mark."""
    return any(PLACEHOLDER.search(word) for word in statement.args)


def walk(block: Iterable[Statement]) -> Iterator[Statement]:
    """Yield the statements of all levels, outer ones first."""
    for statement in block:
        yield statement
        yield from walk(statement.block)


def marks_in(block: Iterable[Statement]) -> Iterator[Statement]:
    """Yield a template's placeholders for whole directives, on all levels."""
    return (statement for statement in walk(block) if statement.is_mark)


# ---- which files a path names ----


def find_nginx_files(path: StrPath) -> list[str]:
    """Return the files that a path or pattern names; none for a directory without nginx files.

    In a directory, these are its ``nginx.conf`` or ``*.conf``, those in its ``conf.d`` or
    ``config/proxy``, or templates of these; otherwise all that are below it.
    """
    name = os.fspath(path)
    if not isinstance(name, str) or "\0" in name:
        raise NginxConfigError(f"{path!r} is not a path; expected that of a file or directory")
    if Path(name).is_dir():
        return _in_directory(Path(name)) or find_in_tree(Path(name))
    if Path(name).exists():
        return [name]
    # Path.glob takes no absolute pattern.
    found = sorted(glob.glob(name)) if glob.has_magic(name) else []  # noqa: PTH207 - see above
    if not found:
        raise NginxConfigError(
            f"there is no file {name!r}; give nginx.conf, the files in conf.d, a directory that "
            "holds them, or a pattern",
            file=name,
        )
    return [each for each in found if not Path(each).is_dir()]


def _in_directory(directory: Path) -> list[str]:
    for place in (directory, directory / "config" / "proxy"):
        for whole in ("nginx.conf", *("nginx.conf" + suffix for suffix in TEMPLATES)):
            if (place / whole).is_file():
                return [str(place / whole)]
        snippets = _snippets(place, (".conf",)) or _snippets(place, TEMPLATES)
        if snippets:
            return snippets
    return []


def is_tree(path: StrPath) -> bool:
    """Return whether a path is a directory whose nginx files are in directories of components."""
    return Path(path).is_dir() and not _in_directory(Path(path))


def _snippets(place: Path, suffixes: Sequence[str]) -> list[str]:
    return [
        str(path)
        for folder in (place, place / "conf.d", place / "templates")
        for suffix in suffixes
        for path in sorted(folder.glob("*" + suffix))
        if path.is_file()
    ]


# ---- what the files hold ----


@dataclass(frozen=True)
class NginxFiles:
    """The contents of nginx files: the statements inside ``http``, and the ``stream`` blocks.

    `errors` are the parts that could not be read. `templates` are the files that something fills
    in before nginx reads them, and `steered` those with marks of Jinja, Go or the like.
    `open_names` are the template variables without a value where others have one, by file.
    """

    statements: Block
    errors: tuple[NginxConfigError, ...] = ()
    templates: frozenset[str] = frozenset()
    steered: frozenset[str] = frozenset()
    open_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_files(files: Iterable[str], tree: Tree | None = None) -> NginxFiles:
    """Read nginx files, leniently; a file that another one includes is read only there.

    A `tree` knows the values of templates, and the files that a container mounts.
    """
    try:
        import crossplane  # noqa: F401 - its tables list the arguments of directives
    except ImportError as missing:
        raise MissingExtra.of("nginx", "reading nginx files") from missing
    reader = _Reader(tree or Tree())
    read = [(file, reader.read(file)) for file in dict.fromkeys(files)]
    found: list[Statement] = []
    for file, statements in read:
        if _same(file) in reader.included:
            continue
        for statement in statements:
            if statement.name == "http":
                found.extend(statement.block)
            elif statement.name not in ("mail", "events"):
                found.append(statement)
    return NginxFiles(
        Block(found),
        tuple(reader.errors),
        frozenset(reader.templates),
        frozenset(reader.steered),
        reader.tree.open_names,
    )


def _same(file: str) -> str:
    return os.path.realpath(file)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # a name that is too long
        return False


class _Reader:
    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.errors: list[NginxConfigError] = []
        self.templates: set[str] = set()
        self.steered: set[str] = set()
        self.included: set[str] = set()
        self._parsed: dict[str, Sequence[Raw]] = {}
        self._has_marks: dict[str, bool] = {}

    def read(self, file: str) -> Block:
        """Read a file that was given; its includes are relative to its directory."""
        return self._build(self._statements(file), file, Path(file).parent, (_same(file),))

    def _statements(self, file: str) -> Sequence[Raw]:
        real = _same(file)
        if real not in self._parsed:
            problems: list[Problem] = []
            self._has_marks[real], parsed = False, []
            try:
                text, problems = decoded(Path(file).read_bytes())
                text = self.tree.fill(file, text)
                self._has_marks[real] = has_marks(text)
                parsed = parse(text, problems, is_template=self._is_template(file))
            except OSError as bad:
                problems.append(Problem(f"it cannot be read ({bad.strerror or bad})", 1))
            self.errors += [_unreadable(file, problem) for problem in problems]
            self._parsed[real] = parsed
        if self._is_template(file):
            self.templates.add(file)
        if self._has_marks[real]:
            self.steered.add(file)
        return self._parsed[real]

    def _is_template(self, file: str) -> bool:
        is_open = file.lower().endswith(TEMPLATES) and not self.tree.is_filled(file)
        return is_open or self._has_marks[_same(file)]

    def _build(
        self, statements: Sequence[Raw], file: str, base: Path, stack: tuple[str, ...]
    ) -> Block:
        built: list[Statement] = []
        for raw in statements:
            block = self._build(raw.block, file, base, stack)
            statement = Statement(raw.name, tuple(raw.args), file, raw.line, block, raw.is_mark)
            if statement.name != "include" or not statement.args or has_placeholder(statement):
                built.append(statement)
                continue
            for inner in self._found(statement, base):
                if _same(inner) in stack:
                    self.errors.append(statement.error(f"{inner!r} includes itself"))
                    continue
                self.included.add(_same(inner))
                nested = (*stack, _same(inner))
                built += self._build(self._statements(inner), inner, base, nested)
        return Block(built)

    def _found(self, include: Statement, base: Path) -> Sequence[str]:
        pattern = include.args[0]
        places = [pattern if Path(pattern).is_absolute() else str(base / pattern)]
        if pattern.startswith(_IN_THE_CONTAINER):
            places.append(str(base / pattern.removeprefix(_IN_THE_CONTAINER)))
        places += [place + ".template" for place in places]
        for place in places:
            if glob.has_magic(place) and (found := sorted(glob.glob(place))):  # noqa: PTH207 - as above
                return found
            if _is_file(place):
                return [place]
        if pattern.startswith(_IN_THE_CONTAINER) and (
            mounted := self.tree.mounted(pattern.removeprefix(_IN_THE_CONTAINER))
        ):
            return mounted
        # nginx also accepts a pattern that matches nothing.
        if glob.has_magic(pattern) or Path(pattern).name in _SHIPPED:
            return []
        error = include.error(f"there is no file {pattern!r} to include")
        error.missing = pattern
        self.errors.append(error)
        return []


def _unreadable(file: str, problem: Problem) -> NginxConfigError:
    place = file if problem.line is None else f"{file}, line {problem.line}"
    return NginxConfigError(f"{place}: {problem}", file=file, line=problem.line)

"""nginx files as statements, with includes put in their place."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ...errors import MissingExtra, NginxConfigError
from .parsing import Problem, Raw, decoded, is_template, parse

StrPath = str | os.PathLike[str]

# Where nginx's container has its files: a site keeps them elsewhere and mounts them there.
_IN_THE_CONTAINER = "/etc/nginx/"
# Part of every nginx, or of Debian's, and of no site's own files.
_SHIPPED = frozenset(
    {
        "fastcgi.conf", "fastcgi_params", "koi-utf", "koi-win", "mime.types", "proxy_params",
        "scgi_params", "uwsgi_params", "win-utf",
    }
)  # fmt: skip


_LONGEST = 70
_PLACEHOLDER = re.compile(r"\$|\{\{|\{%|<%")


@dataclass(frozen=True, slots=True)
class Statement:
    """One directive of an nginx file.

    Attributes
    ----------
    name : str
        The directive.
    args : tuple of str
        Its arguments, without quotes.
    file : str
        The file, as given or as the ``include`` found it.
    line : int
        Its line, from 1.
    block : tuple of Statement
        What stands between its braces, includes resolved.
    is_mark : bool
        Whether it is what a template has in the place of whole directives; `name` is
        that mark, such as ``"${SSL_SETTINGS}"`` or ``"{% endif %}"``.
    """

    name: str
    args: tuple[str, ...]
    file: str
    line: int
    block: tuple[Statement, ...] = ()
    is_mark: bool = False

    @property
    def where(self) -> str:
        """File and line, for a message."""
        return f"{self.file}, line {self.line}"

    @property
    def text(self) -> str:
        """The directive as written, but for quotes, semicolon and block; long ones cut."""
        text = " ".join(" ".join([self.name, *self.args]).split())
        return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."

    def named(self, name: str) -> Iterator[Statement]:
        """Yield the directives of this name in the block."""
        return (inner for inner in self.block if inner.name == name)

    def error(self, message: str) -> NginxConfigError:
        """Make the error that this statement is the cause of."""
        return NginxConfigError(f"{self.where}: {message}", file=self.file, line=self.line)


def has_placeholder(statement: Statement) -> bool:
    """Tell whether a variable, or a template's mark, stands in the arguments."""
    return any(_PLACEHOLDER.search(word) for word in statement.args)


def marks_in(block: Iterable[Statement]) -> Iterator[Statement]:
    """Yield what a template has in the place of whole directives, on all levels."""
    for statement in block:
        if statement.is_mark:
            yield statement
        yield from marks_in(statement.block)


def _raise(error: NginxConfigError) -> NoReturn:
    raise error


def read_statements(
    paths: Iterable[StrPath], report: Callable[[NginxConfigError], None] = _raise
) -> tuple[Statement, ...]:
    """Read nginx files.

    Parameters
    ----------
    paths : iterable of str or path
        Files, directories (their ``nginx.conf``, else all ``*.conf`` in them and in
        their ``conf.d``), or patterns such as ``conf.d/*.conf``. A file need not be a
        whole configuration. One that another includes is read there only.
    report : callable, optional
        Takes each directive or file that does not parse, and each include of nothing;
        what is left is read. By default the first one is raised.

    Returns
    -------
    tuple of Statement
        Those of the level inside ``http``, wherever that is written, and the ``stream``
        blocks.

    Raises
    ------
    NginxConfigError
        There is no such file, or it does not parse.
    MissingExtra
        crossplane is not installed.
    """
    reader = _Reader(report)
    files = list(dict.fromkeys(file for path in paths for file in _expand(path)))
    read = [(file, reader.read(file)) for file in files]
    found: list[Statement] = []
    for file, statements in read:
        if _same(file) in reader.included:
            continue
        for statement in statements:
            if statement.name == "http":
                found.extend(statement.block)
            elif statement.name not in ("mail", "events"):
                found.append(statement)
    return tuple(found)


def _expand(path: StrPath) -> Sequence[str]:
    name = os.fspath(path)
    if not isinstance(name, str):
        raise NginxConfigError(f"{path!r} is no path of an nginx file")
    if Path(name).is_dir():
        return _in_directory(name)
    if Path(name).exists():
        return [name]
    # Path.glob takes no absolute pattern.
    found = sorted(glob.glob(name)) if glob.has_magic(name) else []  # noqa: PTH207 - see above
    if not found:
        raise NginxConfigError(
            f"there is no nginx file {name!r}; give nginx.conf, the files in conf.d, or a pattern",
            file=name,
        )
    return found


def _in_directory(name: str) -> Sequence[str]:
    directory = Path(name)
    if (directory / "nginx.conf").is_file():
        return [str(directory / "nginx.conf")]
    found = [*sorted(directory.glob("*.conf")), *sorted((directory / "conf.d").glob("*.conf"))]
    if not found:
        raise NginxConfigError(
            f"directory {name!r} holds no nginx.conf and no *.conf, nor does its conf.d", file=name
        )
    return [str(each) for each in found]


def _same(file: str) -> str:
    return os.path.realpath(file)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # a name that is too long
        return False


class _Reader:
    def __init__(self, report: Callable[[NginxConfigError], None]) -> None:
        try:
            import crossplane  # noqa: F401 - whose tables say what directives take
        except ImportError as missing:
            raise MissingExtra.of("nginx", "reading nginx files") from missing
        self._report = report
        self._parsed: dict[str, Sequence[Raw]] = {}
        self.included: set[str] = set()

    def read(self, file: str) -> tuple[Statement, ...]:
        """Read a file that was given; its includes are relative to its directory."""
        return self._build(self._statements(file), file, Path(file).parent, (_same(file),))

    def _statements(self, file: str) -> Sequence[Raw]:
        if _same(file) not in self._parsed:
            problems: list[Problem] = []
            try:
                text, problems = decoded(Path(file).read_bytes())
                parsed = parse(text, problems, is_template=is_template(file, text))
            except OSError as bad:
                parsed = []
                problems.append(Problem(f"it cannot be read ({bad.strerror or bad})", 1))
            for problem in problems:
                self._report(_refused(file, problem))
            self._parsed[_same(file)] = parsed
        return self._parsed[_same(file)]

    def _build(
        self,
        statements: Sequence[Raw],
        file: str,
        base: Path,
        stack: tuple[str, ...],
    ) -> tuple[Statement, ...]:
        built: list[Statement] = []
        for raw in statements:
            block = self._build(raw.block, file, base, stack)
            statement = Statement(raw.name, tuple(raw.args), file, raw.line, block, raw.is_mark)
            if statement.name != "include" or not statement.args or has_placeholder(statement):
                built.append(statement)
                continue
            for inner in self._found(statement, base):
                if _same(inner) in stack:
                    self._report(statement.error(f"{inner!r} includes itself"))
                    continue
                self.included.add(_same(inner))
                nested = (*stack, _same(inner))
                built += self._build(self._statements(inner), inner, base, nested)
        return tuple(built)

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
        # nginx, too, takes a pattern that nothing fits.
        if glob.has_magic(pattern) or Path(pattern).name in _SHIPPED:
            return []
        error = include.error(f"there is no file {pattern!r} to include")
        error.missing = pattern
        self._report(error)
        return []


def _refused(file: str, problem: Problem) -> NginxConfigError:
    place = file if problem.line is None else f"{file}, line {problem.line}"
    return NginxConfigError(f"{place}: {problem.reason}", file=file, line=problem.line)

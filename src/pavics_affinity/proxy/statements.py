"""nginx files as statements: parsed by crossplane, includes put in their place."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ..errors import MissingExtra, NginxConfigError

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
    """

    name: str
    args: tuple[str, ...]
    file: str
    line: int
    block: tuple[Statement, ...] = ()

    @property
    def where(self) -> str:
        """File and line, for a message."""
        return f"{self.file}, line {self.line}"

    def named(self, name: str) -> Iterator[Statement]:
        """Yield the directives of this name in the block."""
        return (inner for inner in self.block if inner.name == name)

    def error(self, message: str) -> NginxConfigError:
        """Make the error that this statement is the cause of."""
        return NginxConfigError(f"{self.where}: {message}", file=self.file, line=self.line)


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
        Those of the level inside ``http``, wherever that is written.

    Raises
    ------
    NginxConfigError
        There is no such file, or crossplane cannot parse it.
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
            elif statement.name not in ("stream", "mail", "events"):
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
            import crossplane
            from crossplane.errors import NgxParserBaseException
        except ImportError as missing:
            raise MissingExtra.of("nginx", "reading nginx files") from missing
        self._parse, self._lex = crossplane.parse, crossplane.lex
        self._bad: type[Any] = NgxParserBaseException
        self._report = report
        self._parsed: dict[str, Sequence[Mapping[str, Any]]] = {}
        self.included: set[str] = set()

    def read(self, file: str) -> tuple[Statement, ...]:
        """Read a file that was given; its includes are relative to its directory."""
        return self._build(self._statements(file), file, Path(file).parent, (_same(file),))

    def _statements(self, file: str) -> Sequence[Mapping[str, Any]]:
        if _same(file) not in self._parsed:
            # Snippets stand outside their context, and includes are resolved here.
            payload = self._parse(file, single=True, check_ctx=False)
            for error in payload["errors"]:
                self._report(_refused(file, error["error"], error["line"]))
            unended = None if payload["errors"] else self._unended(file)
            if unended is not None:
                self._report(unended)
            self._parsed[_same(file)] = [] if unended else payload["config"][0]["parsed"]
        return self._parsed[_same(file)]

    def _unended(self, file: str) -> NginxConfigError | None:
        """Find a directive that a brace ends: crossplane sees it in ``http`` only."""
        before, line_before = ";", 1
        try:
            for word, line, quoted in self._lex(file):
                if word.startswith("#") and not quoted:
                    continue
                if word == "}" and not quoted and before not in (";", "{", "}"):
                    return _refused(file, 'a directive is not terminated by ";"', line_before)
                before, line_before = ("a word" if quoted else word), line
        except self._bad as bad:
            return _refused(file, str(bad), bad.lineno)
        return None

    def _build(
        self,
        statements: Sequence[Mapping[str, Any]],
        file: str,
        base: Path,
        stack: tuple[str, ...],
    ) -> tuple[Statement, ...]:
        built: list[Statement] = []
        for raw in statements:
            block = self._build(raw.get("block", ()), file, base, stack)
            statement = Statement(raw["directive"], tuple(raw["args"]), file, raw["line"], block)
            if statement.name != "include" or not statement.args:
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


def _refused(file: str, problem: str, line: int | None) -> NginxConfigError:
    # crossplane ends its messages with file and line, and has none for a file cut short.
    reason = problem.partition(f" in {file}")[0] or "the file ends in the middle of a directive"
    place = file if line is None else f"{file}, line {line}"
    return NginxConfigError(f"{place}: {reason}", file=file, line=line)

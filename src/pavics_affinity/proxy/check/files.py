"""The files that ``check`` is given: nginx's and docker-compose's, sorted and read."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import NginxConfigError
from ..nginx.parsing import TEMPLATES, is_steered
from ..nginx.statements import Statement, StrPath, read_statements
from .findings import Finding, Spot, finding

_COMPOSE_SUFFIXES = (".yml", ".yaml")
_COMPOSE_NAMES = ("docker-compose*", "compose*")


@dataclass(frozen=True)
class Files:
    """What the paths name.

    Attributes
    ----------
    nginx, compose : tuple of str
        Paths of files, each once.
    """

    nginx: tuple[str, ...]
    compose: tuple[str, ...]


def find_files(paths: Iterable[StrPath]) -> Files:
    """Sort out which files the paths name.

    Parameters
    ----------
    paths : iterable of str or path
        Files, directories or patterns. YAML is taken for docker-compose's, all else for
        nginx's. Of a directory its ``nginx.conf`` or ``*.conf``, or those in its
        ``conf.d`` or ``config/proxy``, or templates of these, and its compose files.

    Raises
    ------
    NginxConfigError
        There is no such file, or none that is nginx's.
    """
    paths = list(paths)
    nginx: list[str] = []
    compose: list[str] = []
    for path in paths:
        name = os.fspath(path)
        if not isinstance(name, str) or "\0" in name:
            raise NginxConfigError(f"{path!r} is no path of a file")
        found = _in_directory(Path(name)) if Path(name).is_dir() else _fitting(name)
        for each in found:
            (compose if each.lower().endswith(_COMPOSE_SUFFIXES) else nginx).append(each)
    for each in nginx:
        if each.lower().endswith(".toml"):
            raise NginxConfigError(
                f"{each!r} looks like a topology; give it with --topology, and the nginx files "
                "to hold against it"
            )
    if not nginx:
        raise NginxConfigError(
            f"no nginx file in {', '.join(map(str, paths)) or 'nothing'}; give nginx.conf, the "
            "files in conf.d, or the directory that holds them"
        )
    return Files(tuple(dict.fromkeys(nginx)), tuple(dict.fromkeys(compose)))


def read_nginx_files(files: Sequence[str]) -> tuple[tuple[Statement, ...], list[Finding]]:
    """Read what parses, and find what does not.

    Raises
    ------
    MissingExtra
        crossplane is not installed.
    """
    found: list[Finding] = []
    steered: dict[str, bool] = {}

    def report(error: NginxConfigError) -> None:
        where = Spot(error.file or files[0], error.line or 1)
        if error.missing is not None:
            found.append(
                finding(
                    "include",
                    "warning",
                    where,
                    f"{error.missing!r} is not here, so that what it holds was not checked; where "
                    "nginx runs it must be there, or nginx does not start",
                    "give the file its place beside nginx.conf, or check the files where nginx "
                    "runs ('nginx -T' prints them all)",
                )
            )
            return
        place = f"{error.file}, line {error.line}: " if error.line else f"{error.file}: "
        if error.file and error.file not in steered:
            steered[error.file] = is_steered(error.file)
        if error.file and steered[error.file]:
            found.append(
                finding(
                    "placeholder",
                    "error",
                    where,
                    f"{str(error).removeprefix(place)}: the template cannot be read before it is "
                    "filled in, so that not all of it was checked",
                    "check the file that it makes ('nginx -T' prints it)",
                )
            )
            return
        found.append(
            finding(
                "syntax",
                "error",
                where,
                f"{str(error).removeprefix(place)}: nginx does not start with this file, and on a "
                "reload silently goes on with the old one",
                "mend the line; 'nginx -t' says more",
            )
        )

    return read_statements(files, report), found


def _fitting(name: str) -> Sequence[str]:
    if Path(name).exists():
        return [name]
    found = sorted(glob.glob(name)) if glob.has_magic(name) else []  # noqa: PTH207 - Path.glob takes no absolute pattern
    if not found:
        raise NginxConfigError(
            f"there is no file {name!r}; give nginx and compose files, directories or patterns"
        )
    return [each for each in found if not Path(each).is_dir()]


def _in_directory(directory: Path) -> Sequence[str]:
    compose = [
        str(path)
        for names in _COMPOSE_NAMES
        for suffix in _COMPOSE_SUFFIXES
        for path in sorted(directory.glob(names + suffix))
    ]
    for place in (directory, directory / "config" / "proxy"):
        for whole in ("nginx.conf", *("nginx.conf" + suffix for suffix in TEMPLATES)):
            if (place / whole).is_file():
                return [str(place / whole), *compose]
        snippets = _snippets(place, (".conf",)) or _snippets(place, TEMPLATES)
        if snippets:
            return [*snippets, *compose]
    return compose


def _snippets(place: Path, suffixes: Sequence[str]) -> list[str]:
    return [
        str(path)
        for folder in (place, place / "conf.d", place / "templates")
        for suffix in suffixes
        for path in sorted(folder.glob("*" + suffix))
        if path.is_file()
    ]

"""Sort the files that ``check`` gets into nginx and compose files; report what does not parse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import NginxConfigError
from ..nginx.statements import NginxFiles, StrPath, find_nginx_files, is_tree, read_files, walk
from ..write import was_edited
from .rules import Finding, Findings, Spot, finding, listed

_COMPOSE_SUFFIXES = (".yml", ".yaml")
_COMPOSE_NAMES = ("docker-compose*", "compose*")


@dataclass(frozen=True)
class Files:
    """The nginx and docker-compose files that the paths name, each once.

    `directories` are the paths that are directories; `trees` are those that hold components.
    """

    nginx: tuple[str, ...]
    compose: tuple[str, ...]
    directories: tuple[Path, ...] = ()
    trees: tuple[Path, ...] = ()


def find_files(paths: Iterable[StrPath]) -> Files:
    """Find the files that the paths name: YAML is for docker-compose, the rest is for nginx."""
    paths = list(paths)
    nginx: list[str] = []
    compose: list[str] = []
    for path in paths:
        found = find_nginx_files(path)
        # In a tree, the compose file of each component holds a part of the proxy.
        if Path(path).is_dir() and not is_tree(path):
            found += _compose_in(Path(path))
        for each in found:
            (compose if each.lower().endswith(_COMPOSE_SUFFIXES) else nginx).append(each)
    for each in nginx:
        if each.lower().endswith(".toml"):
            raise NginxConfigError(
                f"{each!r} looks like a topology; pass it with --topology, and the nginx files "
                "to compare it with"
            )
    if not nginx:
        raise NginxConfigError(
            f"no nginx file in {', '.join(map(str, paths)) or 'the paths'}; give nginx.conf, the "
            "files in conf.d, or the directory that holds them"
        )
    return Files(
        tuple(dict.fromkeys(nginx)),
        tuple(dict.fromkeys(compose)),
        tuple(Path(path) for path in paths if Path(path).is_dir()),
        tuple(Path(path) for path in paths if is_tree(path)),
    )


def _compose_in(directory: Path) -> list[str]:
    return [
        str(path)
        for names in _COMPOSE_NAMES
        for suffix in _COMPOSE_SUFFIXES
        for path in sorted(directory.glob(names + suffix))
    ]


def unreadable_findings(files: NginxFiles, given: Sequence[str]) -> Findings:
    """Report what could not be read."""
    for error in files.errors:
        yield _unreadable(error, files, Spot(error.file or given[0], error.line or 1))


def _unreadable(error: NginxConfigError, files: NginxFiles, spot: Spot) -> Finding:
    if error.missing is not None:
        return finding(
            "include",
            spot,
            f"the included file {error.missing!r} does not exist here, so its contents were not "
            "checked. Where nginx runs it must exist, or nginx does not start",
            "put the file beside nginx.conf, or run check where nginx runs ('nginx -T' prints "
            "all files)",
        )
    place = f"{error.file}, line {error.line}: " if error.line else f"{error.file}: "
    problem = error.message.removeprefix(place)
    if error.file in files.steered:
        return finding(
            "placeholder",
            spot,
            f"{problem}: the template cannot be read before it is filled in, so a part of it was "
            "not checked",
            "check the file that it makes ('nginx -T' prints it)",
        )
    return finding(
        "syntax",
        spot,
        f"{problem}: nginx does not start with this file, and on a reload it silently keeps the "
        "old configuration",
        "fix the line; 'nginx -t' says more",
    )


def open_findings(files: NginxFiles, found: Sequence[Finding]) -> Findings:
    """Report template variables without a value, unless another finding does."""
    for file, names in files.open_names.items():
        known = " ".join(each.message for each in found if each.file == file)
        missing = [name for name in names if name not in known]
        if missing:
            yield finding(
                "placeholder",
                Spot(file, 1),
                f"{listed(missing)}: no value is known here, so what depends on it was not checked",
                "give the file that has the values with --env FILE, or check the file that the "
                "template makes",
                severity="note",
            )


def edited_findings(given: Files, files: NginxFiles) -> Findings:
    """Report files that `render` wrote and a person edited since."""
    for file in dict.fromkeys([*given.nginx, *given.compose, *_files_of(files)]):
        if Path(file + ".template").exists():
            continue  # it was filled in
        try:
            edited = was_edited(Path(file).read_bytes())
        except OSError:
            continue  # reported as unreadable
        if edited:
            yield finding(
                "edited",
                Spot(file, 1),
                "'pavics-affinity render' wrote this file, and it was edited since: it no longer "
                "does what the topology says, and the next render refuses to replace it",
                "put the change into the topology, and run render again with --force",
            )


def count_files(paths: Iterable[StrPath]) -> int:
    """Return the number of files that the paths name or include."""
    given = find_files(paths)
    return len({*given.nginx, *given.compose, *_files_of(read_files(given.nginx))})


def _files_of(files: NginxFiles) -> Iterator[str]:
    return (statement.file for statement in walk(files.statements))

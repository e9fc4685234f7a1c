"""Directories of components: a site's files and templates before they are mounted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from ...errors import NginxConfigError
from .environment import Environment, open_names
from .parsing import TEMPLATES

_DEFAULTS = "default.env"
_LOCAL = "env.local"
_MOST_FILES = 20_000
_MAIN = "nginx.conf"


class Tree:
    """The directories that a user gave, and the values of their templates.

    `environment` are the user's files; they come after the tree's ``default.env`` and
    ``env.local``. If a variable such as ``EXTRA_CONF_DIRS`` lists the directories in use, the
    others are not read.
    """

    def __init__(self, roots: Iterable[Path] = (), environment: Sequence[str] = ()) -> None:
        self.roots = tuple(roots)
        self._given = tuple(environment)
        self._base = next((found for root in self.roots if (found := _base_of(root))), None)
        self._open: dict[str, tuple[str, ...]] = {}

    # ---- values ----

    @cached_property
    def _read(self) -> tuple[Environment, tuple[Path, ...]]:
        """The values, and the directories in use; none if no list of them is known."""
        values = Environment()
        local = [self._base / _LOCAL] if self._base is not None else []
        given = [Path(name) for name in self._given]
        if self._base is not None:
            _read_into(values, self._base / _DEFAULTS)
        for file in (*local, *given):
            _read_into(values, file, must_exist=file in given)
        used: dict[Path, None] = {}
        if self._base is not None:
            for word in values.words("CONF_DIRS"):
                self._use(word, values, used)
            if not used:
                for file in sorted(self._base.glob(f"**/{_DEFAULTS}")):
                    _read_into(values, file)
        for file in (*local, *given):
            _read_into(values, file)
        return values, tuple(used)

    def _use(self, word: str, values: Environment, used: dict[Path, None]) -> None:
        """Read the defaults of a component, after the defaults of those that it needs."""
        assert self._base is not None  # noqa: S101 - its caller looked
        directory = self._base / word
        if directory in used or not directory.is_dir():
            return
        used[directory] = None
        own = Environment()
        _read_into(own, directory / _DEFAULTS)
        for needed in own.words("COMPONENT_DEPENDENCIES"):
            self._use(needed, values, used)
        _read_into(values, directory / _DEFAULTS)

    def fill(self, file: str, text: str) -> str:
        """Fill in the values of a template that are known; note the others."""
        values = self._read[0]
        if not file.lower().endswith(TEMPLATES) or not values:
            return text
        filled = values.fill(text)
        self._open[file] = tuple(open_names(filled))
        return filled

    def is_filled(self, file: str) -> bool:
        """Return whether nothing in a template is left to fill in."""
        return self._open.get(file) == ()

    @property
    def open_names(self) -> Mapping[str, tuple[str, ...]]:
        """The variables of templates that have no value, by file."""
        return {file: names for file, names in self._open.items() if names}

    # ---- files ----

    @cached_property
    def _files(self) -> dict[Path, Path]:
        """Each file by its name without the template's suffix; a rendered file wins."""
        used = self._read[1]
        found: dict[Path, Path] = {}
        for file in _walk(used or self.roots):
            if file.suffix in TEMPLATES:
                found.setdefault(file.with_suffix(""), file)
            else:
                found[file] = file
        return found

    def mounted(self, path: str) -> list[str]:
        """Return the files for a path or pattern below ``/etc/nginx`` of the container.

        The directory ``conf.d`` of a component may be mounted as ``conf.d``, or as
        ``conf.d/COMPONENT``.
        """
        first, *rest = path.split("/")
        if not rest:
            return []
        found: list[str] = []
        for name, file in sorted(self._files.items()):
            if first not in name.parent.parts:
                continue
            at = len(name.parts) - 1 - name.parts[::-1].index(first)
            below = name.parts[at + 1 :]
            if _fits(below, rest) or _fits(below, rest[1:]):
                found.append(str(file))
        return found


def find_in_tree(directory: Path) -> list[str]:
    """Return ``nginx.conf`` anywhere below a directory; else every ``*.conf``; or templates."""
    files: dict[Path, Path] = {}
    for file in _walk([directory]):
        name = file.with_suffix("") if file.suffix in TEMPLATES else file
        if name.suffix == ".conf" and (name not in files or file == name):
            files[name] = file
    main = [str(file) for name, file in sorted(files.items()) if name.name == _MAIN]
    return main or [str(file) for _, file in sorted(files.items())]


def _fits(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    return len(parts) == len(patterns) > 0 and all(map(fnmatchcase, parts, patterns))


def _walk(directories: Iterable[Path]) -> Iterator[Path]:
    left = _MOST_FILES
    for directory in directories:
        for place, folders, names in os.walk(directory):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            left -= len(names)
            if left < 0:
                raise NginxConfigError(
                    f"{str(directory)!r} holds more than {_MOST_FILES:,} files; give the directory "
                    "that holds nginx.conf",
                    file=str(directory),
                )
            yield from (Path(place) / name for name in sorted(names))


def _base_of(root: Path) -> Path | None:
    """Return the uppermost directory with values, at most three levels below a root."""
    for depth in range(4):
        pattern = "*/" * depth
        for name in (_LOCAL, _DEFAULTS):
            found = sorted(root.glob(pattern + name))
            if found:
                return found[0].parent
    return None


def _read_into(values: Environment, file: Path, *, must_exist: bool = False) -> None:
    try:
        values.read(file.read_text(encoding="utf-8", errors="replace"))
    except OSError as bad:
        if must_exist:
            raise NginxConfigError(
                f"cannot read the values of templates in {str(file)!r}: {bad.strerror or bad}. "
                "Make the file readable",
                file=str(file),
            ) from bad

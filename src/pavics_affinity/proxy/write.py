"""Write rendered files: each one whole, and never over a file that render did not write."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from ..errors import AffinityError

_STAMP = "# Written by pavics-affinity render; edit the topology instead. sha256:"
_HEADER = re.compile(rf"{re.escape(_STAMP)}(?P<sum>[0-9a-f]{{64}})\n")
# nginx reads every file in it, so a file that is no longer rendered must be removed.
_READ_BY_NGINX = ("config/proxy/conf.d", "config/proxy/conf.extra-directives.d")


class NotOurs(AffinityError, FileExistsError):
    """A file exists that ``render`` did not write, or that was edited since."""

    files: list[str]


class Changes(NamedTuple):
    """The changes that writing made, or would make, by relative paths."""

    written: tuple[str, ...]  # with a new text
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]  # of an earlier call, and no longer rendered
    replaced: tuple[str, ...]  # written, and existed before
    foreign: tuple[str, ...]  # not written by render, but nginx reads them
    diff: str  # all changes, in the unified form


def stamped(text: str) -> str:
    """Return the text below a line with its checksum, by which a later edit is noticed."""
    return f"{_STAMP}{_sum(text)}\n{text}"


def is_ours(content: bytes) -> bool:
    """Return whether `write` wrote a file's content and it was not edited since."""
    return _is_intact(content) is True


def was_edited(content: bytes) -> bool:
    """Return whether `write` wrote a file's content, and it was edited since."""
    return _is_intact(content) is False


def _is_intact(content: bytes) -> bool | None:
    """Return whether content matches the checksum in its first line; None without one."""
    text = content.decode(errors="replace")
    head = _HEADER.match(text)
    return None if head is None else head["sum"] == _sum(text[head.end() :])


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def compare(files: Mapping[str, str], directory: str | os.PathLike[str]) -> Changes:
    """Return what `write` would do; the directory need not exist."""
    root = Path(directory)
    written, unchanged, replaced, diff = [], [], [], []
    for name, text in files.items():
        new, old = stamped(text), _read(root / name)
        if old == new.encode():
            unchanged.append(name)
            continue
        written.append(name)
        if old is not None:
            replaced.append(name)
        diff += _diff(name, old, new)
    removed, foreign = [], []
    for path in sorted(each for place in _READ_BY_NGINX for each in (root / place).glob("*.conf")):
        name, old = path.relative_to(root).as_posix(), _read(path) or b""
        if name in files:
            continue
        if is_ours(old):
            removed.append(name)
            diff += _diff(name, old, None)
        else:
            foreign.append(name)
    return Changes(
        written=tuple(written),
        unchanged=tuple(unchanged),
        removed=tuple(removed),
        replaced=tuple(replaced),
        foreign=tuple(foreign),
        diff="".join(diff),
    )


def write(
    files: Mapping[str, str], directory: str | os.PathLike[str], *, force: bool = False
) -> Changes:
    """Write rendered files, given by relative path, into a directory that may not exist yet.

    Raises `NotOurs` before anything is written, if one of them exists that render did not write,
    or that was edited since; `force` replaces it. A file that an earlier call wrote and that is
    no longer rendered is removed where nginx would still read it. Raises `AffinityError` if the
    directory cannot be written to; no file is left incomplete.
    """
    root = Path(directory)
    try:
        changes = compare(files, root)
        if not force:
            _refuse_foreign(root, changes.written)
        write_whole(root, {name: stamped(files[name]) for name in changes.written})
        for name in changes.removed:
            (root / name).unlink(missing_ok=True)
    except OSError as bad:
        if isinstance(bad, AffinityError):
            raise
        raise AffinityError(
            f"cannot write to {str(root)!r}: {bad}. No file is half-written. Give a directory "
            "that you may write to"
        ) from bad
    return changes


def _refuse_foreign(root: Path, names: Iterable[str]) -> None:
    foreign = [name for name in names if (old := _read(root / name)) and not is_ours(old)]
    if foreign:
        raise NotOurs(
            f"{', '.join(str(root / name) for name in foreign)}: render did not write this, or it "
            "was edited since. Nothing was written. Look at the difference (--diff), then move "
            "the files away or overwrite them (--force)",
            files=foreign,
        )


def write_whole(root: Path, texts: Mapping[str, str]) -> None:
    """Write each text under another name, and rename them when all could be written."""
    ready: list[tuple[Path, Path]] = []
    try:
        for name, text in texts.items():
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            ready.append((Path(temporary), target))
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
            Path(temporary).chmod(0o644)
        for temporary_path, target in ready:
            temporary_path.replace(target)
    finally:
        for temporary_path, _ in ready:
            temporary_path.unlink(missing_ok=True)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _diff(name: str, old: bytes | None, new: str | None) -> list[str]:
    lines = difflib.unified_diff(
        (old or b"").decode(errors="replace").splitlines(keepends=True),
        (new or "").splitlines(keepends=True),
        "/dev/null" if old is None else f"a/{name}",
        "/dev/null" if new is None else f"b/{name}",
    )
    return [line if line.endswith("\n") else line + "\n" for line in lines]

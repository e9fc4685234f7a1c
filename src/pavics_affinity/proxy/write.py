"""Puts rendered files in place: each whole, none over what somebody else wrote."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import AffinityError

_HEADER = re.compile(
    r"# Written by pavics-affinity render; edit the topology instead\. sha256:(?P<sum>[0-9a-f]{64})"
    r"\n"
)
_KEPT_CLEAN = ("config/proxy/conf.d",)
"""Directories of which nginx reads every file: one that is rendered no longer must go."""


class NotOurs(AffinityError, FileExistsError):
    """A file stands in the way that ``render`` did not write, or that was edited since.

    Attributes
    ----------
    files : list of str
        Their paths.
    """

    files: list[str]


@dataclass(frozen=True)
class Changes:
    """What writing did, or would do; paths are relative.

    Attributes
    ----------
    written, unchanged, removed : tuple of str
        Files of which the text is new; that had it already; that were rendered before
        and are no more.
    replaced : tuple of str
        Those of `written` that were there before.
    foreign : tuple of str
        Files that nginx reads as well, and that are not render's.
    diff : str
        The same as a unified diff.
    """

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]
    replaced: tuple[str, ...]
    foreign: tuple[str, ...]
    diff: str


def stamped(text: str) -> str:
    """Return the text below a line by which it is known as rendered and unedited."""
    checksum = hashlib.sha256(text.encode()).hexdigest()
    line = "# Written by pavics-affinity render; edit the topology instead."
    return f"{line} sha256:{checksum}\n{text}"


def is_ours(content: bytes) -> bool:
    """Tell whether a file's content was written by `write`, and not edited since."""
    return _is_intact(content) is True


def was_edited(content: bytes) -> bool:
    """Tell whether a file's content was written by `write`, and edited since."""
    return _is_intact(content) is False


def _is_intact(content: bytes) -> bool | None:
    """Tell whether content fits the checksum in its first line; None without one."""
    text = content.decode(errors="replace")
    head = _HEADER.match(text)
    return None if head is None else head["sum"] == _sum(text[head.end() :])


def compare(files: Mapping[str, str], directory: str | os.PathLike[str]) -> Changes:
    """Tell what `write` would do.

    Parameters
    ----------
    files : mapping of str to str
        Text by relative path, as `render` gives it.
    directory : path
        Where they belong; it need not be there.
    """
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
    removed: list[str] = []
    foreign: list[str] = []
    for name in _left_over(root, files):
        (removed if is_ours(_read(root / name) or b"") else foreign).append(name)
    for name in removed:
        diff += _diff(name, _read(root / name), None)
    return Changes(
        tuple(written),
        tuple(unchanged),
        tuple(removed),
        tuple(replaced),
        tuple(foreign),
        "".join(diff),
    )


def write(
    files: Mapping[str, str], directory: str | os.PathLike[str], *, force: bool = False
) -> Changes:
    """Put rendered files in place.

    Every file is written whole beside its place and then moved there, after all of them
    could be written. A file that an earlier call wrote into ``conf.d``, and that is rendered
    no more, is removed: nginx would go on reading it.

    Parameters
    ----------
    files : mapping of str to str
        Text by relative path, as `render` gives it.
    directory : path
        Where they go; made if it is not there.
    force : bool, default False
        Replace files that something else wrote, or somebody edited.

    Returns
    -------
    Changes

    Raises
    ------
    NotOurs
        Such a file is in the way. Nothing was written.
    AffinityError
        The directory cannot be written to. No file is half-written.
    """
    root = Path(directory)
    try:
        changes = compare(files, root)
        if not force:
            _refuse_foreign(root, changes.written)
        _put(root, {name: stamped(files[name]) for name in changes.written})
        for name in changes.removed:
            (root / name).unlink(missing_ok=True)
    except OSError as bad:
        if isinstance(bad, AffinityError):
            raise
        raise AffinityError(
            f"cannot write to {str(root)!r}: {bad}; no file is half-written"
        ) from bad
    return changes


def _refuse_foreign(root: Path, names: Iterable[str]) -> None:
    foreign = [
        name
        for name in names
        if (old := _read(root / name)) is not None and old and not is_ours(old)
    ]
    if foreign:
        raise NotOurs(
            f"{', '.join(str(root / name) for name in foreign)}: not written by render, or edited "
            "since; look at the difference (--diff), then move the files away or overwrite them "
            "(--force). Nothing was written",
            files=foreign,
        )


def _put(root: Path, texts: Mapping[str, str]) -> None:
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


def _left_over(root: Path, files: Mapping[str, str]) -> list[str]:
    return [
        f"{directory}/{path.name}"
        for directory in _KEPT_CLEAN
        for path in sorted((root / directory).glob("*.conf"))
        if f"{directory}/{path.name}" not in files
    ]


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _diff(name: str, old: bytes | None, new: str | None) -> list[str]:
    before = [] if old is None else old.decode(errors="replace").splitlines(keepends=True)
    after = [] if new is None else new.splitlines(keepends=True)
    lines = difflib.unified_diff(
        before,
        after,
        "/dev/null" if old is None else f"a/{name}",
        "/dev/null" if new is None else f"b/{name}",
    )
    return [line if line.endswith("\n") else line + "\n" for line in lines]


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

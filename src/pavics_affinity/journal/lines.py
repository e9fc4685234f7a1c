"""A file of JSON lines that survives a power cut."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakSet

from ..errors import JournalError, JournalLocked

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

FORMAT = 1
"""The format of the journals of workflows and batches."""

_OPEN: WeakSet[Lines] = WeakSet()
_LEVELS = 16
_AFTER_FAILURE = b'\n{"event": "resume", "after": "a write that failed"}\n'
"""Written before the next line if a full disk left the last one torn."""


def _after_fork() -> None:
    for lines in list(_OPEN):
        lines.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Lines:
    """A file of JSON lines that one object of one process at a time may have open."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor: int | None = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise JournalError(
                f"the journal {self.path} cannot be opened: {error}. Use a file that you may write"
            ) from error
        if not _lock(self._descriptor):
            os.close(self._descriptor)
            self._descriptor = None
            raise JournalLocked(
                f"another process writes the journal {self.path}{_writer(self.path)}; wait until "
                "it has ended, or use another file"
            )
        size = os.fstat(self._descriptor).st_size
        self.empty = size == 0
        # A line that a power cut left torn stays; `read_lines` recognises it by the next one.
        os.lseek(self._descriptor, max(0, size - 1), os.SEEK_SET)
        torn = not self.empty and os.read(self._descriptor, 1) != b"\n"
        self._before = b"\n" if torn else b""
        if self.empty:
            _sync_directory(self.path.parent)
        _OPEN.add(self)

    def begin(self, **header: Any) -> None:
        """Write the first line of a journal."""
        self.append({"event": "begin", "format": FORMAT, **header, **_writer_now()})

    def resume(self) -> None:
        """Write that this process continues a journal."""
        self.append({"event": "resume", **_writer_now()})

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write an entry, and return when it is on the disk."""
        line = json.dumps(dict(entry), ensure_ascii=False, allow_nan=False, default=str)
        data = self._before + line.encode("utf-8", "backslashreplace") + b"\n"
        with self._lock:
            if self._descriptor is None:
                raise JournalError(
                    f"the journal {self.path} is closed, or belongs to the process that this one "
                    "was forked from. Make a workflow in this process, with another journal"
                )
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
                os.fsync(self._descriptor)
            except OSError as error:
                self._before = _AFTER_FAILURE
                raise JournalError(
                    f"the journal {self.path} cannot be written: {error}. Make room for it; "
                    "then the workflow can continue"
                ) from error
            self._before = b""

    def close(self) -> None:
        """Release the file. Safe to call twice."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)

    def leave_to_parent(self) -> None:
        """Close the copy in a forked child, which would hold the lock longer than the parent."""
        self._lock = threading.Lock()
        self.close()


def read_lines(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read the entries of a file of JSON lines.

    A line that a crash or a full disk left torn is skipped if it is the last one, or if
    the next entry is a ``resume``. Other damage raises `JournalError`.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise JournalError(
            f"the journal {os.fspath(path)!r} cannot be read: {error}. Check the path"
        ) from error
    entries: list[dict[str, Any]] = []
    torn: int | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        entry = _parsed(line)
        if entry is None or not isinstance(entry.get("event"), str):
            torn = torn or number
            continue
        if torn is not None and entry["event"] != "resume":
            raise JournalError(
                f"line {torn} of the journal {os.fspath(path)!r} is damaged, and other lines "
                "follow, so another program has changed the file. Delete the line if you know what "
                "it was"
            )
        torn = None
        entries.append(entry)
    return entries


def check_format(header: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Raise `JournalError` if a journal's first line names another format."""
    if header.get("format") != FORMAT:
        raise JournalError(
            f"{os.fspath(path)!r} has format {header.get('format')!r}; this version reads "
            f"{FORMAT}. Resume it with the version of pavics-affinity that wrote it, or "
            "use another file"
        )


def checked(
    entry: Mapping[str, Any],
    kinds: Mapping[str, Callable[[Any], bool]],
    path: str | os.PathLike[str],
) -> None:
    """Raise `JournalError` if this package cannot have written a value of an entry."""
    for key, is_possible in kinds.items():
        if key in entry and not is_possible(entry[key]):
            raise JournalError(
                f"the journal {os.fspath(path)!r} is damaged: in an entry {entry['event'][:40]!r}, "
                f"{key} is {str(entry[key])[:80]!r}. Another program has changed the file; restore "
                "it from a copy"
            )


def is_text(value: Any) -> bool:
    """Return whether a value is a text or None."""
    return value is None or isinstance(value, str)


def is_number(value: Any) -> bool:
    """Return whether a value is a whole number above 0, and not absurdly large."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53


def is_moment(value: Any) -> bool:
    """Return whether a value is None, or seconds since the epoch up to the year 9999."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (number and 0 <= value < 253_402_300_800)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the object on a line; None if the line is not one, or is nested too deeply."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and _is_shallow(entry, _LEVELS) else None


def _is_shallow(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(each, levels - 1) for each in inner)


def _writer_now() -> dict[str, Any]:
    return {"time": time.time(), "pid": os.getpid()}


def _writer(path: Path) -> str:
    """Return the process that wrote a journal last, for a message."""
    with contextlib.suppress(JournalError):
        for entry in reversed(read_lines(path)):
            if "pid" in entry:
                return f" (process {entry['pid']}, it seems)"
    return ""


def _lock(descriptor: int) -> bool:
    """Lock the file until the descriptor is closed or the process ends."""
    try:
        if sys.platform == "win32":
            # Far behind the end, so that others can read the file.
            os.lseek(descriptor, 1 << 40, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync_directory(path: Path) -> None:
    """Sync the directory, too, on systems that can, so that the file's name is on the disk."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

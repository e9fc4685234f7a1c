"""A workflow's journal: what is needed to find its jobs again after a crash.

JSON lines, each written whole and synced to the disk before the program goes
on; never rewritten. Before an Execute leaves there is a line ``sending``; what
became of it follows: ``accepted`` with the status location, ``ended``,
``refused``, ``not sent`` or ``unknown``. A ``sending`` that nothing follows may
have run, or not.

There are no credentials in it, no inputs, and of a URL neither user information
nor what looks like a token. The result of a synchronous execution is in its
answer only, so a small one is kept, without the inputs that it may repeat. The
file is readable by its owner alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from weakref import WeakSet

from .errors import AffinityWarning, JournalError, JournalLocked
from .record import Step

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

FORMAT = 1
LARGEST_ANSWER = 64 * 1024
"""Bytes; a larger answer of a synchronous execution is not kept."""

_SECRET = re.compile(
    r"token|secret|passw|pwd|sig|auth|cred|key|session|jwt|policy|x-amz-|access", re.IGNORECASE
)
_TOKEN = re.compile(r"^eyJ[\w-]+\.[\w-]+\.")
_LINKS = re.compile(rb"""(?:href|statusLocation|serviceInstance)\s*=\s*["']([^"']*)["']""")
_INPUTS = re.compile(rb"<(?:\w+:)?DataInputs\b")


@dataclass
class Contents:
    """What a journal says.

    Attributes
    ----------
    machineid : str
        The workflow's.
    begin : mapping
        The first line: what the workflow was made with.
    steps : list of Step
        What was executed, in order of sending; a step whose fate the journal
        does not tell is ``"unknown"``.
    """

    machineid: str
    begin: Mapping[str, Any]
    steps: list[Step] = field(default_factory=list)

    @property
    def node(self) -> str | None:
        """Node of the first step that may have run; else that the workflow was given."""
        for step in self.steps:
            if step.ran and step.node is not None:
                return step.node
        return self.begin.get("node")


_OPEN: WeakSet[Lines] = WeakSet()


def _after_fork() -> None:
    for lines in list(_OPEN):
        lines.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Lines:
    """A file of JSON lines that one process at a time appends to.

    Parameters
    ----------
    path : str or path
        The file; made, with its directory, where it is missing.

    Raises
    ------
    JournalLocked
        Another process, or another object of this one, writes it.
    JournalError
        It cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor: int | None = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise JournalError(f"the journal {self.path} cannot be opened: {error}") from error
        if not _lock(self._descriptor):
            os.close(self._descriptor)
            self._descriptor = None
            raise JournalLocked(
                f"another process writes the journal {self.path}{_writer(self.path)}; wait until "
                "it has ended, or take another file"
            )
        size = os.fstat(self._descriptor).st_size
        self.empty = size == 0
        # A line that a power cut left torn stays, and is told apart by what follows.
        os.lseek(self._descriptor, max(0, size - 1), os.SEEK_SET)
        torn = not self.empty and os.read(self._descriptor, 1) != b"\n"
        self._before = b"\n" if torn else b""
        if self.empty:
            _sync_directory(self.path.parent)
        _OPEN.add(self)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write an entry, and return when it is on the disk.

        Raises
        ------
        JournalError
            It cannot be written, or the journal is closed.
        """
        line = json.dumps(dict(entry), ensure_ascii=False, allow_nan=False, default=str)
        data = self._before + line.encode("utf-8", "backslashreplace") + b"\n"
        with self._lock:
            if self._descriptor is None:
                raise JournalError(
                    f"the journal {self.path} is closed, or belongs to the process that this one "
                    "was forked from"
                )
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
                os.fsync(self._descriptor)
            except OSError as error:
                self._before = b"\n"
                raise JournalError(f"the journal {self.path} cannot be written: {error}") from error
            self._before = b""

    def close(self) -> None:
        """Let others have the file. May be repeated."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)

    def leave_to_parent(self) -> None:
        """Close a forked child's copy, which would hold the lock longer than the parent lives."""
        self._lock = threading.Lock()
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Journal(Lines):
    """The journal of one workflow.

    Parameters
    ----------
    path : str or path
        The file.
    """

    @classmethod
    def create(cls, path: str | os.PathLike[str], begin: Mapping[str, Any]) -> Journal:
        """Begin a journal.

        Parameters
        ----------
        path : str or path
            A file that is missing or empty.
        begin : mapping
            What the workflow is made with; what JSON can hold.

        Raises
        ------
        JournalError
            There is something in the file.
        JournalLocked
            Another process writes it.
        """
        journal = cls(path)
        if not journal.empty:
            journal.close()
            raise JournalError(
                f"there is something in {journal.path} already; go on with it by "
                f"Workflow.resume({os.fspath(path)!r}), or take another file"
            )
        journal.append({"event": "begin", "format": FORMAT, **begin, **_who()})
        return journal

    @classmethod
    def go_on(cls, path: str | os.PathLike[str]) -> tuple[Journal, Contents]:
        """Open an existing journal and read it.

        Raises
        ------
        JournalError
            It is missing, or no journal.
        JournalLocked
            Another process writes it.
        """
        if not Path(path).is_file():
            raise JournalError(f"there is no journal {os.fspath(path)!r}")
        journal = cls(path)
        try:
            contents = read(path)
            journal.append({"event": "resume", **_who()})
        except BaseException:
            journal.close()
            raise
        return journal, contents

    def note(self, event: str, step: Step, answer: bytes | None = None) -> None:
        """Write what happened to a step; what `Steps.listener` takes.

        Raises
        ------
        JournalError
            What is about to be sent cannot be noted. Later events are warned of
            only: their job runs.
        """
        entry: dict[str, Any] = {"event": event, "step": step.number, "time": time.time()}
        if event == "sending":
            entry |= {
                "api": step.api,
                "process": step.process,
                "service": step.service,
                "node": step.node,
                "machineid": step.machineid,
                "digest": step.digest,
            }
        elif event == "accepted":
            location, cut = without_tokens(step.location or "")
            entry |= {"node": step.node, "location": location} | ({"cut": True} if cut else {})
        elif event == "ended":
            kept = None if answer is None else _keepable(answer)
            references = {name: without_tokens(url) for name, url in step.outputs.items()}
            entry |= {
                "node": step.node,
                "state": step.state,
                "outputs": {name: url for name, (url, cut) in references.items() if not cut},
            } | ({} if kept is None else {"answer": kept})
        try:
            self.append(entry)
        except JournalError as error:
            if event == "sending":
                raise JournalError(
                    f"{error}; nothing was sent", machineid=step.machineid, node=step.node
                ) from error
            warnings.warn(
                f"{error}; what became of {step.process!r} is not in it", AffinityWarning, 2
            )


def read(path: str | os.PathLike[str]) -> Contents:
    """Read a workflow's journal, also while another process writes it.

    Raises
    ------
    JournalError
        It cannot be read, is damaged, or of another kind or format.
    """
    entries = read_lines(path)
    begin = entries[0] if entries else {}
    if begin.get("event") != "begin" or not isinstance(begin.get("machineid"), str):
        raise JournalError(
            f"{os.fspath(path)!r} does not begin as a workflow's journal; if it is new and was "
            "cut short, nothing was sent: delete it and start anew"
        )
    if begin.get("format") != FORMAT:
        raise JournalError(
            f"{os.fspath(path)!r} has format {begin.get('format')!r}; this version reads {FORMAT}"
        )
    contents = Contents(begin["machineid"], begin)
    steps: dict[int, Step] = {}
    for entry in entries:
        number = entry.get("step")
        if not isinstance(number, int):
            continue
        if entry["event"] == "sending":
            contents.machineid = entry.get("machineid") or contents.machineid
            steps.setdefault(number, Step(number, "", "", recalled=True))
        if number in steps:
            _apply(steps[number], entry)
    contents.steps = [steps[number] for number in sorted(steps)]
    for step in contents.steps:
        if step.state == "sending":
            step.state = "unknown"
            step.message = "the program ended before it heard of an answer"
    return contents


def read_lines(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read the entries of a file of JSON lines.

    A last line that a crash left torn is passed over, also where a later process
    went on after it (its first entry is a ``resume``).

    Raises
    ------
    JournalError
        It cannot be read, or is damaged elsewhere.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise JournalError(f"the journal {os.fspath(path)!r} cannot be read: {error}") from error
    entries: list[dict[str, Any]] = []
    torn: int | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or not isinstance(entry.get("event"), str):
            torn = torn or number
            continue
        if torn is not None and entry["event"] != "resume":
            raise JournalError(
                f"line {torn} of the journal {os.fspath(path)!r} is damaged, and more follows: "
                "something else has changed the file. Delete the line if you know what it was"
            )
        torn = None
        entries.append(entry)
    return entries


def without_tokens(url: str) -> tuple[str, bool]:
    """Return a URL without user information and what looks like a secret in its query.

    Parameters
    ----------
    url : str
        A status location or an output.

    Returns
    -------
    (str, bool)
        The URL, and whether its query lost something.
    """
    try:
        parts = urlsplit(url)
        given = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return "", True
    kept = [(k, v) for k, v in given if not _SECRET.search(k) and not _TOKEN.match(v)]
    cut = len(kept) < len(given)
    query = urlencode(kept) if cut else parts.query
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, query, "")), cut


def _apply(step: Step, entry: Mapping[str, Any]) -> None:
    event, moment = entry["event"], entry.get("time")
    step.node = entry.get("node", step.node)
    if event == "sending":
        step.api = "ogcapi" if entry.get("api") == "ogcapi" else "wps"
        step.process, step.service = str(entry.get("process")), str(entry.get("service"))
        step.digest, step.machineid = str(entry.get("digest")), str(entry.get("machineid"))
        step.state, step.started, step.ended = "sending", moment or 0.0, None
    elif event == "accepted":
        step.state = "accepted"
        if entry.get("cut"):
            step.message = "its status location held a token, which was not kept"
        else:
            step.location = entry.get("location")
    elif event == "ended":
        step.state = "failed" if entry.get("state") == "failed" else "succeeded"
        step.ended, step.outputs = moment, dict(entry.get("outputs") or {})
        answer = entry.get("answer")
        step.answer = answer.encode() if isinstance(answer, str) else None
    elif event == "not sent":
        step.state, step.ended = "not sent", moment
    elif event == "refused":
        step.state, step.ended = "refused", moment
    elif event == "unknown":
        step.state, step.ended = "unknown", moment
        step.message = "no answer came"


def _keepable(answer: bytes) -> str | None:
    """Return an answer as text, if it is small and holds neither inputs nor tokens."""
    if len(answer) > LARGEST_ANSWER or _INPUTS.search(answer):
        return None
    for link in _LINKS.findall(answer):
        text = link.decode("utf-8", "replace").replace("&amp;", "&")
        if without_tokens(text) != (text, False):
            return None
    with contextlib.suppress(UnicodeDecodeError):
        return answer.decode()
    return None


def _who() -> dict[str, Any]:
    return {"time": time.time(), "pid": os.getpid()}


def _writer(path: Path) -> str:
    """Say who seems to hold a journal."""
    with contextlib.suppress(JournalError):
        for entry in reversed(read_lines(path)):
            if "pid" in entry:
                return f" (process {entry['pid']}, it seems)"
    return ""


def _lock(descriptor: int) -> bool:
    """Take the file's lock, which ends with the descriptor or the process."""
    try:
        if sys.platform == "win32":
            # Far behind the end, so that others can read what is there.
            os.lseek(descriptor, 1 << 40, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync_directory(path: Path) -> None:
    """Have the file's name on the disk, too, where a directory can be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

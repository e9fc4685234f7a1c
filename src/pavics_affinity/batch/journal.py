"""The journal of a batch: a directory that keeps each finished result.

``results.jsonl`` has a line per item that ended: its key, and the value as JSON text.
Below ``chains`` each chain has the journal of its workflow, from which a later call
resumes it. The items are not stored: an item is recognised by the SHA-256 of its JSON text,
or of the text that the caller's ``key`` returns.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import InvalidRequest, JournalError
from ..journal import read
from ..journal.lines import Lines, check_format, checked, is_moment, is_text, read_lines
from .intake import Work
from .reporting import WorkflowResult, describe_error, short_repr
from .task import Outcome

Key = Callable[[Any], str]


def _is_json(value: Any) -> bool:
    try:
        json.loads(value)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


_DONE: Mapping[str, Callable[[Any], bool]] = {
    "value": _is_json,
    "node": is_text,
    "machineid": is_text,
    "started": is_moment,
    "ended": is_moment,
}


class BatchJournal:
    """The journal of one batch, which belongs to one chain function.

    `key` returns the text by which an item is recognised.
    """

    def __init__(self, directory: str | os.PathLike[str], chain: str, key: Key | None) -> None:
        self.directory = Path(directory).absolute()
        self.path = self.directory / "results.jsonl"
        self._key = key
        self._seen: Counter[str] = Counter()
        self._finished: dict[str, dict[str, Any]] = {}
        self._lines = Lines(self.path)
        try:
            self._open(chain)
        except BaseException:
            self._lines.close()
            raise

    def _open(self, chain: str) -> None:
        if self._lines.empty:
            self._lines.begin(chain=chain)
            return
        entries = read_lines(self.path)
        header = entries[0] if entries else {}
        if header.get("event") != "begin" or "chain" not in header:
            raise JournalError(
                f"{self.path} does not begin like a batch's journal; use another directory"
            )
        check_format(header, self.path)
        if header["chain"] != chain:
            raise JournalError(
                f"{self.directory} is the journal of chain {header['chain']!r}, not of {chain!r}: "
                "its values would be returned for the wrong chain. Use another directory"
            )
        for entry in entries:
            if entry["event"] == "done" and isinstance(entry.get("key"), str):
                checked({"value": None, **entry}, _DONE, self.path)
                self._finished[entry["key"]] = entry
        self._lines.resume()

    def look_up(self, work: Work) -> WorkflowResult | None:
        """Return the result of an item, or note what an earlier call began for it."""
        name = self._name(work.item)
        self._seen[name] += 1
        # Equal items are distinguished by their order.
        text = f"{name}\0{self._seen[name]}"
        work.key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        finished = self._finished.pop(work.key, None)
        if finished is not None:
            return WorkflowResult(
                item=work.item,
                value=json.loads(finished["value"]),
                node=finished.get("node"),
                machineid=str(finished.get("machineid")),
                started=finished.get("started") or 0.0,
                ended=finished.get("ended") or 0.0,
                number=work.number,
                recalled=True,
            )
        while self._file(work.key, work.files + 1).is_file():
            work.files += 1
        path = self._file(work.key, work.files)
        # If even the first line is incomplete, nothing was sent.
        if work.files and b"\n" in path.read_bytes():
            contents = read(path)
            if any(step.ran for step in contents.steps):  # else any node will do
                work.machineid, work.node = contents.machineid, contents.node
        return None

    def next_file(self, work: Work) -> Path:
        """Return the file for the chain's next attempt; a new workflow gets a new file."""
        if not work.is_resumed:
            work.files += 1
        return self._file(work.key, work.files)

    def end(self, work: Work, outcome: Outcome) -> Outcome:
        """Write an item's outcome, and return it as a later call will read it.

        Its value is converted to JSON and back, or replaced by an error if JSON cannot store it.
        """
        common = {"key": work.key, **outcome.run}
        if outcome.error is None:
            try:
                text = json.dumps(outcome.value, default=_plain)
            except (TypeError, ValueError, RecursionError) as problem:
                outcome = replace(outcome, value=None, error=_not_json(outcome.value, problem))
            else:
                self._lines.append({"event": "done", **common, "value": text})
                return replace(outcome, value=json.loads(text))
        name = type(outcome.error).__name__
        self._lines.append({"event": "failed", **common, "error": name})
        return outcome

    def close(self) -> None:
        """Release the directory. May be repeated."""
        self._lines.close()

    def _name(self, item: Any) -> str:
        if self._key is not None:
            name = self._key(item)
            if not isinstance(name, str) or not name:
                raise InvalidRequest(
                    f"key({short_repr(item)}) returned {name!r}: expected a text that is not empty"
                )
            return name
        try:
            return json.dumps(item, sort_keys=True, ensure_ascii=True, default=_plain)
        except (TypeError, ValueError, RecursionError) as problem:
            raise InvalidRequest(
                f"item {short_repr(item)} cannot be recognised in a later call ({problem}). With a "
                "journal, use items that JSON can store, or paths; or give key=, a function that "
                "returns a text for an item"
            ) from problem

    def _file(self, key: str, number: int) -> Path:
        suffix = f".{number}" if number > 1 else ""
        return self.directory / "chains" / key[:2] / f"{key}{suffix}.jsonl"


def _plain(value: object) -> str:
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    raise TypeError(f"JSON cannot store a {type(value).__name__}")


def _not_json(value: object, problem: Exception) -> JournalError:
    return JournalError(
        f"the chain ran, but its value {short_repr(value)} cannot be stored "
        f"({describe_error(problem)}); have it return what JSON can hold (text, numbers, lists, "
        "dicts) or a path, such as that of a file that it wrote. Called again with the same "
        "journal, map_workflows does not execute again what has succeeded"
    )

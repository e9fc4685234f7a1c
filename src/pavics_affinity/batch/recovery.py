"""The journal of a batch: a directory in which nothing that is finished gets lost.

``results.jsonl`` has a line per item that came to an end: its key, and the value as
JSON text. Below ``chains`` each chain has the journal of its workflow, from which a
later call takes up what ran. The items themselves are not in it: an item is known by
the SHA-256 of its JSON text, or of what the caller's ``key`` makes of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InvalidRequest, JournalError
from ..journal import Lines, checked, is_moment, is_text, read, read_lines
from .chains import in_words, short
from .result import WorkflowResult
from .task import Outcome

FORMAT = 1

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


@dataclass(frozen=True)
class Known:
    """A chain that an earlier call began.

    Attributes
    ----------
    machineid : str
        Its workflow's.
    node : str or None
        Where its files are.
    """

    machineid: str
    node: str | None


@dataclass
class _Place:
    """Where an item's chain keeps its journal."""

    key: str
    attempt: int


class Keep:
    """The journal of one batch.

    Parameters
    ----------
    directory : str or path
        Made if it is not there.
    chain : str
        The name of the chain function; a directory is one chain's.
    key : callable, optional
        Makes the text by which an item is known again.

    Raises
    ------
    JournalLocked
        Another process works on it.
    JournalError
        It belongs to another chain, is damaged, or cannot be written.
    """

    def __init__(self, directory: str | os.PathLike[str], chain: str, key: Key | None) -> None:
        self.directory = Path(directory).absolute()
        self.path = self.directory / "results.jsonl"
        self._key = key
        self._seen: Counter[str] = Counter()
        self._places: dict[int, _Place] = {}
        self._finished: dict[str, dict[str, Any]] = {}
        self._lines = Lines(self.path)
        try:
            self._begin(chain)
        except BaseException:
            self._lines.close()
            raise

    def _begin(self, chain: str) -> None:
        who = {"time": time.time(), "pid": os.getpid()}
        if self._lines.empty:
            self._lines.append({"event": "begin", "format": FORMAT, "chain": chain, **who})
            return
        entries = read_lines(self.path)
        begin = entries[0] if entries else {}
        if begin.get("event") != "begin" or "chain" not in begin:
            raise JournalError(f"{self.path} does not begin as a batch's journal; take another")
        if begin.get("format") != FORMAT:
            raise JournalError(
                f"{self.path} has format {begin.get('format')!r}; this version reads {FORMAT}"
            )
        if begin["chain"] != chain:
            raise JournalError(
                f"{self.directory} is the journal of chain {begin['chain']!r}, and this is "
                f"{chain!r}: its values would be taken for this one's. Take another directory"
            )
        for entry in entries:
            if entry["event"] == "done" and isinstance(entry.get("key"), str):
                checked({"value": None, **entry}, _DONE, self.path)
                self._finished[entry["key"]] = entry
        self._lines.append({"event": "resume", **who})

    def look_up(self, number: int, item: Any) -> WorkflowResult | Known | None:
        """Return what is known of an item: its result, that it was begun, or nothing.

        Raises
        ------
        InvalidRequest
            The item cannot be told from others.
        """
        name = self._name(item)
        self._seen[name] += 1
        # Equal items are told apart by their order.
        text = f"{name}\0{self._seen[name]}"
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        entry = self._finished.pop(key, None)
        if entry is not None:
            return WorkflowResult(
                item=item,
                value=json.loads(entry["value"]),
                node=entry.get("node"),
                machineid=str(entry.get("machineid")),
                started=entry.get("started") or 0.0,
                ended=entry.get("ended") or 0.0,
                number=number,
                recalled=True,
            )
        place = self._places[number] = _Place(key, self._last_attempt(key))
        path = self._path(place)
        if not place.attempt or b"\n" not in path.read_bytes():
            return None  # not even its first line is whole: nothing was sent
        contents = read(path)
        if not any(step.ran for step in contents.steps):
            return None  # nothing is lost by beginning anew, on whatever node
        return Known(contents.machineid, contents.node)

    def journal(self, number: int, *, fresh: bool) -> Path:
        """Return the file for the journal of a chain's next attempt.

        Parameters
        ----------
        number : int
            The item's.
        fresh : bool
            Whether it begins anew, rather than to go on with what is there.
        """
        place = self._places[number]
        if fresh:
            place.attempt += 1
        return self._path(place)

    def end(self, number: int, outcome: Outcome) -> Outcome:
        """Write what an item came to, and return it as it will be read again.

        Parameters
        ----------
        number : int
            The item's.
        outcome : Outcome
            Its value becomes what JSON makes of it; or an error, if JSON cannot.
        """
        place = self._places.pop(number, None)
        if place is None:
            return outcome  # it could not be told from others
        common = {
            "key": place.key,
            "node": outcome.node,
            "machineid": outcome.machineid,
            "started": outcome.started,
            "ended": outcome.ended,
        }
        if outcome.error is None:
            try:
                text = json.dumps(outcome.value, default=_plain)
            except (TypeError, ValueError, RecursionError) as problem:
                outcome = replace(outcome, value=None, error=_unkeepable(outcome.value, problem))
            else:
                self._lines.append({"event": "done", **common, "value": text})
                return replace(outcome, value=json.loads(text))
        said = type(outcome.error).__name__
        self._lines.append({"event": "failed", **common, "error": said})
        return outcome

    def close(self) -> None:
        """Let others have the directory. May be repeated."""
        self._lines.close()

    def _name(self, item: Any) -> str:
        if self._key is not None:
            name = self._key(item)
            if not isinstance(name, str) or not name:
                raise InvalidRequest(
                    f"key({short(item)}) gave {name!r}: expected a text that is not empty"
                )
            return name
        try:
            return json.dumps(item, sort_keys=True, ensure_ascii=True, default=_plain)
        except (TypeError, ValueError, RecursionError) as problem:
            raise InvalidRequest(
                f"item {short(item)} cannot be known again in a later call ({problem}): with a "
                "journal, items are what JSON can hold, or paths; or give key=, a function that "
                "makes a text of an item"
            ) from problem

    def _path(self, place: _Place) -> Path:
        suffix = f".{place.attempt}" if place.attempt > 1 else ""
        return self.directory / "chains" / place.key[:2] / f"{place.key}{suffix}.jsonl"

    def _last_attempt(self, key: str) -> int:
        attempt = 0
        while self._path(_Place(key, attempt + 1)).is_file():
            attempt += 1
        return attempt


def name_of(chain: Callable[..., Any]) -> str:
    """Return the name by which a chain function is known."""
    inner = getattr(chain, "func", chain)  # functools.partial
    return str(getattr(inner, "__qualname__", type(inner).__qualname__))


def _plain(value: object) -> str:
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    raise TypeError(f"a {type(value).__name__} is nothing that JSON can hold")


def _unkeepable(value: object, problem: Exception) -> JournalError:
    return JournalError(
        f"the chain ran, and its value {short(value)} cannot be kept ({in_words(problem)}); have "
        "it return what JSON can hold (text, numbers, lists, dicts) or a path, such as that of a "
        "file that it wrote. Called again with the same journal, it does not execute again what "
        "has succeeded"
    )

"""Write and read the journal of a workflow, which has entries for each Execute."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import JournalError, JournalWarning
from ..record import Step
from ..warn import warn
from .lines import Lines, check_format, checked, is_moment, is_number, is_text, read_lines
from .secrets import keepable, without_tokens


def _is_url(value: Any) -> bool:
    try:
        return value is None or (isinstance(value, str) and urlsplit(value).port != 0)
    except ValueError:
        return False


def _is_str(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(map(_is_str, value.values())))


def _are_paths(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_str, value.values()))


_BEGIN: Mapping[str, Callable[[Any], bool]] = {
    "node": is_text,
    "route": _is_str,
    "strict": lambda value: isinstance(value, bool),
    "header": _is_str,
    "topology": lambda value: isinstance(value, list) and all(map(_are_paths, value)),
}
_STEP: Mapping[str, Callable[[Any], bool]] = {
    "step": is_number,
    "time": is_moment,
    "node": is_text,
    "process": is_text,
    "service": _is_url,
    "machineid": is_text,
    "digest": is_text,
    "location": _is_url,
    "outputs": _are_texts,
    "answer": is_text,
}


@dataclass
class Contents:
    """The contents of a journal."""

    machineid: str
    begin: Mapping[str, Any]
    """The first line: the workflow's options."""
    steps: list[Step] = field(default_factory=list)
    """The steps in the order of sending; ``"unknown"`` if the journal has no outcome of one."""

    @property
    def node(self) -> str | None:
        """The node of the first step that may have run, or the one that the workflow asked for."""
        for step in self.steps:
            if step.ran and step.node is not None:
                return step.node
        return self.begin.get("node")


class Journal(Lines):
    """The journal of one workflow."""

    @classmethod
    def create(cls, path: str | os.PathLike[str], begin: Mapping[str, Any]) -> Journal:
        """Create a journal in a new or empty file; `begin` has the workflow's options."""
        journal = cls(path)
        if not journal.empty:
            journal.close()
            raise JournalError(
                f"{journal.path} already exists; continue it with "
                f"Workflow.resume({os.fspath(path)!r}), or use another file"
            )
        journal.begin(**begin)
        return journal

    @classmethod
    def reopen(cls, path: str | os.PathLike[str]) -> tuple[Journal, Contents]:
        """Open an existing journal and read it."""
        if not Path(path).is_file():
            raise JournalError(
                f"there is no journal {os.fspath(path)!r}. Check the path, or begin one with "
                "Workflow(journal=...)"
            )
        journal = cls(path)
        try:
            contents = read(path)
            journal.resume()
        except BaseException:
            journal.close()
            raise
        return journal, contents

    def note(self, event: str, step: Step, answer: bytes | None = None) -> None:
        """Write an event of a step; this is the listener of `Steps`.

        If it cannot be written, that raises before the step is sent. Later it only warns,
        because the job already runs.
        """
        entry = {"event": event, "step": step.number, "time": time.time()}
        entry |= _details(event, step, answer)
        try:
            self.append(entry)
        except JournalError as error:
            if event == "sending":
                raise JournalError(
                    f"{error.message}. Nothing was sent", machineid=step.machineid, node=step.node
                ) from error
            warn(f"{error.message}. It does not say how {step.process!r} ended", JournalWarning)


def _details(event: str, step: Step, answer: bytes | None) -> dict[str, Any]:
    """Return the values in the line of an event, except step and time."""
    if event == "sending":
        names = ("api", "process", "service", "node", "machineid", "digest")
        return {name: getattr(step, name) for name in names}
    if event == "accepted":
        location, cut = without_tokens(step.location or "")
        return {"node": step.node, "location": location} | ({"cut": True} if cut else {})
    if event == "ended":
        stored = None if answer is None else keepable(answer)
        references = {name: without_tokens(url) for name, url in step.outputs.items()}
        return {
            "node": step.node,
            "state": step.state,
            "outputs": {name: url for name, (url, cut) in references.items() if not cut},
        } | ({} if stored is None else {"answer": stored})
    return {}


def read(path: str | os.PathLike[str]) -> Contents:
    """Read a workflow's journal, even while another process writes it."""
    entries = read_lines(path)
    begin = entries[0] if entries else {}
    if begin.get("event") != "begin" or not isinstance(begin.get("machineid"), str):
        advice = (
            "restore it from a copy, or look at the services' jobs before you start again"
            if entries
            else "it has no whole line, so nothing was sent: delete it and start again"
        )
        raise JournalError(
            f"{os.fspath(path)!r} does not begin like a workflow's journal; {advice}"
        )
    check_format(begin, path)
    checked(begin, _BEGIN, path)
    contents = Contents(begin["machineid"], begin)
    steps: dict[int, Step] = {}
    for entry in entries:
        if "step" not in entry:
            continue
        checked(entry, _STEP, path)
        number = entry["step"]
        if entry["event"] == "sending":
            contents.machineid = entry.get("machineid") or contents.machineid
            steps.setdefault(number, Step(number, "", "", recalled=True))
        if number in steps:
            _apply(steps[number], entry)
    contents.steps = [steps[number] for number in sorted(steps)]
    for step in contents.steps:
        if step.state == "sending":
            step.state = "unknown"
            step.message = "the program ended before the answer arrived"
    return contents


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
            step.message = "its status location has a token, which is not stored"
        else:
            step.location = entry.get("location")
    elif event == "ended":
        step.state = "failed" if entry.get("state") == "failed" else "succeeded"
        step.ended, step.outputs = moment, dict(entry.get("outputs") or {})
        answer = entry.get("answer")
        step.answer = answer.encode("utf-8", "surrogatepass") if isinstance(answer, str) else None
    elif event in ("not sent", "refused", "unknown"):
        step.state, step.ended = event, moment
        if event == "unknown":
            step.message = "no answer says whether it ran"

"""The journal of one workflow: what is written of each Execute, and what it says afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import JournalError
from ..record import Step
from ..warn import warn
from .lines import Lines, checked, is_moment, is_number, is_text, read_lines
from .secrets import keepable, without_tokens

FORMAT = 1


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
            kept = None if answer is None else keepable(answer)
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
            warn(f"{error}; what became of {step.process!r} is not in it")


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
        advice = (
            "restore it from a copy, or look at the services' jobs before you start again"
            if entries
            else "it has no whole line, so nothing was sent: delete it and start again"
        )
        raise JournalError(f"{os.fspath(path)!r} does not begin as a workflow's journal; {advice}")
    if begin.get("format") != FORMAT:
        raise JournalError(
            f"{os.fspath(path)!r} has format {begin.get('format')!r}; this version reads {FORMAT}"
        )
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
            step.message = "the program ended before it heard of an answer"
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
            step.message = "its status location held a token, which was not kept"
        else:
            step.location = entry.get("location")
    elif event == "ended":
        step.state = "failed" if entry.get("state") == "failed" else "succeeded"
        step.ended, step.outputs = moment, dict(entry.get("outputs") or {})
        answer = entry.get("answer")
        step.answer = answer.encode("utf-8", "surrogatepass") if isinstance(answer, str) else None
    elif event == "not sent":
        step.state, step.ended = "not sent", moment
    elif event == "refused":
        step.state, step.ended = "refused", moment
    elif event == "unknown":
        step.state, step.ended = "unknown", moment
        step.message = "no answer came that says whether it ran"


def _who() -> dict[str, Any]:
    return {"time": time.time(), "pid": os.getpid()}

"""Feeds one parser with inputs that are nearly right, and says which it does not take well.

A parser may return, or raise an error of ours. Everything else is a finding: another
exception, an input that takes too much of the processor or of the memory, and an
AssertionError, by which a target says that a result is wrong.
"""

from __future__ import annotations

import hashlib
import resource
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from pavics_affinity.errors import AffinityError
from support.mutations import changed_bytes

CORPUS = Path(__file__).parent / "corpus"
OURS = f"{Path('pavics_affinity')}/"
SECONDS = 20.0
"""Of the processor, for one input of some kilobytes: a thousand times what the slowest take."""
MEGABYTES = 256
"""By which one input may make the process larger than it ever was."""

Change = Callable[[Sequence[Any], Random], bytes]


@dataclass(frozen=True)
class Target:
    """A parser under test.

    Attributes
    ----------
    parse : callable
        Takes an input; raises what the parser raises.
    seeds : sequence
        What `change` makes inputs of: bytes, unless it takes something else.
    change : callable
        Makes an input of the seeds and a `Random`.
    """

    parse: Callable[[bytes], object]
    seeds: Sequence[Any]
    change: Change = changed_bytes


@dataclass
class Finding:
    """An input that a parser did not take well, the first of its kind."""

    document: bytes
    said: str
    times: int = 1


@dataclass
class Outcome:
    """What a run found, by kind: the exception, and the line of ours that let it through."""

    inputs: int = 0
    refused: int = 0
    seconds: float = 0.0
    findings: dict[str, Finding] = field(default_factory=dict)


class TooSlow(BaseException):
    """An input took longer than `SECONDS`; nothing may catch it."""


def run(name: str, target: Target, inputs: int, seed: int = 0) -> Outcome:
    """Try the kept inputs, then as many new ones; those of a seed are always the same."""
    outcome, begun = Outcome(), time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for document in _documents(name, target, inputs, seed):
            outcome.inputs += 1
            _try(target.parse, document, outcome)
    outcome.seconds = time.monotonic() - begun
    return outcome


def kept(name: str) -> list[bytes]:
    """Return the inputs that are kept in the corpus: those that once failed."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


def keep(name: str, document: bytes) -> Path:
    """Put an input into the corpus."""
    path = CORPUS / name / hashlib.sha256(document).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(document)
    return path


def _documents(name: str, target: Target, inputs: int, seed: int) -> Iterator[bytes]:
    yield from kept(name)
    for number in range(inputs):
        yield target.change(target.seeds, Random(f"{name} {seed} {number}"))


def _try(parse: Callable[[bytes], object], document: bytes, outcome: Outcome) -> None:
    before = _megabytes()
    try:
        with _limited():
            parse(document)
    except AffinityError as error:
        outcome.refused += 1
        if not error.message.strip():
            _note(outcome, f"{type(error).__name__} without a word", document, error)
    except TooSlow as error:
        _note(outcome, f"more than {SECONDS:.0f} s of the processor", document, error)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
        _note(outcome, type(error).__name__, document, error)
    if _megabytes() - before > MEGABYTES:
        _note(outcome, f"more than {MEGABYTES} MB of memory", document, None)


def _note(outcome: Outcome, what: str, document: bytes, error: BaseException | None) -> None:
    kind = what if error is None else f"{what} {_place(error)}"
    finding = outcome.findings.setdefault(kind, Finding(document, "", 0))
    finding.times += 1
    if error is not None and not finding.said:
        finding.said = "".join(traceback.format_exception(error))


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if OURS in frame.filename] or frames
    return f"at {ours[-1].filename.rpartition(OURS)[2]}:{ours[-1].lineno}"


@contextmanager
def _limited() -> Iterator[None]:
    """Raise `TooSlow` after so many seconds of the processor, however busy the machine is."""

    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _megabytes() -> int:
    """Return the largest size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

"""What a process takes and gives, and whether a request fits it.

PyWPS ignores an input that it does not know and runs with the default, so a
misspelt name is found here or nowhere.
"""

from __future__ import annotations

import datetime as dt
import difflib
import heapq
import itertools
import math
import numbers
import re
import threading
import weakref
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lxml import etree
from owslib.wps import (
    ComplexDataInput,
    is_boundingboxdata,
    is_complexdata,
    is_reference,
)

from ..errors import InvalidRequest, UnknownInput, UnknownOutput
from .limits import LIMITS
from .xml import local_name, parse

#: What OWSLib can put into a request: str, IComplexDataInput or BoundingBoxDataInput.
Value = Any

_INTEGERS: Mapping[str, tuple[float, float]] = {
    "integer": (-math.inf, math.inf),
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
    "short": (-(2**15), 2**15 - 1),
    "byte": (-(2**7), 2**7 - 1),
    "positiveInteger": (1, math.inf),
    "nonNegativeInteger": (0, math.inf),
    "negativeInteger": (-math.inf, -1),
    "nonPositiveInteger": (-math.inf, 0),
    "unsignedInt": (0, 2**32 - 1),
    "unsignedLong": (0, 2**64 - 1),
    "unsignedShort": (0, 2**16 - 1),
    "unsignedByte": (0, 2**8 - 1),
}
_NUMBERS = frozenset({"float", "double", "decimal", "scale", "angle"})
_BOOLEANS = frozenset({"true", "false", "t", "f", "yes", "no", "y", "n", "1", "0"})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|INF|inf)|NaN|nan")

#: Names that are compared in full, and characters of each: what is longer is near to none.
_COMPARED = 200
_LONGEST_NAME = 200


def near(name: str, names: Iterable[str], what: str) -> str:
    """Return a sentence that names those that may be meant, or all if they are few."""
    known = sorted(set(names))
    if not known:
        return f"there are no {what}s."
    given = str(name).casefold()[:_LONGEST_NAME]
    folded = {n.casefold(): n for n in known[: LIMITS.names] if len(n) <= _LONGEST_NAME}
    matches = difflib.get_close_matches(given, _alike(given, folded), n=5, cutoff=0.5)
    if matches:
        return f"did you mean {' or '.join(repr(folded[m]) for m in matches)}?"
    listed = ", ".join(n[:_LONGEST_NAME] for n in known[:20]) + (
        f" and {len(known) - 20} more" if len(known) > 20 else ""
    )
    return f"there {'is' if len(known) == 1 else 'are'} {listed}."


def _alike(name: str, names: Collection[str]) -> Collection[str]:
    """Return the few names that share most pairs of letters with one: difflib takes long."""
    if len(names) <= _COMPARED:
        return names
    pairs = set(map("".join, itertools.pairwise(name)))
    return heapq.nlargest(
        _COMPARED,
        names,
        key=lambda n: len(pairs.intersection(map("".join, itertools.pairwise(n)))) / (len(n) + 1),
    )


@dataclass(frozen=True)
class InputRule:
    """What one input takes.

    Attributes
    ----------
    identifier : str
        Its name.
    least, most : int
        How often it may be given; `most` is 0 where no limit is stated.
    kind : {"literal", "complex", "bbox", ""}
        What it is; empty where the description does not say.
    datatype : str
        Of a literal: ``"integer"``, ``"string"`` ... or an empty string.
    allowed : tuple of str
        The values that a literal may take; empty where any may.
    formats : tuple of str
        The media types that a complex input may have.
    """

    identifier: str
    least: int
    most: int
    kind: str
    datatype: str
    allowed: tuple[str, ...]
    formats: tuple[str, ...] = ()

    @classmethod
    def of(cls, element: etree._Element) -> InputRule:
        """Read an ``Input`` element of a process description."""
        literal = _child(element, "LiteralData")
        kinds = {"LiteralData": "literal", "ComplexData": "complex", "BoundingBoxData": "bbox"}
        default = literal is not None and _child(literal, "DefaultValue") is not None
        least = _number(element, "minOccurs", "MinimumOccurs")
        return cls(
            identifier=_text(_child(element, "Identifier")),
            least=0 if default else least,
            most=_number(element, "maxOccurs", "MaximumOccurs"),
            kind=next((k for n, k in kinds.items() if _child(element, n) is not None), ""),
            datatype=_datatype(literal),
            allowed=_allowed(literal),
            formats=tuple(
                _text(e)
                for e in element.iterfind("{*}ComplexData/{*}Supported/{*}Format/{*}MimeType")
            ),
        )

    def expected(self) -> str:
        """Say what a value should be."""
        if self.allowed:
            shown = ", ".join(self.allowed[:20])
            return f"one of {shown}" + (" ..." if len(self.allowed) > 20 else "")
        if self.kind in ("bbox", "complex"):
            return "a BoundingBoxDataInput" if self.kind == "bbox" else "a ComplexDataInput"
        return f"of type {self.datatype}" if self.datatype else "a literal"

    def check(self, value: Value) -> None:
        """Raise if the value cannot be one of this input.

        Raises
        ------
        InvalidRequest
            It is of another type, or not among the allowed values.
        """
        if isinstance(value, str):
            fits = self.kind != "literal" or self._fits(value.strip())
        elif is_boundingboxdata(value):
            fits = self.kind in ("bbox", "")
        else:
            reference = isinstance(value, ComplexDataInput) and is_reference(value.value)
            fits = self.kind in ("complex", "") or reference
        if not fits:
            shown = repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
            raise InvalidRequest(
                f"input {self.identifier!r} is {shown}; expected {self.expected()}. "
                "Nothing was executed",
                input=self.identifier,
                value=value,
            )

    def _fits(self, value: str) -> bool:
        if self.datatype in _INTEGERS or self.datatype in _NUMBERS:
            if not _NUMBER.fullmatch(value):
                return False
            number = float(value)
            if self.datatype in _INTEGERS:
                low, high = _INTEGERS[self.datatype]
                if not (math.isfinite(number) and number == int(number) and low <= number <= high):
                    return False
            return not self.allowed or any(_same_number(number, a) for a in self.allowed)
        if self.datatype == "boolean":
            return value.lower() in _BOOLEANS
        return not self.allowed or value in self.allowed


@dataclass(frozen=True)
class Description:
    """What a process takes and gives, as far as a request can be held against it.

    Attributes
    ----------
    identifier : str
        The process.
    inputs : dict of str to InputRule
        By name.
    outputs : tuple of str
        Their names.
    asynchronous : bool
        It keeps its response and updates a status: both are needed to run
        without the client waiting at the other end of the connection.
    """

    identifier: str
    inputs: Mapping[str, InputRule]
    outputs: tuple[str, ...]
    asynchronous: bool

    @classmethod
    def of(cls, element: etree._Element) -> Description:
        """Read a ``ProcessDescription`` element."""
        rules = [InputRule.of(e) for e in _grandchildren(element, "DataInputs", "Input")]
        outputs = _grandchildren(element, "ProcessOutputs", "Output")
        return cls(
            identifier=_text(_child(element, "Identifier")),
            inputs={rule.identifier: rule for rule in rules},
            outputs=tuple(_text(_child(e, "Identifier")) for e in outputs),
            asynchronous=all(
                element.get(name, "false").strip().lower() in ("true", "1")
                for name in ("storeSupported", "statusSupported")
            ),
        )

    def check_inputs(self, inputs: Sequence[tuple[str, Value]]) -> None:
        """Raise if the process does not take these inputs.

        Raises
        ------
        UnknownInput
            It has none of this name.
        InvalidRequest
            One is missing, given too often, or not of its type.
        """
        for name, value in inputs:
            if name not in self.inputs:
                raise UnknownInput(
                    f"process {self.identifier!r} has no input {name!r}; "
                    f"{near(name, self.inputs, 'input')} Nothing was executed",
                    input=name,
                )
            self.inputs[name].check(value)
        given = Counter(name for name, _ in inputs)
        for rule in self.inputs.values():
            times = given[rule.identifier]
            if times < rule.least or (rule.most and times > rule.most):
                limit = f"at least {rule.least}" if times < rule.least else f"at most {rule.most}"
                raise InvalidRequest(
                    f"input {rule.identifier!r} of process {self.identifier!r} is given "
                    f"{times} times; it takes {limit}, each {rule.expected()}. "
                    "Nothing was executed",
                    input=rule.identifier,
                )

    def check_outputs(self, names: Iterable[str]) -> None:
        """Raise if the process does not give these outputs.

        Raises
        ------
        UnknownOutput
            It has none of this name.
        """
        for name in names:
            if name not in self.outputs:
                raise UnknownOutput(
                    f"process {self.identifier!r} has no output {name!r}; "
                    f"{near(name, self.outputs, 'output')} Nothing was executed",
                    output=name,
                )


def values(inputs: Any) -> list[tuple[str, Value]]:
    """Return inputs as OWSLib builds a request from them.

    Parameters
    ----------
    inputs : iterable of (str, value) or mapping
        Strings, OWSLib's own input objects, numbers, booleans, dates and times.

    Raises
    ------
    InvalidRequest
        There are no pairs, or a value is of another type.
    """
    pairs = inputs.items() if isinstance(inputs, Mapping) else inputs
    result: list[tuple[str, Value]] = []
    try:
        listed = [(name, value) for name, value in pairs]
    except (TypeError, ValueError):
        raise InvalidRequest(
            f"inputs are {inputs!r}; expected pairs of a name and a value, as in "
            '[("delay", "2"), ("resource", url)]'
        ) from None
    for name, value in listed:
        if not isinstance(name, str):
            raise InvalidRequest(f"the name of an input is {name!r}; expected a str")
        result.append((name, _value(name, value)))
    return result


def _value(name: str, value: Any) -> Value:
    if isinstance(value, str) or is_complexdata(value) or is_boundingboxdata(value):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        return repr(float(value))
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    hint = (
        f"; to give it several times, repeat the pair: [({name!r}, a), ({name!r}, b)]"
        if isinstance(value, list | tuple | set)
        else ""
    )
    raise InvalidRequest(
        f"input {name!r} is {value!r}, a {type(value).__name__}; expected a str, a number, a bool, "
        f"a date, a ComplexDataInput or a BoundingBoxDataInput{hint}. Nothing was executed",
        input=name,
        value=value,
    )


class Descriptions:
    """The descriptions that one session has got: each is asked for once.

    Key is the service's URL, version and language, and the process.
    """

    _of: ClassVar[weakref.WeakKeyDictionary[Any, Descriptions]] = weakref.WeakKeyDictionary()
    _lock = threading.Lock()

    def __init__(self) -> None:
        self._known: dict[tuple[str | None, ...], Description] = {}
        self._unread: dict[tuple[str | None, ...], bytes] = {}

    @classmethod
    def of(cls, session: object) -> Descriptions:
        """Return those of a session."""
        with cls._lock:
            return cls._of.setdefault(session, cls())

    def get(self, *key: str | None) -> Description | None:
        """Return the one of a process, if it is known."""
        for kept in (key, (*key[:-1], "all")):
            document = self._unread.pop(kept, None)
            if document is not None:
                self.learn(key[:-1], parse(document))
        return self._known.get(key)

    def keep(self, service: tuple[str | None, ...], identifier: str, document: bytes) -> None:
        """Keep a document that holds the description of a process, or of ``"all"``.

        It is read once one of them is needed: many are asked for only to be shown.
        """
        self._unread[*service, identifier] = document

    def learn(self, service: tuple[str | None, ...], root: etree._Element) -> None:
        """Keep every description that a ``ProcessDescriptions`` document holds."""
        for element in root.iterchildren("{*}ProcessDescription"):
            described = Description.of(element)
            self._known[(*service, described.identifier)] = described


def _child(element: etree._Element, name: str) -> etree._Element | None:
    return next((e for e in element.iterchildren("{*}*") if local_name(e) == name), None)


def _grandchildren(element: etree._Element, parent: str, name: str) -> list[etree._Element]:
    found = _child(element, parent)
    return [] if found is None else list(found.iterchildren(f"{{*}}{name}"))


def _text(element: etree._Element | None) -> str:
    return (element.text or "").strip() if element is not None else ""


def _number(element: etree._Element, attribute: str, child: str) -> int:
    """Return how often, or 0 where it is not said or is no number (``unbounded``)."""
    stated = element.get(attribute) or _text(_child(element, child))
    return int(stated) if stated.isdecimal() and len(stated) < 19 else 0


def _datatype(literal: etree._Element | None) -> str:
    element = None if literal is None else _child(literal, "DataType")
    if element is None:
        return ""
    stated = _text(element) or next(
        (str(v) for k, v in element.attrib.items() if etree.QName(str(k)).localname == "reference"),
        "",
    )
    return re.split(r"[:#/]", stated)[-1]


def _allowed(literal: etree._Element | None) -> tuple[str, ...]:
    element = None if literal is None else _child(literal, "AllowedValues")
    if element is None or _child(element, "Range") is not None:
        return ()  # a range is the server's to judge
    return tuple(_text(e) for e in element.iterchildren("{*}Value"))


def _same_number(number: float, text: str) -> bool:
    try:
        return float(text) == number
    except ValueError:
        return False

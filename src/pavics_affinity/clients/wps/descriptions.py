"""What a process takes and gives, and whether a request fits it.

PyWPS ignores an input that it does not know and runs with the default, so a
misspelt name is found here or nowhere.
"""

from __future__ import annotations

import datetime as dt
import numbers
import re
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from lxml import etree
from owslib.wps import (
    ComplexDataInput,
    is_boundingboxdata,
    is_complexdata,
    is_reference,
)

from ...errors import InvalidRequest, UnknownInput, UnknownOutput
from ...markup.suggest import suggest
from ..http.xml import child, parse, text_of
from ..outputs.boxes import Box
from .literals import ANY_TEXT, LiteralRule, Verdict

#: What OWSLib can put into a request: str, IComplexDataInput or BoundingBoxDataInput.
Value = Any

#: Python's writing, and that of XML Schema.
_NOT_FINITE = {"inf": "INF", "-inf": "-INF", "nan": "NaN"}


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
        What it is; empty where the description does not say, or says several.
    literal : LiteralRule
        What it takes as a literal, if it is one.
    formats : tuple of str
        The media types that a complex input may have.
    """

    identifier: str
    least: int
    most: int
    kind: str
    literal: LiteralRule
    formats: tuple[str, ...] = ()

    @classmethod
    def of(cls, element: etree._Element) -> InputRule:
        """Read an ``Input`` element of a process description."""
        literal = child(element, "LiteralData")
        rule = ANY_TEXT if literal is None else LiteralRule.of(literal)
        kinds = {"LiteralData": "literal", "ComplexData": "complex", "BoundingBoxData": "bbox"}
        stated = [kind for name, kind in kinds.items() if child(element, name) is not None]
        least = _number(element, "minOccurs", "MinimumOccurs")
        most = _number(element, "maxOccurs", "MaximumOccurs")
        if 0 < most < least:  # it makes no sense: the service judges
            least = most = 0
        return cls(
            identifier=text_of(child(element, "Identifier")),
            least=0 if rule.default is not None else least,
            most=most,
            kind=stated[0] if len(stated) == 1 else "",
            literal=rule,
            formats=tuple(
                text_of(e)
                for e in element.iterfind("{*}ComplexData/{*}Supported/{*}Format/{*}MimeType")
            ),
        )

    def expected(self) -> str:
        """Say what a value should be."""
        if self.literal.listed:
            listed = self.literal.listed
            return f"one of {', '.join(listed[:20])}" + (" ..." if len(listed) > 20 else "")
        if self.kind in ("bbox", "complex"):
            return "a BoundingBoxDataInput" if self.kind == "bbox" else "a ComplexDataInput"
        return f"of type {self.literal.datatype}" if self.literal.datatype else "a literal"

    def check(self, value: Value) -> str | None:
        """Raise if the value cannot be one of this input; return what is in doubt about it.

        Raises
        ------
        InvalidRequest
            It is of another type, or not among the allowed values.
        """
        verdict = self.judge(value)
        if verdict == Verdict.FITS:
            return None
        shown = repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
        if verdict == Verdict.DOUBTFUL:
            return (
                f"input {self.identifier!r} is {shown}; the service describes it as "
                f"{self.expected()}, and may refuse or misread it. Write it as described"
            )
        raise InvalidRequest(
            f"input {self.identifier!r} is {shown}; expected {self.expected()}. "
            "Nothing was executed",
            input=self.identifier,
            value=value,
        )

    def judge(self, value: Value) -> Verdict:
        """Say whether the service takes a value."""
        if isinstance(value, str):
            return self.literal.judge(value.strip()) if self.kind == "literal" else Verdict.FITS
        if is_boundingboxdata(value):
            fits = self.kind in ("bbox", "")
        else:
            reference = isinstance(value, ComplexDataInput) and is_reference(value.value)
            fits = self.kind in ("complex", "") or reference
        return Verdict.FITS if fits else Verdict.REFUSED


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
            identifier=text_of(child(element, "Identifier")),
            inputs={rule.identifier: rule for rule in rules},
            outputs=tuple(text_of(child(e, "Identifier")) for e in outputs),
            asynchronous=all(
                element.get(name, "false").strip().lower() in ("true", "1")
                for name in ("storeSupported", "statusSupported")
            ),
        )

    def check_inputs(self, inputs: Sequence[tuple[str, Value]]) -> list[str]:
        """Raise if the process does not take these inputs.

        Returns
        -------
        list of str
            What is in doubt: it is sent, and the service judges.

        Raises
        ------
        UnknownInput
            It has none of this name.
        InvalidRequest
            One is missing, given too often, or not of its type.
        """
        doubts = []
        for name, value in inputs:
            if name not in self.inputs:
                raise UnknownInput(
                    f"process {self.identifier!r} has no input {name!r}; "
                    f"{suggest(name, self.inputs, 'input')}",
                    input=name,
                )
            doubts.append(self.inputs[name].check(value))
        given = Counter(name for name, _ in inputs)
        for rule in self.inputs.values():
            times = given[rule.identifier]
            if times < rule.least or (rule.most and times > rule.most):
                limit = f"at least {rule.least}" if times < rule.least else f"at most {rule.most}"
                raise InvalidRequest(
                    f"input {rule.identifier!r} of process {self.identifier!r} is given "
                    f"{times} times; it takes {limit}, each {rule.expected()}",
                    input=rule.identifier,
                )
        return [doubt for doubt in doubts if doubt]

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
                    f"{suggest(name, self.outputs, 'output')}",
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
    if isinstance(value, Box):  # a value of an output's `data`
        return value.as_input()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, numbers.Real):
        return _NOT_FINITE.get(repr(float(value)), repr(float(value)))
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    hint = (
        f"; to give it several times, repeat the pair: [({name!r}, a), ({name!r}, b)]"
        if isinstance(value, list | tuple | set)
        else ""
    )
    raise InvalidRequest(
        f"input {name!r} is {value!r}, a {type(value).__name__}; expected a str, a number, a bool, "
        f"a date, a ComplexDataInput or a BoundingBoxDataInput{hint}",
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
                self.learn(key[:-1], parse(document), asked=kept[-1] or "all")
        return self._known.get(key)

    def keep(self, service: tuple[str | None, ...], identifier: str, document: bytes) -> None:
        """Keep a document that holds the description of a process, or of ``"all"``.

        It is read once one of them is needed: many are asked for only to be shown.
        """
        self._unread[*service, identifier] = document

    def learn(
        self, service: tuple[str | None, ...], root: etree._Element, *, asked: str = "all"
    ) -> None:
        """Keep every description that a ``ProcessDescriptions`` document holds.

        The one that came in answer to a name is also kept by this, if the service writes it
        in another case or without its code space.
        """
        found = [Description.of(e) for e in root.iterchildren("{*}ProcessDescription")]
        for described in found:
            self._known[(*service, described.identifier)] = described
        if len(found) == 1 and _bare(found[0].identifier) == _bare(asked):
            self._known[(*service, asked)] = found[0]


def _bare(identifier: str) -> str:
    return re.split(r"[:/#]", identifier)[-1].casefold()


def readable(document: str | bytes) -> bytes:
    """Return descriptions without what OWSLib reads as a number, and is none.

    ``maxOccurs="unbounded"``, say, or a range in one value of an integer.
    """
    root = parse(document)
    for element in root.iterfind("{*}ProcessDescription/{*}DataInputs/{*}Input"):
        for name in ("minOccurs", "maxOccurs"):
            if not _casts(int, element.get(name, "0")):
                del element.attrib[name]
        for literal in element.iterchildren("{*}LiteralData"):
            cast = {"integer": int, "float": float}.get(LiteralRule.of(literal).datatype)
            written = (
                *literal.iterfind("{*}AllowedValues/{*}Value"),
                child(literal, "DefaultValue"),
            )
            for value in written:
                if value is not None and cast is not None and not _casts(cast, value.text or "0"):
                    value.getparent().remove(value)  # type: ignore[union-attr]  # it has one
    return etree.tostring(root)


def _casts(cast: Callable[[str], object], text: str) -> bool:
    try:
        cast(text)
    except ValueError:
        return False
    return True


def _grandchildren(element: etree._Element, parent: str, name: str) -> list[etree._Element]:
    found = child(element, parent)
    return [] if found is None else list(found.iterchildren(f"{{*}}{name}"))


def _number(element: etree._Element, attribute: str, name: str) -> int:
    """Return how often, or 0 where it is not said or is no number (``unbounded``)."""
    stated = element.get(attribute) or text_of(child(element, name))
    return int(stated) if stated.isdecimal() and len(stated) < 19 else 0

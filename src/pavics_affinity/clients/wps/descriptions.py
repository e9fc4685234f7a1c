"""What a process takes and gives, and whether a request fits it.

PyWPS ignores an input that it does not know and runs with the default, so a
misspelt name is found here or nowhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lxml import etree
from owslib.wps import ComplexDataInput, is_boundingboxdata, is_reference

from ...errors import InvalidRequest, UnknownInput, UnknownOutput
from ...markup.suggest import suggest
from ..http.xml import child, parse, text_of
from .literals import ANY_TEXT, LiteralRule, Verdict

#: What OWSLib can put into a request: str, IComplexDataInput or BoundingBoxDataInput.
Value = Any
#: URL, version and language.
ServiceKey = tuple[str | None, ...]


class InputRule(NamedTuple):
    """What one input takes.

    `most` is 0 where no limit is stated; `kind` is ``"literal"``, ``"complex"``, ``"bbox"``,
    or empty where the description states none or several; `formats` are the media types of
    a complex input, `megabytes` its largest size in units of 2**20 bytes.
    """

    identifier: str
    least: int
    most: int
    kind: str
    literal: LiteralRule
    formats: tuple[str, ...] = ()
    megabytes: float | None = None

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
            megabytes=_megabytes(child(element, "ComplexData")),
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
        """Raise if the value cannot be one of this input; return what is in doubt about it."""
        if isinstance(value, str):
            literal = self.kind == "literal"
            verdict = self.literal.judge(value.strip()) if literal else Verdict.FITS
        else:
            verdict = Verdict.FITS if self._takes(value) else Verdict.REFUSED
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

    def _takes(self, value: Value) -> bool:
        """Return whether an input object of OWSLib's is of the input's kind."""
        if is_boundingboxdata(value):
            return self.kind in ("bbox", "")
        if self.kind in ("complex", ""):
            return True
        # What is content is not looked at: it may be large, and is encoded as it is sent.
        whole = isinstance(value, ComplexDataInput) and not getattr(value, "is_content", False)
        return whole and is_reference(value.value)


class Description(NamedTuple):
    """What a process takes and gives, as far as a request can be checked.

    It is `asynchronous` if it keeps its response and updates a status: both are needed to
    run without the client waiting at the other end of the connection.
    """

    identifier: str
    inputs: Mapping[str, InputRule]
    outputs: tuple[str, ...]
    asynchronous: bool

    @classmethod
    def of(cls, element: etree._Element) -> Description:
        """Read a ``ProcessDescription`` element."""
        rules = [InputRule.of(e) for e in element.iterfind("{*}DataInputs/{*}Input")]
        outputs = element.iterfind("{*}ProcessOutputs/{*}Output")
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
        """Raise if the process does not take these inputs; return what is in doubt.

        What is in doubt is sent, and the service judges.
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
        given = Counter([name for name, _ in inputs])
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

    def check_output(self, name: str) -> None:
        """Raise `UnknownOutput` if the process has no output of this name."""
        if name not in self.outputs:
            raise UnknownOutput(
                f"process {self.identifier!r} has no output {name!r}; "
                f"{suggest(name, self.outputs, 'output')}",
                output=name,
            )


class Descriptions:
    """The descriptions that one session has received: each is asked for once."""

    def __init__(self) -> None:
        self._known: dict[tuple[ServiceKey, str], Description] = {}
        self._unread: dict[tuple[ServiceKey, str], bytes] = {}

    def get(self, service: ServiceKey, identifier: str) -> Description | None:
        """Return the description of a process, if it is known."""
        if self._unread:
            for asked in (identifier, "all"):
                document = self._unread.pop((service, asked), None)
                if document is not None:
                    self.learn(service, parse(document), asked=asked)
        return self._known.get((service, identifier))

    def keep(self, service: ServiceKey, identifier: str, document: bytes) -> None:
        """Keep a document with the description of a process, or of ``"all"``.

        It is read when one of them is needed: many are asked for only to be shown.
        """
        self._unread[service, identifier] = document

    def learn(self, service: ServiceKey, root: etree._Element, *, asked: str = "all") -> None:
        """Keep every description of a ``ProcessDescriptions`` document.

        The answer to a name is also kept by this name, if the service writes it in another
        case or without its code space.
        """
        found = [Description.of(e) for e in root.iterchildren("{*}ProcessDescription")]
        for described in found:
            self._known[service, described.identifier] = described
        if len(found) == 1 and _bare(found[0].identifier) == _bare(asked):
            self._known[service, asked] = found[0]


def _bare(identifier: str) -> str:
    return re.split(r"[:/#]", identifier)[-1].casefold()


def readable(document: str | bytes) -> bytes:
    """Return descriptions without what OWSLib would read as a number, and is not one.

    ``maxOccurs="unbounded"``, say, or a range in one value of an integer.
    """
    root = parse(document)
    for element in root.iterfind("{*}ProcessDescription/{*}DataInputs/{*}Input"):
        for name in ("minOccurs", "maxOccurs"):
            if not _casts(int, element.get(name, "0")):
                del element.attrib[name]
        for literal in element.iterchildren("{*}LiteralData"):
            cast = {"integer": int, "float": float}.get(LiteralRule.of(literal).datatype)
            for path in ("{*}AllowedValues/{*}Value", "{*}DefaultValue"):
                for value in literal.findall(path):
                    if cast is not None and not _casts(cast, value.text or "0"):
                        value.getparent().remove(value)  # type: ignore[union-attr]  # it has one
    return etree.tostring(root)


def _casts(cast: Callable[[str], object], text: str) -> bool:
    try:
        cast(text)
    except ValueError:
        return False
    return True


def _megabytes(element: etree._Element | None) -> float | None:
    """Return what ``maximumMegabytes`` states, or None; an integer in the standard."""
    stated = "" if element is None else element.get("maximumMegabytes", "").strip()
    return float(stated) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", stated) else None


def _number(element: etree._Element, attribute: str, name: str) -> int:
    """Return how often, or 0 where it is not stated or not a number (``unbounded``)."""
    stated = element.get(attribute) or text_of(child(element, name))
    return int(stated) if stated.isdecimal() and len(stated) < 19 else 0

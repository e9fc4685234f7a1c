"""Whether a service takes a value as a literal, refuses it, or may do either.

Pure functions. Descriptions in the field are loose, so a value is refused only if no server
would take it. If servers differ, it is sent with a warning.
"""

from __future__ import annotations

import decimal
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import IntEnum
from typing import NamedTuple

from lxml import etree

from ..http.xml import child, text_of

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
_TEXTS = frozenset({"", "string"})
_BOOLEANS = frozenset({"true", "false", "1", "0"})
#: Some servers take them, and some take "no" for true.
_SPOKEN_BOOLEANS = frozenset({"t", "f", "yes", "no", "y", "n", "on", "off"})

_FINITE = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,9})?"
_NUMBER = rf"{_FINITE}|(?i:[+-]?inf(?:inity)?|nan)"
_RANGE = rf"({_FINITE})\s*(?:-|:|/|\.\.+|to)\s*({_FINITE})"
_SEPARATOR = r"[,;|\s]+"
#: As an allowed value, each of these stands for all.
_ANYTHING = frozenset({"", "*", "any", "anyvalue"})
_PATTERN = r"[*?<>\[\]{}^$\\]|\.\."


class Verdict(IntEnum):
    """What a service makes of a value."""

    FITS = 0
    DOUBTFUL = 1
    REFUSED = 2


class LiteralRule(NamedTuple):
    """What a literal input takes.

    `datatype` has no prefix, or is empty. `listed` are the allowed values, as they are
    written; if it is `free`, others may do: there is a range, ``AnyValue``, or a list elsewhere.
    """

    datatype: str = ""
    listed: tuple[str, ...] = ()
    free: bool = False
    default: str | None = None

    @classmethod
    def of(cls, element: etree._Element) -> LiteralRule:
        """Read a ``LiteralData`` element."""
        allowed = list(element.iterchildren("{*}AllowedValues"))
        listed = tuple(text_of(v) for each in allowed for v in each.iterchildren("{*}Value"))
        others = ("{*}AnyValue", "{*}ValuesReference", "{*}Range")
        free = any(next(e.iterchildren(*others), None) is not None for e in (element, *allowed))
        default = child(element, "DefaultValue")
        return cls(
            datatype=_datatype(child(element, "DataType")),
            listed=listed,
            free=free or any(value.casefold() in _ANYTHING for value in listed),
            default=None if default is None else text_of(default),
        )

    def judge(self, value: str) -> Verdict:
        """Return whether a service takes this value, which has no blanks at its ends."""
        if value in self.listed or value == self.default:
            return Verdict.FITS
        typed = _of_type(value, self.datatype)
        if self.datatype == "boolean":
            return typed
        if typed == Verdict.REFUSED:
            stated = [each for each in self.listed if each.casefold() not in _ANYTHING]
            serious = all(_of_type(each, self.datatype) == Verdict.FITS for each in stated)
            return typed if serious else Verdict.DOUBTFUL
        if self.free or not self.listed:
            return typed
        return max(typed, _among(value, self.listed, self.datatype))


#: The rule of an input that is not described as a literal.
ANY_TEXT = LiteralRule()


def _of_type(value: str, datatype: str) -> Verdict:
    """Return whether a value is one of a type, without a look at the allowed ones."""
    if datatype == "boolean":
        said = value.lower()
        if said in _BOOLEANS:
            return Verdict.FITS
        return Verdict.DOUBTFUL if said in _SPOKEN_BOOLEANS else Verdict.REFUSED
    if datatype not in _INTEGERS and datatype not in _NUMBERS:
        return Verdict.FITS
    number = _number(value)
    if number is None:
        return Verdict.REFUSED
    if datatype in _NUMBERS:
        return Verdict.FITS
    low, high = _INTEGERS[datatype]
    whole = number.is_finite() and number == number.to_integral_value() and low <= number <= high
    return Verdict.FITS if whole else Verdict.REFUSED


def _among(value: str, listed: Sequence[str], datatype: str) -> Verdict:
    """Return whether a value may mean one of the listed ones; it is none of them literally."""
    numeric = datatype in _INTEGERS or datatype in _NUMBERS
    number = _number(value)
    if number is not None and any(_holds(each, number) for each in listed):
        return Verdict.FITS if numeric else Verdict.DOUBTFUL
    if not numeric and datatype not in _TEXTS:
        return Verdict.DOUBTFUL  # dates, times and URIs have several writings
    if _resembles(value, listed) or any(re.search(_PATTERN, each) for each in listed):
        return Verdict.DOUBTFUL
    unreadable = numeric and any(_number(each) is None for each in listed)
    return Verdict.DOUBTFUL if unreadable else Verdict.REFUSED


def _resembles(value: str, listed: Sequence[str]) -> bool:
    """Return whether a value is a listed one in another case, several of them, or part of one."""
    known = {each.casefold() for each in listed}
    pieces = {piece for each in known for piece in re.split(_SEPARATOR, each)}
    return set(re.split(_SEPARATOR, value.casefold())) <= known or value.casefold() in pieces


def _number(text: str) -> Decimal | None:
    if not re.fullmatch(_NUMBER, text):
        return None
    try:
        return Decimal(text)
    except decimal.InvalidOperation:  # an exponent beyond all bounds
        return None


def _holds(listed: str, number: Decimal) -> bool:
    """Return whether a listed value is this number, or a range in which it lies."""
    one = _number(listed)
    if one is not None:
        return one == number
    found = re.fullmatch(_RANGE, listed)
    if found is None or number.is_nan():
        return False
    low, high = _number(found[1]), _number(found[2])
    return low is not None and high is not None and low <= number <= high


def _datatype(element: etree._Element | None) -> str:
    if element is None:
        return ""
    stated = text_of(element) or next(
        (str(v) for k, v in element.attrib.items() if str(k).rpartition("}")[2] == "reference"),
        "",
    )
    return re.split(r"[:#/]", stated.strip())[-1]

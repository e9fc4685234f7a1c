"""Bounding boxes, read from a response and passed on with their CRS."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from typing import Any

import owslib.ows
import owslib.wps
from lxml import etree
from owslib.crs import Crs

from ..http.xml import UNWRITABLE, local_name

#: What an `ows:WGS84BoundingBox` is in, by its definition: longitude first.
_WGS84 = "urn:ogc:def:crs:OGC:2:84"
_NAMES = frozenset({"BoundingBoxData", "BoundingBox", "WGS84BoundingBox"})


class Box(owslib.ows.BoundingBox):
    """A bounding box, with OWSLib's attributes, and the corners as the document states them.

    OWSLib's ``minx`` ... ``maxy`` are x and y, whatever the order of the CRS's axes is;
    the corners are in the document's own order, and have all dimensions.

    Attributes
    ----------
    lower_corner, upper_corner : tuple of str
        The corners' numbers, as they are written.
    crs_name : str or None
        Name of the CRS, as the document states it.
    minx, miny, maxx, maxy, crs, dimensions
        OWSLib's; `crs` is None if OWSLib cannot read the name.

    Raises
    ------
    ValueError
        These are not the corners of one box.
    """

    __slots__ = ("crs_name", "lower_corner", "upper_corner")  # `vars` shows what OWSLib's has

    def __init__(self, lower: tuple[str, ...], upper: tuple[str, ...], crs: str | None) -> None:
        if len(lower) != len(upper) or len(lower) < 2:
            raise ValueError(f"its corners are {' '.join(lower)!r} and {' '.join(upper)!r}")
        for number in (*lower, *upper):
            if math.isnan(float(number)):
                raise ValueError(f"{number!r} is not a number")
        if re.search(UNWRITABLE, crs or ""):  # the next step may be a WPS
            raise ValueError(f"its CRS is {crs!r}")
        self.lower_corner, self.upper_corner, self.crs_name = lower, upper, crs
        super().__init__(None)
        known = None
        with contextlib.suppress(AttributeError, LookupError, ValueError):  # not a name to OWSLib
            known = Crs(crs) if crs else None
        x, y = (1, 0) if known is not None and known.axisorder == "yx" else (0, 1)
        self.__dict__.update(crs=known, dimensions=len(lower))
        self.__dict__.update(minx=lower[x], miny=lower[y], maxx=upper[x], maxy=upper[y])

    @classmethod
    def of(cls, element: etree._Element) -> Box:
        """Read a ``BoundingBoxData``, ``BoundingBox`` or ``WGS84BoundingBox`` element.

        Raise ValueError if it does not hold two corners, of the dimensions that it states.
        """
        lower, upper = _corner(element, "LowerCorner"), _corner(element, "UpperCorner")
        dimensions = (_attribute(element, "dimensions") or "").strip()
        if dimensions and dimensions != str(len(lower)):
            raise ValueError(f"it has {dimensions} dimensions, and its corner is {lower}")
        crs = _attribute(element, "crs")
        if crs is None and local_name(element) == "WGS84BoundingBox":
            crs = _WGS84
        return cls(lower, upper, crs)

    @classmethod
    def of_json(cls, value: Any) -> Box | None:
        """Read a box of OGC API - Processes, ``{"bbox": [...], "crs": ...}``, or return None."""
        numbers = value.get("bbox") if isinstance(value, Mapping) else None
        crs = value.get("crs") if isinstance(value, Mapping) else None
        if not isinstance(numbers, list) or len(numbers) % 2 or not isinstance(crs, str | None):
            return None
        half = len(numbers) // 2
        try:
            return cls(tuple(map(repr, numbers[:half])), tuple(map(repr, numbers[half:])), crs)
        except ValueError:
            return None

    @property
    def text(self) -> str:
        """The numbers of the lower, then of the upper corner, in the document's order."""
        return ",".join((*self.lower_corner, *self.upper_corner))

    def as_input(self) -> owslib.wps.BoundingBoxDataInput:
        """Return it as an input of a WPS."""
        return _Input(self)

    def as_json(self) -> dict[str, Any]:
        """Return it as an input of an OGC API - Processes."""
        numbers = [float(number) for number in (*self.lower_corner, *self.upper_corner)]
        return {"bbox": numbers, **({"crs": self.crs_name} if self.crs_name else {})}


class _Input(owslib.wps.BoundingBoxDataInput):
    """An input that keeps all dimensions, and the absence of a CRS."""

    def __init__(self, box: Box) -> None:
        corners = box.lower_corner, box.upper_corner
        super().__init__(
            [float(number) for corner in corners for number in corner[:2]],
            dimensions=len(box.lower_corner),
        )
        self.lower_corner, self.upper_corner = corners
        self.crs = box.crs_name

    def get_xml(self) -> Any:
        """Return the ``Data`` element."""
        data = super().get_xml()
        lower, upper = data[0]
        lower.text, upper.text = " ".join(self.lower_corner), " ".join(self.upper_corner)
        return data


def box_element(data: etree._Element) -> etree._Element | None:
    """Return the box that a ``Data`` element holds, or None."""
    elements = data.iterchildren("{*}*")
    return next((e for e in elements if local_name(e) in _NAMES), None)


def _attribute(element: etree._Element, name: str) -> str | None:
    """Return an attribute, in any namespace."""
    return next(
        (str(v) for k, v in element.attrib.items() if str(k).rpartition("}")[2] == name), None
    )


def _corner(element: etree._Element, name: str) -> tuple[str, ...]:
    """Return the numbers of a corner, which stand between blanks, or between commas."""
    text = element.findtext(f"{{*}}{name}") or ""
    parts = text.split(",") if "," in text else text.split()
    return tuple(part.strip() for part in parts)

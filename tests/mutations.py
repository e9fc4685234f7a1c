"""Documents that are nearly right: what a hostile or broken server makes of good ones."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st
from lxml import etree

HOSTILE = [
    "",
    " ",
    "-1",
    "9" * 5000,
    "1e999",
    "NaN",
    "²",
    "٣",
    "true",
    "None",
    "../../x",
    "C:\\x",
    "%2e%2e",
    "%00",
    "x" * 300,
    "CON.nc",
    "\u202egnp.exe",
    "file:///etc/passwd",
    "ftp://127.0.0.1/x",
    "javascript:alert(1)",
    "http://[bad",
    "http://u:p@127.0.0.2:1/x",
    "//127.0.0.2:1/x",
    "http://127.0.0.1:99999/",
    "http://[::1/wps",
    "http://0...1/x",
    "http://a..b/x",
    "http://é../x",
    f"http://{'a' * 64}.example/x",
    "http://\uff11\uff12\uff17.0.0.1/x",
    "http://127.0.0.1:\uff18\uff10/x",
    "http://user@:80/",
    "http://€:p@127.0.0.1/",
    "http://127.0.0.1\\@127.0.0.2/",
    "http://[fe80::1%25lo]/",
    "data:,x",
    "<b>&amp;</b>",
    "{{}}",
    "%s%n",
]

_texts = st.sampled_from(HOSTILE)
_changes = st.tuples(
    st.sampled_from(["drop", "twice", "text", "attribute", "rename", "move", "nest", "comment"]),
    st.integers(0, 400),
    st.integers(0, 400),
    _texts,
)


@st.composite
def xml_like(draw: st.DrawFn, *documents: bytes) -> bytes:
    """Return one of the documents with a few elements, attributes and texts changed."""
    root = etree.fromstring(draw(st.sampled_from(documents)))
    for how, where, other, text in draw(st.lists(_changes, min_size=1, max_size=6)):
        elements = [e for e in root.iter() if isinstance(e.tag, str)]
        element, target = elements[where % len(elements)], elements[other % len(elements)]
        parent = element.getparent()
        if how == "text":
            element.text = text
        elif how == "attribute":
            names = sorted(element.attrib) or ["name"]
            element.set(names[other % len(names)], text)
        elif how == "rename":
            element.tag = target.tag
        elif how == "comment":
            element.insert(0, etree.Comment("x"))
            element.insert(0, etree.ProcessingInstruction("x", "y"))
        elif how == "nest":
            element.append(copy.deepcopy(target))
        elif parent is not None:
            if how == "drop":
                parent.remove(element)
            elif how == "twice":
                parent.append(copy.deepcopy(element))
            elif how == "move" and element not in target.iterancestors() and target is not element:
                target.append(element)
    document = etree.tostring(root)
    cut = draw(st.one_of(st.just(len(document)), st.integers(0, len(document))))
    return document[:cut]


_leaves: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    _texts,
    st.sampled_from([0, -1, 10**400, float("nan"), float("inf"), -0.0, 1e308]),
    st.sampled_from([[], {}, [[]], [{}], [None], {"href": 1}, {"href": None}, {"": ""}]),
)


@st.composite
def json_like(draw: st.DrawFn, *documents: Any) -> bytes:
    """Return one of the documents as JSON, with a few of its values changed."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, 4))):
        places = list(_places(document))
        if not places:
            break
        holder, key = places[draw(st.integers(0, 400)) % len(places)]
        how = draw(st.sampled_from(["value", "value", "drop", "deep"]))
        if how == "drop":
            del holder[key]
        elif how == "deep":
            holder[key] = _nested(holder[key], 60)
        else:
            holder[key] = copy.deepcopy(draw(_leaves))
    return json.dumps(document).encode()


def _nested(value: Any, levels: int) -> Any:
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def _places(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)

"""Documents that are nearly right: what a hostile or broken server makes of good ones."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from functools import partial
from random import Random
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

#: Bytes at which parsers of text and of headers turn.
MARKS = [
    *(bytes([b]) for b in b"\0\t\n\r \"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~09aZ\x7f\x80\xff"),
    *(b"\r\n", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\xc2\x85"),
    *(b"]]>", b"<!--", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&#0;", b"\\u0000", b"\\ud800"),
    *(b"%ff", b"=?utf-8?q?", b"2147483648", b"-9223372036854775809"),
]
_HOW = ["drop", "twice", "text", "attribute", "rename", "move", "nest", "comment"]


def changed_xml(documents: Sequence[bytes], random: Random) -> bytes:
    """Return one of the documents with a few elements, attributes and texts changed."""
    root = etree.fromstring(random.choice(documents))
    for _ in range(random.randint(1, 6)):
        how, text = random.choice(_HOW), random.choice(HOSTILE)
        elements = [e for e in root.iter() if isinstance(e.tag, str)]
        _change(how, random.choice(elements), random.choice(elements), text)
    document = etree.tostring(root)
    return document[: random.randint(0, len(document))] if random.random() < 0.2 else document


def _change(how: str, element: Any, target: Any, text: str) -> None:
    parent = element.getparent()
    if how == "text":
        element.text = text
    elif how == "attribute":
        names = sorted(element.attrib) or ["name"]
        element.set(names[len(text) % len(names)], text)
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


def changed_json(documents: Sequence[Any], random: Random) -> bytes:
    """Return one of the documents as JSON, with a few of its values changed."""
    document = copy.deepcopy(random.choice(documents))
    for _ in range(random.randint(1, 4)):
        places = list(_places(document))
        if not places:
            break
        holder, key = random.choice(places)
        how = random.choice(["value", "value", "drop", "deep"])
        if how == "drop":
            del holder[key]
        elif how == "deep":
            holder[key] = _nested(holder[key], 60)
        else:
            holder[key] = copy.deepcopy(random.choice(_LEAVES))
    return json.dumps(document).encode()


def changed_bytes(documents: Sequence[bytes], random: Random) -> bytes:
    """Return one of the documents with a few pieces cut, repeated, replaced, or from another."""
    document = random.choice(documents)
    for _ in range(random.choice([1, 1, 1, 2, 3, 5])):
        start = random.randint(0, len(document))
        end = min(len(document), start + int(random.expovariate(0.2)))
        document = (
            document[:start] + _piece(documents, document[start:end], random) + document[end:]
        )
    return document


def _piece(documents: Sequence[bytes], there: bytes, random: Random) -> bytes:
    """Return what takes the place of a piece."""
    how = random.randrange(6)
    if how == 0:
        return b""
    if how == 1:
        return there * random.choice([2, 2, 3, 60])
    if how == 2:
        return random.choice(HOSTILE).encode()
    if how == 3:
        other = random.choice(documents)
        start = random.randint(0, len(other))
        return other[start : start + random.randint(0, 40)]
    if how == 4:
        return bytes(random.randrange(256) for _ in range(random.randint(1, 4)))
    return random.choice(MARKS)


_LEAVES: list[Any] = [
    *(None, True, False, *HOSTILE),
    *(0, -1, 10**400, float("nan"), float("inf"), -0.0, 1e308),
    *([], {}, [[]], [{}], [None], {"href": 1}, {"href": None}, {"": ""}),
]


def xml_like(*documents: bytes) -> st.SearchStrategy[bytes]:
    """Return hypothesis's strategy of `changed_xml`."""
    return st.randoms().map(partial(changed_xml, documents))


def json_like(*documents: Any) -> st.SearchStrategy[bytes]:
    """Return hypothesis's strategy of `changed_json`."""
    return st.randoms().map(partial(changed_json, documents))


def _nested(value: Any, levels: int) -> Any:
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)

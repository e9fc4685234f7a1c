"""Large inputs in an Execute document: put in as bytes, past the XML tree.

A tree, and what is made of it, would hold each of them five times over.
"""

from __future__ import annotations

import copy
import re
import secrets
from collections.abc import Iterable
from typing import Any

from owslib.wps import ComplexDataInput, is_reference

#: Characters from which on an input is put in so.
LARGE = 2**20

_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Uploads:
    """The large inputs of one request.

    Attributes
    ----------
    inputs : list of (str, value)
        The inputs, with a mark in place of each large one.
    """

    def __init__(self, inputs: Iterable[tuple[str, Any]]) -> None:
        self._large: dict[bytes, str] = {}
        self.inputs = [(name, self._marked(value)) for name, value in inputs]

    def put_into(self, document: bytes) -> bytes:
        """Return the document, in ASCII, with each large input in place of its mark."""
        parts = []
        for mark, text in self._large.items():
            before, _, document = document.partition(mark)
            parts += [before, _escaped(text)]
        return b"".join([*parts, document])

    def _marked(self, value: Any) -> Any:
        if not isinstance(value, ComplexDataInput) or not isinstance(value.value, str):
            return value
        text: str = value.value
        if len(text) < LARGE or is_reference(text):
            return value
        if _UNWRITABLE.search(text):
            raise ValueError("a large input has characters that XML cannot hold")
        mark = f"upload-{secrets.token_hex(16)}"
        self._large[mark.encode()] = text
        marked = copy.copy(value)
        marked.value = mark
        return marked


def _escaped(text: str) -> bytes:
    for character, reference in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
        text = text.replace(character, reference)
    return text.encode("ascii", "xmlcharrefreplace")

"""The manual's examples, so that tests can run them."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def section(page: str, heading: str) -> str:
    """Return the text of a section of a page, with the sections inside of it."""
    text = (DOCS / page).read_text(encoding="utf-8")
    begin = re.search(rf"^(##+) {re.escape(heading)}$", text, re.M)
    assert begin, f"{page} has no section {heading!r}"
    # One # would be a comment of an example.
    end = re.compile(rf"^##{{1,{len(begin[1]) - 1}}} ", re.M).search(text, begin.end())
    return text[begin.end() : None if end is None else end.start()]


def examples(page: str, heading: str, language: str = "python") -> list[str]:
    """Return the code of one section of a page, block by block."""
    text = section(page, heading)
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    assert found, f"{page} has no example in {heading!r}"
    return found

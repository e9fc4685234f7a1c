"""The manual's examples, so that tests can run them."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def examples(page: str, heading: str) -> list[str]:
    """Return the Python code of one section of a page, block by block."""
    text = (DOCS / page).read_text(encoding="utf-8")
    _, _, section = text.partition(f"\n## {heading}\n")
    assert section, f"{page} has no section {heading!r}"
    found = re.findall(r"^```python\n(.*?)^```$", section.partition("\n## ")[0], re.M | re.S)
    assert found, f"{page} has no example in {heading!r}"
    return found

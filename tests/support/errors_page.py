"""The manual's page on errors: a section for each class, with its code."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")


def section(name: str) -> str:
    """Return the text of the section about a class."""
    found = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S)
    assert found, f"errors.md has no section {name!r}"
    return found[1]


def code(name: str, language: str = "python") -> list[str]:
    """Return the code of a section, block by block."""
    return re.findall(rf"^```{language}\n(.*?)^```$", section(name), re.M | re.S)

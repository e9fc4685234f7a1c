"""Each test that the pages on promises and security name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = ("promises.md", "security.md")
TEST = re.compile(r"`((?:tests/)?[\w/]*test_\w+\.py|tests/[\w/]+/)`")


def named_in(page: str) -> list[str]:
    return TEST.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES)
def test_each_test_that_a_page_names_exists(page):
    named = named_in(page)
    assert len(named) >= 10
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_no_part_of_a_page_is_without_a_test(page):
    """Each section that claims something names what holds it, or says that nothing does."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    claims = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    free = ("What the runs gave", "What is not promised", "Names of files")
    without = [part.splitlines()[0] for part in claims if not TEST.search(part)]
    assert [title for title in without if title not in free] == []

"""The manual's pictures show what the code does."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree as ET

import pytest

from support.manual import DOCS


@pytest.fixture(scope="module")
def pictures():
    sys.path.insert(0, str(DOCS))
    try:
        import pictures
    finally:
        sys.path.remove(str(DOCS))
    return pictures


def test_each_picture_is_what_the_script_draws(pictures):
    for name, draw in pictures.DRAWN.items():
        committed = (DOCS / "images" / name).read_text(encoding="utf-8")
        assert committed == draw(), f"run python docs/pictures.py: {name} has changed"


def test_pictures_are_whole_svg(pictures):
    for draw in pictures.DRAWN.values():
        assert ET.fromstring(draw()).tag == "{http://www.w3.org/2000/svg}svg"


def test_the_text_beside_the_picture_has_its_figures(pictures):
    page = " ".join((DOCS / "concepts.md").read_text(encoding="utf-8").split())
    percent = re.findall(r"(\d+) % of", pictures.placement())
    assert f"Of 10,000 keys, {percent[0]}, {percent[1]} and {percent[2]} percent move" in page
    moved = pictures.placement().split(">hash<")[1].split(">consistent<")[0].count(" moved")
    assert f"With hash, {moved} of the keys" in page


def test_the_picture_of_a_pin_has_its_states(pictures):
    from typing import get_args

    from pavics_affinity.pin.policy import Hold

    assert all(f">{state}<" in pictures.pin() for state in get_args(Hold))

"""The scripts that show other projects what could change still show it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "docs" / "upstream").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_prints_what_the_page_shows(script, tmp_path):
    """If this fails with a new version, the project has changed; update the page."""
    ran = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.stdout == script.with_suffix(".txt").read_text("utf-8"), ran.stderr

"""The decision after every outcome in every situation, compared with a table.

A line of ``decisions.txt`` is a course of events, and below it stand the situations in which it
happens: kinds of requests (g: a GET; e: an Execute; s: an Execute whose body can be read once;
``+`` strict, ``-`` not strict), then site/hold/route. ``~`` stands for a wait. To write the table:
``PYTHONPATH=src:tests python -m support.decisions > tests/transport/decisions.txt``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.decisions import OUTCOMES, table

TABLE = Path(__file__).with_name("decisions.txt").read_text().splitlines()


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_situation_is_decided_as_the_table_says(outcome):
    lines = list(table(outcome))
    start = TABLE.index(lines[0])
    assert TABLE[start : start + len(lines)] == lines
    following = TABLE[start + len(lines) :]
    assert not following or following[0].startswith("# ")

"""A batch's journal that something else has changed: read, or refused by an error of ours."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings

from fuzz.seeds import BATCH
from pavics_affinity.batch.intake import Work
from pavics_affinity.batch.journal import BatchJournal
from pavics_affinity.errors import AffinityError, JournalError
from support.mutations import json_like

BEGIN, DONE = BATCH


def looked_up(path, entries):
    path.mkdir(exist_ok=True)
    text = "".join(json.dumps(entry) + "\n" for entry in entries)
    (path / "results.jsonl").write_text(text)
    journal = BatchJournal(path, "c", None)
    try:
        return journal.look_up(Work(1, "item"))
    finally:
        journal.close()


def test_what_is_done_is_known(tmp_path):
    assert looked_up(tmp_path, [BEGIN, DONE]).value == 7


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(document=json_like([BEGIN, DONE]))
def test_a_changed_value_is_read_or_our_error(tmp_path, document):
    with contextlib.suppress(AffinityError):
        repr(looked_up(tmp_path, json.loads(document)))


@pytest.mark.parametrize(
    "change",
    [
        {"value": None},
        {"value": "[" * 100_000},
        {"value": "{"},
        {"value": "9" * 5000},
        {"node": 5},
        {"started": "x"},
        {"ended": 1e300},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_value_of_another_kind_is_named(tmp_path, change):
    with pytest.raises(JournalError, match=rf"is damaged: .* {next(iter(change))} is"):
        looked_up(tmp_path, [BEGIN, DONE | change])

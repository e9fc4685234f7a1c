"""A journal that something else has changed: read, or refused by an error of ours."""

from __future__ import annotations

import contextlib
import copy
import json
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.seeds import ENTRIES
from pavics_affinity import Workflow
from pavics_affinity.errors import AffinityError, JournalError
from pavics_affinity.journal import read
from support.mutations import json_like

MANY = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def put(path, entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def resumed(path):
    """Do with a journal what users do, without asking anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Workflow.resume(path, replay=True) as wf:
            repr(wf), repr(wf.steps), wf._repr_html_(), wf.record.steps.rows()
            for execution in wf.executions:
                repr(execution)
        with Workflow.resume(path) as wf:
            str(wf)


@MANY
@given(document=json_like(ENTRIES))
def test_a_changed_value_is_read_or_our_error(tmp_path, document):
    path = put(tmp_path / "run.jsonl", json.loads(document))
    with contextlib.suppress(AffinityError):
        resumed(path)


@MANY
@given(place=st.floats(0, 1), cut=st.integers(0, 80), insert=st.binary(max_size=6))
def test_changed_bytes_are_read_or_our_error(tmp_path, place, cut, insert):
    path = put(tmp_path / "run.jsonl", ENTRIES)
    whole = path.read_bytes()
    start = round(place * len(whole))
    path.write_bytes(whole[:start] + insert + whole[start + cut :])
    with contextlib.suppress(AffinityError):
        resumed(path)


@pytest.mark.parametrize(
    ("number", "key", "value"),
    [
        (1, "step", True),
        (1, "step", 10**400),
        (1, "time", "yesterday"),
        (1, "time", 1e300),
        (1, "time", float("inf")),
        (1, "node", ["node1"]),
        (1, "service", "http://[::1/wps"),
        (1, "service", {"a": 1}),
        (2, "location", 5),
        (2, "location", "http://127.0.0.1:99999/x"),
        (3, "outputs", ["o"]),
        (3, "outputs", {"o": {"href": "u"}}),
        (7, "answer", ["<a/>"]),
        (0, "node", 5),
        (0, "strict", "yes"),
        (0, "topology", "site.toml"),
        (0, "topology", [{"toml": None}]),
        (0, "topology", [["toml"]]),
    ],
)
def test_a_value_of_another_kind_is_named(tmp_path, number, key, value):
    entries = copy.deepcopy(ENTRIES)
    entries[number][key] = value
    path = put(tmp_path / "run.jsonl", entries)
    with pytest.raises(JournalError, match=rf"is damaged: .* {key} is"):
        read(path)


@pytest.mark.parametrize("answer", ["", "<a", "\ud800", "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>"])
def test_an_answer_that_is_not_xml_is_named(tmp_path, answer):
    entries = copy.deepcopy(ENTRIES)
    entries[7]["answer"] = answer
    path = put(tmp_path / "run.jsonl", entries)
    with (
        pytest.warns(match="not known"),
        Workflow.resume(path) as wf,
        pytest.raises(JournalError, match="cannot be read"),
    ):
        _ = wf.executions


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"event": "x", "a": ' + "[" * 900 + "]" * 900 + "}"]
)
def test_a_line_that_is_nested_deeply_is_damaged(tmp_path, line):
    path = put(tmp_path / "run.jsonl", ENTRIES)
    path.write_text(path.read_text() + line + "\n" + json.dumps(ENTRIES[-1]) + "\n")
    with pytest.raises(JournalError, match=r"line 10 .* is damaged"):
        read(path)

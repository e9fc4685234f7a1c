"""The tree of errors: one base, drawn whole, and every one in the manual."""

from __future__ import annotations

import inspect
import pickle
import re
from pathlib import Path

import pytest

from pavics_affinity import errors

ALL = [
    thing
    for thing in vars(errors).values()
    if inspect.isclass(thing) and issubclass(thing, errors.AffinityError)
]
WARNINGS = [
    thing
    for thing in vars(errors).values()
    if inspect.isclass(thing) and issubclass(thing, errors.AffinityWarning)
]
MANUAL = Path(__file__).parents[1] / "docs" / "errors.md"


@pytest.mark.parametrize("error", ALL)
def test_each_error_stands_in_the_tree_below_its_base(error):
    depth = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ([│├└─ ]*)(\w+)", line):
            depth[found[2]] = len(found[1])
    ours = [base for base in error.__bases__ if base in ALL]
    assert all(depth[base.__name__] < depth[error.__name__] for base in ours)


@pytest.mark.parametrize("error", [*ALL, *WARNINGS])
def test_each_error_is_in_the_manual(error):
    assert f".. autoexception:: {error.__name__}\n" in MANUAL.read_text()


@pytest.mark.parametrize("error", ALL)
def test_each_error_travels_to_another_process_with_what_it_knows(error):
    made = error("what happened", machineid="a1b2", node="node2", url="http://h/wps", attempts=3)
    found = pickle.loads(pickle.dumps(made))
    assert type(found) is error
    assert str(found) == "what happened"
    known = (found.machineid, found.node, found.url, found.attempts)
    assert known == ("a1b2", "node2", "http://h/wps", 3)


def test_an_error_is_about_a_workflow():
    class Workflow:
        machineid, node = "a1b2", "node2"

    error = errors.AffinityLost("what happened", about=Workflow(), url="http://h/wps")
    assert (error.machineid, error.node, error.url) == ("a1b2", "node2", "http://h/wps")
    assert errors.AffinityLost("what happened", about=Workflow(), node="node3").node == "node3"

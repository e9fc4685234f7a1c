"""The tree of errors: one base, drawn whole, and every one in the manual."""

from __future__ import annotations

import inspect
import pickle
import re
from pathlib import Path

import pytest
import tblib.pickling_support
from lxml import etree

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
def test_each_error_is_in_the_tree_below_its_base(error):
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


@pytest.mark.parametrize("by", ["cause", "context", "suppressed context"])
def test_an_error_that_comes_from_lxml_travels_where_tblib_sends_its_cause(by):
    try:
        try:
            etree.fromstring("<a>")
        except etree.XMLSyntaxError as error:
            if by == "context":
                raise errors.OutputUnavailable("not XML")  # noqa: B904 - what is tested
            raise errors.OutputUnavailable("not XML") from (error if by == "cause" else None)
    except errors.OutputUnavailable as error:
        made = error
    tblib.pickling_support.install(made, ValueError())
    found = pickle.loads(pickle.dumps(made))
    assert str(found) == "not XML"
    assert (found.__cause__ is not None) == (by == "cause")
    assert isinstance(found.__context__, ValueError)
    assert "Premature end of data in tag a" in str(found.__context__)
    assert found.__suppress_context__ == (by != "context")

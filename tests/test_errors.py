"""The tree of errors: one base, drawn whole, and every one in the manual."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest
import tblib.pickling_support
from lxml import etree

from pavics_affinity import errors
from support.manual import ERRORS, section_of_error, text_of

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


@pytest.mark.parametrize("error", ALL)
def test_each_error_is_in_the_tree_below_its_base(error):
    depth = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ([│├└─ ]*)(\w+)", line):
            depth[found[2]] = len(found[1])
    ours = [base for base in error.__bases__ if base in ALL]
    assert all(depth[base.__name__] < depth[error.__name__] for base in ours)


def test_each_error_and_warning_has_one_section_in_the_manual_and_no_section_is_left_over():
    named = re.findall(r"^### (.*)$", text_of(ERRORS), re.M)
    assert sorted(named) == sorted(kind.__name__ for kind in [*ALL, *WARNINGS])


@pytest.mark.parametrize("error", [*ALL, *WARNINGS])
def test_each_section_says_what_happened_its_causes_and_what_to_do(error):
    text = section_of_error(error.__name__)
    parts = (f"\n.. autoexception:: {error.__name__}\n", "\n**Cause.** ", "\n**Fix.** ")
    assert [text.count(part) for part in parts] == [1, 1, 1]
    assert sorted(parts, key=text.index) == list(parts)


@pytest.mark.parametrize("error", [*ALL, *WARNINGS])
def test_the_url_of_each_message_is_that_of_its_section(error):
    nodes = pytest.importorskip("docutils.nodes")
    [page, anchor] = errors.see_manual(error).removeprefix(f"See {errors.MANUAL}").split("#")
    assert page == "errors.html"
    # As Sphinx makes the ids of headings.
    assert anchor == nodes.make_id(error.__name__)


def test_an_error_of_another_package_leads_to_its_nearest_class_of_ours():
    class Mine(errors.NoAnswer, RuntimeError):
        pass

    assert str(Mine("slow")) == f"slow\n{errors.see_manual(errors.NoAnswer)}"
    assert errors.see_manual(Mine).endswith("errors.html#noanswer")


def test_the_words_of_an_error_for_another_text_are_without_the_url():
    assert errors.message_of(errors.NoAnswer("slow")) == "slow"
    assert errors.message_of(ValueError("no number")) == "no number"


def test_a_sentence_is_added_once_before_the_url():
    error = errors.InvalidRequest("it is 3")
    errors.say_also(error, "Nothing was executed")
    errors.say_also(error, "Nothing was executed")
    assert error.message == "it is 3. Nothing was executed"
    assert str(error).splitlines()[1:] == [errors.see_manual(errors.InvalidRequest)]


@pytest.mark.parametrize("error", ALL)
def test_each_error_travels_to_another_process_with_what_it_knows(error):
    made = error("what happened", machineid="a1b2", node="node2", url="http://h/wps", attempts=3)
    found = pickle.loads(pickle.dumps(made))
    assert type(found) is error
    assert found.message == "what happened"
    assert str(found) == str(made) == f"what happened\n{errors.see_manual(error)}"
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
    assert found.message == "not XML"
    assert (found.__cause__ is not None) == (by == "cause")
    assert isinstance(found.__context__, ValueError)
    assert "Premature end of data in tag a" in str(found.__context__)
    assert found.__suppress_context__ == (by != "context")

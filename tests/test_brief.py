"""What a user's mistake shows: their own line, our public method and the message."""

from __future__ import annotations

import sys
import traceback

import pytest
import requests

from pavics_affinity import Topology, Workflow, discover
from pavics_affinity.errors import AffinityError, NotAService, ServiceUnreachable
from support.loopback import Answer, free_port

pytestmark = pytest.mark.usefixtures("no_waiting")

MOST_LINES = 15


def shown(mistake):
    """Return the lines that Python prints of an error, and the error."""
    try:
        mistake()
    except AffinityError as error:
        return traceback.format_exception(error), error
    raise AssertionError("it is not a mistake")


MISTAKES = {
    "a port at which nothing listens": lambda wf, s: wf.wps(f"http://127.0.0.1:{free_port()}/wps"),
    "not a url": lambda wf, s: wf.wps("proxy/wps"),
    "an unknown option": lambda wf, s: wf.wps(s.url(), version="3.0.0"),
    "an unknown process": lambda wf, s: wf.wps(s.url()).execute("stop", []),
    "an unknown input": lambda wf, s: wf.wps(s.url()).execute("step", [("a", "1")]),
    "a value of another type": lambda wf, s: wf.wps(s.url()).execute("step", [("delay", "soon")]),
    "a url as machineid": lambda wf, s: Workflow(s.url()),
    "a key that no topology has": lambda wf, s: Topology.loads("[nodes]\na = { hots = 1 }"),
    "invalid toml": lambda wf, s: Topology.loads("[nodes"),
    "a proxy without a document": lambda wf, s: discover(s.url()),
    "no journal": lambda wf, s: Workflow.resume("/missing/run.jsonl"),
    "a host out of scope": lambda wf, s: wf.add_scope("a.example") or wf.link("http://b.example/"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_shows_few_lines_and_the_users_own(service, mistake):
    with Workflow() as wf:
        lines, error = shown(lambda: mistake(wf, service))
    text = "".join(lines)
    assert len(text.splitlines()) <= MOST_LINES, text
    assert text.rstrip().endswith(str(error))
    assert "test_brief.py" in text


def test_a_url_that_is_not_a_service_shows_few_lines(service):
    service.capabilities = Answer(200, b"<html>log in</html>")
    with Workflow() as wf:
        lines, error = shown(lambda: wf.wps(service.url()))
    assert isinstance(error, NotAService)
    assert len("".join(lines).splitlines()) <= MOST_LINES


def test_a_missing_extra_shows_few_lines(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    lines, error = shown(Workflow().plot)
    assert "pip install 'pavics-affinity[plot]'" in str(error)
    assert len("".join(lines).splitlines()) <= MOST_LINES


def test_what_the_error_came_from_is_kept():
    with Workflow() as wf:
        _, error = shown(lambda: wf.wps(f"http://127.0.0.1:{free_port()}/wps"))
    assert isinstance(error, ServiceUnreachable)
    assert isinstance(error.__context__, requests.ConnectionError)


def test_what_the_user_was_handling_is_still_shown():
    def mistake():
        try:
            raise KeyError("their own")
        except KeyError:
            Workflow("http://a.example/wps")

    lines, _ = shown(mistake)
    assert "KeyError: 'their own'" in "".join(lines)

"""What a workflow's journal says, and when it says nothing."""

from __future__ import annotations

import json

import pytest

from pavics_affinity import Node, Service, Topology, Workflow
from pavics_affinity.errors import JournalError, JournalLocked, UnknownNode
from pavics_affinity.journal import Lines, read

SITE = Topology(
    nodes=(Node("node1", host="127.0.0.11"), Node("node2", host="127.0.0.12")),
    services=(Service("fp", url="http://127.0.0.10:58093/wps", port=8093),),
)


def sending(step, process="p", **more):
    return (
        {"event": "sending", "step": step, "process": process, "service": "http://h/wps"}
        | {"machineid": "a1b2", "node": "node2", "digest": f"d{step}", "time": 10.0 * step}
        | more
    )


def journal(path, *entries, **begin):
    first = {
        "event": "begin",
        "format": 1,
        "machineid": "a1b2",
        "node": None,
        "route": "auto",
        "strict": True,
        "header": "machineid",
        "topology": [],
    } | begin
    path.write_text("".join(json.dumps(entry) + "\n" for entry in (first, *entries)))


def test_a_step_is_what_its_last_line_says(path):
    journal(
        path,
        sending(1),
        {"event": "accepted", "step": 1, "node": "node2", "location": "http://h/1.xml"},
        sending(2),
        {"event": "not sent", "step": 2, "time": 21.0},
        sending(3),
        {"event": "refused", "step": 3, "time": 31.0},
        sending(4),
        {"event": "unknown", "step": 4, "time": 41.0},
        sending(5),
        {"event": "accepted", "step": 5, "node": "node2", "location": "http://h/5.xml"},
        {"event": "ended", "step": 5, "time": 52.0, "state": "succeeded", "outputs": {"o": "u"}},
        sending(6),
        {"event": "ended", "step": 6, "time": 62.0, "state": "failed"},
        sending(7),
        {"event": "ended", "step": 7, "time": 72.0, "state": "succeeded", "answer": "<a/>"},
        sending(8),
    )
    steps = read(path).steps
    assert [step.state for step in steps] == [
        "accepted",
        "not sent",
        "refused",
        "unknown",
        "succeeded",
        "failed",
        "succeeded",
        "unknown",
    ]
    assert [step.location for step in steps[:5]] == [
        "http://h/1.xml",
        *[None] * 3,
        "http://h/5.xml",
    ]
    assert steps[4].outputs == {"o": "u"}
    assert steps[4].seconds == 2.0
    assert steps[6].answer == b"<a/>"
    assert all(step.recalled for step in steps)


def test_the_node_is_that_of_the_first_step_that_may_have_run(path):
    journal(path, sending(1, node="node1"), {"event": "not sent", "step": 1}, node="node3")
    assert read(path).node == "node3"
    journal(path, sending(1, node="node1"), {"event": "not sent", "step": 1}, sending(2))
    assert read(path).node == "node2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "does not begin like a workflow's journal"),
        ('{"event": "begin"}\n', "does not begin like a workflow's journal"),
        ('{"event": "sending", "step": 1}\n', "does not begin like a workflow's journal"),
        ('{"event": "begin", "format": 9, "machineid": "a"}\n', "has format 9"),
        (
            '{"event": "begin", "format": 1, "machineid": "a"}\n',
            "does not contain the workflow.s options",
        ),
        (
            '{"event": "begin", "format": 1, "machineid": "a b", "topology": [], "route": "auto", '
            '"strict": true, "header": "machineid"}\n',
            "cannot be a machineid",
        ),
    ],
)
def test_what_is_not_a_journal_is_refused(path, text, said):
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        Workflow.resume(path)
    Lines(path).close()  # nothing was left locked


def test_a_journal_that_is_not_there_is_not_made(path):
    with pytest.raises(JournalError, match="there is no journal"):
        Workflow.resume(path)
    assert not path.exists()


def test_a_file_that_is_not_empty_is_not_overwritten(path):
    with Workflow("a1b2", journal=path):
        pass
    with pytest.raises(JournalError, match=r"Workflow\.resume"):
        Workflow("a1b2", journal=path)


def test_an_open_workflow_locks_its_journal(path):
    with Workflow("a1b2", journal=path):
        with pytest.raises(JournalLocked):
            Workflow.resume(path)
        assert read(path).machineid == "a1b2"  # reading is free
    Workflow.resume(path).close()


def test_what_the_workflow_was_made_with_comes_back(path, tmp_path):
    SITE.dump(tmp_path / "site.toml")
    for topology in (SITE, tmp_path / "site.toml"):
        options = {"topology": topology, "node": "node2", "route": "direct", "strict": False}
        with Workflow("a1b2", journal=path, header="X-Id", **options):
            pass
        with Workflow.resume(path) as wf:
            pin = wf.session.pin
            assert (wf.machineid, wf.node) == ("a1b2", "node2")
            assert (pin.route_policy, pin.strict, pin.header) == ("direct", False, "X-Id")
            assert pin.sources[0].current == SITE
        path.unlink()


def test_an_error_says_that_a_site_has_lost_the_node(path):
    with Workflow("a1b2", journal=path, topology=SITE, node="node2"):
        pass
    other = Topology(nodes=(Node("node1", host="127.0.0.11"),), services=SITE.services)
    with pytest.raises(UnknownNode, match="node2"):
        Workflow.resume(path, topology=other)
    Workflow.resume(path).close()

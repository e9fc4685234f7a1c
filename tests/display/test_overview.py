"""A workflow at a glance: what a notebook and a terminal show of it."""

from __future__ import annotations

import io
import re
import time

import pytest

from pavics_affinity import Node, Service, Topology, Workflow
from pavics_affinity.record import Request, Step

SITE = Topology(
    nodes=(Node("node1", host="127.0.0.11"), Node("node2", host="127.0.0.12")),
    services=(Service("fp", url="http://127.0.0.10:58093/wps", port=8093),),
)
OUTPUT = "http://127.0.0.10:58093/outputs/x.nc"
HOSTILE = '<script>alert(1)</script>"\x1b[31m\u202e'


def step(workflow: Workflow, process: str = "subset_bbox", **changed) -> Step:
    made = workflow.record.steps.begin(process, "http://127.0.0.10:58093/wps")
    made.started = time.time() - 2
    made.ended = made.started + 1.5
    made.state = "succeeded"
    made.node = "node2"
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def body(workflow: Workflow) -> str:
    return workflow._repr_html_().partition("</style>")[2]


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def in_terminal(thing: object, width: int = 120) -> str:
    rich = pytest.importorskip("rich.console")
    file = io.StringIO()
    rich.Console(file=file, width=width, force_terminal=True).print(thing)
    return file.getvalue()


def test_an_empty_workflow_says_what_it_is():
    with Workflow("a1b2") as wf:
        shown = text(body(wf))
    assert "Workflow a1b2" in shown
    assert "unknown: the proxy's hash decides" in shown.replace("&#x27;", "'")
    assert "process" not in shown


def test_a_closed_workflow_says_so_and_still_shows_its_steps():
    with Workflow("a1b2") as wf:
        step(wf)
    shown = text(body(wf))
    assert "Workflow, closed a1b2" in shown
    assert "subset_bbox" in shown
    assert "closed" in in_terminal(wf)


def test_a_step_shows_process_node_state_and_time():
    with Workflow(topology=SITE, node="node2") as wf:
        step(wf)
        shown = text(body(wf))
    assert re.search(
        r"1 subset_bbox 127\.0\.0\.10:58093/wps node2 ✓ succeeded .{8,19} 1\.50", shown
    )
    assert "node2 (predicted: from the topology)" in shown


def test_a_service_has_the_topologys_name():
    with Workflow("a1b2", topology=SITE) as wf:
        wf.record.add(
            Request(0.0, 0.1, "GET", "GetCapabilities", "http://127.0.0.10:58093/wps", "fp",
                    "node1", "predicted", "proxy", 200, 10, 1, None), "a1b2"
        )  # fmt: skip
        step(wf)
        page = body(wf)
    assert 'href="http://127.0.0.10:58093/wps?service=WPS&amp;request=GetCapabilities"' in page
    assert re.search(r"subset_bbox fp node2", text(page))


def test_a_step_of_another_day_has_its_date():
    with Workflow() as wf:
        step(wf, started=1_000_000_000.0, ended=1_000_000_002.0)
        step(wf, started=time.time(), ended=time.time())
        page = text(body(wf))
    assert re.findall(r"\d{4}-\d\d-\d\d", page) in (["2001-09-09"], ["2001-09-08"])


# ---- links ----


def test_an_output_links_to_the_node_itself_where_its_address_is_known():
    with Workflow(topology=SITE, node="node2") as wf:
        step(wf, outputs={"output": OUTPUT})
        assert 'href="http://127.0.0.12:8093/outputs/x.nc"' in body(wf)


def test_an_output_links_through_a_strict_proxy_by_its_path():
    site = Topology(nodes=SITE.nodes, services=SITE.services, proxy="strict")
    with Workflow("a1b2", topology=site, node="node2") as wf:
        step(wf, outputs={"output": OUTPUT})
        assert 'href="http://127.0.0.10:58093/.affinity/a1b2~node2/outputs/x.nc"' in body(wf)
        assert wf.link(OUTPUT) in body(wf)


def test_behind_a_plain_proxy_an_output_is_not_a_link_and_the_card_says_why():
    with Workflow("a1b2") as wf:
        wf.add_scope("http://127.0.0.10")
        step(wf, outputs={"output": OUTPUT})
        page = body(wf)
    assert OUTPUT in page
    assert f'href="{OUTPUT}"' not in page
    assert "only a request header leads to the node" in page


def test_an_output_on_another_host_links_there():
    with Workflow("a1b2", topology=SITE) as wf:
        step(wf, outputs={"output": "https://elsewhere.example/x.nc"})
        assert 'href="https://elsewhere.example/x.nc"' in body(wf)


def test_showing_a_workflow_decides_nothing():
    with Workflow(topology=SITE) as wf:
        step(wf, outputs={"output": OUTPUT})
        before = (wf.node, wf.node_known, wf.session.pin.state())
        body(wf)
        in_terminal(wf)
        assert (wf.node, wf.node_known, wf.session.pin.state()) == before
        assert not wf.session.pin.pinned
        assert list(wf.record) == []


# ---- what went wrong ----


@pytest.mark.parametrize("state", ["failed", "refused", "unknown"])
def test_a_failed_step_shows_the_servers_message(state):
    with Workflow() as wf:
        step(wf, state=state, message="the box holds no point")
        assert f"{state}: the box holds no point" in text(body(wf))
        assert "the box holds no point" in in_terminal(wf, 200)


def test_what_runs_still_says_how_far_it_is():
    with Workflow() as wf:
        step(wf, state="running", percent=40, ended=None)
        assert re.search(r"running 40 % .{8,19} \d\.\d\d so far", text(body(wf)))


def test_notes_and_warnings_are_shown_once():
    with Workflow() as wf:
        with pytest.warns(UserWarning, match="went direct"):
            wf.session.pin.warn_once("direct", "the requests went direct")
        wf.record.note("the requests went direct")
        assert body(wf).count("the requests went direct") == 1
        assert "the requests went direct" in in_terminal(wf)


# ---- hostile and many ----


def test_hostile_words_are_shown_and_do_nothing():
    with Workflow(topology=SITE, node="node2") as wf:
        outputs = {
            HOSTILE: "javascript:alert(1)",
            "b": f"http://127.0.0.10:58093/outputs/{HOSTILE}",
        }
        step(wf, HOSTILE, state="failed", message=HOSTILE, outputs=outputs)
        wf.record.note(HOSTILE)
        page, printed = body(wf), in_terminal(wf)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert 'href="javascript' not in page
    for shown in (page, printed):
        assert "\x1b[31m\u202e" not in shown
        assert "\u202e" not in shown
    targets = re.findall(r"\x1b]8;[^;]*;([^\x1b]*)", printed)
    assert set(targets) <= {"", "http://127.0.0.10:58093/wps"}


def test_ten_thousand_steps_are_a_short_page():
    with Workflow() as wf:
        for number in range(10_000):
            step(wf, outputs={f"o{i}": OUTPUT for i in range(100)} if number == 9_999 else {})
        page = body(wf)
        printed = in_terminal(wf)
    assert len(page) < 60_000
    assert page.count("<tr>") < 70
    assert "9,950 earlier steps" in page
    assert "10,000 succeeded" in page
    assert "92 more" in page
    assert len(printed.splitlines()) < 200


def test_a_terminal_shows_the_same_with_links():
    with Workflow(topology=SITE, node="node2") as wf:
        step(wf, outputs={"output": OUTPUT})
        printed = in_terminal(wf)
    assert "subset_bbox" in printed
    assert "http://127.0.0.12:8093/outputs/x.nc" in printed  # the target of a hyperlink
    assert "✓ succeeded" in printed

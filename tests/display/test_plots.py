"""Pictures: read from what was drawn, not from its pixels."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from pavics_affinity import Node, Service, Topology, Workflow, derive_machineid
from pavics_affinity.display import plot_chains, plot_spread, plot_steps
from pavics_affinity.errors import MissingExtra, TopologyError, UnknownService
from pavics_affinity.markup import clean
from pavics_affinity.record import Step

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def _no_window():
    matplotlib.use("Agg")
    yield
    from matplotlib import pyplot as plt

    plt.close("all")


def step(number: int, process: str, node: str | None, start: float, end: float | None, **changed):
    made = Step(number, process, "http://proxy.example/wps", node=node)
    made.started, made.ended = 1_000_000.0 + start, None if end is None else 1_000_000.0 + end
    made.state = "succeeded"
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def names(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def spans(ax) -> list[tuple[str, float, float, float]]:
    """Name, row, start and end of each bar."""
    found = []
    for name, bars in zip(names(ax), ax.collections, strict=True):
        for path in bars.get_paths():
            (left, low), (right, high) = path.get_extents().get_points()
            found.append((name, (low + high) / 2, round(left, 3), round(right, 3)))
    return sorted(found, key=lambda bar: (bar[1], bar[2]))


def hatches(ax) -> dict[str, str | None]:
    return {name: bars.get_hatch() for name, bars in zip(names(ax), ax.collections, strict=True)}


def rows(ax) -> dict[str, float]:
    return {
        label.get_text(): tick
        for label, tick in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)
    }


# ---- steps ----


def test_steps_are_in_the_row_of_their_node_from_start_to_end():
    ax = plot_steps(
        [
            step(1, "download", "node1", 0, 2),
            step(2, "subset_bbox", "node1", 2, 5),
            step(3, "download", "node2", 1, 4),
        ]
    )
    assert rows(ax) == {"node1": 0, "node2": 1}
    assert spans(ax) == [
        ("download", 0, 0, 2),
        ("subset_bbox", 0, 2, 5),
        ("download", 1, 1, 4),
    ]


def test_steps_that_overlap_lie_one_below_the_other():
    ax = plot_steps([step(1, "a", "node1", 0, 4), step(2, "a", "node1", 1, 2)])
    assert [(row, start) for _, row, start, _ in spans(ax)] == [(0, 0), (1, 1)]
    assert rows(ax) == {"node1": 0.5}


def test_a_failed_step_is_hatched_and_named():
    ax = plot_steps([step(1, "a", "node1", 0, 1), step(2, "b", "node1", 1, 2, state="failed")])
    assert hatches(ax) == {"a": None, "b (failed)": "////"}


def test_what_runs_still_reaches_to_now():
    begun = step(1, "a", "node1", 0, None, state="running")
    begun.started = time.time() - 10
    [(_, _, start, end)] = spans(plot_steps([begun]))
    assert (start, round(end)) == (0, 10)


def test_what_was_never_sent_is_not_drawn_and_an_unknown_node_comes_last():
    ax = plot_steps(
        [
            step(1, "a", None, 0, 1),
            step(2, "a", "node9", 0, 1),
            step(3, "a", "node9", 1, 2, state="not sent"),
        ]
    )
    assert list(rows(ax)) == ["node9", "unknown"]
    assert len(spans(ax)) == 2


def test_a_workflow_plots_its_own_steps():
    with Workflow("a1b2") as wf:
        made = wf.record.steps.begin("download", "http://proxy.example/wps")
        made.state, made.node, made.started, made.ended = "succeeded", "node2", 10.0, 12.0
        ax = wf.plot()
    assert ax.get_title() == "Workflow a1b2"
    assert spans(ax) == [("download", 0, 0, 2)]


def test_an_empty_workflow_says_that_nothing_was_executed():
    with Workflow() as wf:
        assert [text.get_text() for text in wf.plot().texts] == ["nothing was executed"]


def test_axes_that_are_given_are_drawn_on():
    _, given = matplotlib.pyplot.subplots()
    assert plot_steps([step(1, "a", "node1", 0, 1)], ax=given) is given


@pytest.mark.parametrize("seconds", [1, 20_000], ids=["one by one", "all at once"])
def test_ten_thousand_steps_are_drawn_in_bounds(seconds):
    steps = [step(i, f"p{i % 50}", f"node{i % 3}", i, i + seconds) for i in range(10_000)]
    ax = plot_steps(steps)
    assert len(ax.collections) == len(names(ax)) == 8
    assert names(ax)[-1] == "others"
    assert len(spans(ax)) == 10_000
    ax.figure.canvas.draw()
    assert ax.figure.get_size_inches()[1] <= 12


@pytest.mark.parametrize("name", ["$\\frac{1}{0$", "_hidden", "\x1b[2J", "a\nb"])
def test_names_are_drawn_as_they_are(name):
    ax = plot_steps([step(1, name, "node1", 0, 1)])
    ax.figure.canvas.draw()
    [shown] = names(ax)
    assert shown.replace("\\$", "$") == clean(name)


# ---- chains ----


@dataclass
class Result:
    item: int
    node: str | None
    started: float
    ended: float | None
    error: Exception | None = None
    recalled: bool = False


def test_chains_of_a_batch_stand_by_node_over_time():
    ax = plot_chains(
        [
            Result(1, "node1", 100.0, 103.0),
            Result(2, "node2", 101.0, 104.0, ValueError("x")),
            Result(3, "node1", 103.0, 105.0),
            Result(4, None, 0.0, None, ValueError("never began")),
            Result(5, "node2", 50.0, 60.0, recalled=True),
        ]
    )
    assert ax.get_title() == "3 chains by node"
    assert [(row, start, end) for _, row, start, end in spans(ax)] == [
        (0, 0, 3),
        (0, 3, 5),
        (1, 1, 4),
    ]
    assert hatches(ax) == {"succeeded": None, "failed": "////"}


def test_a_batch_is_drawn_while_it_runs_without_being_waited_for():
    class Batch:
        chains = (Result(1, "node1", time.time() - 5, None),)

        def __iter__(self):
            raise AssertionError("iterating would begin chains")

    [(name, _, start, end)] = spans(plot_chains(Batch()))
    assert (name, start, round(end)) == ("running", 0, 5)


# ---- spread ----


def site(count: int, method: str = "hash") -> Topology:
    return Topology(
        nodes=[Node(f"node{i}", host=f"10.0.0.{i}", weight=i) for i in range(1, count + 1)],
        services=[
            Service("fp", url="http://proxy.example/wps", port=8093, method=method),
            Service("mf", url="http://proxy.example/mf", port=8091, method=method),
        ],
    )


def widths(ax) -> list[list[float]]:
    return [[bar.get_width() for bar in bars] for bars in ax.containers]


def test_spread_shows_the_share_of_each_node():
    ax = plot_spread(site(3), keys=3_000)
    keys, topology = [derive_machineid("spread", i) for i in range(3_000)], site(3)
    placed = [topology.first_node("fp", key) for key in keys]
    expected = [100 * placed.count(f"node{i}") / 3_000 for i in (1, 2, 3)]
    assert widths(ax) == [pytest.approx(expected)]
    assert list(rows(ax)) == ["node1", "node2", "node3"]
    assert ax.get_title() == "fp: 3,000 machineids over 3 nodes"


def test_spread_marks_what_the_weights_ask_for():
    ax = plot_spread(site(3), keys=1_000)
    marked = [path.vertices[0, 0] for path in ax.collections[0].get_paths()]
    assert marked == pytest.approx([100 / 6, 200 / 6, 300 / 6])


@pytest.mark.parametrize(
    ("method", "least", "most"), [("hash", 0.5, 0.9), ("rendezvous", 0.3, 0.5)]
)
def test_spread_before_and_after_says_what_the_change_moves(method, least, most):
    before, after = site(3, method), site(4, method)
    ax = plot_spread(before, after, keys=2_000)
    keys = [derive_machineid("spread", i) for i in range(2_000)]
    moved = sum(before.first_node("fp", k) != after.first_node("fp", k) for k in keys) / 2_000
    assert least < moved < most
    assert ax.get_title() == f"fp: the change moves {moved:.1%} of 2,000 machineids"
    assert [len(bars) for bars in widths(ax)] == [4, 4]
    assert widths(ax)[0][3] == 0
    assert [sum(bars) for bars in widths(ax)] == pytest.approx([100, 100])


def test_spread_takes_another_service_by_its_name():
    assert plot_spread(site(2), service="mf", keys=100).get_title().startswith("mf:")
    with pytest.raises(UnknownService, match="malleefowl"):
        plot_spread(site(2), service="malleefowl", keys=100)


def test_spread_of_a_site_without_services_is_refused():
    with pytest.raises(TopologyError, match="no service"):
        plot_spread(Topology(nodes=[Node("node1", host="10.0.0.1")]))


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pavics-affinity\[plot\]'"):
        plot_steps([step(1, "a", "node1", 0, 1)])


def test_the_display_room_loads_no_extra_by_itself():
    code = (
        "import sys, pavics_affinity.display, pavics_affinity.display.overview\n"
        "print(sorted({'matplotlib', 'rich', 'IPython'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"

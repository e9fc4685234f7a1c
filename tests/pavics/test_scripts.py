"""The scripts that ``make pavics`` runs: it needs finch, and these tests do not."""

from pathlib import Path

import pytest

from pavics.run import BIRDY, CHAINS, FORMS, OWSLIB, Run, table

HERE = Path(__file__).parent
EVERY = [chain for chains in CHAINS.values() for chain in chains]


@pytest.mark.parametrize("chain", EVERY)
@pytest.mark.parametrize(("folder", "line"), [("birdy", BIRDY), ("owslib", OWSLIB)])
def test_the_line_that_changes_stands_alone_and_once(folder, line, chain):
    lines = (HERE / folder / f"{chain}.py").read_text().splitlines()
    assert lines.count(line) == 1


@pytest.mark.parametrize("folder", ["birdy", "owslib"])
def test_there_is_no_script_that_is_not_run(folder):
    assert {path.stem for path in (HERE / folder).glob("*.py")} == set(EVERY)


@pytest.mark.parametrize("folder", ["birdy", "owslib"])
def test_no_script_passes_a_path_of_a_node(folder):
    assert not any("file://" in path.read_text() for path in (HERE / folder).glob("*.py"))


def test_the_table_counts_right_answers_only():
    runs = [Run("plain nginx", "birdy", "frost_days", answer=answer) for answer in (40, 40, 39)]
    assert table(runs).splitlines()[-1].split() == ["together", "2", "of", "3"]


def test_a_step_that_ran_twice_or_elsewhere_is_not_a_success_of_ours():
    run = Run("plain nginx", "wf.wps", "frost_days", answer=40, nodes=["node1"], executes=2)
    assert run.right
    assert run.kept
    assert not Run(**(vars(run) | {"executes": 3})).kept
    assert not Run(**(vars(run) | {"nodes": ["node1", "node2"]})).kept
    assert [form.name for form in FORMS if form.ours] == [
        "WPSClient",
        "wf.birdy",
        "WebProcessingService",
        "wf.wps",
    ]

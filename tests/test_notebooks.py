"""The notebooks as they are committed: run, from top to bottom, without a trace of where."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
NAMES = [
    "01_first_chain",
    "02_no_proxy",
    "03_many_files",
    "04_birdy",
    "05_resume",
    "06_operators",
]


def read(name: str):
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def code(name: str):
    return [cell for cell in read(name).cells if cell.cell_type == "code"]


def outputs(name: str):
    return [output for cell in code(name) for output in cell.outputs]


def test_all_notebooks_are_there_and_listed():
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == NAMES
    listed = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")
    assert all(f"({name}.ipynb)" in listed for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_was_run_from_top_to_bottom(name):
    counts = [cell.execution_count for cell in code(name)]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_ends_with_a_picture(name):
    last = code(name)[-1]
    assert any("image/png" in output.get("data", {}) for output in last.outputs)


@pytest.mark.parametrize("name", NAMES)
def test_no_output_is_an_error_or_a_warning(name):
    assert [o.get("ename") for o in outputs(name) if o.output_type == "error"] == []
    assert [o.text for o in outputs(name) if o.get("name") == "stderr"] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_output_names_the_machine_that_it_was_run_on(name):
    text = nbformat.writes(read(name))
    found = re.findall(
        r"(?<![\w.:/])/(?:home|root|work|opt|usr|builds|Users|mnt|srv)\b[^\s\"]*", text
    )
    assert found == []
    assert set(re.findall(r"https?://([\d.]+)", text)) <= set(
        re.findall(r"https?://(127[\d.]+|10\.[\d.]+)", text)
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_reads_as_a_tutorial(name):
    cells = read(name).cells
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    assert sum(cell.cell_type == "markdown" for cell in cells) >= len(code(name)) / 2


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_stops_the_site_that_it_starts(name):
    source = "\n".join(cell.source for cell in code(name))
    assert source.count("cluster = LocalCluster(") == source.count("cluster.stop()") == 1

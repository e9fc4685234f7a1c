"""The examples of docs/batch.md and docs/journal.md, run as they stand but for the URLs."""

from __future__ import annotations

import re
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from pavics_affinity import map_workflows
from support import chains

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def example(cluster, tmp_path, monkeypatch):
    """Return the n-th Python block of a page, with the cluster's URLs."""
    monkeypatch.chdir(tmp_path)
    cluster.dump_topology("site.toml")

    def find(page: str, number: int) -> str:
        text = (DOCS / page).read_text(encoding="utf-8")
        block = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[number]
        for port, service in ((58091, "malleefowl"), (58093, "flyingpigeon")):
            block = block.replace(f"http://proxy.example:{port}/wps", cluster.url(service))
        return block

    return find


def test_the_batch(example, cluster, tmp_path, capsys):
    names = ["E1_north_america.nc", "A1B_north_america.nc"]
    space = {"urls": [f"{cluster.data_url}/{name}" for name in names]}
    exec(example("batch.md", 0), space)
    assert capsys.readouterr().out.count("<WorkflowResult") == 2
    for name in names:
        assert (tmp_path / f"subset_of_{name}").read_bytes()[:3] in (b"CDF", b"\x89HD")
    code = example("batch.md", 3)
    for recalled in (False, True):
        exec(code, space)
        assert [result.recalled for result in space["results"]] == [recalled] * 2


def test_the_batch_over_processes(example, cluster):
    """The chain of the page is not in a module: another one replaces it."""
    assert ProcessPoolExecutor.__name__ in example("batch.md", 1)
    space = {"subset": chains.misbehave, "urls": ["a", "b"], "map_workflows": map_workflows}
    exec(example("batch.md", 1).replace("(8)", "(1)"), space)
    assert sorted(result.value for result in space["results"]) == ["a", "b"]


def test_the_journal(example, cluster, capsys):
    space = {"url": cluster.sample_url}
    for number in range(3):
        exec(example("journal.md", number), space)
    assert space["path"].startswith("file://")
    posts = [r for r in cluster.requests() if r.machineid == space["wf"].machineid]
    assert [r.operation for r in posts].count("Execute") == 1

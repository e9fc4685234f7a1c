"""A batch at a glance."""

from __future__ import annotations

import re

from pavics_affinity.batch import ChainRun, map_workflows
from pavics_affinity.display import results
from pavics_affinity.markup.html import in_notebook


def run(number: int, node: str | None = "node1", **changed) -> ChainRun:
    values = {"item": repr(f"file{number}.nc"), "machineid": "a1b2", "attempt": 1}
    return ChainRun(number=number, node=node, started=100.0, **{**values, **changed})


def batch_card(chains, total) -> str:
    return in_notebook(results.batch_card(chains, total))


def text(page: str) -> str:
    plain = re.sub("<[^>]*>", " ", page.partition("</style>")[2]).replace("&#x27;", "'")
    return re.sub(r"\s+", " ", plain)


def test_a_batch_counts_its_chains_by_node_and_state():
    chains = [
        run(1, ended=102.5, state="succeeded"),
        run(2, "node2", ended=101.0, state="failed", error="ExecutionFailed: <b>no point</b>"),
        run(3),
    ]
    page = batch_card(chains, 12)
    assert "Batch of workflows: 3 chains started of 12 items" in text(page)
    assert "node running succeeded failed node1 1 1 0 node2 0 0 1" in text(page)
    assert re.search(r"1 'file1.nc' node1 succeeded \S+ \S+ 2.50", text(page))
    assert "failed: ExecutionFailed: &lt;b&gt;no point&lt;/b&gt;" in page


def test_a_chain_that_restarted_or_came_from_a_journal_says_so():
    page = batch_card([run(1, attempt=2), run(2, recalled=True, state="succeeded")], None)
    assert "running (attempt 2)" in text(page)
    assert "succeeded (from the journal)" in text(page)


def test_ten_thousand_chains_are_a_short_page():
    page = batch_card([run(i, state="succeeded", ended=101.0) for i in range(10_000)], None)
    assert "9,950 earlier chains" in page
    assert len(page) < 30_000


def test_a_batch_shows_itself_without_being_waited_for():
    batch = map_workflows(_never, [1, 2])
    assert "0 chains started of 2 items" in text(batch._repr_html_())
    batch.close()


def _never(workflow, item):
    raise AssertionError("nothing was asked for")

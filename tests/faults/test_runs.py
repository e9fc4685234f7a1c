"""A short run of random faults on real nodes, over each route; `make faults` has the long one."""

from __future__ import annotations

import re

import pytest

from faults import runs

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::pavics_affinity.errors.AffinityWarning"),
]

SEEDS = (0, 1)  # the second one also breaks connections
CHAINS = 30


@pytest.mark.parametrize("route", runs.ROUTES)
def test_chains_under_random_faults_end_right_or_name_the_cause(route, tmp_path, caplog):
    caplog.set_level("CRITICAL")
    with runs.site(route, tmp_path) as site:
        for seed in SEEDS:
            print(f"route {route}, seed {seed}")
            outcome = runs.run(site, seed, CHAINS)
            assert not outcome.findings, "\n".join(outcome.findings)
            assert outcome.outcomes["right"] > 0
            assert outcome.faults.total() > 0


@pytest.mark.parametrize(
    ("chain", "downloads", "subsets", "finding"),
    [
        (runs.Chain(0, outcome="right", step="end"), "a", "b", "1 and 1 executions on"),
        (runs.Chain(0, outcome="right", step="end"), "aa", "a", "executed 2 and 1 times"),
        (runs.Chain(0, outcome="NoAnswer", message="Nothing ran"), "a", "", "nothing was executed"),
        (runs.Chain(0, outcome="NotAService"), "", "", "names no cause"),
        (runs.Chain(0, outcome="ExecutionFailed", message="bad lon0"), "a", "a", "unexpected"),
        (runs.Chain(0, outcome="NoAnswer", step="subset_bbox"), "a", "b", "executed on"),
    ],
)
def test_the_oracle_finds_what_does_not_fit(chain, downloads, subsets, finding):
    runs.judge(chain, "strict", *([Run(node) for node in nodes] for nodes in (downloads, subsets)))
    assert re.search(finding, "; ".join(chain.wrong))


class Run:
    def __init__(self, node: str) -> None:
        self.node = node

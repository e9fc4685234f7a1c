"""``spread``: balance, what a change would move, and what keeps together."""

import pytest

from pavics_affinity import derive_machineid
from pavics_affinity.topology import Topology
from pavics_affinity.topology.spread import measure_spread


def test_json_holds_every_figure(run, site):
    done = run("spread", "--topology", site, "--keys", 2000, "--json")
    found = measure_spread(
        Topology.load(site), [derive_machineid("spread", i) for i in range(2000)]
    )
    assert done.json["keys"] == 2000
    assert list(done.json["services"]) == ["finch", "emu"]
    node2 = done.json["services"]["finch"]["nodes"]["node2"]
    expected = found.services[0].nodes["node2"]
    assert node2 == {
        "weight": 2,
        "expected": 0.5,
        "share": expected.share,
        "removed": {"moved": expected.removed.moved, "needless": expected.removed.needless},
        "down": {"moved": expected.down.moved, "needless": 0.0},
    }
    assert done.json["services"]["emu"]["added"]["moved"] == found.services[1].added.moved
    assert done.json["together"] == {
        "all": found.together,
        "pairs": [{"services": ["finch", "emu"], "share": found.together}],
    }


def test_tables_show_shares_as_bars_and_figures(run, site):
    done = run("spread", "--topology", site, "--keys", 2000)
    figures = run("spread", "--topology", site, "--keys", 2000, "--json").json
    lines = done.out.splitlines()
    rows = {
        name: next(line for line in lines if f" {name} " in line) for name in ("node1", "node2")
    }
    for name, row in rows.items():
        node = figures["services"]["finch"]["nodes"][name]
        assert f"{node['share']:.1%}" in row
        assert f"{node['removed']['moved']:.1%} ({node['removed']['needless']:.1%})" in row
    assert rows["node2"].count("█") == 12
    assert 4 <= rows["node1"].count("█") <= 8
    assert f"On one node in all services: {figures['together']['all']:.1%}" in done.out


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_figures_are_legible_at_the_width_of_a_terminal(run, conf, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    done = run("spread", "--nginx", conf, "--keys", 500)
    assert done.code == 0
    if columns != "60":
        assert "…" not in done.out


def test_the_same_keys_are_tried_each_time(run, site):
    args = ("spread", "--topology", site, "--keys", 500, "--json")
    assert run(*args).out == run(*args).out


def test_a_site_without_services_spreads_nothing(run, tmp_path):
    (tmp_path / "a.toml").write_text("[nodes]\na = {}\n")
    done = run("spread", "--topology", tmp_path / "a.toml")
    assert done.code == 1
    assert "has no service" in done.err

"""``mint``: fresh machineids, on a chosen node if asked."""

import re

import pytest

from pavics_affinity.topology import Topology


def test_ids_are_printed_one_per_line(run):
    done = run("mint", "--count", 3)
    assert re.fullmatch(r"([0-9a-f]{32}\n){3}", done.out)
    assert len(set(done.out.split())) == 3
    assert re.fullmatch(r"[0-9a-f]{32}\n", run("mint").out)


def test_ids_for_a_node_land_there(run, site, conf):
    topology = Topology.load(site)
    minted = run("mint", "--node", "node3", "--count", 20, "--topology", site).out.split()
    assert {topology.first_node("finch", each) for each in minted} == {"node3"}
    minted = run("mint", "--node", "node3", "--service", "emu", "--topology", site).out.strip()
    assert topology.first_node("emu", minted) == "node3"
    assert run("mint", "--node", "node-10-0-0-2", "--nginx", conf).code == 0


def test_json_contains_the_options(run, site):
    done = run("mint", "--node", "node2", "--count", 2, "--topology", site, "--json")
    assert len(done.json.pop("machineids")) == 2
    assert done.json["node"] == "node2"
    assert run("mint", "--json").json["node"] is None


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--node", "node9"], 2, "no node 'node9' here; there are: node1, node2, node3"),
        (["--node", "node1", "--service", "heron"], 2, "no service 'heron'"),
        (["--service", "finch"], 2, "needs --node"),
        (["--count", "0"], 2, "0 is not in the range"),
    ],
)
def test_mistakes_are_named(run, site, args, code, words):
    done = run("mint", *args, "--topology", site)
    assert (done.code, done.out) == (code, "")
    assert words in done.err


def test_a_node_needs_a_site(run):
    assert "no site is configured" in run("mint", "--node", "node1").err

"""``probe`` on real sites: a table and one verdict for people, JSON for machines."""

import pytest

from support.rendered_cluster import rendered_cluster


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    with rendered_cluster(tmp_path_factory.mktemp("strict"), services=["flyingpigeon"]) as made:
        yield made[0]


def test_a_rendered_site_works(run, strict):
    done = run("probe", strict.url("flyingpigeon"))
    assert done.code == 0
    assert "at most 48 GET requests" in done.err
    assert "nginx answers 200, as a WPS" in done.out
    assert "Affinity works (strict)" in done.out
    assert done.out.rstrip().endswith("Next: nothing to do.")


def test_json(run, strict):
    done = run("probe", strict.url("flyingpigeon"), "--json", "--ids", "3", "--requests", "2")
    told = done.json
    assert (done.code, told["works"], told["verdict"]) == (0, True, "strict")
    assert told["urls"] == [strict.url("flyingpigeon")]
    assert {"name", "good", "words"} == set(told["findings"][0])
    assert told["requests"] < 30
    placed = told["ids"][strict.url("flyingpigeon")]
    assert len(placed) == 3
    assert all(key.startswith("probe-") and len(nodes) == 1 for key, nodes in placed.items())


def test_a_dead_node_is_exit_code_1(run, strict):
    strict.kill("node3")
    try:
        done = run("probe", strict.url("flyingpigeon"))
    finally:
        strict.start("node3")
    assert done.code == 1
    assert "NO  node names" in done.out
    assert "node3 does not answer (502)" in done.out


def test_an_output_of_one_node_shows_that_the_manuals_proxy_works(run, cluster):
    from pavics_affinity import Workflow

    with Workflow() as wf:
        produced = wf.wps(cluster.url("flyingpigeon")).execute("produce", [("megabytes", "0.01")])
        output = produced.wait().output("output").reference
    service = run("probe", cluster.url("flyingpigeon"))
    assert (service.code, "(cannot-tell)" in service.out) == (3, True)
    done = run("probe", output, "--ids", "30", "--requests", "2")
    assert (done.code, "Affinity works (plain)" in done.out) == (0, True), done.out


@pytest.mark.parametrize(
    "mistyped",
    [
        ["http://127.0.0.1:9/wps?request=Execute"],
        ["proxy.example/wps"],
        ["http://127.0.0.1:9/wps", "--ids", "0"],
        ["http://127.0.0.1:9/wps", "--header", "Host"],
    ],
)
def test_a_mistyped_argument_sends_nothing_and_is_a_usage_error(run, mistyped):
    done = run("probe", *mistyped)
    assert (done.code, done.out) == (2, "")
    assert "Error: " in done.err
    assert "GET requests" not in done.err


def test_a_proxy_that_is_down_is_not_a_usage_error(run):
    assert run("probe", "http://127.0.0.1:9/wps").code == 1

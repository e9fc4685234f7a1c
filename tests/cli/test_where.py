"""``where``: the node and the order of backends for keys."""

import pytest

from pavics_affinity.proxy.read import read_nginx
from pavics_affinity.topology import Topology


def placed(topology, key):
    return {
        service.name: {
            "order": [address for _, address in topology.tries(service, key)],
            "node": topology.first_node(service.name, key),
        }
        for service in topology.services
    }


def test_json_is_by_key_and_service(run, conf):
    done = run("where", "--nginx", *sorted(conf.iterdir()), "--json", "a1b2", "a1b2~1")
    topology = read_nginx(conf)
    assert done.json == {key: placed(topology, key) for key in ("a1b2", "a1b2~1")}
    assert sorted(done.json["a1b2"]["finch"]["order"]) == ["10.0.0.1:8093", "10.0.0.2:8093"]


def test_keys_come_from_standard_input_one_per_line(run, site):
    keys = [f"key{i}" for i in range(2000)]
    done = run("where", "--topology", site, "--json", "-", stdin="\n".join(keys) + "\n\r\n\n")
    topology = Topology.load(site)
    assert done.json == {key: placed(topology, key) for key in keys}
    assert list(done.json) == keys


def test_keys_of_both_kinds_keep_their_order_and_stand_once(run, site):
    done = run("where", "--topology", site, "--json", "z", "-", "a", stdin="m\nz\nm\n")
    assert list(done.json) == ["z", "m", "a"]
    assert done.out.count('"m"') == 1
    assert run("where", "--topology", site, "--json", "-", stdin="").json == {}


def test_lines_for_other_programs_have_tabs(run, site):
    done = run("where", "--topology", site, "-", stdin="a1b2\n")
    finch = placed(Topology.load(site), "a1b2")["finch"]
    assert done.out.splitlines()[0].split("\t") == [
        "a1b2",
        "finch",
        finch["node"],
        " ".join(finch["order"]),
    ]


def test_the_table_shows_key_service_node_and_order(run, site):
    done = run("where", "--topology", site, "a1b2", "[red]x[/red]")
    for service, row in placed(Topology.load(site), "a1b2").items():
        line = next(line for line in done.out.splitlines() if service in line)
        assert row["node"] in line
        assert " ".join(row["order"]) in line
    assert "[red]x[/red]" in done.out


def test_a_strict_proxy_goes_by_the_name_in_the_key(run, site):
    site.write_text('proxy = "strict"\n' + site.read_text())
    done = run("where", "--topology", site, "--json", "a1b2~node3")
    assert done.json["a1b2~node3"]["emu"] == {"order": ["10.0.0.3:8091"], "node": "node3"}


def test_a_key_that_cannot_be_placed_is_counted_and_the_others_are_shown(run, site):
    site.write_text('proxy = "strict"\n' + site.read_text())
    done = run("where", "--topology", site, "--json", "a1b2~node9", "b", "", "c")
    assert done.code == 1
    assert done.json["a1b2~node9"]["finch"] == {"order": [], "node": None}
    assert done.json["b"]["finch"]["node"]
    assert list(done.json) == ["a1b2~node9", "b", "", "c"]
    # Two keys on two services.
    assert "4 places cannot be predicted; the first is that of 'a1b2~node9'" in done.err


def test_the_order_ends_where_the_prediction_does(run, tmp_path):
    hosts = "".join(f'n{i} = {{ host = "10.0.1.{i}" }}\n' for i in range(1, 101))
    path = tmp_path / "many.toml"
    path.write_text(f"[nodes]\n{hosts}[services.finch]\nport = 80\n")
    done = run("where", "--topology", path, "--json", "a1b2")
    order = done.json["a1b2"]["finch"]["order"]
    assert done.code == 0
    assert 1 < len(order) < 100
    assert done.json["a1b2"]["finch"]["node"] == f"n{order[0].split(':')[0].split('.')[-1]}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[nodes]\na = {}\n", "the site has no service"),
        ("[nodes]\na = {}\n[services.finch]\nport = 80\n", "give the node a host"),
        ("[nodes]\na = { hots = 1 }\n", "line 2: nodes.a.hots: unknown key"),
    ],
)
def test_an_invalid_site_is_an_error_before_any_output(run, tmp_path, text, words):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    done = run("where", "--topology", path, "--json", "a1b2")
    assert (done.code, done.out) == (1, "")
    assert words in done.err


def test_a_key_must_be_given(run, site):
    assert run("where", "--topology", site).code == 2

"""``render`` writes a proxy's files, shows what it would do, and leaves others' alone."""

import shutil

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from pavics_affinity import Topology
from pavics_affinity.cli.group import group
from pavics_affinity.proxy.write import is_ours

from .conftest import SITE

FILES = {
    "config/proxy/nginx.conf", "config/proxy/conf.d/finch.conf", "config/proxy/conf.d/emu.conf",
    "docker-compose.yml",
}  # fmt: skip


def files_in(directory):
    return {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}


def test_the_strict_style_is_the_default(run, site, tmp_path):
    done = run("render", site, "--output", tmp_path / "out")
    assert done.code == 0
    assert files_in(tmp_path / "out") == FILES | {"config/proxy/conf.d/00-affinity.conf"}
    assert all(
        is_ours(path.read_bytes()) for path in (tmp_path / "out").rglob("*.*") if path.is_file()
    )
    assert done.out.count("wrote ") == 5
    assert 'proxy = "strict"' in done.err
    assert 'evidence = "X-Pavics-Node"' in done.err
    assert run("render", site, "-o", tmp_path / "out").out == "nothing has changed\n"


def test_the_plain_style_and_other_compose_files(run, site, tmp_path):
    assert run("render", site, "-o", tmp_path / "a", "--style", "plain", "--no-compose").code == 0
    assert files_in(tmp_path / "a") == FILES - {"docker-compose.yml"}
    run("render", site, "-o", tmp_path / "b", "--style", "plain", "--compose", "override.yml")
    assert "override.yml" in files_in(tmp_path / "b")


def test_the_difference_is_shown_and_nothing_is_written(run, site, tmp_path):
    done = run("render", site, "-o", tmp_path / "out", "--diff")
    assert done.code == 0
    assert "+++ b/config/proxy/nginx.conf" in done.out
    assert not (tmp_path / "out").exists()
    run("render", site, "-o", tmp_path / "out")
    assert run("render", site, "-o", tmp_path / "out", "--diff").out == "nothing would change\n"


def test_a_foreign_file_is_only_overwritten_with_force(run, site, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "docker-compose.yml").write_text("services: {}\n")
    done = run("render", site, "-o", tmp_path / "out")
    assert done.code == 1
    assert "--force" in done.err
    assert files_in(tmp_path / "out") == {"docker-compose.yml"}
    assert run("render", site, "-o", tmp_path / "out", "--force").code == 0


def test_json_contains_what_was_done(run, site, tmp_path):
    done = run("render", site, "-o", tmp_path / "out", "--json")
    assert set(done.json["written"]) == FILES | {"config/proxy/conf.d/00-affinity.conf"}
    assert (done.json["done"], done.json["removed"], done.json["style"]) == (True, [], "strict")
    again = run("render", site, "-o", tmp_path / "out", "--json", "--diff").json
    assert (again["done"], again["written"], again["diff"]) == (False, [], "")
    assert len(again["unchanged"]) == 5


@pytest.mark.parametrize(
    "text", ["", "[nodes]\nn = {}\n", "[nodes", "[nodes]\nn={host='h'}\n[services.a]\nport='x'\n"]
)
def test_an_invalid_topology_writes_nothing(run, tmp_path, text):
    (tmp_path / "bad.toml").write_text(text)
    done = run("render", tmp_path / "bad.toml", "-o", tmp_path / "out")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: ")
    assert not (tmp_path / "out").exists()


def test_hosts_by_name_are_noted(run, tmp_path):
    path = tmp_path / "names.toml"
    path.write_text(
        'proxy = "strict"\n[nodes]\na = { host = "a.example" }\n[services.finch]\nport = 8093\n'
    )
    done = run("render", path, "-o", tmp_path / "out")
    assert "a.example: nginx shows addresses" in done.err


def test_other_files_that_nginx_reads_are_named(run, site, tmp_path):
    (tmp_path / "out" / "config" / "proxy" / "conf.d").mkdir(parents=True)
    (tmp_path / "out" / "config" / "proxy" / "conf.d" / "old.conf").write_text("# by hand\n")
    for options in ([], ["--diff"]):
        done = run("render", site, "-o", tmp_path / "out", *options)
        assert "config/proxy/conf.d/old.conf was not written by render" in done.err
    assert run("render", site, "-o", tmp_path / "out", "--json").json["foreign"] == [
        "config/proxy/conf.d/old.conf"
    ]


def test_the_next_step_is_printed_if_a_file_was_written(run, site, tmp_path):
    out = tmp_path / "out"
    assert (
        f"next: pavics-affinity check {out}; start the proxy" in run("render", site, "-o", out).err
    )
    assert "next:" not in run("render", site, "-o", out).err
    site.write_text("connections = 2048\n" + site.read_text())
    changed = run("render", site, "-o", out)
    assert "nginx -t; nginx -s reload" in changed.err
    # A container holds on to the inode of a single file that is mounted.
    assert "--force-recreate proxy" in changed.err
    site.write_text("connections = 4096\n" + site.read_text().partition("\n")[2])
    assert "--force-recreate" not in run("render", site, "-o", out, "--no-compose").err


def test_a_service_without_url_and_publish_is_noted(run, tmp_path):
    path = tmp_path / "ports.toml"
    path.write_text('[nodes]\na = { host = "10.0.0.1" }\n[services.finch]\nport = 8093\n')
    assert "finch: no url and no publish" in run("render", path, "-o", tmp_path / "out").err
    path.write_text(path.read_text() + "publish = 58093\n")
    assert "no publish" not in run("render", path, "-o", tmp_path / "out").err


@pytest.mark.parametrize(
    ("listen", "noted"), [("'10.0.0.9:8093'", True), ("'*:8093'", False), ("8093", False)]
)
def test_an_address_to_listen_on_is_noted_for_containers(run, tmp_path, listen, noted):
    path = tmp_path / "listen.toml"
    path.write_text(
        f'[nodes]\na = {{ host = "10.0.0.1" }}\n[services.finch]\nport = 8093\nlisten = {listen}\n'
    )
    done = run("render", path, "-o", tmp_path / "out")
    assert ("finch: listen names an address" in done.err) is noted
    assert "listen names" not in run("render", path, "-o", tmp_path / "b", "--no-compose").err


WHOLE = SITE.replace(
    "port = 8091\n", 'port = 8091\noutputs = {public="http://p/o", backend="/o"}\n'
)
SPLICES = st.lists(
    st.tuples(
        st.integers(0, len(WHOLE)),
        st.integers(0, 9),
        st.sampled_from(["", "[", "]", '"', "=", "\n", "{", "}", ";", "$", "-", "0", "é", "\x00"]),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=300, deadline=None)
@given(SPLICES, st.sampled_from(["strict", "plain"]))
def test_of_a_damaged_topology_everything_is_written_or_nothing(tmp_path_factory, splices, style):
    base = tmp_path_factory.getbasetemp()
    text = WHOLE
    for position, length, insert in splices:
        text = text[:position] + insert + text[position + length :]
    (base / "damaged.toml").write_text(text)
    shutil.rmtree(base / "damaged", ignore_errors=True)
    arguments = [
        "render",
        str(base / "damaged.toml"),
        "-o",
        str(base / "damaged"),
        "--style",
        style,
    ]
    done = CliRunner().invoke(group, arguments)
    # Anything but the exit itself would be a traceback to a user.
    assert isinstance(done.exception, SystemExit | None), done.exception
    if done.exit_code:
        assert not (base / "damaged").exists()
        assert done.stderr.startswith("Error: ")
        return
    written = [path for path in (base / "damaged").rglob("*") if path.is_file()]
    assert all(is_ours(path.read_bytes()) for path in written)
    services = Topology.load(base / "damaged.toml").services
    assert {f"{service.name}.conf" for service in services} <= {path.name for path in written}

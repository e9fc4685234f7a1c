"""Where a topology comes from, and how a changed file is noticed."""

import os
import sys

import pytest

from pavics_affinity.errors import TopologyError
from pavics_affinity.topology import FileSource, FixedSource, Node, Service, Topology
from pavics_affinity.topology.sources import (
    VARIABLE,
    default_sources,
    default_topology_path,
    sources_of,
)

ONE, TWO = "[nodes]\na = {}\n", "[nodes]\na = {}\nb = {}\n"

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has %APPDATA% in its place")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user without any configuration, in a directory that holds a topology file."""
    for name in (VARIABLE, "XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    work = tmp_path / "work"
    home.mkdir()
    for directory in (work, work / "pavics-affinity", work / ".config" / "pavics-affinity"):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "topology.toml").write_text(ONE)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    return home


def configured(base):
    path = base / "pavics-affinity" / "topology.toml"
    path.parent.mkdir(parents=True)
    path.write_text(TWO)
    return path


def test_the_working_directory_is_never_looked_at(home):
    assert default_topology_path() is None
    assert default_sources() == []


@posix
def test_the_users_configuration_is_found(home):
    path = configured(home / ".config")
    assert default_topology_path() == path
    [source] = default_sources()
    assert source.current == Topology([Node("a"), Node("b")])


@posix
def test_xdg_config_home_goes_before_the_home_directory(home, tmp_path, monkeypatch):
    configured(home / ".config")
    path = configured(tmp_path / "xdg")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert default_topology_path() == path


@posix
@pytest.mark.parametrize("value", ["", ".", ".config"])
def test_a_relative_xdg_config_home_is_ignored(home, monkeypatch, value):
    monkeypatch.setenv("XDG_CONFIG_HOME", value)
    assert default_topology_path() is None


@posix
def test_a_relative_home_is_ignored(home, monkeypatch):
    monkeypatch.setenv("HOME", ".")
    assert default_topology_path() is None


def test_the_variable_goes_before_everything(home, tmp_path, monkeypatch):
    configured(home / ".config")
    (tmp_path / "site.toml").write_text(ONE)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "site.toml"))
    assert default_topology_path() == tmp_path / "site.toml"
    monkeypatch.setenv(VARIABLE, "")
    assert default_topology_path() == home / ".config" / "pavics-affinity" / "topology.toml"


@posix
def test_the_variable_may_begin_with_the_home_directory(home, monkeypatch):
    (home / "site.toml").write_text(ONE)
    monkeypatch.setenv(VARIABLE, "~/site.toml")
    assert default_topology_path() == home / "site.toml"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("topology.toml", "a relative path"),
        (".", "a relative path"),
        ("/missing/site.toml", "no such file"),
    ],
)
def test_a_variable_that_leads_nowhere_is_an_error(home, monkeypatch, value, words):
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(TopologyError, match=f"{VARIABLE} .*{words}"):
        default_sources()


# ---- what is given ----


def test_a_topology_a_path_or_several_are_taken(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(TWO)
    built = Topology([Node("a")])
    kinds = [type(source) for source in sources_of([built, path, str(path)])]
    assert kinds == [FixedSource, FileSource, FileSource]
    assert sources_of(built)[0].current is built
    assert sources_of(built)[0].renew() is False


@pytest.mark.parametrize("value", [7, [7], object()])
def test_a_value_that_is_not_a_topology_is_refused(value):
    with pytest.raises(TopologyError, match="is not a topology"):
        sources_of(value)


def test_two_topologies_of_one_site_are_refused():
    url = "http://proxy.example:8093/wps"
    one = Topology([Node("a")], [Service("fp", url=url)])
    other = Topology([Node("b")], [Service("flyingpigeon", url=url)])
    with pytest.raises(TopologyError, match=f"two topologies cover {url}.*give each site once"):
        sources_of([one, other])


# ---- files that change ----


def renewed(source, text):
    before = source.path.stat().st_mtime_ns
    source.path.write_text(text)
    os.utime(source.path, ns=(before + 10**9, before + 10**9))
    return source.renew()


@pytest.fixture
def source(tmp_path):
    (tmp_path / "site.toml").write_text(ONE)
    return FileSource(tmp_path / "site.toml")


def test_a_changed_file_is_read_again(source):
    assert source.renew() is False
    assert renewed(source, TWO) is True
    assert source.current == Topology.loads(TWO)
    assert source.renew() is False


def test_a_touched_file_has_not_changed(source):
    assert renewed(source, ONE + "# a comment\n") is False
    assert source.current == Topology.loads(ONE)


def test_a_replaced_file_is_read_again_even_if_its_time_is_the_same(source):
    stamp = source.path.stat().st_mtime_ns
    Topology.loads(TWO).dump(source.path)
    os.utime(source.path, ns=(stamp, stamp))
    assert source.renew() is True


def test_a_file_half_written_or_gone_changes_nothing_until_it_is_whole(source):
    assert renewed(source, "[nod") is False
    assert source.current == Topology.loads(ONE)
    assert renewed(source, TWO) is True
    source.path.unlink()
    assert source.renew() is False
    assert source.current == Topology.loads(TWO)


def test_a_relative_path_stays_the_same_file(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = FileSource("site.toml")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert renewed(relative, TWO) is True

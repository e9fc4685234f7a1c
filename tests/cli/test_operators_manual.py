"""The operator's guide, followed to the letter on an empty machine."""

import json
import re
from pathlib import Path

import pytest

from support import manual
from support.live_site import RealNginx

MANUAL = Path(__file__).parents[2] / "docs" / "operators"


def blocks(page, language):
    """Return the blocks of a language on a page of the guide."""
    return [block.code for block in manual.blocks(f"docs/operators/{page}", language)]


def block(page, language):
    """Return the first block of a language on a page of the guide."""
    return blocks(page, language)[0]


@pytest.fixture
def begun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site.toml").write_text(block("render.md", "toml"))
    return tmp_path


def test_the_four_steps_of_the_first_page(run, begun):
    done = run("render", "site.toml", "--output", ".")
    assert done.code == 0
    assert done.out in block("index.md", "console")
    # A beginner sees only the next step.
    assert done.err == "next: pavics-affinity check .; start the proxy; pavics-affinity probe URL\n"
    assert run("check", ".").code == 0
    proxy = {
        str(path.relative_to("config/proxy")): path.read_text()
        for path in Path("config/proxy").rglob("*.conf")
    }
    passed, words = RealNginx(begun / "nginx", proxy).test()
    assert passed, words
    assert run("render", "site.toml", "--output", ".").out == "nothing has changed\n"
    # There is no proxy yet, and that is what the last step says.
    assert "(down)" in run("probe", "http://127.0.0.1:9/wps").out


@pytest.mark.parametrize("style", ["plain", "strict"])
def test_the_topology_for_a_new_site_is_rendered_and_sound(run, begun, style):
    (begun / "site.toml").write_text(block("index.md", "toml").replace("strict", style))
    assert run("render", "site.toml", "--output", ".", "--style", style).code == 0
    found = json.loads(run("check", ".", "--topology", "site.toml", "--json").out)
    assert [each for each in found if each["severity"] == "error"] == []
    root = Path("config/proxy")
    files = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*.conf")}
    passed, words = RealNginx(begun / "nginx", files).test()
    assert passed, words
    if style == "plain":
        for line in blocks("render.md", "nginx")[1].splitlines():
            assert line in files["conf.d/finch.conf"].splitlines()


def test_the_plain_style_is_what_the_guide_shows(run, begun):
    shown = block("render.md", "nginx")
    (begun / "site.toml").write_text(
        block("render.md", "toml").replace('evidence = "X-Pavics-Node"\n', "")
    )
    run("render", "site.toml", "--output", ".", "--style", "plain")
    written = (begun / "config/proxy/conf.d/flyingpigeon.conf").read_text()
    assert written.partition("\n")[2] == shown


def test_the_topology_and_the_server_of_a_site_behind_twitcher_are_accepted(run, begun):
    (begun / "site.toml").write_text(block("twitcher.md", "toml"))
    assert run("render", "site.toml", "--output", ".").code == 0
    proxy = {
        str(path.relative_to("config/proxy")): path.read_text()
        for path in Path("config/proxy").rglob("*.conf")
    }
    front = re.sub(r"http://(twitcher|proxy):", "http://127.0.0.1:", block("twitcher.md", "nginx"))
    passed, words = RealNginx(begun / "nginx", {**proxy, "conf.d/front.conf": front}).test()
    assert passed, words


@pytest.mark.parametrize("layout", ["inner", "outer"])
def test_the_topologies_of_the_page_on_birdhouse_make_a_component(run, tmp_path, layout):
    inner, outer = blocks("birdhouse.md", "toml")
    (tmp_path / "site.toml").write_text(inner if layout == "inner" else outer)
    options = ["--style", "birdhouse", "--layout", layout, "--output", str(tmp_path / "made")]
    done = run("render", str(tmp_path / "site.toml"), *options)
    assert (done.code, "PAVICS_AFFINITY_DIR" in done.err, "note" in done.err) == (0, True, False)
    page = (MANUAL / "birdhouse.md").read_text()
    made = [path for path in (tmp_path / "made").rglob("*") if path.is_file()]
    assert all(path.name in page or path.suffix == ".conf" or "finch" in path.name for path in made)


def test_a_layout_is_for_a_component_only(run, begun):
    done = run("render", "site.toml", "--output", ".", "--layout", "outer")
    assert (done.code, "--style birdhouse" in done.err) == (2, True)


def test_every_verdict_of_probe_has_its_line():
    from typing import get_args

    from pavics_affinity.proxy.probe.verdict import Kind

    rows = re.findall(r"(?m)^\| `([a-z][a-z-]+)` \|", (MANUAL / "probe.md").read_text())
    assert sorted(rows) == sorted(get_args(Kind))

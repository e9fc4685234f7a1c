"""The manual's page on where, mint and spread shows what they print."""

from __future__ import annotations

import re
import shlex

import pytest

from support.manual import DOCS, examples

PAGE = (DOCS / "commands.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


SHOWN = [block.split("\n", 1) for block in blocks("console")]


@pytest.fixture
def begun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site.toml").write_text(blocks("toml")[0])
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "flyingpigeon.conf").write_text(blocks("nginx")[0])


@pytest.mark.parametrize(("line", "shown"), SHOWN, ids=[line for line, _ in SHOWN])
def test_each_command_prints_what_the_page_shows(run, begun, line, shown):
    stdin = None
    command = line.removeprefix("$ ")
    if command.startswith("echo "):
        echo, command = command.split(" | ")
        stdin = echo.removeprefix("echo ") + "\n"
    done = run(*shlex.split(command)[1:], stdin=stdin)
    assert done.code == 0
    if "mint" in command:
        assert re.fullmatch(r"[0-9a-f]{32}\n", shown)
        assert re.fullmatch(r"[0-9a-f]{32}\n", done.out)
    else:
        assert [line.rstrip() for line in done.out.splitlines()] == shown.splitlines()


def test_the_id_that_the_page_mints_leads_to_its_node(run, begun):
    minted = next(shown.strip() for line, shown in SHOWN if "mint" in line)
    found = run("where", "--topology", "site.toml", "--json", minted).json[minted]
    assert {service["node"] for service in found.values()} == {"node2"}


def test_the_pages_python_runs(begun, tmp_path):
    for code in examples("commands.md", "In Python"):
        exec(compile(code, "commands.md", "exec"), {})  # our own page
    assert "http://proxy.example:58093/wps" in (tmp_path / "site.toml").read_text()

"""The manual's page on where, mint and spread shows what they print."""

from __future__ import annotations

import re
import shlex

import pytest

from support.manual import blocks

PAGE = "docs/commands.md"
SHOWN = [block.code.split("\n", 1) for block in blocks(PAGE, "console")]


@pytest.fixture
def begun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site.toml").write_text(blocks(PAGE, "toml")[0].code)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "flyingpigeon.conf").write_text(blocks(PAGE, "nginx")[0].code)


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

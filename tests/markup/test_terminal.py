"""A card in a terminal: its words, tables and links, and nothing that steers it."""

from __future__ import annotations

import io
import re

import pytest

from pavics_affinity.markup.cards import (
    Card,
    card,
    code,
    facts,
    link,
    listing,
    strong,
    styled,
    table,
    text,
)
from pavics_affinity.markup.terminal import in_terminal

console = pytest.importorskip("rich.console")


def printed(page: Card, *, width: int = 100, colour: bool = False) -> str:
    file = io.StringIO()
    console.Console(file=file, width=width, force_terminal=colour, no_color=not colour).print(
        in_terminal(page)
    )
    return file.getvalue()


def test_title_facts_table_and_list_stand_one_below_the_other():
    page = card(
        text(strong("Workflow"), " ", code("a1b2")),
        facts([("node", "node1"), ("left out", None)]),
        table(("", "process"), [["1", "download"], ["2", "subset"]]),
        listing(["a note"]),
    )
    lines = [line.split() for line in printed(page).splitlines() if line.strip(" ─")]
    assert lines == [
        ["Workflow", "a1b2"],
        ["node", "node1"],
        ["process"],
        ["1", "download"],
        ["2", "subset"],
        ["•", "a", "note"],
    ]


def test_the_style_sheet_is_not_shown():
    assert "font" not in printed(card("x"))


def test_a_link_is_a_hyperlink_and_a_hostile_one_is_text():
    page = card("x", text(link("http://proxy.example/x.nc", "out"), link("javascript:x", "no")))
    shown = printed(page, colour=True)
    targets = re.findall(r"\x1b]8;[^;]*;([^\x1b]*)", shown)
    assert set(targets) == {"http://proxy.example/x.nc", ""}
    assert "no" in shown


def test_states_have_their_colour():
    shown = printed(card("x", text(styled("failed", "bad"))), colour=True)
    assert "\x1b[31mfailed" in shown


def test_words_that_look_like_tags_or_styles_are_shown_as_they_are():
    page = card("[bold red]x[/] </table><td> &amp; \x1b[2J", table(["a"], [["[link=x]</td>"]]))
    shown = printed(page)
    assert "[bold red]x[/] </table><td> &amp; �[2J" in shown
    assert "[link=x]</td>" in shown


def test_long_words_are_folded_and_not_lost():
    shown = printed(card("x", table(["URL"], [["x" * 300]])), width=60)
    assert shown.count("x") == 301
    assert max(len(line) for line in shown.splitlines()) <= 60

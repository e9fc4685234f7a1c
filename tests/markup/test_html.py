"""Texts from anywhere, on a page: cut, cleaned and escaped."""

from __future__ import annotations

import re

import pytest

from pavics_affinity.markup import clean, web_address
from pavics_affinity.markup.cards import Span, card, code, facts, join, link, strong, table, text
from pavics_affinity.markup.html import in_notebook, to_html

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "&lt;script&gt;",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_text_is_escaped_wherever_it_stands(hostile):
    shown = card(
        hostile,
        facts([(hostile, hostile)]),
        table([hostile], [[hostile]]),
        text(code(hostile, title=hostile)),
        text(link("http://proxy.example/x", hostile)),
        text(join([hostile, hostile], between=hostile)),
        text(Span(hostile, title=hostile), Span(hostile, "strong", title=hostile)),
    )
    page = in_notebook(shown)
    body = page.partition("</style>")[2]
    assert not re.search(r"<(script|img|/style)", body)
    assert not re.search(r"""<[^>]*\s(onerror|onmouseover)=""", re.sub(r'"[^"]*"', '""', body))


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "javascript://proxy.example/%0aalert(1)",
        "ftp://proxy.example/x.nc",
        "data:text/html,<script>alert(1)</script>",
        "file:///etc/passwd",
        "vbscript:x",
        "//proxy.example/x",
        "http:/x",
        "http://proxy.example/\x1b[2J",
        "http://[::1",
        "http://proxy.example:0/",
        "http://proxy.example:99999999/",
        "http://user:word@proxy.example/",
        "http://proxy.example/" + "x" * 5000,
    ],
)
def test_only_plain_web_addresses_become_links(url):
    assert web_address(url) is None
    shown = to_html(text(link(url)))
    assert "href" not in shown
    assert shown.startswith("<code>")


def test_no_password_is_shown():
    url = "http://user:secret@proxy.example/x.nc"
    shown = [
        to_html(text(link(url))),
        in_notebook(card("x", text(f"see {url}"))),
        clean(url),
        in_notebook(card(url, facts([("at", url)]))),
    ]
    assert not any("secret" in page for page in shown)
    assert clean(url) == "http://proxy.example/x.nc"


def test_a_link_hands_nothing_to_the_page_that_it_opens():
    assert to_html(text(link("https://proxy.example/x.nc?a=1&b=2", "x.nc"))) == (
        '<a href="https://proxy.example/x.nc?a=1&amp;b=2" '
        'title="https://proxy.example/x.nc?a=1&amp;b=2" '
        'target="_blank" rel="noopener noreferrer">x.nc</a>'
    )


@pytest.mark.parametrize(
    "character", ["\x1b", "\x07", "\x9b", "\u202e", "\u200b", "\ud800", "\x00"]
)
def test_characters_that_steer_are_shown_as_such(character):
    assert clean(f"a{character}b") == "a�b"


def test_long_texts_are_cut():
    assert clean("x" * 10_000_000, 10) == "xxxxxxxxx…"
    assert clean("x" * 10, 10) == "x" * 10
    assert clean(" a\n\n b\t", 10) == "a b"


def test_texts_of_several_looks_are_joined():
    assert to_html(join([strong("x"), " < "])) == "<strong>x</strong> &lt; "


def test_a_card_says_its_colours_for_light_and_dark():
    page = in_notebook(card("x"))
    assert "@media (prefers-color-scheme:dark)" in page
    dark = ("body.vscode-dark", "body.vscode-high-contrast")
    for theme in ("[data-jp-theme-light=false]", "[data-theme=dark]", *dark):
        assert f"{theme} .paf" in page
    assert "var(--jp-content-font-color1,inherit)" in page


def test_an_empty_heading_is_a_plain_cell():
    page = in_notebook(card("x", table(("", "process"), [["1", "download"]])))
    assert len(re.findall("<th ", page)) == 1
    assert ">process</th>" in page


def test_a_wide_table_can_be_scrolled_by_the_keyboard():
    page = in_notebook(card("x", table(("process",), [["download"]])))
    assert '<div class="paf-wide" tabindex="0"><table>' in page


def test_a_card_needs_nothing_from_elsewhere():
    page = in_notebook(card("x", text(link("http://proxy.example/"))))
    assert "<script" not in page
    assert not re.search(r"@import|url\(|src=|<link", page)

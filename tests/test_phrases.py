"""The lint of phrases finds one even if a line ends inside it."""

import importlib.util
from pathlib import Path

import pytest

_FILE = Path(__file__).resolve().parent.parent / ".ci" / "phrases.py"
_SPEC = importlib.util.spec_from_file_location("phrases", _FILE)
assert _SPEC is not None
assert _SPEC.loader is not None
phrases = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(phrases)

PHRASE = " ".join(["in", "place", "of"])


@pytest.mark.parametrize(
    "text",
    [
        f"used {PHRASE} theirs",
        f"# used {PHRASE.replace(' o', chr(10) + '    # o')} theirs",
        f'("used {PHRASE.replace(" p", " " + chr(34) + chr(10) + "    " + chr(34) + "p")} theirs")',
        f'"used {PHRASE.replace(" o", chr(92) + "n" + chr(34) + "," + chr(10) + chr(34) + "o")}"',
        f"def test_used_{PHRASE.replace(' ', '_')}_theirs():",
    ],
    ids=["line", "comment", "text", "notebook", "test name"],
)
def test_a_phrase_is_found_where_a_line_ends_inside_it(text):
    [(line, phrase, instead)] = phrases.findings(text)
    assert (line, phrase, instead) == (1, PHRASE, "instead of")


@pytest.mark.parametrize("text", ["there is no file", "no such place of work", "it goes on to say"])
def test_similar_words_are_not_found(text):
    assert list(phrases.findings(text)) == []


def test_the_line_of_a_phrase_is_where_it_begins():
    [(line, _, _)] = phrases.findings(f"first\n\nthird {PHRASE}\n")
    assert line == 3

"""What must not get into a journal."""

from __future__ import annotations

import pytest

from pavics_affinity.journal.secrets import LARGEST_ANSWER, keepable, without_tokens

BASE = "http://proxy.example:58093/wpsoutputs/a.nc"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (BASE, (BASE, False)),
        (f"{BASE}?id=1&x=a%20b", (f"{BASE}?id=1&x=a%20b", False)),
        ("http://me:secret@proxy.example/a?x=1", ("http://proxy.example/a?x=1", False)),
        (f"{BASE}?x=1&access_token=abc", (f"{BASE}?x=1", True)),
        (f"{BASE}?X-Amz-Signature=abc", (BASE, True)),
        (f"{BASE}?t=eyJhbGciOi.eyJzdWIi.c2ln", (BASE, True)),
        (f"{BASE}?PassWord=abc&y=2", (f"{BASE}?y=2", True)),
        (f"{BASE}#fragment", (BASE, False)),
        ("http://[broken", ("", True)),
    ],
)
def test_a_url_loses_user_and_tokens_and_nothing_else(url, kept):
    assert without_tokens(url) == kept


def test_an_answer_is_kept_if_it_is_small_and_repeats_no_inputs():
    assert keepable(b"<ExecuteResponse/>") == "<ExecuteResponse/>"
    assert keepable(b"<a>" + b"x" * LARGEST_ANSWER + b"</a>") is None
    assert keepable(b"<a><wps:DataInputs><x>secret</x></wps:DataInputs></a>") is None
    assert keepable(b"<a><DataInputs/></a>") is None
    assert keepable(b"\xff\xfe") is None


@pytest.mark.parametrize("name", ["href", "statusLocation", "xlink:href", "serviceInstance"])
def test_an_answer_whose_links_hold_a_token_is_not_kept(name):
    assert keepable(f"<a {name}='{BASE}?id=1&amp;x=2'/>".encode()) is not None
    assert keepable(f"<a {name}='{BASE}?id=1&amp;token=abc'/>".encode()) is None
    assert keepable(f'<a {name}="http://me:secret@h/a"/>'.encode()) is None

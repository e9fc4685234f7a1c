"""YAML documents within the limits of all documents."""

from __future__ import annotations

import pytest

from pavics_affinity.clients.ogcapi.definitions import read_yaml
from support.rawserver import cost

MARGIN = 48.0
ALIASES = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1},' * 9}]\n" for i in range(1, 30))
MERGED = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{f'*a{i - 1},' * 9}]}}\n" for i in range(1, 30)
)


@pytest.mark.parametrize(
    "document",
    [
        ALIASES, MERGED, "a: &a [*a]", "- \n" * 300_000, "[" * 3000, "[" * 300 + "]" * 300,
        "a: " + "9" * 5000, "a: 2001-99-99", "!!python/object:os.system x", "? [a]\n: b", "\0",
        "a: [",
    ],
    ids=lambda document: repr(document[:12]),
)  # fmt: skip
def test_yaml_beyond_the_limits_is_refused(document):
    with cost() as spent, pytest.raises(ValueError, match=r".+"):
        read_yaml(document.encode())
    assert spent.megabytes < MARGIN


def test_yaml_with_aliases_is_read():
    assert read_yaml(b"a: &a {b: [1, 2]}\nc: *a\nd: {<<: *a}")["d"] == {"b": [1, 2]}
    assert read_yaml(b"") is None

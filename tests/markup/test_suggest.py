import difflib

import pytest

from pavics_affinity.markup.suggest import suggest


def test_a_similar_name_is_found_among_many_in_few_comparisons(monkeypatch):
    compared = []
    ratio = difflib.SequenceMatcher.real_quick_ratio
    monkeypatch.setattr(
        difflib.SequenceMatcher,
        "real_quick_ratio",
        lambda matcher: compared.append(1) or ratio(matcher),
    )
    names = [f"process_{number:x}" for number in range(60_000)]
    assert "'subset_bbox'" in suggest("subset_bbx", [*names, "subset_bbox"], "process")
    assert "'process_beef'" in suggest("proces_beef", names, "process")
    assert len(compared) < 1000


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("x" * 10**6, ["subset"]),
        ("subset", ["x" * 10**6]),
        ("", [""]),
        ("a" * 200, ["a" * 199] * 9),
    ],
)
def test_names_of_any_length_are_compared(name, names):
    assert len(suggest(name, names, "process")) < 1000


def test_case_is_ignored():
    assert suggest("SUBSET", ["subset_bbox", "subset", "zz"], "process").startswith(
        "did you mean 'subset'"
    )

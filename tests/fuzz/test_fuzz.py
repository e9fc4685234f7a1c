"""A short run of every fuzzer, always of the same inputs; `make fuzz` is the long one."""

from __future__ import annotations

import pytest

from fuzz import engine
from fuzz.engine import Target, run
from fuzz.targets import TARGETS
from pavics_affinity.errors import AffinityError

INPUTS = 100


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_returns_or_raises_an_error_of_ours(name):
    outcome = run(name, TARGETS[name], INPUTS)
    assert not outcome.findings, "\n".join(
        f"{kind}: {finding.document[:500]!r}\n{finding.said}"
        for kind, finding in outcome.findings.items()
    )
    assert outcome.inputs >= INPUTS


def test_the_corpus_holds_inputs_of_known_parsers_only():
    assert {path.name for path in engine.CORPUS.glob("*/")} <= TARGETS.keys()


def test_the_same_seed_gives_the_same_inputs():
    seen: list[list[bytes]] = []
    for seed in (1, 1, 2):
        documents: list[bytes] = []
        run("x", Target(documents.append, [b"some text"]), 20, seed)
        seen.append(documents)
    assert seen[0] == seen[1] != seen[2]


# ---- the oracle ----


def _raise(error):
    raise error


def _endless(document):
    while True:
        pass


@pytest.mark.parametrize(
    ("parse", "found"),
    [
        (lambda document: _raise(KeyError("x")), "KeyError at "),
        (lambda document: _raise(RecursionError()), "RecursionError at "),
        (lambda document: _raise(AssertionError()), "AssertionError at "),
        (lambda document: _raise(AffinityError("")), "AffinityError without a word"),
        (_endless, "of the processor"),
        (lambda document: b"x" * (engine.MEGABYTES * 2**20 * 2), "MB of memory"),
    ],
)
def test_the_oracle_notices(monkeypatch, parse, found):
    monkeypatch.setattr(engine, "SECONDS", 0.1)
    outcome = run("x", Target(parse, [b"a"]), 1)
    assert [kind for kind in outcome.findings if found in kind]


def test_an_error_of_ours_is_not_a_finding():
    outcome = run("x", Target(lambda document: _raise(AffinityError("no")), [b"a"]), 3)
    assert (outcome.inputs, outcome.refused, outcome.findings) == (3, 3, {})

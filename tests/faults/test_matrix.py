"""Each kind of fault at each request of each client's chain ends as it must."""

from __future__ import annotations

import time

import pytest

from faults.chains import CHAINS
from faults.kinds import KINDS, RIGHT
from faults.matrix import cases, requests_of
from faults.site import faulty_site
from support.clock import Clock

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::pavics_affinity.errors.AffinityWarning"),
]


class Hurried(Clock):
    """Its pauses are short, but long enough for the links' threads to act in them."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        time.sleep(min(seconds, 0.02))


@pytest.fixture(scope="module")
def site():
    clock = Hurried()
    with pytest.MonkeyPatch.context() as patch, faulty_site() as made:
        clock.times_waits(patch)
        made.line.clock = clock.monotonic
        yield made


@pytest.mark.parametrize("client", CHAINS)
def test_a_fault_at_any_request_is_repeated_or_named(site, client):
    # The whole of one client; of the others as much as time allows, and `make faults` the rest.
    every = 1 if client == "WPS sync" else 4
    wrong = [str(case) for case in cases(site, [client], every=every) if case.wrong]
    assert not wrong, "\n".join(wrong)


def test_the_faults_meet_each_kind_of_request(site):
    requests = {client: requests_of(site, client) for client in CHAINS}
    assert sum(len(listed) for listed in requests.values()) > 50
    assert {line.partition(" ")[0] for listed in requests.values() for line in listed} == {
        "GET",
        "POST",
    }
    assert len(KINDS) >= 25


def test_the_matrix_sees_an_execute_that_is_sent_twice(site, monkeypatch):
    """The oracle itself: a chain whose history does not fit is a finding."""
    from faults import matrix

    for node in site.nodes:
        once = node._run
        monkeypatch.setattr(node, "_run", lambda *args, once=once: [once(*args), once(*args)][0])
    site.line.begin()
    case = matrix._run(site, matrix.Case("WPS sync", KINDS[0], -1, ""))
    assert case.outcome == RIGHT
    assert any("twice" in words for words in case.wrong)

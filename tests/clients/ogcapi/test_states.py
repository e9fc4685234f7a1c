"""What servers call the states of a job."""

from __future__ import annotations

import pytest

from pavics_affinity.clients.ogcapi.states import state_of

WORDS = {
    "accepted": "accepted Accepted ProcessAccepted wps:ProcessAccepted created queued pending "
    "received submitted",
    "running": "running RUNNING started ProcessStarted paused ProcessPaused in_progress "
    "In-Progress retrying processing",
    "successful": "successful succeeded SUCCEEDED ProcessSucceeded success finished completed done",
    "failed": "failed ProcessFailed error exception Exception failure",
    "dismissed": "dismissed Dismissed canceled cancelled revoked",
}


@pytest.mark.parametrize(
    ("word", "state"), [(word, state) for state, words in WORDS.items() for word in words.split()]
)
def test_the_words_of_both_standards_and_of_known_servers_are_understood(word, state):
    assert state_of(word) == state


def test_blanks_make_no_difference():
    assert state_of(" In progress ") == "running"


@pytest.mark.parametrize("word", ["unknown", "frobnicated", "", "process", None, 5, True, [], {}])
def test_other_words_are_not_guessed_at(word):
    assert state_of(word) is None

"""The end of a job is seen soon, and few questions are asked."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavics_affinity.clients.http import waiting
from pavics_affinity.errors import AffinityWarning, InvalidRequest
from pavics_affinity.pin import Pin

LATENCY = 0.012


def questions(duration, *, latency=LATENCY):
    """Return how many questions a job of this duration takes, and how late its end is seen."""
    now = 0.0
    count = 0
    while now < duration:
        now += waiting.pause(now) + latency
        count += 1
    return count, now - duration


@given(st.floats(0.2, 0.4))
def test_a_short_job_is_seen_to_end_within_a_tenth_of_a_second(duration):
    assert questions(duration)[1] <= 0.1 + 2 * LATENCY


@given(st.floats(0.4, 8))
def test_a_job_of_seconds_is_seen_to_end_within_a_third_of_a_second(duration):
    assert questions(duration)[1] <= 0.36 + 2 * LATENCY


@given(st.floats(8, 100_000))
def test_a_long_job_is_seen_to_end_within_a_twentieth_of_its_duration_and_10_s(duration):
    assert questions(duration)[1] <= min(0.05 * duration, 10) + 2 * LATENCY


@pytest.mark.parametrize(("duration", "most"), [(0.3, 4), (3, 12), (60, 75), (3600, 450)])
def test_few_questions_are_asked(duration, most):
    assert questions(duration)[0] <= most


@given(st.floats(0.003, 0.2))
def test_three_seconds_of_work_take_at_most_twelve_questions(latency):
    # The document of a job of 3 s is there 0.06 s later.
    assert questions(3.06, latency=latency)[0] <= 12


def test_the_pause_never_shrinks_with_age():
    ages = [age / 100 for age in range(30_000)]
    pauses = [waiting.pause(age) for age in ages]
    assert pauses == sorted(pauses)


@pytest.mark.parametrize(
    ("value", "seconds"), [(None, None), (0, 0.0), (2, 2.0), (timedelta(minutes=1), 60.0)]
)
def test_a_duration_is_seconds_or_a_timedelta(value, seconds):
    assert waiting.seconds(value) == seconds


@pytest.mark.parametrize("value", [-1, "5", True, float("nan"), timedelta(seconds=-1)])
def test_other_values_than_durations_are_refused(value):
    with pytest.raises(InvalidRequest, match="timeout"):
        waiting.seconds(value)


def test_a_status_that_does_not_change_for_an_hour_is_warned_of_once():
    now, pin = [0.0], Pin("a1b2")
    quiet = waiting.Quiet(clock=lambda: now[0])

    def warned(url="http://h/1.xml"):
        before = len(pin.warned)
        quiet.warn(pin, "process 'step'", url)
        return pin.warned[before:]

    quiet.note("running", 5)
    now[0] = 3599.0
    quiet.note("running", 5)
    assert warned() == []
    now[0] = 3600.0
    with pytest.warns(AffinityWarning):
        [message] = warned()
    assert "process 'step' is unchanged for 1:00:00" in message
    assert "Pass a timeout" in message
    now[0] = 7200.0
    assert warned() == []
    quiet.note("running", 6)
    assert quiet.seconds == 0
    assert warned("http://h/2.xml") == []


def test_a_progress_bar_shows_for_how_long_nothing_has_changed():
    now = [0.0]
    quiet = waiting.Quiet(clock=lambda: now[0])
    quiet.note("running")
    assert (quiet.beside("half way"), quiet.beside(None)) == ("half way", None)
    now[0] = 90.0
    assert quiet.beside("half way") == "half way; unchanged for 0:01:30"
    assert quiet.beside(None) == "unchanged for 0:01:30"

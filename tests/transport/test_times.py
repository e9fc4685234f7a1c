"""How long is waited between two attempts, and how long servers may ask to wait."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pavics_affinity.errors import InvalidRequest
from pavics_affinity.transport import times
from pavics_affinity.transport.times import Patience, asked_to_wait, in_seconds, retry_after

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60),
        ("Sun Nov  6 08:50:37 1994", 60),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
    ],
)
def test_the_forms_of_the_standard_are_read(value, seconds):
    assert retry_after({"Retry-After": value, "Date": DATE}) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *("", "-5", "+5", "1.5", "5, 5", "soon", "inf", "nan", "1e3", "٣", "²", "0x10", "5s"),
        "Sun, 06 Nov 99999 08:50:37 GMT",
        "Sun, 99 Nov 1994 08:50:37 GMT",
        "," * 5000,
    ],
)
def test_what_makes_no_sense_is_as_if_it_were_not_there(value):
    assert retry_after({"Retry-After": value, "Date": DATE}) is None
    assert asked_to_wait({"Retry-After": value, "Date": DATE}) == ""


def test_it_may_be_missing():
    assert retry_after({}) is None


@pytest.mark.parametrize("digits", [12, 300, 5000])
def test_a_huge_one_is_longer_than_any_deadline(digits):
    assert retry_after({"Retry-After": "9" * digits}) >= 9e11
    assert len(asked_to_wait({"Retry-After": "9" * digits})) < 80


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_a_date_counts_from_now_where_the_answer_has_none(date):
    moment = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert retry_after({"Retry-After": moment, "Date": date}) == pytest.approx(3600, abs=900)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_waits_grow_and_end_with_the_deadline(clock):
    patience = Patience(10, clock=clock, sleep=clock.sleep)
    while patience.wait():
        pass
    assert sum(clock.slept) == pytest.approx(10)
    assert clock.slept[0] <= 0.05
    assert max(clock.slept) <= 1


def test_a_server_is_given_the_time_that_it_asks_for(clock):
    patience = Patience(10, clock=clock, sleep=clock.sleep)
    assert patience.wait(4)
    assert patience.wait(5.5)
    assert clock.slept == [4, 5.5]


def test_what_is_longer_than_the_deadline_is_not_waited_for_at_all(clock):
    patience = Patience(10, clock=clock, sleep=clock.sleep)
    assert not patience.wait(10)
    assert not patience.wait(1e300)
    assert clock.slept == []
    assert patience.wait(9)
    assert not patience.wait(1.5)


def test_the_innermost_deadline_holds_and_never_prolongs_the_usual_one():
    assert times.current_deadline(10) == 10
    with times.deadline(3):
        assert times.current_deadline(10) == 3
        with times.deadline(None):
            assert times.current_deadline(10) == 3
        with times.deadline(0.5):
            assert times.current_deadline(10) == 0.5
        with times.deadline(60):
            assert times.current_deadline(10) == 10
        assert times.current_deadline(10) == 3
    assert times.current_deadline(10) == 10


@pytest.mark.parametrize("value", [10**5000, 1e300, float("inf")], ids=["long", "large", "inf"])
def test_a_duration_without_bounds_is_the_longest_that_a_socket_takes(value):
    with socket.socket() as made:
        made.settimeout(in_seconds(value))


@pytest.mark.parametrize(
    "value", [pytest.param(-(10**5000), id="long"), -1, 0, float("nan"), True, "1"]
)
def test_an_invalid_duration_is_refused(value):
    with pytest.raises(InvalidRequest, match="is not a duration"):
        in_seconds(value)

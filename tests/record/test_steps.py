"""What an earlier process executed is recalled at most once, and only where it may have run."""

from __future__ import annotations

import pytest

from pavics_affinity.record.steps import Step, Steps, digest_of

DIGEST = digest_of("http://proxy.example/wps", b"<Execute/>")


def recalling(*states: str, replay: bool = True) -> Steps:
    steps = Steps()
    earlier = [
        Step(number, "step", "http://proxy.example/wps", state=state, digest=DIGEST, recalled=True)
        for number, state in enumerate(states, 1)
    ]
    steps.restore(earlier, replay=replay)
    return steps


def test_each_step_is_recalled_once_in_the_order_in_which_they_were_sent():
    steps = recalling("succeeded", "succeeded")
    recalled = [steps.recall(DIGEST) for _ in range(3)]
    assert [step and step.number for step in recalled] == [1, 2, None]


@pytest.mark.parametrize("state", ["unknown", "sending", "answered", "accepted", "running"])
def test_a_step_that_may_have_run_is_recalled_rather_than_sent(state):
    assert recalling(state).recall(DIGEST) is not None


@pytest.mark.parametrize("state", ["not sent", "refused", "failed"])
def test_a_step_that_did_not_run_or_failed_may_be_sent_again(state):
    assert recalling(state).recall(DIGEST) is None


def test_another_request_recalls_nothing_and_without_replay_none_does():
    assert recalling("succeeded").recall(digest_of("http://proxy.example/wps", b"")) is None
    assert recalling("succeeded", replay=False).recall(DIGEST) is None


def test_new_steps_are_numbered_after_those_of_the_earlier_process():
    assert recalling("succeeded", "unknown").begin("step", "http://proxy.example/wps").number == 3

import random

import pytest

from recorder.live.attempt import Outcome
from recorder.live.backoff import Backoff
from recorder.live.reason import Reason


def waits(*outcomes: Outcome) -> list[float]:
    backoff = Backoff(random.Random(7))
    return [backoff.after(outcome) for outcome in outcomes]


@pytest.mark.parametrize(
    "reason", [Reason.REFUSED, Reason.TIMEOUT, Reason.UNKNOWN_HOST, Reason.ALREADY_PUBLISHING, Reason.CLOSED]
)
def test_the_network_is_tried_again_within_two_seconds(reason: Reason) -> None:
    long = waits(*[Outcome(reason)] * 50)
    assert 0.75 <= long[0] <= 1.0
    assert all(1.5 <= wait <= 2.0 for wait in long[3:])
    assert len(set(long)) > 40, "no jitter"


@pytest.mark.parametrize("reason", [Reason.REJECTED, Reason.CERTIFICATE])
def test_what_only_a_person_can_mend_is_tried_slowly(reason: Reason) -> None:
    assert all(wait >= 9 for wait in waits(*[Outcome(reason)] * 3))


def test_a_key_that_has_worked_is_given_some_more_chances() -> None:
    outcomes = [Outcome(Reason.STALLED, live_s=60), *[Outcome(Reason.REFUSED)] * 9, *[Outcome(Reason.REJECTED)] * 4]
    assert [wait > 9 for wait in waits(*outcomes)] == [False] * 13 + [True]


def test_a_server_that_always_hangs_up_at_once_is_tried_slowly() -> None:
    assert [wait > 9 for wait in waits(*[Outcome(Reason.CLOSED, live_s=0.4)] * 5)] == [False] * 3 + [True] * 2


def test_a_long_life_starts_the_count_anew() -> None:
    assert waits(*[Outcome(Reason.REFUSED)] * 5, Outcome(Reason.CLOSED, live_s=30))[-1] <= 1.0


def test_when_a_caller_has_gone_the_next_is_waited_for_at_once() -> None:
    assert waits(*[Outcome(Reason.CALLER_LEFT, live_s=0.5)] * 9) == [0.0] * 9

import random

import pytest

from recorder.live.destination import SOON_S, Backoff
from recorder.live.kind import AttemptOutcome, DestinationFault


def waits(*outcomes: AttemptOutcome) -> list[float]:
    backoff = Backoff(random.Random(7))
    return [backoff.after(outcome) for outcome in outcomes]


@pytest.mark.parametrize(
    "reason",
    [
        DestinationFault.REFUSED,
        DestinationFault.TIMEOUT,
        DestinationFault.UNKNOWN_HOST,
        DestinationFault.UNREACHABLE,
        DestinationFault.CLOSED,
    ],
)
def test_the_network_is_tried_again_within_two_seconds(reason: DestinationFault) -> None:
    long = waits(*[AttemptOutcome(reason)] * 50)
    assert 0.75 <= long[0] <= 1.0
    assert all(1.5 <= wait <= 2.0 for wait in long[3:])
    assert len(set(long)) > 40, "no jitter"


@pytest.mark.parametrize(
    "reason", [DestinationFault.TIMEOUT, DestinationFault.UNREACHABLE, DestinationFault.UNKNOWN_HOST]
)
def test_an_attempt_that_found_no_way_has_waited_already(reason: DestinationFault) -> None:
    backoff = Backoff(random.Random(7))
    took_s = [3.3] * 20 + [1.0] * 20
    found = [backoff.after(AttemptOutcome(reason), took) for took in took_s]
    assert all(SOON_S[0] <= wait <= SOON_S[1] for wait in found[:20])
    assert all(0.5 <= wait <= 1.0 for wait in found[20:]), "2 s from start to start"
    assert len(set(found)) == len(found), "no jitter"


def test_who_turns_us_away_is_not_asked_the_sooner_for_having_taken_long() -> None:
    backoff = Backoff(random.Random(7))
    assert min(backoff.after(AttemptOutcome(DestinationFault.REFUSED), 3.0) for _ in range(20)) >= 0.75


def test_a_stream_that_breaks_after_a_long_life_is_begun_anew_at_once() -> None:
    for reason in (DestinationFault.CLOSED, DestinationFault.STALLED):
        assert Backoff(random.Random(7)).after(AttemptOutcome(reason, live_s=60.0), 61.0) <= SOON_S[1]


def test_a_key_in_use_is_tried_again_every_two_seconds() -> None:
    assert all(1.8 <= wait <= 2.0 for wait in waits(*[AttemptOutcome(DestinationFault.ALREADY_PUBLISHING)] * 20))


def test_streams_that_a_bad_link_breaks_soon_are_not_the_servers_fault() -> None:
    assert max(waits(*[AttemptOutcome(DestinationFault.STALLED, live_s=3.0)] * 20)) <= 2.0


@pytest.mark.parametrize("reason", [DestinationFault.REJECTED, DestinationFault.CERTIFICATE])
def test_what_only_a_person_can_mend_is_tried_slowly(reason: DestinationFault) -> None:
    assert all(wait >= 9 for wait in waits(*[AttemptOutcome(reason)] * 3))


def test_a_key_that_has_worked_is_given_some_more_chances() -> None:
    outcomes = [
        AttemptOutcome(DestinationFault.STALLED, live_s=60),
        *[AttemptOutcome(DestinationFault.REFUSED)] * 9,
        *[AttemptOutcome(DestinationFault.REJECTED)] * 4,
    ]
    assert [wait > 9 for wait in waits(*outcomes)] == [False] * 13 + [True]


def test_a_server_that_always_hangs_up_at_once_is_tried_slowly() -> None:
    assert [wait > 9 for wait in waits(*[AttemptOutcome(DestinationFault.CLOSED, live_s=0.4)] * 5)] == [False] * 3 + [
        True
    ] * 2


def test_a_long_life_starts_the_count_anew() -> None:
    assert (
        waits(*[AttemptOutcome(DestinationFault.REFUSED)] * 5, AttemptOutcome(DestinationFault.CLOSED, live_s=30))[-1]
        <= 1.0
    )


def test_when_a_caller_has_gone_the_next_is_waited_for_at_once() -> None:
    assert waits(*[AttemptOutcome(DestinationFault.CALLER_LEFT, live_s=0.5)] * 9) == [0.0] * 9


def test_an_outage_of_any_length_is_tried_again_as_soon_as_a_short_one() -> None:
    a_day = waits(*[AttemptOutcome(DestinationFault.REFUSED)] * (24 * 60 * 60 // 2))
    assert all(1.5 <= wait <= 2.0 for wait in a_day[3:])

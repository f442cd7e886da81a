"""What the proof under load excuses: what is dropped until the steps work, where there is less than is promised."""

from collections.abc import Mapping
from fractions import Fraction

import pytest

from tests.proofs.load import EXCUSED_S, STEPS_S, Case, Watched, cases, excused

RATE = Fraction(30)
LESS = Case([(None, 10), (0.2, 50)])


def watched(dropped: Mapping[float, int]) -> Watched:
    """Return what a session tells that has dropped so many when it is so old."""
    return Watched(
        [
            (at_s, {"type": "status", "state": "live", "elapsed_s": at_s, "dropped": count})
            for at_s, count in dropped.items()
        ]
    )


@pytest.mark.parametrize(
    ("case", "dropped", "may_be"),
    [
        (LESS, {11.0: 1, 10 + STEPS_S: 4, 10 + STEPS_S + 1: 9}, 4),  # and not the five after that
        (LESS, {9.0: 3, 12.0: 5}, 2),  # and not the three before
        (LESS, {12.0: 1000}, EXCUSED_S * RATE),
        (LESS, {}, 0),
        (Case([(0.3, 60)]), {1.0: 3}, 0),
    ],
)
def test_only_some_of_what_is_dropped_until_the_steps_work_is_excused(
    case: Case, dropped: Mapping[float, int], may_be: float
) -> None:
    assert excused(watched(dropped), case, RATE) == may_be


@pytest.mark.parametrize(
    ("shares", "from_s"),
    [([(None, 60)], None), ([(0.3, 60)], None), ([(0.29, 60)], 0), ([(None, 10), (0.5, 5), (0.2, 60)], 15)],
)
def test_less_than_three_tenths_at_any_time_is_less_than_is_promised(
    shares: list[tuple[float | None, float]], from_s: float | None
) -> None:
    assert Case(shares).short_from_s == from_s


def test_what_is_promised_is_among_the_cases() -> None:
    promised = {name for name, case in cases(60).items() if case.short_from_s is None}
    assert promised == {"100 %", "70 %", "50 %", "30 %", "full load beside it"}

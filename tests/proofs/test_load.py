"""What the proof under load excuses: what is dropped until the steps work, where there is less than is promised."""

import pytest

from tests.proofs.load import STEPS_S, Case, Watched, cases, dropped_by


def test_only_what_is_dropped_until_then_counts() -> None:
    dropped = {1.0: 0, 2.0: 3, STEPS_S: 4, STEPS_S + 1: 9}
    lines = [
        (at_s, {"type": "status", "state": "live", "elapsed_s": at_s, "dropped": count})
        for at_s, count in dropped.items()
    ]
    assert dropped_by(Watched(lines), STEPS_S) == 4
    assert dropped_by(Watched(), STEPS_S) == 0


@pytest.mark.parametrize(
    ("shares", "is_promised"),
    [([(None, 60)], True), ([(0.3, 60)], True), ([(0.29, 60)], False), ([(None, 60), (0.2, 60)], False)],
)
def test_less_than_three_tenths_at_any_time_is_less_than_is_promised(
    shares: list[tuple[float | None, float]], *, is_promised: bool
) -> None:
    assert Case(shares).is_promised is is_promised


def test_what_is_promised_is_among_the_cases() -> None:
    promised = {name for name, case in cases(60).items() if case.is_promised}
    assert promised == {"100 %", "70 %", "50 %", "30 %", "full load beside it"}

"""How a soak is judged: what counts as lost, as grown, as a gap that was told."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.proofs.soak import Seen, judged, lost, over_time
from tests.support.soaking import Sample, gaps

RATE, MODULUS = 15, 32
GAP = (2.0, 4.0)


def pictures(*parts: tuple[float, float, int | None]) -> list[Seen]:
    """Return pictures from when to when, numbered from a number on; None: slates."""
    return [
        Seen(place / RATE, None if first is None else (first + place - round(begin * RATE)) % MODULUS)
        for begin, end, first in parts
        for place in range(round(begin * RATE), round(end * RATE))
    ]


PULLED = pictures((0, 2, 5), (2, 4, None), (4, 8, 0))


def test_a_camera_that_was_pulled_costs_the_time_it_was_away_and_nothing_else() -> None:
    assert lost(pictures((0, 8, 5)), [], MODULUS) == []
    assert lost(PULLED, [GAP], MODULUS) == []
    assert len(lost(PULLED, [], MODULUS)) == 2 * RATE + 1


@pytest.mark.parametrize("missing", [10, 100])
def test_a_picture_that_is_missing_elsewhere_is_lost(missing: int) -> None:
    recorded = [*PULLED[:missing], *PULLED[missing + 1 :]]
    (place,) = lost(recorded, [GAP], MODULUS)
    assert place.startswith(f"{(missing + 1) / RATE:.2f} s: ")


def test_a_picture_that_is_shown_again_has_lost_the_one_that_it_stands_for_and_none_where_it_was_put_in() -> None:
    again = Seen(PULLED[100].at_s, PULLED[99].number)
    assert len(lost([*PULLED[:100], again, *PULLED[101:]], [GAP], MODULUS)) == 1
    assert lost([*PULLED[:100], again, *PULLED[100:]], [GAP], MODULUS) == []


def test_a_gap_is_from_the_last_picture_to_the_first_again_for_each_source() -> None:
    def event(kind: str, subject: str, **detail: float) -> dict[str, object]:
        return {"kind": kind, "subject": subject, "detail": detail}

    events = [
        event("source-silent", "cam", since_s=1.5), event("source-missing", "cam", since_s=2.0),
        event("source-silent", "mik", since_s=2.5), event("source-returned", "cam", at_s=4.0),
        event("destination-lost", "kampus"), event("source-returned", "mik", at_s=5.0),
        event("source-missing", "cam", since_s=7.0), event("source-returned", "cam", at_s=8.0),
    ]  # fmt: skip
    assert gaps(events) == [("cam", 1.5, 4.0), ("mik", 2.5, 5.0), ("cam", 7.0, 8.0)]


def told(samples: Sequence[Sample], **more: object) -> Mapping[str, Any]:
    facts: dict[str, object] = {
        "cycles": 4, "cycle_s": 900.0, "gaps": [("cam", *GAP)], "events": {"destination-live": 5}, "losses": [],
        "status": {"dropped": 0, "repeated": 0}, "degraded": [], "done": [], "program": "program.mp4",
        "samples": [
            {name: getattr(sample, name) for name in Sample.__dataclass_fields__} for sample in samples
        ],
    }  # fmt: skip
    return facts | more


def samples(mb_per_hour: float = 0.0, descriptors: int = 0, log_bytes: int = 0) -> list[Sample]:
    """Return those of an hour that ends with so much more of each."""
    return [
        Sample(
            at_s=part * 3600,
            own_mb=100 + part * mb_per_hour,
            descriptors=40 + round(part * descriptors) if place % 10 else 99,
            threads=20,
            children=1,
            log_bytes=round(part * log_bytes),
            is_calm=place % 10 != 0,
        )
        for place in range(101)
        for part in [place / 100]
    ]


@pytest.mark.parametrize(
    ("facts", "holds"),
    [
        (told(samples()), True),
        (told(samples(mb_per_hour=0.9)), True),
        (told(samples(mb_per_hour=1.1)), False),
        (told(samples(descriptors=2)), False),
        (told(samples(descriptors=-2)), True),
        (told(samples(log_bytes=1_000_000)), False),
        (told(samples(), status={"dropped": 1, "repeated": 0}), False),
        (told(samples(), losses=[{"kind": "sound-gap", "subject": "mik", "detail": {}}]), False),
        (told(samples(), events={"destination-live": 1}), False),
        (told(samples(), gaps=[]), False),
    ],
)
def test_what_grows_or_is_lost_does_not_hold(facts: Mapping[str, Any], holds: bool) -> None:
    assert judged(facts, PULLED, MODULUS)["holds"] is holds


def test_memory_over_time_is_the_median_of_each_part() -> None:
    assert over_time(samples(mb_per_hour=10), 900) == "0s:101.2 900s:103.7 1800s:106.2 2700s:108.7 3600s:110.0"


@pytest.mark.parametrize(("hours", "per_hour"), [(None, 1.8), (0.5, 1.8), (1, 1.8), (2, 0.9)])
def test_an_hour_is_one_by_the_clock_on_the_wall_and_less_is_taken_for_one(
    hours: float | None, per_hour: float
) -> None:
    figures = judged(told(samples(mb_per_hour=1.8)), PULLED, MODULUS, wall_s=hours and hours * 3600)
    assert figures["memory_grown_mb"] == pytest.approx(1.8)
    assert figures["memory_mb_per_hour"] == pytest.approx(per_hour)
    assert figures["holds"] is (per_hour < 1)

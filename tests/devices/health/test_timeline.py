"""Rates, losses and faults in steps: the worst of each step, and nothing of what is not told."""

from datetime import UTC, datetime, timedelta

from devices.health.line import PC, HealthLine, Kind, Level
from devices.health.summary import MOST_STEPS, steps_of, timelines

BEGAN = datetime(2026, 11, 26, 9, tzinfo=UTC)


def line(minutes: float, kind: Kind, device: str = "A", name: str = "", **detail: object) -> HealthLine:
    at = BEGAN + timedelta(minutes=minutes)
    return HealthLine(at=at, device=device, name=name, level=Level.DEBUG, kind=kind, detail=detail)


def test_a_step_has_the_lowest_rate_and_all_that_was_lost_in_it() -> None:
    told = [
        line(0, Kind.SAMPLE, name="Webcam", fps=12.5, missing=2, damaged=3),
        line(1, Kind.SAMPLE, name="Webcam", fps=30.0, missing=1, damaged=0),
        line(1, Kind.DEGRADED, fault="slow"),
        line(2, Kind.SAMPLE, fps=29, missing=0),
        line(240, Kind.FLAPPING),
    ]
    (found,) = timelines(told, BEGAN, BEGAN + timedelta(hours=4))
    assert found.name == "Webcam"
    assert found.fps[:2] == [12.5, 29]
    assert set(found.fps[2:]) == {None}
    assert found.lost[:3] == [6, 0, 0]
    assert (found.faults[0], found.faults[-1], sum(found.faults)) == (1, 1, 2)


def test_the_pc_comes_last_and_what_has_nothing_to_show_not_at_all() -> None:
    told = [
        line(1, Kind.DEGRADED, PC, fault="low-disk"),
        line(1, Kind.SAMPLE, "M", "Mik", overflows=2, lost_s=0.1),
        line(1, Kind.SAMPLE, "B", "Kamera", fps=None, missing="?"),
        line(1, Kind.PLUGGED, "C", "Kartu"),
    ]
    found = timelines(told, BEGAN, BEGAN + timedelta(minutes=5))
    assert [(one.device, sum(one.lost), sum(one.faults)) for one in found] == [("M", 2, 0), (PC, 0, 1)]


def test_steps_are_never_shorter_than_the_samples_are_apart() -> None:
    assert steps_of(BEGAN, BEGAN + timedelta(seconds=5)) == 1
    assert steps_of(BEGAN, BEGAN + timedelta(hours=1)) == 60
    assert steps_of(BEGAN, BEGAN + timedelta(days=30)) == MOST_STEPS

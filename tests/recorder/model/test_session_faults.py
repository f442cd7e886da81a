"""What is wrong with a session now, and what was, on a clock that moves when told."""

import pytest

from config.events import Event
from devices.host.clock import NANOSECONDS
from recorder.model.session_faults import AWAY_KINDS, HOLD_S, NOT_OPENED_KINDS, ActiveFaults, ends_fault
from tests.support.simulated import SimulatedClock


class Told:
    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.troubles = ActiveFaults(self.clock)

    def __call__(self, kind: str, subject: str, **detail: object) -> None:
        self.troubles(Event(self.clock.now(), kind, subject, detail, "It happened."))

    def wait(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.now_ns() + round(seconds * NANOSECONDS))


@pytest.fixture
def tell() -> Told:
    return Told()


def test_reasons_for_being_degraded_are_kept_once_and_in_order(tell: Told) -> None:
    tell("session-live", "x")
    tell("source-lost", "podium")
    tell("source-returned", "podium")
    tell("destination-lost", "youtube")
    tell("source-lost", "podium")
    assert tell.troubles.all == ["source-lost: podium", "destination-lost: youtube"]


@pytest.mark.parametrize(
    ("begun", "ended"),
    [
        ("source-lost", "source-returned"),
        ("source-lost", "source-found"),
        ("source-silent", "source-returned"),
        ("source-missing", "source-returned"),
        ("destination-lost", "destination-live"),
        ("recording-stalled", "recording-resumed"),
        ("stepped-down", "keeps-up"),
    ],
)
def test_a_trouble_lasts_until_the_same_subject_is_well_again(tell: Told, begun: str, ended: str) -> None:
    tell(begun, "podium")
    tell.wait(3600)
    tell(ended, "slides")
    assert tell.troubles.now == [f"{begun}: podium"]
    tell(ended, "podium")
    assert tell.troubles.now == []
    assert tell.troubles.all == [f"{begun}: podium"]


@pytest.mark.parametrize("kind", sorted(AWAY_KINDS))
def test_whatever_tells_that_a_source_gives_nothing_is_over_when_it_is_shown_again(kind: str) -> None:
    assert ends_fault("source-returned", "podium", {}, (kind, "podium"))
    assert not ends_fault("source-returned", "slides", {}, (kind, "podium"))


@pytest.mark.parametrize("kind", NOT_OPENED_KINDS)
def test_why_a_source_was_not_opened_is_over_with_that_fault(kind: str) -> None:
    fault = kind.removeprefix("source-")
    assert ends_fault("source-recovered", "podium", {"fault": fault}, (kind, "podium"))
    assert not ends_fault("source-recovered", "podium", {"fault": "lost"}, (kind, "podium"))
    assert not ends_fault("source-recovered", "podium", {}, (kind, "podium"))


def test_a_pc_that_is_too_slow_is_one_trouble_until_the_last_step_is_taken_back(tell: Told) -> None:
    for kind in ("stepped-down", "stepped-down", "stepped-up"):
        tell(kind, "PC", step="encoder")
        tell.wait(3600)
        assert tell.troubles.now == ["stepped-down: PC"]
    tell("keeps-up", "PC", step="encoder")
    assert tell.troubles.now == []
    assert tell.troubles.all == ["stepped-down: PC"]


def test_that_it_could_not_begin_lasts_until_it_records_and_is_nothing_that_the_recording_lacks(tell: Told) -> None:
    tell("start-failed", "Rapat")
    tell.wait(3600)
    assert tell.troubles.now == ["start-failed: Rapat"]
    tell.troubles.begin()  # which comes before anybody is told
    assert tell.troubles.all == []
    tell("session-live", "2026-11-24_0900_rapat")
    assert (tell.troubles.now, tell.troubles.all) == ([], [])


def test_a_fault_lasts_until_that_fault_is_over(tell: Told) -> None:
    tell("source-frozen", "podium", fault="frozen")
    tell("source-black", "podium", fault="black")
    tell("source-recovered", "podium", fault="frozen")
    assert tell.troubles.now == ["source-black: podium"]
    tell("source-recovered", "podium", fault="black")
    assert tell.troubles.now == []


def test_what_is_over_at_once_is_shown_for_some_seconds(tell: Told) -> None:
    tell("frames-dropped", "podium")
    tell.wait(HOLD_S - 0.1)
    assert tell.troubles.now == ["frames-dropped: podium"]
    tell.wait(0.2)
    assert tell.troubles.now == []
    assert tell.troubles.all == ["frames-dropped: podium"]


def test_what_nothing_ends_stays(tell: Told) -> None:
    tell("storage-vanished", "/media/usb")
    tell.wait(86_400)
    assert tell.troubles.now == ["storage-vanished: /media/usb"]


def test_a_recording_begins_with_what_is_wrong_then_and_nothing_before(tell: Told) -> None:
    tell("source-lost", "podium")
    tell("frames-dropped", "slides")
    tell("source-lost", "slides")
    tell("source-returned", "slides")
    tell.troubles.begin()
    assert tell.troubles.all == tell.troubles.now == ["source-lost: podium"]


def test_warnings_are_no_trouble(tell: Told) -> None:
    tell("source-hum", "mimbar", fault="hum")
    tell("mark", "Pertanyaan")
    assert (tell.troubles.now, tell.troubles.all) == ([], [])

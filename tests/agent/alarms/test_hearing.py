"""What is wrong with a session, from what its recorder tells."""

from datetime import timedelta

import msgspec
import pytest

from agent.alarms.hearing import Hearing
from config.events import Event
from devices.clock import NANOSECONDS
from recorder.status import SessionState
from recorder.troubles import HOLD_S
from tests.support.scripted_session import RESULT, ScriptedSession
from tests.support.simulated import SimulatedClock


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def hearing(clock: SimulatedClock) -> Hearing:
    return Hearing("a1b2c3", "Rapat senat", clock)


def tell(hearing: Hearing, kind: str, subject: str = "podium", ago_s: float = 0.0, **detail: object) -> None:
    at = hearing.clock.now() - timedelta(seconds=ago_s)
    hearing.take(Event(at, kind, subject, detail, f"{subject}: {kind}"))


def kinds(hearing: Hearing) -> list[str]:
    return [alarm.kind for alarm in hearing.present()]


def test_a_trouble_is_there_until_the_event_that_ends_it(hearing: Hearing) -> None:
    tell(hearing, "source-lost", ago_s=60)
    tell(hearing, "source-lost")
    (alarm,) = hearing.present()
    assert alarm.since == hearing.clock.now() - timedelta(seconds=60)
    assert (alarm.session, alarm.title, alarm.subject) == ("a1b2c3", "Rapat senat", "podium")
    assert "colokkan kembali" in alarm.text.id
    tell(hearing, "source-found", "another")
    assert kinds(hearing) == ["source-lost"]
    tell(hearing, "source-found")
    assert kinds(hearing) == []
    assert [alarm.kind for alarm in hearing.begun()] == ["source-lost"]
    assert hearing.begun() == []


def test_the_reason_of_an_event_decides_what_is_said(hearing: Hearing) -> None:
    tell(hearing, "destination-lost", "youtube", reason="rejected")
    assert "kunci" in hearing.present()[0].text.id


def test_a_recording_that_could_not_begin_is_an_alarm_until_it_has_begun(
    hearing: Hearing, clock: SimulatedClock
) -> None:
    tell(hearing, "start-failed", "Rapat senat")
    clock.advance_to(clock.now_ns() + 3600 * NANOSECONDS)
    assert kinds(hearing) == ["start-failed"]
    tell(hearing, "session-live", "2026-11-24_0900_rapat-senat")
    assert kinds(hearing) == []


def test_that_the_recording_goes_on_is_said_once_it_has_begun(hearing: Hearing) -> None:
    def ends() -> list[str]:
        return [alarm.text.en.rpartition(": ")[2] for alarm in (*hearing.present(), *hearing.begun())]

    tell(hearing, "source-lost")
    hearing.take(msgspec.structs.replace(ScriptedSession().status(), state=SessionState.ARMED))
    assert ends() == ["plug it in again. Nothing is recorded yet."] * 2
    tell(hearing, "source-lost", "slides")
    tell(hearing, "session-live", "2026-11-24_0900_rapat-senat")
    assert ends() == ["plug it in again. The recording goes on."] * 3


def test_one_whose_beginning_nobody_keeps_any_more_records_by_what_it_says_of_itself(hearing: Hearing) -> None:
    tell(hearing, "source-lost")
    hearing.take(msgspec.structs.replace(ScriptedSession().status(), state=SessionState.DEGRADED))
    assert hearing.present()[0].text.id == "Kamera podium terlepas: colokkan kembali. Rekaman tetap berjalan."


def test_a_fault_ends_with_its_own_recovery(hearing: Hearing) -> None:
    tell(hearing, "source-frozen", fault="frozen")
    tell(hearing, "source-black", fault="black")
    tell(hearing, "source-recovered", fault="frozen")
    assert kinds(hearing) == ["source-black"]


def test_one_pulled_cable_is_one_alarm_that_begins_and_ends_once(hearing: Hearing, clock: SimulatedClock) -> None:
    tell(hearing, "source-silent")
    (first,) = hearing.present()
    clock.advance_to(clock.now_ns() + NANOSECONDS)
    tell(hearing, "source-lost")
    tell(hearing, "source-missing", reason="lost")
    (alarm,) = hearing.present()
    assert (alarm.kind, alarm.since, alarm.key) == ("source-lost", first.since, first.key)
    tell(hearing, "source-found")
    assert kinds(hearing) == ["source-lost"], "it gives no picture yet: that is no other trouble"
    tell(hearing, "source-returned")
    assert kinds(hearing) == []
    assert [alarm.kind for alarm in hearing.begun()] == ["source-silent"]


def test_a_trouble_of_a_source_gets_the_newest_reason(hearing: Hearing) -> None:
    tell(hearing, "source-lost")
    tell(hearing, "source-missing", reason="lost")
    tell(hearing, "source-found")
    tell(hearing, "source-busy", fault="busy")
    assert kinds(hearing) == ["source-busy"], "it is there again, and taken"
    tell(hearing, "source-recovered", fault="busy")
    assert kinds(hearing) == ["source-busy"]
    tell(hearing, "source-missing", reason="bus-full")
    tell(hearing, "source-returned")
    assert kinds(hearing) == []
    assert len(hearing.begun()) == 1


def test_another_trouble_of_the_same_source_and_another_source_are_their_own(hearing: Hearing) -> None:
    tell(hearing, "source-lost")
    tell(hearing, "source-frozen", fault="frozen")
    tell(hearing, "source-lost", "slides")
    assert sorted(alarm.key[1:] for alarm in hearing.present()) == [
        ("source-away", "podium"), ("source-away", "slides"), ("source-frozen", "podium"),
    ]  # fmt: skip
    tell(hearing, "source-returned")
    assert len(hearing.begun()) == 3
    tell(hearing, "source-lost")
    assert [alarm.kind for alarm in hearing.begun()] == ["source-lost"], "pulled out once more, it begins once more"


def test_what_has_gone_by_unseen_begins_anew(hearing: Hearing, clock: SimulatedClock) -> None:
    tell(hearing, "frames-dropped")
    clock.advance_to(clock.now_ns() + round((HOLD_S + 1) * NANOSECONDS))
    tell(hearing, "frames-dropped")
    assert len(hearing.begun()) == 2


def test_what_is_over_already_is_there_for_a_while(hearing: Hearing, clock: SimulatedClock) -> None:
    tell(hearing, "frames-dropped", ago_s=HOLD_S - 1)
    assert kinds(hearing) == ["frames-dropped"]
    clock.advance_to(clock.now_ns() + 2 * NANOSECONDS)
    assert kinds(hearing) == []
    tell(hearing, "frames-dropped", ago_s=HOLD_S + 1)
    assert kinds(hearing) == []
    assert len(hearing.begun()) == 1


def test_harmless_things_are_none(hearing: Hearing) -> None:
    for kind in ("session-live", "mark", "source-hum", "destination-added"):
        tell(hearing, kind, fault="hum")
    assert kinds(hearing) == []


def test_nothing_is_wrong_with_a_session_that_is_over(hearing: Hearing) -> None:
    tell(hearing, "source-lost")
    tell(hearing, "sealing-failed", "paket")
    hearing.take(RESULT)
    assert hearing.is_over
    assert kinds(hearing) == []
    assert [alarm.kind for alarm in hearing.begun()] == ["source-lost", "sealing-failed"]


def test_what_is_over_does_not_stand_for_as_long_as_the_clock_was_set_back(
    hearing: Hearing, clock: SimulatedClock
) -> None:
    tell(hearing, "frames-dropped", ago_s=-3 * 3600, count=3)
    assert kinds(hearing) == ["frames-dropped"]
    clock.advance_to(clock.now_ns() + round((HOLD_S + 1) * NANOSECONDS))
    assert kinds(hearing) == []

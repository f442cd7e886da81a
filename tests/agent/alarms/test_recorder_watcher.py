"""What is wrong with a session, from what its recorder tells."""

from datetime import timedelta

import msgspec
import pytest

from agent.alarms.recorder_watcher import SessionAlarmState
from config.events import Event
from devices.host.clock import NANOSECONDS
from recorder.model.session_faults import HOLD_S
from recorder.model.status import SessionState
from tests.support.scripted_session import RESULT, ScriptedSession
from tests.support.simulated import SimulatedClock


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def state(clock: SimulatedClock) -> SessionAlarmState:
    return SessionAlarmState("a1b2c3", "Rapat senat", clock)


def tell(state: SessionAlarmState, kind: str, subject: str = "podium", ago_s: float = 0.0, **detail: object) -> None:
    at = state.clock.now() - timedelta(seconds=ago_s)
    state.take(Event(at, kind, subject, detail, f"{subject}: {kind}"))


def kinds(state: SessionAlarmState) -> list[str]:
    return [alarm.kind for alarm in state.present()]


def test_a_trouble_is_there_until_the_event_that_ends_it(state: SessionAlarmState) -> None:
    tell(state, "source-lost", ago_s=60)
    tell(state, "source-lost")
    (alarm,) = state.present()
    assert alarm.since == state.clock.now() - timedelta(seconds=60)
    assert (alarm.session, alarm.title, alarm.subject) == ("a1b2c3", "Rapat senat", "podium")
    assert "colokkan kembali" in alarm.text.id
    tell(state, "source-found", "another")
    assert kinds(state) == ["source-lost"]
    tell(state, "source-found")
    assert kinds(state) == []
    assert [alarm.kind for alarm in state.begun()] == ["source-lost"]
    assert state.begun() == []


def test_the_reason_of_an_event_decides_what_is_said(state: SessionAlarmState) -> None:
    tell(state, "destination-lost", "youtube", reason="rejected")
    assert "kunci" in state.present()[0].text.id


def test_a_recording_that_could_not_begin_is_an_alarm_until_it_has_begun(
    state: SessionAlarmState, clock: SimulatedClock
) -> None:
    tell(state, "start-failed", "Rapat senat")
    clock.advance_to(clock.now_ns() + 3600 * NANOSECONDS)
    assert kinds(state) == ["start-failed"]
    tell(state, "session-live", "2026-11-24_0900_rapat-senat")
    assert kinds(state) == []


def test_that_the_recording_goes_on_is_said_once_it_has_begun(state: SessionAlarmState) -> None:
    def ends() -> list[str]:
        return [alarm.text.en.rpartition(": ")[2] for alarm in (*state.present(), *state.begun())]

    tell(state, "source-lost")
    state.take(msgspec.structs.replace(ScriptedSession().status(), state=SessionState.ARMED))
    assert ends() == ["plug it in again. Nothing is recorded yet."] * 2
    tell(state, "source-lost", "slides")
    tell(state, "session-live", "2026-11-24_0900_rapat-senat")
    assert ends() == ["plug it in again. The recording goes on."] * 3


def test_one_whose_beginning_nobody_keeps_any_more_records_by_what_it_says_of_itself(state: SessionAlarmState) -> None:
    tell(state, "source-lost")
    state.take(msgspec.structs.replace(ScriptedSession().status(), state=SessionState.DEGRADED))
    assert state.present()[0].text.id == "Kamera podium terlepas: colokkan kembali. Rekaman tetap berjalan."


def test_a_fault_ends_with_its_own_recovery(state: SessionAlarmState) -> None:
    tell(state, "source-frozen", fault="frozen")
    tell(state, "source-black", fault="black")
    tell(state, "source-recovered", fault="frozen")
    assert kinds(state) == ["source-black"]


def test_one_pulled_cable_is_one_alarm_that_begins_and_ends_once(
    state: SessionAlarmState, clock: SimulatedClock
) -> None:
    tell(state, "source-silent")
    (first,) = state.present()
    clock.advance_to(clock.now_ns() + NANOSECONDS)
    tell(state, "source-lost")
    tell(state, "source-missing", reason="lost")
    (alarm,) = state.present()
    assert (alarm.kind, alarm.since, alarm.key) == ("source-lost", first.since, first.key)
    tell(state, "source-found")
    assert kinds(state) == ["source-lost"], "it gives no picture yet: that is no other trouble"
    tell(state, "source-returned")
    assert kinds(state) == []
    assert [alarm.kind for alarm in state.begun()] == ["source-silent"]


def test_a_trouble_of_a_source_gets_the_newest_reason(state: SessionAlarmState) -> None:
    tell(state, "source-lost")
    tell(state, "source-missing", reason="lost")
    tell(state, "source-found")
    tell(state, "source-busy", fault="busy")
    assert kinds(state) == ["source-busy"], "it is there again, and taken"
    tell(state, "source-recovered", fault="busy")
    assert kinds(state) == ["source-busy"]
    tell(state, "source-missing", reason="bus-full")
    tell(state, "source-returned")
    assert kinds(state) == []
    assert len(state.begun()) == 1


def test_another_trouble_of_the_same_source_and_another_source_are_their_own(state: SessionAlarmState) -> None:
    tell(state, "source-lost")
    tell(state, "source-frozen", fault="frozen")
    tell(state, "source-lost", "slides")
    assert sorted(alarm.key[1:] for alarm in state.present()) == [
        ("source-away", "podium"), ("source-away", "slides"), ("source-frozen", "podium"),
    ]  # fmt: skip
    tell(state, "source-returned")
    assert len(state.begun()) == 3
    tell(state, "source-lost")
    assert [alarm.kind for alarm in state.begun()] == ["source-lost"], "pulled out once more, it begins once more"


def test_what_has_gone_by_unseen_begins_anew(state: SessionAlarmState, clock: SimulatedClock) -> None:
    tell(state, "frames-dropped")
    clock.advance_to(clock.now_ns() + round((HOLD_S + 1) * NANOSECONDS))
    tell(state, "frames-dropped")
    assert len(state.begun()) == 2


def test_what_is_over_already_is_there_for_a_while(state: SessionAlarmState, clock: SimulatedClock) -> None:
    tell(state, "frames-dropped", ago_s=HOLD_S - 1)
    assert kinds(state) == ["frames-dropped"]
    clock.advance_to(clock.now_ns() + 2 * NANOSECONDS)
    assert kinds(state) == []
    tell(state, "frames-dropped", ago_s=HOLD_S + 1)
    assert kinds(state) == []
    assert len(state.begun()) == 1


def test_harmless_things_are_none(state: SessionAlarmState) -> None:
    for kind in ("session-live", "mark", "source-hum", "destination-added"):
        tell(state, kind, fault="hum")
    assert kinds(state) == []


def test_nothing_is_wrong_with_a_session_that_is_over(state: SessionAlarmState) -> None:
    tell(state, "source-lost")
    tell(state, "sealing-failed", "paket")
    state.take(RESULT)
    assert state.is_over
    assert kinds(state) == []
    assert [alarm.kind for alarm in state.begun()] == ["source-lost", "sealing-failed"]


def test_what_is_over_does_not_stand_for_as_long_as_the_clock_was_set_back(
    state: SessionAlarmState, clock: SimulatedClock
) -> None:
    tell(state, "frames-dropped", ago_s=-3 * 3600, count=3)
    assert kinds(state) == ["frames-dropped"]
    clock.advance_to(clock.now_ns() + round((HOLD_S + 1) * NANOSECONDS))
    assert kinds(state) == []

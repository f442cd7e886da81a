"""What is wrong with a session, from what its recorder tells, and what people read of it."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from agent.alarms.message import message_text
from agent.alarms.recorder_watcher import RecorderListener
from agent.alarms.throttle import AlarmThrottle
from config.events import Event
from devices.host.clock import NANOSECONDS
from recorder.model.session_faults import HOLD_S
from recorder.model.status import SessionState
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo
from tests.support.scripted_session import RESULT, ScriptedSession
from tests.support.simulated import BEGINNING, SimulatedClock


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


def listener(clock: SimulatedClock) -> RecorderListener:
    info = RecorderInfo(
        id="a1b2c3", pid=1, pid_started=1, boot_id="", title="Rapat senat", archive="/arsip", started_at=clock.now()
    )
    return RecorderListener(RecorderFolder(Path("/nowhere")), info, clock)


@pytest.fixture
def state(clock: SimulatedClock) -> RecorderListener:
    return listener(clock)


def tell(state: RecorderListener, kind: str, subject: str = "podium", ago_s: float = 0.0, **detail: object) -> None:
    at = state.clock.now() - timedelta(seconds=ago_s)
    state.take(Event(at, kind, subject, detail, f"{subject}: {kind}"))


def kinds(state: RecorderListener) -> list[str]:
    return [alarm.kind for alarm in state.present()]


def test_a_trouble_is_there_until_the_event_that_ends_it(state: RecorderListener) -> None:
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


def test_the_reason_of_an_event_decides_what_is_said(state: RecorderListener) -> None:
    tell(state, "destination-lost", "youtube", reason="rejected")
    assert "kunci" in state.present()[0].text.id


def test_a_recording_that_could_not_begin_is_an_alarm_until_it_has_begun(
    state: RecorderListener, clock: SimulatedClock
) -> None:
    tell(state, "start-failed", "Rapat senat")
    clock.advance_to(clock.now_ns() + 3600 * NANOSECONDS)
    assert kinds(state) == ["start-failed"]
    tell(state, "session-live", "2026-11-24_0900_rapat-senat")
    assert kinds(state) == []


def test_that_the_recording_goes_on_is_said_once_it_has_begun(state: RecorderListener) -> None:
    def ends() -> list[str]:
        return [alarm.text.en.rpartition(": ")[2] for alarm in (*state.present(), *state.begun())]

    tell(state, "source-lost")
    state.take(msgspec.structs.replace(ScriptedSession().status(), state=SessionState.ARMED))
    assert ends() == ["plug it in again. Nothing is recorded yet."] * 2
    tell(state, "source-lost", "slides")
    tell(state, "session-live", "2026-11-24_0900_rapat-senat")
    assert ends() == ["plug it in again. The recording goes on."] * 3


def test_one_whose_beginning_nobody_keeps_any_more_records_by_what_it_says_of_itself(state: RecorderListener) -> None:
    tell(state, "source-lost")
    state.take(msgspec.structs.replace(ScriptedSession().status(), state=SessionState.DEGRADED))
    assert state.present()[0].text.id == "Kamera podium terlepas: colokkan kembali. Rekaman tetap berjalan."


def test_a_fault_ends_with_its_own_recovery(state: RecorderListener) -> None:
    tell(state, "source-frozen", fault="frozen")
    tell(state, "source-black", fault="black")
    tell(state, "source-recovered", fault="frozen")
    assert kinds(state) == ["source-black"]


def test_one_pulled_cable_is_one_alarm_that_begins_and_ends_once(
    state: RecorderListener, clock: SimulatedClock
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


def test_a_trouble_of_a_source_gets_the_newest_reason(state: RecorderListener) -> None:
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


def test_another_trouble_of_the_same_source_and_another_source_are_their_own(state: RecorderListener) -> None:
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


def test_what_has_gone_by_unseen_begins_anew(state: RecorderListener, clock: SimulatedClock) -> None:
    tell(state, "frames-dropped")
    clock.advance_to(clock.now_ns() + round((HOLD_S + 1) * NANOSECONDS))
    tell(state, "frames-dropped")
    assert len(state.begun()) == 2


def test_what_is_over_already_is_there_for_a_while(state: RecorderListener, clock: SimulatedClock) -> None:
    tell(state, "frames-dropped", ago_s=HOLD_S - 1)
    assert kinds(state) == ["frames-dropped"]
    clock.advance_to(clock.now_ns() + 2 * NANOSECONDS)
    assert kinds(state) == []
    tell(state, "frames-dropped", ago_s=HOLD_S + 1)
    assert kinds(state) == []
    assert len(state.begun()) == 1


def test_harmless_things_are_none(state: RecorderListener) -> None:
    for kind in ("session-live", "mark", "source-hum", "destination-added"):
        tell(state, kind, fault="hum")
    assert kinds(state) == []


def test_nothing_is_wrong_with_a_session_that_is_over(state: RecorderListener) -> None:
    tell(state, "source-lost")
    tell(state, "sealing-failed", "paket")
    state.take(RESULT)
    assert state.is_over
    assert kinds(state) == []
    assert [alarm.kind for alarm in state.begun()] == ["source-lost", "sealing-failed"]


def test_what_is_over_does_not_stand_for_as_long_as_the_clock_was_set_back(
    state: RecorderListener, clock: SimulatedClock
) -> None:
    tell(state, "frames-dropped", ago_s=-3 * 3600, count=3)
    assert kinds(state) == ["frames-dropped"]
    clock.advance_to(clock.now_ns() + round((HOLD_S + 1) * NANOSECONDS))
    assert kinds(state) == []


# One message for a source that is gone, and one when it is over

type Happened = tuple[float, str, dict[str, object]]

PULLED: list[Happened] = [
    (0.0, "source-silent", {"since_s": 10.0}),
    (0.6, "source-lost", {"hint": ""}),
    (0.7, "source-missing", {"reason": "lost", "since_s": 10.7}),
    (20.0, "source-found", {"port": "1-2"}),
    (29.0, "source-returned", {"at_s": 39.0}),
]
SOUND_PULLED: list[Happened] = [
    (0.0, "source-lost", {"hint": ""}),
    (0.3, "source-missing", {"reason": "lost", "since_s": 10.0}),
    (15.0, "source-found", {"port": "1-2"}),
    (24.0, "source-returned", {"at_s": 34.0}),
]
TAKEN: list[Happened] = [
    (0.0, "source-missing", {"reason": "busy", "since_s": 0.0}),
    (0.2, "source-busy", {"fault": "busy"}),
    (20.0, "source-recovered", {"fault": "busy"}),
    (28.0, "source-returned", {"at_s": 28.0}),
]
STAYS_SILENT: list[Happened] = [
    (0.0, "source-silent", {"since_s": 10.0}),
    (3.0, "source-missing", {"reason": "silent", "since_s": 13.0}),
    (8.0, "source-hung", {"count": 1}),
    (30.0, "source-lost", {"hint": ""}),
    (40.0, "source-found", {"port": "1-2"}),
    (41.0, "source-returned", {"at_s": 51.0}),
]


def read(happened: list[Happened], until_s: float = 60.0, from_s: float = 0.0) -> list[str]:
    """Return what people read, in English, of what a recorder tells at these times (seconds).

    The daemon begins at `from_s`: what happened before that it hears then, as a new one does.
    """
    clock = SimulatedClock()
    state, herald = listener(clock), AlarmThrottle(clock, 900.0, 12)
    left, told, begin_ns = list(happened), [], clock.now_ns()
    clock.advance_to(begin_ns + round(from_s * NANOSECONDS))
    while (now_s := (clock.now_ns() - begin_ns) / NANOSECONDS) < until_s:
        while left and left[0][0] <= now_s:
            at_s, kind, detail = left.pop(0)
            state.take(Event(BEGINNING + timedelta(seconds=at_s), kind, "podium", detail, kind))
        if (message := herald.look(state.begun(), state.present())) and not message.closes:
            told.append(message_text(message, "", "en"))
        clock.advance_to(clock.now_ns() + NANOSECONDS // 10)
    return told


@pytest.mark.parametrize(
    ("happened", "said"),
    [
        (PULLED, "was unplugged"), (SOUND_PULLED, "was unplugged"), (TAKEN, "is used by another program"),
        (STAYS_SILENT, "sends nothing"),
    ],
    ids=["pulled", "sound pulled", "taken by another program", "silent, and then pulled"],
)  # fmt: skip
def test_one_trouble_of_a_source_is_told_once_and_over_once(happened: list[Happened], said: str) -> None:
    began, over = read(happened)
    assert began.startswith("Fault:\n")
    assert began.count("Podium camera") == 1
    assert f"Podium camera {said}" in began
    assert over.startswith("Over:\n")
    assert over.count("Podium camera") == 1


def test_its_end_is_told_by_what_was_known_last() -> None:
    began, over = read(STAYS_SILENT)
    assert "sends nothing" in began
    assert "was unplugged" in over


def test_a_cable_that_is_back_before_anybody_was_told_is_not_told() -> None:
    assert (
        read([(0.0, "source-lost", {}), (0.1, "source-missing", {"reason": "lost"}), (2.0, "source-returned", {})])
        == []
    )


def test_a_cable_that_is_pulled_twice_is_two_troubles() -> None:
    again = [(at_s + 1000, kind, detail) for at_s, kind, detail in PULLED]
    told = read([*PULLED, *again], 1060.0)
    assert [one.partition(":")[0] for one in told] == ["Fault", "Over", "Fault", "Over"]


def came_and_went(*at_s: float, for_s: float = 1.0) -> list[Happened]:
    """Return that a cable was loose at these times, for so long."""
    told: list[Happened] = []
    for at in at_s:
        told += [(at, "source-lost", {}), (at + for_s, "source-returned", {})]
    return told


def test_a_daemon_that_begins_anew_says_nothing_of_what_was_over_hours_ago() -> None:
    hours_ago = came_and_went(0.0, 4000.0, 8000.0, for_s=20.0)
    assert read(hours_ago, 9600.0, from_s=9000.0) == []
    (told,) = read([*hours_ago, (8990.0, "source-lost", {})], 9600.0, from_s=9000.0)
    assert told.startswith("Fault:\n")


def test_a_daemon_that_begins_anew_tells_what_has_come_and_gone_within_this_minute() -> None:
    told = read(came_and_went(0.0, 10.0, 20.0), from_s=30.0)
    assert [one.partition(":")[0] for one in told] == ["Fault", "Over"]


def test_a_loose_cable_that_is_told_while_it_is_in_is_said_to_be_over_too() -> None:
    told = read(came_and_went(0.0, 6.0, 12.0), 600.0)
    assert [one.partition(":")[0] for one in told] == ["Fault", "Over"]
    assert "Podium camera was unplugged" in told[1]

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
    tell(state, "source-hum", fault="hum")
    assert kinds(state) == [], "a hum is harmless"
    assert [alarm.kind for alarm in state.begun()] == ["source-lost"]
    assert state.begun() == []


def test_the_reason_of_an_event_decides_what_is_said(state: RecorderListener) -> None:
    tell(state, "destination-lost", "youtube", reason="rejected")
    assert "kunci" in state.present()[0].text.id


def test_that_the_recording_goes_on_is_said_once_it_has_begun(state: RecorderListener) -> None:
    def ends() -> list[str]:
        return [alarm.text.en.rpartition(": ")[2] for alarm in (*state.present(), *state.begun())]

    tell(state, "source-lost")
    state.take(msgspec.structs.replace(ScriptedSession().status(), state=SessionState.ARMED))
    assert ends() == ["plug it in again. Nothing is recorded yet."] * 2
    tell(state, "source-lost", "slides")
    tell(state, "session-live", "2026-11-24_0900_rapat-senat")
    assert ends() == ["plug it in again. The recording goes on."] * 3


def test_one_pulled_cable_is_one_alarm(state: RecorderListener, clock: SimulatedClock) -> None:
    tell(state, "source-silent")
    (first,) = state.present()
    clock.advance(1)
    tell(state, "source-lost")
    tell(state, "source-missing", reason="lost")
    (alarm,) = state.present()
    assert (alarm.kind, alarm.since, alarm.key) == ("source-lost", first.since, first.key)
    tell(state, "source-found")
    assert kinds(state) == ["source-lost"], "it gives no picture yet: that is no other trouble"
    tell(state, "source-returned")
    assert kinds(state) == []
    assert [alarm.kind for alarm in state.begun()] == ["source-silent"]


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


def test_what_is_over_already_is_there_for_a_while(state: RecorderListener, clock: SimulatedClock) -> None:
    tell(state, "frames-dropped", ago_s=HOLD_S - 1)
    assert kinds(state) == ["frames-dropped"]
    clock.advance(2)
    assert kinds(state) == []
    tell(state, "frames-dropped", ago_s=HOLD_S + 1)
    assert kinds(state) == []
    assert len(state.begun()) == 1


def test_nothing_is_wrong_with_a_session_that_is_over(state: RecorderListener) -> None:
    tell(state, "source-lost")
    tell(state, "sealing-failed", "paket")
    state.take(RESULT)
    assert state.is_over
    assert kinds(state) == []
    assert [alarm.kind for alarm in state.begun()] == ["source-lost", "sealing-failed"]


# One message for a source that is gone, and one when it is over

type Happened = tuple[float, str, dict[str, object]]

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
    """Return what people read, in English; a daemon that begins at `from_s` hears then what happened before."""
    clock = SimulatedClock()
    state, herald = listener(clock), AlarmThrottle(clock, 900.0, 12)
    left, told, begin_ns = list(happened), [], clock.now_ns()
    clock.advance(from_s)
    while (now_s := (clock.now_ns() - begin_ns) / NANOSECONDS) < until_s:
        while left and left[0][0] <= now_s:
            at_s, kind, detail = left.pop(0)
            state.take(Event(BEGINNING + timedelta(seconds=at_s), kind, "podium", detail, kind))
        if (message := herald.look(state.begun(), state.present())) and not message.closes:
            told.append(message_text(message, "", "en"))
        clock.advance(0.1)
    return told


@pytest.mark.parametrize(
    ("happened", "said", "at_last"),
    [
        (TAKEN, "is used by another program", "is used by another program"),
        (STAYS_SILENT, "sends nothing", "was unplugged"),
    ],
    ids=["taken by another program", "silent, and then pulled"],
)
def test_one_trouble_of_a_source_is_told_once_and_over_once(happened: list[Happened], said: str, at_last: str) -> None:
    began, over = read(happened)
    assert began.startswith("Fault:\n")
    assert began.count("Podium camera") == 1
    assert f"Podium camera {said}" in began
    assert over.startswith("Over:\n")
    assert over.count("Podium camera") == 1
    assert at_last in over, "what was known last"


def came_and_went(*at_s: float, for_s: float = 1.0) -> list[Happened]:
    told: list[Happened] = []
    for at in at_s:
        told += [(at, "source-lost", {}), (at + for_s, "source-returned", {})]
    return told


def test_a_daemon_that_begins_anew_says_nothing_of_what_was_over_hours_ago() -> None:
    hours_ago = came_and_went(0.0, 4000.0, 8000.0, for_s=20.0)
    assert read(hours_ago, 9600.0, from_s=9000.0) == []
    (told,) = read([*hours_ago, (8990.0, "source-lost", {})], 9600.0, from_s=9000.0)
    assert told.startswith("Fault:\n")


def test_a_loose_cable_that_is_told_while_it_is_in_is_said_to_be_over_too() -> None:
    told = read(came_and_went(0.0, 6.0, 12.0), 600.0)
    assert [one.partition(":")[0] for one in told] == ["Fault", "Over"]
    assert "Podium camera was unplugged" in told[1]

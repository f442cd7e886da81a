"""From what a recorder tells of a source that is gone to what people read: one message, and one when it is over."""

from datetime import timedelta

import pytest

from agent.alarms.message import message_text
from agent.alarms.recorder_watcher import SessionAlarmState
from agent.alarms.throttle import AlarmThrottle
from config.events import Event
from devices.host.clock import NANOSECONDS
from tests.support.simulated import BEGINNING, SimulatedClock

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
    state, herald = SessionAlarmState("a1b2c3", "Rapat", clock), AlarmThrottle(clock, 900.0, 12)
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

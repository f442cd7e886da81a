"""What is told, and when: once, again while it lasts, several at once in one, and never a flood."""

import pytest

from agent.alarms.alarm import Alarm, Message
from agent.alarms.herald import GATHER_S, HOUR_S, Herald
from devices.host.clock import NANOSECONDS
from tests.support.alarms import alarm
from tests.support.simulated import SimulatedClock

REPEAT_S = 900.0
PODIUM, SLIDES, STREAM = alarm(), alarm(subject="slides"), alarm("destination-lost", "youtube")


class Watched:
    """A herald that is asked every half second, as the daemon does."""

    def __init__(self, most_per_hour: int = 12) -> None:
        self.clock = SimulatedClock()
        self.herald = Herald(self.clock, REPEAT_S, most_per_hour)
        self.told: list[Message] = []
        self._before: set[tuple[str, str, str]] = set()

    def go(self, seconds: float, *present: Alarm) -> list[Message]:
        """Let time pass while that is wrong; return what is told meanwhile."""
        told = []
        for _ in range(round(seconds * 2)):
            begun = [one for one in present if one.key not in self._before]
            self._before = {one.key for one in present}
            if message := self.herald.look(begun, list(present)):
                told.append(message)
            self.clock.advance_to(self.clock.now_ns() + NANOSECONDS // 2)
        self.told += told
        return told

    @property
    def sent(self) -> list[Message]:
        """What goes out by mail as well."""
        return [message for message in self.told if not message.closes]


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_trouble_is_told_once_and_again_while_it_lasts_and_when_it_is_over(watched: Watched) -> None:
    (first,) = watched.go(REPEAT_S - 1, PODIUM)
    assert (first.began, first.lasting, first.over, first.present) == ((PODIUM,), (), (), (PODIUM,))
    (again,) = watched.go(30, PODIUM)
    assert (again.began, again.lasting) == ((), (PODIUM,))
    (over,) = watched.go(30)
    assert (over.over, over.present, over.closes) == ((PODIUM,), (), False)
    assert watched.go(REPEAT_S * 2) == []


def test_a_killed_recorder_whose_session_has_failed_is_not_said_to_be_over(watched: Watched) -> None:
    killed, failed = alarm("recorder-killed", "Rapat"), alarm("session-failed", "session")
    watched.go(60, killed, PODIUM)
    (told,) = watched.go(60, failed)
    assert (told.began, told.over) == ((failed,), (PODIUM,))


def test_a_killed_recorder_that_another_one_follows_is_over(watched: Watched) -> None:
    killed = alarm("recorder-killed", "Rapat")
    watched.go(60, killed)
    (over,) = watched.go(60)
    assert over.over == (killed,)


def test_several_at_once_are_one_message(watched: Watched) -> None:
    watched.go(GATHER_S / 3, PODIUM)
    watched.go(GATHER_S / 3, PODIUM, SLIDES)
    watched.go(60, PODIUM, SLIDES, STREAM)
    (message,) = watched.told
    assert set(message.began) == {PODIUM, SLIDES, STREAM}
    (again,) = watched.go(REPEAT_S, PODIUM, SLIDES, STREAM)
    assert set(again.lasting) == {PODIUM, SLIDES, STREAM}


def test_a_trouble_whose_reason_becomes_known_is_told_once_with_that_reason(watched: Watched) -> None:
    silent, lost, busy = alarm("source-silent"), alarm("source-lost"), alarm("source-busy")
    watched.go(GATHER_S - 1, silent)
    (message,) = watched.go(60, lost)
    assert (message.began, message.present) == ((lost,), (lost,))
    assert watched.go(60, busy) == []
    (over,) = watched.go(60)
    assert over.over == (busy,), "its end has its newest words"


def test_what_is_over_soon_is_not_told(watched: Watched) -> None:
    watched.go(GATHER_S - 1, PODIUM)
    watched.go(60)
    assert watched.told == []


def test_what_ends_a_session_is_told_although_the_session_is_gone(watched: Watched) -> None:
    failed = alarm("sealing-failed", "paket")
    assert watched.herald.look([failed], []) is None
    (message,) = watched.go(60)
    assert (message.began, message.present) == ((failed,), ())
    assert watched.go(REPEAT_S * 2) == []


def test_what_is_told_once_its_session_is_gone_is_taken_away_again(watched: Watched) -> None:
    full = alarm("storage-full", "/mnt/a")
    assert watched.herald.look([full], []) is None
    told, closing = watched.go(60)
    assert (told.began, told.present, told.closes) == ((full,), (), False)
    assert (closing.closes, closing.began, closing.present) == (True, (), ())


def test_what_nobody_can_end_is_told_once_and_its_end_only_shown(watched: Watched) -> None:
    gap = alarm("recording-gap", "/mnt/a")
    watched.go(REPEAT_S * 3, gap)
    assert [message.began for message in watched.told] == [(gap,)]
    (closing,) = watched.go(60)
    assert (closing.closes, closing.present, closing.over) == (True, (), ())


def test_a_damaged_package_is_told_once_and_that_it_is_repaired_too(watched: Watched) -> None:
    damaged = alarm("package-damaged", "2026-11-25_0812_rapat")
    assert [message.began for message in watched.go(REPEAT_S * 4, damaged)] == [(damaged,)]
    assert [message.over for message in watched.go(30)] == [(damaged,)]


def test_a_source_that_comes_and_goes_does_not_flood(watched: Watched) -> None:
    for _ in range(200):
        watched.go(1, PODIUM)
        watched.go(2)
    assert len(watched.sent) == 1
    for _ in range(30):
        watched.go(10, PODIUM)
        watched.go(10)
    assert 1 < len(watched.sent) <= 4


def test_there_is_a_limit_for_each_hour_and_what_was_held_back_follows() -> None:
    watched = Watched(most_per_hour=3)
    alarms = [alarm(subject=f"input-{number}") for number in range(8)]
    for number in range(8):
        watched.go(20, *alarms[: number + 1])
    assert [len(message.began) for message in watched.sent] == [1, 1, 1]
    assert [message.is_last for message in watched.sent] == [False, False, True]
    watched.go(HOUR_S - 8 * 20 - 60, *alarms)
    assert len(watched.sent) == 3
    watched.go(120, *alarms)
    held = watched.sent[3]
    assert set(held.began) == set(alarms[3:])


def test_what_lasts_is_told_again_only_where_there_is_room() -> None:
    watched = Watched(most_per_hour=1)
    watched.go(HOUR_S - 60, PODIUM)
    assert [message.began for message in watched.told] == [(PODIUM,)]
    (again,) = watched.go(120, PODIUM)
    assert (again.lasting, again.closes, again.is_last) == ((PODIUM,), False, True)


def test_what_was_held_back_and_is_over_is_never_told() -> None:
    watched = Watched(most_per_hour=1)
    watched.go(20, PODIUM)
    watched.go(60, PODIUM, SLIDES)
    watched.go(HOUR_S + 60)
    assert all(SLIDES not in message.began for message in watched.told)


def test_what_is_shown_is_taken_away_beyond_the_limit_too() -> None:
    watched = Watched(most_per_hour=1)
    watched.go(20, PODIUM)
    (closing,) = watched.go(20)
    assert (closing.closes, closing.present) == (True, ())
    assert len(watched.sent) == 1


def test_troubles_of_two_sessions_are_two(watched: Watched) -> None:
    other = alarm(session="d4e5f6")
    (message,) = watched.go(60, PODIUM, other)
    assert set(message.began) == {PODIUM, other}

"""What is told, and when: once, again while it lasts, several at once in one, and never a flood."""

import pytest

from agent.alarms.message import Message, subject_line, text_in_all_languages
from agent.alarms.throttle import AGAIN_S, GATHER_S, HOUR_S, AlarmThrottle, NoticeThrottle
from agent.health.alarm import SHOWN_S, URGENT_S, Alarm, NoticeBoard
from config.locale.lookup import BilingualText
from tests.support.alarms import AT, alarm, notice
from tests.support.simulated import SimulatedClock

REPEAT_S = 900.0
PODIUM, SLIDES, STREAM = alarm(), alarm(subject="slides"), alarm("destination-lost", "youtube")


class Watched:
    """What throttles alarms and notices, asked every half second, as the daemon does."""

    def __init__(self, most_per_hour: int = 12) -> None:
        self.clock = SimulatedClock()
        self.herald = AlarmThrottle(self.clock, REPEAT_S, most_per_hour)
        self.board, self.notices = NoticeBoard(self.clock), NoticeThrottle(self.clock, most_per_hour)
        self.board.listeners.append(self.notices.hear)
        self.told: list[Message] = []
        self._before: set[tuple[str, str, str]] = set()

    def go(self, seconds: float, *present: Alarm) -> list[Message]:
        """Let time pass while that is wrong; return what is told meanwhile."""
        told: list[Message] = []
        for _ in range(round(seconds * 2)):
            begun = [one for one in present if one.key not in self._before]
            self._before = {one.key for one in present}
            told += filter(None, (self.herald.look(begun, list(present)), self.notices.due([alarm()])))
            self.clock.advance(0.5)
        self.told += told
        return told

    def put(self, kind: str, plan: str = "rapat", text: str = "") -> None:
        self.board.put(kind, plan, "Rapat", BilingualText(text or f"{kind} {plan}", f"en: {text or kind}"))

    def shown(self) -> list[str]:
        return [one.text.id for one in self.board.notices()]

    @property
    def sent(self) -> list[Message]:
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


def test_several_at_once_are_one_message(watched: Watched) -> None:
    watched.go(GATHER_S / 3, PODIUM)
    watched.go(GATHER_S / 3, PODIUM, SLIDES)
    other = alarm(session="d4e5f6")
    watched.go(60, PODIUM, SLIDES, STREAM, other)
    (message,) = watched.told
    assert set(message.began) == {PODIUM, SLIDES, STREAM, other}
    (again,) = watched.go(REPEAT_S, PODIUM, SLIDES, STREAM, other)
    assert set(again.lasting) == {PODIUM, SLIDES, STREAM, other}


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


def test_what_is_shown_is_taken_away_beyond_the_limit_too() -> None:
    watched = Watched(most_per_hour=1)
    watched.go(20, PODIUM)
    (closing,) = watched.go(20)
    assert (closing.closes, closing.present) == (True, ())
    assert len(watched.sent) == 1


# Notices


def test_what_somebody_must_do_goes_to_all_and_what_goes_as_planned_is_shown_here(watched: Watched) -> None:
    watched.put("waits")
    (to_all,) = watched.go(10)
    assert [(one.kind, one.urgent) for one in to_all.notices] == [("waits", True)]
    assert (to_all.closes, to_all.present) == (False, (alarm(),))
    watched.put("recording")
    (here,) = watched.go(10)
    assert ([one.urgent for one in here.notices], here.closes) == ([False], True)


def test_the_newest_of_each_plan_is_shown_for_a_while(watched: Watched) -> None:
    watched.put("reminder")
    watched.put("waits", "wisuda")
    watched.put("armed")
    assert watched.shown() == ["waits wisuda", "armed rapat"]
    watched.go(SHOWN_S + 1)
    assert watched.shown() == ["waits wisuda"]
    watched.go(URGENT_S - SHOWN_S)
    assert watched.shown() == []


def test_what_is_said_again_and_again_is_told_once_in_a_while_and_reminders_each_time(watched: Watched) -> None:
    messages = []
    for number in range(6):
        watched.put("failed", text=f"gagal {number}")
        messages += watched.go(60)
    assert len(messages) == 1
    assert watched.shown() == ["gagal 5"], "the page has the newest"
    watched.go(AGAIN_S)
    watched.put("failed")
    assert len(watched.go(10)) == 1
    for _ in range(2):
        watched.put("reminder")
        assert len(watched.go(60)) == 1


def test_there_is_a_limit_for_each_hour_beyond_which_it_is_only_shown() -> None:
    watched = Watched(most_per_hour=2)
    messages = []
    for number in range(4):
        watched.put("waits", f"plan{number}")
        messages += watched.go(30)
    assert [(message.closes, message.is_last) for message in messages] == [
        (False, False), (False, True), (True, False), (True, False),
    ]  # fmt: skip
    assert len(watched.shown()) == 4
    watched.go(HOUR_S)
    watched.put("waits", "plan9")
    assert [message.closes for message in watched.go(30)] == [False]


def test_a_letter_names_it_as_the_schedule_and_says_what_else_is_wrong() -> None:
    message = Message(at=AT, notices=(notice(), notice("waits", "wisuda", "Wisuda: tekan mulai")), present=(alarm(),))
    assert subject_line(message, "Aula", "id") == "Liput (Aula): Rapat dimulai 10 min lagi dan 1 lagi"
    letter = text_in_all_languages(message, "Aula", "id")
    assert letter.startswith("Ruang: Aula\nJadwal:\n- 09:00:00 Rapat dimulai 10 min lagi\n- 09:00:00 Wisuda")
    assert "Schedule:\n- 09:00:00 en: Rapat" in letter
    assert "Gangguan" not in letter
    assert letter.index("Yang lain masih berlangsung") > letter.index("Jadwal")

"""Notices of planned sessions: what is shown, for how long, what goes to whom, and never a flood. Simulated time."""

import pytest

from agent.alarms.alarm import Message, Said
from agent.alarms.herald import GATHER_S, HOUR_S
from agent.alarms.notices import AGAIN_S, FOR_ALL, SHOWN_S, URGENT, URGENT_S, Notices
from agent.alarms.telling import both, subject
from agent.schedule.part import WORDS
from devices.host.clock import NANOSECONDS
from tests.support.alarms import AT, alarm, notice
from tests.support.simulated import SimulatedClock


class Told:
    """The notices of a daemon, which is asked every half second."""

    def __init__(self, most_per_hour: int = 12) -> None:
        self.clock = SimulatedClock()
        self.notices = Notices(self.clock, most_per_hour)

    def put(self, kind: str, plan: str = "rapat", text: str = "") -> None:
        self.notices.put(kind, plan, "Rapat", Said(text or f"{kind} {plan}", f"en: {text or kind}"))

    def go(self, seconds: float) -> list[Message]:
        """Let time pass; return what is told meanwhile."""
        told = []
        for _ in range(round(seconds * 2)):
            if message := self.notices.due([alarm()]):
                told.append(message)
            self.clock.advance_to(self.clock.now_ns() + NANOSECONDS // 2)
        return told

    def shown(self) -> list[str]:
        return [one.text.id for one in self.notices.present()]


@pytest.fixture
def told() -> Told:
    return Told()


def test_every_kind_is_one_of_the_schedule() -> None:
    assert FOR_ALL >= URGENT
    assert set(WORDS) > FOR_ALL


def test_what_somebody_must_do_goes_to_all_and_what_goes_as_planned_is_shown_here(told: Told) -> None:
    told.put("waits")
    (to_all,) = told.go(10)
    assert [(one.kind, one.urgent) for one in to_all.notices] == [("waits", True)]
    assert (to_all.closes, to_all.present) == (False, (alarm(),))
    told.put("recording")
    (here,) = told.go(10)
    assert ([one.urgent for one in here.notices], here.closes) == ([False], True)


def test_several_at_once_are_one_message_and_wait_for_each_other(told: Told) -> None:
    told.put("reminder")
    assert told.go(GATHER_S / 2) == []
    told.put("not-ready", "wisuda")
    (message,) = told.go(60)
    assert [one.plan for one in message.notices] == ["rapat", "wisuda"]


def test_the_newest_of_each_plan_is_shown_for_a_while(told: Told) -> None:
    told.put("reminder")
    told.put("waits", "wisuda")
    told.put("armed")
    assert told.shown() == ["waits wisuda", "armed rapat"]
    told.go(SHOWN_S + 1)
    assert told.shown() == ["waits wisuda"]
    told.go(URGENT_S - SHOWN_S)
    assert told.shown() == []


def test_what_is_said_again_and_again_is_told_once_in_a_while_and_reminders_each_time(told: Told) -> None:
    messages = []
    for number in range(6):
        told.put("failed", text=f"gagal {number}")
        messages += told.go(60)
    assert len(messages) == 1
    assert told.shown() == ["gagal 5"], "the page has the newest"
    told.go(AGAIN_S)
    told.put("failed")
    assert len(told.go(10)) == 1
    for _ in range(2):
        told.put("reminder")
        assert len(told.go(60)) == 1


def test_there_is_a_limit_for_each_hour_beyond_which_it_is_only_shown() -> None:
    told = Told(most_per_hour=2)
    messages = []
    for number in range(4):
        told.put("waits", f"plan{number}")
        messages += told.go(30)
    assert [(message.closes, message.is_last) for message in messages] == [
        (False, False), (False, True), (True, False), (True, False),
    ]  # fmt: skip
    assert len(told.shown()) == 4
    told.go(HOUR_S)
    told.put("waits", "plan9")
    assert [message.closes for message in told.go(30)] == [False]


def test_a_letter_names_it_as_the_schedule_and_says_what_else_is_wrong() -> None:
    message = Message(at=AT, notices=(notice(), notice("waits", "wisuda", "Wisuda: tekan mulai")), present=(alarm(),))
    assert subject(message, "Aula", "id") == "Liput (Aula): Rapat dimulai 10 min lagi dan 1 lagi"
    letter = both(message, "Aula", "id")
    assert letter.startswith("Ruang: Aula\nJadwal:\n- 09:00:00 Rapat dimulai 10 min lagi\n- 09:00:00 Wisuda")
    assert "Schedule:\n- 09:00:00 en: Rapat" in letter
    assert "Gangguan" not in letter
    assert letter.index("Yang lain masih berlangsung") > letter.index("Jadwal")

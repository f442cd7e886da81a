"""What is checked before a planned session: all that its plan has, with the command's own check."""

from datetime import timedelta
from functools import partial

import msgspec
import pytest

from agent.schedule.checking import begin_check, problems_of, words_of
from agent.schedule.plan import Mode
from devices.host.clock import SystemClock
from tests.support.calendars import plan
from tests.support.room import Room
from tests.support.waiting import wait_for


def test_the_command_of_a_check_has_what_the_plan_has() -> None:
    one = msgspec.structs.replace(
        plan(),
        videos=("podium",),
        audios=("mixer",),
        streams=("youtube", "kampus"),
        profile="720p30",
    )
    checked = ["check", "--quick", "--json", "--for", "7200s"]
    assert words_of(one) == [
        *checked, "--video", "podium", "--audio", "mixer", "--stream", "youtube",
        "--stream", "kampus", "--profile", "720p30",
    ]  # fmt: skip
    nowhere = msgspec.structs.replace(one, videos=(), audios=(), streams=(), profile=None)
    for mode in (Mode.ARM, Mode.RECORD):
        assert words_of(msgspec.structs.replace(nowhere, mode=mode)) == [*checked, "--session", "/dev/stdin"]
    assert words_of(msgspec.structs.replace(nowhere, mode=Mode.REMIND)) == checked, "people may stream it anywhere"


@pytest.mark.slow
def test_the_check_is_the_commands_own(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(room.home))
    clock = SystemClock()
    checking = begin_check(msgspec.structs.replace(plan(), videos=("tidak-ada",)), clock, room.settings)
    problems = wait_for(lambda: problems_of(checking), 100.0, "what the check found")
    assert any("tidak-ada" in each for each in problems or []), problems
    wrong = begin_check(msgspec.structs.replace(plan(), profile="tidak-ada"), clock, room.settings)
    assert wait_for(lambda: problems_of(wrong), 100.0) == ['there is no profile "tidak-ada"']


@pytest.mark.slow
def test_what_is_checked_is_what_is_planned(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A week does not fit on this disk; what it is not streamed to may be wrong."""
    monkeypatch.setenv("HOME", str(room.home))
    room.configure('[destinations.jauh]\nurl = "rtmp://127.0.0.1:9/live"\n\n', keys='[destinations]\njauh = "k3y"\n')
    week = plan('Rapat "A\\B"\n\x7f', length=timedelta(days=7))
    week = msgspec.structs.replace(week, videos=("synthetic",), profile="1080p60")
    for mode in (Mode.RECORD, Mode.REMIND):
        checking = begin_check(msgspec.structs.replace(week, mode=mode), SystemClock(), room.settings, room.archive)
        problems = wait_for(partial(problems_of, checking), 100.0, "what the check found") or []
        assert any(each.startswith("storage: ") for each in problems), problems
        assert any("jauh" in each for each in problems) == (mode is Mode.REMIND), problems

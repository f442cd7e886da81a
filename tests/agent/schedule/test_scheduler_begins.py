"""What a plan's recorder is asked to be, and what is checked before it: all that its plan has; nobody is there."""

from datetime import timedelta
from functools import partial

import msgspec
import pytest

from agent.schedule.plan import PlanMode
from agent.schedule.room_check import begin_check, check_words, problems_of_room
from agent.schedule.starting import spec_of
from config.events import Event
from config.settings.schema import load_settings
from devices.host.clock import SystemClock
from recorder.control.spawn import SpawnedRecorder
from recorder.model.status import SessionResult, SessionState, SessionStatus
from recorder.running.client import ControlClient
from recorder.running.protocol import StartCommand, StopCommand, WatchCommand
from tests.support.room import Room
from tests.support.schedule import plan
from tests.support.waiting import wait_for

DESTINATION = '[destinations.{name}]\nurl = "rtmp://127.0.0.1:9/live"\n\n'


@pytest.mark.parametrize(
    ("destinations", "keys", "why"),
    [
        (["kampus"], "", "there is no key"),
        (["kampus"], "kampus", "is not TOML"),
        (["humas"], 'humas = "k3y"\n', "there is no destination"),
    ],
)
def test_a_plan_is_recorded_without_a_destination_that_is_lost_and_that_is_told(
    destinations: list[str], keys: str, why: str, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(room.home))
    conference = '[conference]\nalways = true\nlayout = "pap"\n'
    room.configure("".join(DESTINATION.format(name=name) for name in destinations) + conference, keys=keys)
    one = msgspec.structs.replace(plan(), videos=("synthetic",), streams=("kampus",), profile="hd", layout="pidato")
    spec, without = spec_of(one, load_settings(room.settings), room.settings, archive=room.archive, arm_only=True)
    assert (spec.plan, without) == (one.id, "")
    # However it comes to it that a plan's session wants a conference, that keeps none from recording.
    spec = msgspec.structs.replace(spec, asked=msgspec.structs.replace(spec.asked, conference=True))
    spawned = SpawnedRecorder(spec)
    with ControlClient(spawned.ready()) as connection:
        connection.request(WatchCommand(every_s=0.1, events_from=0))
        told = connection.told_within(60.0)
        forgotten = next(each for each in told if isinstance(each, Event) and each.kind == "destination-forgotten")
        assert forgotten.subject == "kampus"
        assert why in forgotten.message
        assert "destination add" in str(forgotten.detail["hint"])
        unknown = [next(each for each in told if isinstance(each, Event) and each.kind == "wish-unknown") for _ in "ab"]
        assert [event.subject for event in unknown] == ["hd", "pidato"]
        assert all(f'"{event.subject}"' in event.message for event in unknown)
        conference_lost = next(each for each in told if isinstance(each, Event) and each.kind == "conference-lost")
        assert 'no layout "pap"' in conference_lost.message
        next(each for each in told if isinstance(each, SessionStatus) and each.state is SessionState.ARMED)
        connection.request(StartCommand())
        status = next(each for each in told if isinstance(each, SessionStatus) and each.media_time_s > 0)
        assert "destination-forgotten: kampus" in status.troubles, "people hear of it as long as it lasts"
        assert status.layout == load_settings(room.settings).program.layout
        connection.request(StopCommand())
        result = next(each for each in told if isinstance(each, SessionResult))
    assert result.state is SessionState.SEALED
    assert {"destination-forgotten: kampus", "wish-unknown: hd", "wish-unknown: pidato"} <= {*result.degraded}
    assert spawned.wait(60.0)


def test_the_command_of_a_check_has_what_the_plan_has() -> None:
    one = msgspec.structs.replace(
        plan(),
        videos=("podium",),
        audios=("mixer",),
        streams=("youtube", "kampus"),
        profile="720p30",
    )
    checked = ["check", "--quick", "--json", "--for", "7200s"]
    assert check_words(one) == [
        *checked, "--video", "podium", "--audio", "mixer", "--stream", "youtube",
        "--stream", "kampus", "--profile", "720p30",
    ]  # fmt: skip
    nowhere = msgspec.structs.replace(one, videos=(), audios=(), streams=(), profile=None)
    for mode in (PlanMode.ARM, PlanMode.RECORD):
        assert check_words(msgspec.structs.replace(nowhere, mode=mode)) == [*checked, "--session", "/dev/stdin"]
    assert check_words(msgspec.structs.replace(nowhere, mode=PlanMode.REMIND)) == checked, (
        "people may stream it anywhere"
    )


@pytest.mark.slow
def test_the_check_is_the_commands_own(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(room.home))
    clock = SystemClock()
    checking = begin_check(msgspec.structs.replace(plan(), videos=("tidak-ada",)), clock, room.settings)
    problems = wait_for(partial(problems_of_room, checking), 100.0, "what the check found")
    assert any("tidak-ada" in each for each in problems or []), problems
    wrong = begin_check(msgspec.structs.replace(plan(), profile="tidak-ada"), clock, room.settings)
    assert wait_for(partial(problems_of_room, wrong), 100.0) == ['there is no profile "tidak-ada"']


@pytest.mark.slow
def test_what_is_checked_is_what_is_planned(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A week does not fit on this disk; what it is not streamed to may be wrong."""
    monkeypatch.setenv("HOME", str(room.home))
    room.configure('[destinations.jauh]\nurl = "rtmp://127.0.0.1:9/live"\n\n', keys='[destinations]\njauh = "k3y"\n')
    week = plan('Rapat "A\\B"\n\x7f', length=timedelta(days=7))
    week = msgspec.structs.replace(week, videos=("synthetic",), profile="1080p60")
    for mode in (PlanMode.RECORD, PlanMode.REMIND):
        checking = begin_check(msgspec.structs.replace(week, mode=mode), SystemClock(), room.settings, room.archive)
        problems = wait_for(partial(problems_of_room, checking), 100.0, "what the check found") or []
        assert any(each.startswith("storage: ") for each in problems), problems
        assert any("jauh" in each for each in problems) == (mode is PlanMode.REMIND), problems

"""What a plan's file says and what the command line says become one session; wrong words are refused in a line."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.checks.check import CheckContext, CheckFunction
from agent.checks.context import check_context, planned_request, streams_of
from agent.checks.kinds import encoder, hardware, pictures, storage, stream_keys, uplink
from agent.checks.kinds.equipment import device_results
from config.errors import SettingsError, UsageError
from config.settings.schema import DestinationSettings, Settings, VideoDefaults
from devices.host.clock import SystemClock
from devices.usb.topology import UsbTopology
from recorder.model.status import SessionState
from recorder.running.runtime_directory import DeviceClaims, SessionClaim
from recorder.session.request import SessionRequest
from tests.support.shown import CAMERA, CARD
from tests.support.situations import runs, session, situation

PLAN = """
title = "Wisuda"
video = ["podium", "slides"]
stream = ["youtube"]
profile = "720p30"
length_s = "2h"
equipment = ["banner"]
"""


def plan(tmp_path: Path, text: str = PLAN) -> Path:
    path = tmp_path / "wisuda.toml"
    path.write_text(text)
    return path


def test_a_plan_says_what_the_session_will_be_but_the_command_line_counts_first(tmp_path: Path) -> None:
    asked, planned = planned_request(plan(tmp_path), SessionRequest(title=""), Settings())
    assert asked == SessionRequest(
        title="Wisuda", videos=("podium", "slides"), streams=("youtube",), profile="720p30", duration_s=7200.0
    )
    assert check_context(asked, planned, Settings(), SystemClock(), have=["banner"]).equipment == ("banner",)
    given = SessionRequest(title="", videos=("synthetic",), duration_s=60.0, conference=False)
    asked, _ = planned_request(plan(tmp_path), given, Settings())
    assert (asked.videos, asked.duration_s, asked.conference, asked.streams) == (
        ("synthetic",), 60.0, False, ("youtube",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "wisuda.toml, line 1: there is no title: name the session, or its request"),
        ('title = "x"\nlength_s = "soon"', 'wisuda.toml, line 2: length_s = "soon": must be seconds, from 1 to 604800'),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_plan_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        planned_request(plan(tmp_path, text), SessionRequest(title=""), Settings())
    assert caught.value.message == said


def test_what_is_ticked_off_must_be_something_that_is_needed() -> None:
    with pytest.raises(UsageError, match='"tripd" is nothing to tick off; did you mean "tripod"'):
        check_context(SessionRequest(title=""), None, Settings(), SystemClock(), have=["tripd"])


def test_where_nobody_says_what_it_is_streamed_to_it_may_be_anything_but_a_test(tmp_path: Path) -> None:
    youtube, test = (
        DestinationSettings(url="rtmp://a.example/live"),
        DestinationSettings(url="rtmp://b.example/live", test=True),
    )
    settings = Settings(destinations={"youtube": youtube, "uji": test})

    def streams(asked: SessionRequest, *, is_planned: bool = False) -> list[str]:
        return list(streams_of(asked, settings, is_planned=is_planned))

    assert streams(SessionRequest(title="")) == ["youtube"]
    assert streams(SessionRequest(title="", streams=("uji",))) == ["uji"]
    asked, planned = planned_request(plan(tmp_path, 'title = "Rapat"\nstream = []'), SessionRequest(title=""), settings)
    assert check_context(asked, planned, settings, SystemClock()).streams == ()


def test_one_that_is_being_sealed_has_nothing_open_and_one_that_does_not_answer_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every = [runs(str(state), session(state)) for state in SessionState]
    monkeypatch.setattr("agent.checks.context.running_recorders", lambda: [*every, runs("silent", None)])
    now = check_context(SessionRequest(title=""), None, Settings(), SystemClock())
    assert [one.info.title for one in now.held] == ["idle", "armed", "live", "degraded", "silent"]


@pytest.fixture
def silent() -> CheckContext:
    """Return a situation in which a session that does not answer has claimed a camera."""
    running = runs("Wisuda", None)
    claims = DeviceClaims(SessionClaim(id=running.info.id, title="Wisuda", pid=1))
    claims.take([(CAMERA.id, CAMERA.name)])
    asked = SessionRequest(title="Rapat", videos=(CAMERA.id,), audios=("none",))
    return replace(situation(asked, devices=[CAMERA]), held=[running])


def test_the_camera_of_one_that_does_not_answer_is_left_alone(silent: CheckContext) -> None:
    assert (silent.holder(CAMERA), silent.holder(CARD)) == (silent.held[0], None)
    assert replace(silent, held=[runs("Rapat", None)]).holder(CAMERA) is None
    assert [result.code for result in device_results(CAMERA, "podium", silent, UsbTopology({}))] == ["held-silent"]
    assert [result.code for result in pictures.look(silent)] == ["held-silent"]


@pytest.mark.parametrize(
    ("look", "code"),
    [
        (encoder.measure, "in-session"),
        (hardware.look, "in-session"),
        (storage.look, "recording"),
        (uplink.look, "in-use"),
        (stream_keys.look, "held-silent"),
    ],
)
def test_nothing_would_disturb_it(silent: CheckContext, tmp_path: Path, look: CheckFunction, code: str) -> None:
    asked, settings = SessionRequest(title="Rapat", archive=tmp_path), Settings(video=VideoDefaults(encoder="nvenc"))
    results = list(look(replace(silent, asked=asked, settings=settings, quick=False)))
    assert code in [result.code for result in results]

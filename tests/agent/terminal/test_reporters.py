"""How a session is shown in words."""

from datetime import UTC, datetime
from typing import get_args

import pytest

from agent.terminal.reporters import NOT_MEASURED, SessionFollower, TextReporter, status_text
from config.events import Event
from devices.model.device import Health, HealthState
from recorder.live_encode.headroom import EncodeReason
from recorder.model.status import (
    ConferenceLine,
    ConferenceOutput,
    LoadLine,
    Loudness,
    SessionState,
    SessionStatus,
    SourceLine,
)


def test_a_source_that_is_not_well_stands_in_the_status_line_by_its_role() -> None:
    well = SourceLine(id="a", name="Webcam", role="podium", health=Health())
    frozen = SourceLine(id="b", name="Stick", role="slides", health=Health(HealthState.FROZEN, "still", None, "frozen"))
    nameless = SourceLine(id="c", name="Mic", role=None, health=Health(HealthState.SILENT, "quiet", None, "silence"))
    status = SessionStatus(
        state=SessionState.DEGRADED, elapsed_s=1, media_time_s=1, bytes=1, frames=1, dropped=0, repeated=0, fps=30,
        levels_dbfs=[], disk_left_s=None, destinations=[], sources=[well, frozen, nameless],
    )  # fmt: skip
    text = status_text(status)
    assert "slides: frozen  Mic: silence" in text
    assert "podium" not in text
    assert "LUFS" not in text


def test_how_loud_it_is_to_people_stands_behind_the_peaks() -> None:
    status = SessionStatus(
        state=SessionState.LIVE, elapsed_s=1, media_time_s=1, bytes=1, frames=1, dropped=0, repeated=0, fps=30,
        levels_dbfs=[-8.3, -9.7], disk_left_s=None, destinations=[], loudness=Loudness(short_term_lufs=-22.6),
    )  # fmt: skip
    assert "sound -8 -10 dBFS  -23 LUFS" in status_text(status)


@pytest.mark.parametrize(
    ("load", "shown"),
    [
        (LoadLine(steps=["encoder", "frame rate"], left_out=30), "  PC TOO SLOW (encoder, frame rate)  "),
        (LoadLine(behind_s=0.1, busy=0.7), ""),
    ],
)
def test_a_pc_that_does_not_keep_up_stands_in_the_status_line(load: LoadLine, shown: str) -> None:
    status = SessionStatus(
        state=SessionState.LIVE, elapsed_s=1, media_time_s=1, bytes=1, frames=1, dropped=0, repeated=0, fps=15,
        levels_dbfs=[-8.3], disk_left_s=None, destinations=[], load=load,
    )  # fmt: skip
    assert shown in status_text(status)
    assert ("TOO SLOW" in status_text(status)) == bool(shown)


def test_how_the_conference_is_stands_in_the_status_line_with_the_reason() -> None:
    conference = ConferenceLine(
        camera=ConferenceOutput(state="waiting", reason="no-node"), microphone=ConferenceOutput(state="live")
    )
    status = SessionStatus(
        state=SessionState.LIVE, elapsed_s=1, media_time_s=1, bytes=1, frames=1, dropped=0, repeated=0, fps=30,
        levels_dbfs=[], disk_left_s=None, destinations=[], conference=conference,
    )  # fmt: skip
    assert "conference camera: waiting (no-node)  microphone: live" in status_text(status)


@pytest.mark.parametrize("destinations", [["kampus"], []])
@pytest.mark.parametrize("why", [*get_args(EncodeReason.__value__), None])
def test_a_session_that_begins_with_a_pc_nobody_has_measured_says_what_to_do(
    why: str | None, destinations: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    detail: dict[str, object] = {"destinations": destinations} | ({"stream_why": why} if why else {})
    SessionFollower(TextReporter()).take(Event(datetime.now(UTC), "session-live", "paket", detail, "Recording."))
    shown = capsys.readouterr().out
    assert "Recording." in shown
    assert (NOT_MEASURED in shown) is (why == "not-measured" and bool(destinations)), (
        "who streams to nobody need not care"
    )
    assert "liput headroom" in NOT_MEASURED

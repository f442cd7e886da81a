"""What an error that nobody has foreseen costs a session: nothing of what was recorded until then, and it is told."""

import re
from pathlib import Path
from typing import Never

import pytest

from config.errors import LiputError
from recorder.encode.encoder import Encoder
from recorder.model.packet import Track
from recorder.model.status import SessionState
from recorder.session import session
from recorder.session import session_program as in_program
from tests.support import media
from tests.support.sessions import Room, program

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

LOOK_AHEAD_S = 0.5
WORDS = r"ZeroDivisionError\('a bug'\) at recorder/(session|program)/\w+\.py:\d+"


def fail_at(monkeypatch: pytest.MonkeyPatch, track: Track, call: int) -> None:
    """Have the encoder of a track fail in its call number `call`, and in all that follow."""
    name, calls = f"encode_{track}", []
    encode = getattr(Encoder, name)

    def failing(*given: object) -> object:
        calls.append(given)
        if len(calls) >= call:
            raise ZeroDivisionError("a bug")
        return encode(*given)

    monkeypatch.setattr(Encoder, name, failing)


@pytest.mark.parametrize("live", [False, True], ids=["fast", "live"])
@pytest.mark.parametrize(("track", "call"), [(Track.VIDEO, 20), (Track.AUDIO, 60)])
def test_a_track_that_fails_ends_the_session_and_what_it_has_recorded_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, track: Track, call: int, live: bool
) -> None:
    fail_at(monkeypatch, track, call)
    room = Room(tmp_path, duration_s=60, live=live)
    result = room.run()
    video, audio = (media.decoded(program(result), stream).end_s for stream in "va")
    failed, other = (audio, video) if track is Track.AUDIO else (video, audio)
    # 19 pictures of 1/15 s, or 59 blocks of 1024 samples; but for what the encoder has looked ahead at.
    assert 1.26 - LOOK_AHEAD_S <= failed <= 1.27
    assert 1.2 < other < 5
    (failed_by,) = [event.message for event in room.events if event.kind == "session-failed"]
    assert re.fullmatch(f"the {track} track failed: {WORDS}", failed_by)
    assert "session-failed: session" in result.degraded
    assert result.broke_off


@pytest.mark.parametrize("track", [Track.VIDEO, Track.AUDIO])
def test_one_that_fails_before_the_start_ends_what_is_armed_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, track: Track
) -> None:
    fail_at(monkeypatch, track, 5)
    room = Room(tmp_path, live=True)
    with pytest.raises(LiputError, match="track failed"):
        room.session.run()
    assert room.session.status().state is SessionState.FAILED
    assert "session-failed" in room.kinds
    assert not (tmp_path / "arsip").exists()


def test_a_track_that_cannot_even_begin_ends_the_session_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing() -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(session, "raise_thread_priority", failing)
    room = Room(tmp_path, live=True)
    with pytest.raises(LiputError, match="track failed"):
        room.session.run()
    assert room.session.status().state is SessionState.FAILED


def test_a_mistake_beside_the_tracks_ends_the_session_and_what_it_has_recorded_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_program: in_program.SessionProgram, *, final: bool = False) -> None:
        if room.session.status().elapsed_s > 1:  # also when its end is told
            raise ZeroDivisionError("a bug")

    monkeypatch.setattr(in_program.SessionProgram, "report_losses", failing)
    room = Room(tmp_path, duration_s=60, live=True)
    result = room.run()
    assert 1 < result.duration_s < 10
    assert media.decoded(program(result), "v").end_s == pytest.approx(result.duration_s, abs=0.5)
    failed = [event.message for event in room.events if event.kind == "session-failed"]
    assert len(failed) == 2
    assert all(re.fullmatch(WORDS, message) for message in failed)
    assert "session-failed: session" in result.degraded
    assert result.broke_off


def test_a_mistake_after_people_have_stopped_it_is_no_breaking_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planned session is begun again where it broke off, and never where people have ended it."""

    def failing(_program: in_program.SessionProgram, *, final: bool = False) -> None:
        if room.session.status().elapsed_s > 1:
            room.session.stop()
            raise ZeroDivisionError("a bug")

    monkeypatch.setattr(in_program.SessionProgram, "report_losses", failing)
    room = Room(tmp_path, duration_s=60, live=True)
    result = room.run()
    assert "session-failed: session" in result.degraded
    assert not result.broke_off


@pytest.mark.parametrize("is_armed", [False, True], ids=["at once", "armed"])
def test_a_mistake_as_it_begins_to_record_ends_it_and_what_there_is_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_armed: bool
) -> None:
    def failing(*_given: object) -> Never:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("recorder.session.inputs.SessionInputs.start_isos", failing)
    room = Room(tmp_path, live=True)
    if is_armed:
        room.on_event = lambda event: room.session.start(1.0) if event.kind == "session-armed" else None
        result = room.session.run()
    else:
        result = room.run()
    assert media.decoded(program(result), "v").frames == result.frames > 0
    assert "session-failed: session" in result.degraded
    assert result.broke_off


def test_a_mistake_while_it_is_armed_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_program: in_program.SessionProgram, *, final: bool = False) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(in_program.SessionProgram, "report_losses", failing)
    room = Room(tmp_path, live=True)
    with pytest.raises(ZeroDivisionError):
        room.session.run()
    assert room.session.status().state is SessionState.FAILED
    assert not (tmp_path / "arsip").exists()

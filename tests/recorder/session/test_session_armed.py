"""Sessions that are armed before they start, in this process and in real time, in which a start reaches back."""

import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from capture.pacing import RealPace
from capture.synthetic.video import SyntheticVideo
from config.errors import DeviceNotFound, UsageError
from config.settings.schema import RecordingSettings
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.model.status import SessionState
from recorder.package.work_folder import WorkFolder
from tests.support import media
from tests.support.errors import because
from tests.support.sessions import (
    HEIGHT,
    LAYOUTS,
    PROFILE,
    RATE,
    WIDTH,
    Armed,
    NeverThere,
    lengths,
    picture_numbers,
    program,
    supervised,
)
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.alone("sessions in real time", lane="sessions"), pytest.mark.usefixtures("no_thread_is_left")]


def cameras(count: int) -> tuple[list[SyntheticVideo], threading.Event]:
    """Return cameras, and what stops them."""
    stop = threading.Event()
    pace = RealPace(SystemClock(), stop)
    return [SyntheticVideo(WIDTH, HEIGHT, RATE, pace, stop) for _ in range(count)], stop


def test_what_is_armed_and_disarmed_has_written_nothing(tmp_path: Path) -> None:
    with Armed(tmp_path) as armed:
        wait_for(lambda: armed.session.status().pre_roll_s > 1)
        status = armed.session.status()
        assert (status.state, status.elapsed_s, status.bytes, status.disk_left_s) == (SessionState.ARMED, 0.0, 0, None)
        assert status.fps > 0
        assert max(status.levels_dbfs) > -60
        result = armed.end()
    assert (result.state, result.package, result.degraded) == (SessionState.IDLE, None, [])
    assert armed.session.status().state is SessionState.IDLE
    assert armed.kinds == ["session-armed"]
    assert not (tmp_path / "arsip").exists()


def test_a_start_reaches_back_and_the_recording_is_whole_and_in_sync(tmp_path: Path) -> None:
    with Armed(tmp_path) as armed:
        wait_for(lambda: armed.session.status().pre_roll_s > PROFILE.keyframe_s + 1)
        armed.session.start(pre_roll_s=0.7)
        armed.session.start(0)  # a second one changes nothing
        armed.until(SessionState.LIVE)
        reached = armed.session.status().elapsed_s
        assert 0.7 <= reached < 0.7 + PROFILE.keyframe_s + 1
        armed.wait(reached + 1)
        result = armed.end()
    assert (result.state, result.degraded) == (SessionState.SEALED, [])
    frames, video_s, audio_s = lengths(program(result))
    assert frames == result.frames
    assert video_s == pytest.approx(audio_s, abs=0.08)
    assert video_s == pytest.approx(frames / RATE, abs=0.01)
    numbers = picture_numbers(program(result))
    assert numbers == list(range(numbers[0], numbers[0] + frames))
    assert numbers[0] > 0
    assert armed.kinds == ["session-armed", "session-live", "session-stopping", "session-ended"]


WHY = DeviceNotFound("podium is missing", hint="plug it in")


def test_what_is_missing_at_the_start_ends_a_session_that_does_not_allow_it(tmp_path: Path) -> None:
    ((camera,), _) = cameras(1)
    armed = Armed(tmp_path, supervised(camera, NeverThere(), WHY))
    with pytest.raises(DeviceNotFound, match="podium is missing"):
        armed.session.run()
    assert armed.session.status().state is SessionState.FAILED
    assert not (tmp_path / "arsip").exists()


def test_what_is_missing_at_the_start_is_a_slate_until_it_comes(tmp_path: Path) -> None:
    where, ((camera,), stop) = NeverThere(), cameras(1)
    with Armed(tmp_path, supervised(camera, where, WHY), may_miss=True) as armed:
        armed.session.start()
        armed.until(SessionState.DEGRADED)
        armed.wait(1)
        assert armed.session.status().troubles == ["source-missing: source 1"]
        where.is_there = True
        armed.until(SessionState.LIVE)
        armed.wait(armed.session.status().elapsed_s + 0.7)
        stop.set()
        result = armed.end()
    # The synthetic source begins with what it has missed, as no camera does: that is too late for the recording.
    assert result.degraded[0] == "source-missing: source 1"
    assert set(result.degraded) <= {"source-missing: source 1", "frames-dropped: source 1"}
    numbers = picture_numbers(program(result))
    first = next(index for index, number in enumerate(numbers) if number >= 0)
    assert set(numbers[:first]) == {-1}
    assert first >= RATE / 2
    _, video_s, audio_s = lengths(program(result))
    assert video_s == pytest.approx(audio_s, abs=0.08)
    assert ("source-found", "source 1") in armed.events
    assert ("source-returned", "source 1") in armed.events


def test_a_start_that_is_refused_leaves_it_armed_until_the_next(tmp_path: Path) -> None:
    with Armed(tmp_path) as armed:
        (tmp_path / "arsip").write_text("in the way")
        armed.session.start()
        wait_for(lambda: "start-failed" in armed.kinds)
        assert armed.session.status().state is SessionState.ARMED
        (tmp_path / "arsip").unlink()
        armed.session.start()
        armed.until(SessionState.LIVE)
        result = armed.end()
    assert (result.state, result.degraded) == (SessionState.SEALED, [])


def test_a_disk_that_is_slow_to_open_costs_nothing_of_what_is_recorded_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, stop = cameras(2)
    armed = Armed(tmp_path, *sources, layouts=LAYOUTS, layout="1", recording=RecordingSettings(pre_roll_s=0.5))
    begins = Archive.begin

    def slowly(*args: object, **more: object) -> WorkFolder:
        time.sleep(1.5)
        return begins(*args, **more)  # type: ignore[arg-type] # whatever it was given

    monkeypatch.setattr(Archive, "begin", slowly)
    armed.session.start()
    with armed:
        armed.until(SessionState.LIVE)
        armed.wait(2.5)
        stop.set()
        result = armed.end()
    assert (result.state, result.degraded) == (SessionState.SEALED, [])
    assert picture_numbers(program(result)) == list(range(result.frames))
    assert result.frames > 2 * RATE
    assert [kind for kind in armed.kinds if kind.startswith(("source", "frames"))] == []
    _, video_s, audio_s = lengths(program(result))
    assert video_s == pytest.approx(audio_s, abs=0.08)


def test_marks_are_kept_with_their_times_and_are_chapters(tmp_path: Path) -> None:
    with Armed(tmp_path) as armed:
        with pytest.raises(UsageError, match="nothing is being recorded"):
            armed.session.mark("too early")
        armed.session.mute(None, on=True)
        armed.session.layout("pause")
        changes = [event for event in armed.heard if event.kind.startswith(("sound-", "layout-"))]
        assert [event.detail["media_s"] for event in changes] == [None] * 3
        armed.session.rename("Rapat Awal")
        armed.session.start()
        armed.until(SessionState.LIVE)
        armed.wait(0.5)
        first = armed.session.mark("Pembukaan")
        with pytest.raises(UsageError, match="no text"):
            armed.session.mark("  ")
        with pytest.raises(UsageError, check=because("no-title")):
            armed.session.rename(" ")
        armed.session.rename("Rapat  Senat Terbuka")
        armed.wait(first.media_s + 0.5)
        second = armed.session.mark("Tanya\njawab")
        told = [(mark.media_s, mark.text) for mark in armed.session.status().marks]
        assert told == [(first.media_s, "Pembukaan"), (second.media_s, "Tanya jawab")]
        result = armed.end()
    assert second.media_s - first.media_s >= 0.5
    (package,) = armed.archive.list()
    assert package.recording
    assert [(mark.media_s, mark.text) for mark in package.recording.marks] == told
    assert (package.title, package.recording.title) == ("Rapat Senat Terbuka",) * 2
    assert "_rapat-awal_" in package.id, "it is named as it began"
    begun, ended = (next(one for one in armed.heard if one.kind == f"session-{word}") for word in ("live", "ended"))
    assert (begun.detail["title"], ended.subject) == ("Rapat Awal", "Rapat Senat Terbuka")
    assert "Rapat Senat Terbuka" in media.run("ffprobe", "-v", "error", "-show_chapters", program(result))
    assert result.degraded == []
    probed = media.run("ffprobe", "-v", "error", "-show_chapters", "-of", "compact", program(result))
    chapters = [line for line in probed.splitlines() if line.startswith("chapter")]
    assert "Pembukaan" in chapters[1]
    assert "Tanya jawab" in chapters[2]
    assert f"start_time={first.media_s:.6f}" in chapters[1]


def test_a_layout_is_switched_at_a_picture_and_none_is_lost(tmp_path: Path) -> None:
    sources, stop = cameras(2)
    with Armed(tmp_path, *sources, layouts=LAYOUTS, layout="1") as armed:
        armed.session.start()
        armed.until(SessionState.LIVE)
        for layout in ("2", "waiting", "1"):
            armed.wait(armed.session.status().elapsed_s + 0.5)
            armed.session.layout(layout)
            assert armed.session.status().layout == layout
        with pytest.raises(UsageError, match="no layout"):
            armed.session.layout("3")
        armed.wait(armed.session.status().elapsed_s + 0.5)
        stop.set()
        result = armed.end()
    assert result.degraded == []
    at = media.shown(program(result), "v")
    assert max(after - before for before, after in pairwise(at)) < 2.1 / RATE
    numbers = picture_numbers(program(result))
    assert -1 in numbers  # the card
    shown = [number for number in numbers if number >= 0]
    until = shown.index(max(shown))
    assert all(after - before > 0 for before, after in pairwise(shown[: until + 1]))


def test_sound_that_is_muted_is_silent_until_it_is_heard_again_and_how_loud_it_was_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.session.session_program.SOUND_EVERY_S", 0.5)
    with Armed(tmp_path) as armed:
        armed.session.start()
        armed.until(SessionState.LIVE)
        armed.wait(1)
        with pytest.raises(UsageError, match="mimbar"):
            armed.session.mute("mimbar", on=True)
        assert -50 < (armed.session.status().loudness.momentary_lufs or 0) < -5
        armed.session.mute(None, on=True)
        muted_s = armed.session.status().elapsed_s
        assert [(sound.name, sound.muted) for sound in armed.session.status().sounds] == [("synthetic sound", True)]
        armed.wait(muted_s + 1)
        loudness = armed.session.status().loudness
        assert loudness.momentary_lufs is None
        assert -50 < (loudness.integrated_lufs or 0) < -5
        armed.session.mute("synthetic sound", on=False)
        armed.wait(armed.session.status().elapsed_s + 0.7)
        assert armed.session.status().loudness.momentary_lufs is not None
        for layout, is_muted in (("pause", True), ("end", True), ("single", False)):
            armed.session.layout(layout)
            assert [sound.muted for sound in armed.session.status().sounds] == [is_muted]
        result = armed.end()
    assert result.degraded == []
    assert [kind for kind in armed.kinds if kind.endswith("muted")] == ["sound-muted", "sound-unmuted"] * 2
    by_card = next(event for event in reversed(armed.heard) if event.kind == "sound-muted")
    assert (by_card.subject, by_card.detail["muted"]) == ("all sound", [])
    told = [event.detail for event in armed.heard if event.kind in {"sound-measured", "session-ended"}]
    assert len(told) >= 3
    assert set(told[0]) >= {"loudness_lufs", "loudness_range_lu", "drift_ppm"}
    (package,) = armed.archive.list()
    assert package.recording
    assert isinstance(package.recording.loudness_lufs, float)
    assert package.recording.loudness_lufs == told[-1]["loudness_lufs"]

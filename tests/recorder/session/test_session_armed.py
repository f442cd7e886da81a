"""Sessions that are armed before they start, in this process and in real time."""

import subprocess
import threading
import time
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from capture.pacing import RealPace
from capture.source import VideoSource
from capture.sources.source_kind import ChosenSource
from capture.synthetic.video import SyntheticVideo
from config.errors import DeviceNotFound, UsageError
from config.settings.schema import RecordingSettings
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.model.status import SessionState
from recorder.package.work_folder import WorkFolder
from recorder.session import session_program as recorder_program
from recorder.session.session import FROM_THE_FIRST_PICTURE
from tests.support import media
from tests.support.sessions import (
    HEIGHT,
    LAYOUTS,
    PROFILE,
    RATE,
    WIDTH,
    Armed,
    JpegCamera,
    NeverThere,
    lengths,
    picture_numbers,
    program,
    supervised,
)
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.alone("it judges delays"), pytest.mark.usefixtures("no_thread_is_left")]


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
        wait_for(lambda: armed.session.status().pre_roll_s > 5)
        armed.session.start(pre_roll_s=2.5)
        armed.until(SessionState.LIVE)
        reached = armed.session.status().elapsed_s
        assert 2.5 <= reached < 2.5 + PROFILE.keyframe_s + 1
        armed.wait(reached + 1.5)
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


def test_a_start_with_everything_that_is_kept_begins_with_the_first_picture(tmp_path: Path) -> None:
    with Armed(tmp_path, sounds=False) as armed:
        wait_for(lambda: armed.session.status().pre_roll_s > 1)
        armed.session.start(FROM_THE_FIRST_PICTURE)
        armed.session.start(0)  # a second one changes nothing
        armed.until(SessionState.LIVE)
        result = armed.end()
    numbers = picture_numbers(program(result))
    assert numbers == list(range(result.frames))


def missing(source: VideoSource) -> tuple[ChosenSource[VideoSource], NeverThere]:
    where = NeverThere()
    why = DeviceNotFound("podium is missing", hint="plug it in")
    return supervised(source, where, why), where


def test_what_is_missing_at_the_start_ends_a_session_that_does_not_allow_it(tmp_path: Path) -> None:
    stop = threading.Event()
    source, _ = missing(SyntheticVideo(WIDTH, HEIGHT, RATE, RealPace(SystemClock(), stop), stop))
    armed = Armed(tmp_path, source)
    with pytest.raises(DeviceNotFound, match="podium is missing"):
        armed.session.run()
    assert armed.session.status().state is SessionState.FAILED
    assert not (tmp_path / "arsip").exists()


def test_what_is_missing_at_the_start_is_a_slate_until_it_comes(tmp_path: Path) -> None:
    stop = threading.Event()
    pace = RealPace(SystemClock(), stop)
    source, where = missing(SyntheticVideo(WIDTH, HEIGHT, RATE, pace, stop))
    with Armed(tmp_path, source, may_miss=True) as armed:
        armed.session.start()
        armed.until(SessionState.DEGRADED)
        armed.wait(1)
        assert armed.session.status().troubles == ["source-missing: source 1"]
        where.is_there = True
        armed.until(SessionState.LIVE)
        armed.wait(armed.session.status().elapsed_s + 1)
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


def test_each_source_is_recorded_apart_as_it_came_on_the_programs_timeline(tmp_path: Path) -> None:
    stop = threading.Event()
    pace = RealPace(SystemClock(), stop)
    cameras = [JpegCamera(pace, stop) for _ in range(2)]
    with Armed(tmp_path, *cameras, isolate=True, layouts=LAYOUTS, layout="1") as armed:
        wait_for(lambda: armed.session.status().pre_roll_s > 1)
        armed.session.start()
        armed.until(SessionState.LIVE)
        armed.wait(armed.session.status().elapsed_s + 2)
        stop.set()
        result = armed.end()
    assert result.degraded == []
    numbers = picture_numbers(program(result))
    for number, camera in enumerate(cameras, 1):
        path = program(result).with_name(f"source-{number}.mkv")
        with av.open(str(path)) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
        first = camera.sent.index(bytes(packets[0]))
        assert [bytes(packet) for packet in packets] == camera.sent[first:]
        # The program begins with a picture from before the start; the copy begins later, at its own time.
        at = float((packets[0].pts or 0) * packets[0].time_base)
        assert first - numbers[0] == pytest.approx(at * float(RATE), abs=0.6)
    (package,) = armed.archive.list()
    assert package.recording
    assert [file.file for file in package.recording.media] == [
        "data/media/program.mp4", "data/media/source-1.mkv", "data/media/source-2.mkv",
    ]  # fmt: skip


def test_a_disk_that_is_slow_to_open_costs_nothing_of_what_is_recorded_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    pace = RealPace(SystemClock(), stop)
    sources = [SyntheticVideo(WIDTH, HEIGHT, RATE, pace, stop) for _ in range(2)]
    armed = Armed(tmp_path, *sources, layouts=LAYOUTS, layout="1", recording=RecordingSettings(pre_roll_s=0.5))
    begins = Archive.begin

    def slowly(*args: object, **more: object) -> WorkFolder:
        time.sleep(3)
        return begins(*args, **more)  # type: ignore[arg-type] # whatever it was given

    monkeypatch.setattr(Archive, "begin", slowly)
    armed.session.start()
    with armed:
        armed.until(SessionState.LIVE)
        armed.wait(5)
        stop.set()
        result = armed.end()
    assert (result.state, result.degraded) == (SessionState.SEALED, [])
    assert picture_numbers(program(result)) == list(range(result.frames))
    assert result.frames > 4.5 * RATE
    assert [kind for kind in armed.kinds if kind.startswith(("source", "frames"))] == []
    _, video_s, audio_s = lengths(program(result))
    assert video_s == pytest.approx(audio_s, abs=0.08)


def test_marks_are_kept_with_their_times_and_are_chapters(tmp_path: Path) -> None:
    with Armed(tmp_path) as armed:
        with pytest.raises(UsageError, match="nothing is being recorded"):
            armed.session.mark("too early")
        armed.session.mute(None, on=True)
        armed.session.layout("pause")
        armed.session.mute(None, on=False)
        armed.session.layout("single")
        changes = [event for event in armed.heard if event.kind.startswith(("sound-", "layout-"))]
        assert [event.detail["media_s"] for event in changes] == [None] * 4
        armed.session.start()
        armed.until(SessionState.LIVE)
        armed.wait(1)
        first = armed.session.mark("Pembukaan")
        with pytest.raises(UsageError, match="no text"):
            armed.session.mark("  ")
        armed.wait(first.media_s + 1)
        second = armed.session.mark("Tanya\njawab")
        told = [(mark.media_s, mark.text) for mark in armed.session.status().marks]
        assert told == [(first.media_s, "Pembukaan"), (second.media_s, "Tanya jawab")]
        for number in range(9):
            armed.session.mark(f"{number}")
        assert [mark.text for mark in armed.session.status().marks] == list("12345678")
        result = armed.end()
    assert second.text == "Tanya jawab"
    assert second.media_s - first.media_s >= 1
    (package,) = armed.archive.list()
    assert package.recording
    assert [mark.text for mark in package.recording.marks] == ["Pembukaan", "Tanya jawab", *"012345678"]
    assert [mark.media_s for mark in package.recording.marks[:2]] == [first.media_s, second.media_s]
    assert result.degraded == []
    probed = media.run("ffprobe", "-v", "error", "-show_chapters", "-of", "compact", program(result))
    chapters = [line for line in probed.splitlines() if line.startswith("chapter")]
    assert len(chapters) >= 3, "those at the same moment are one"
    assert "Pembukaan" in chapters[1]
    assert "Tanya jawab" in chapters[2]
    assert f"start_time={first.media_s:.6f}" in chapters[1]


def test_a_layout_is_switched_at_a_picture_and_none_is_lost(tmp_path: Path) -> None:
    stop = threading.Event()
    pace = RealPace(SystemClock(), stop)
    sources = [SyntheticVideo(WIDTH, HEIGHT, RATE, pace, stop) for _ in range(2)]
    with Armed(tmp_path, *sources, layouts=LAYOUTS, layout="1") as armed:
        armed.session.start()
        armed.until(SessionState.LIVE)
        for layout in ("2", "1", "waiting", "2"):
            armed.wait(armed.session.status().elapsed_s + 0.7)
            armed.session.layout(layout)
            assert armed.session.status().layout == layout
        with pytest.raises(UsageError, match="no layout"):
            armed.session.layout("3")
        armed.wait(armed.session.status().elapsed_s + 0.7)
        stop.set()
        result = armed.end()
    assert result.degraded == []
    times = media.run(
        "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0",
        program(result),
    ).split()  # fmt: skip
    at = [float(time.strip(",")) for time in times]
    assert max(after - before for before, after in pairwise(at)) < 2.1 / RATE
    numbers = picture_numbers(program(result))
    assert -1 in numbers  # the card
    shown = [number for number in numbers if number >= 0]
    until = shown.index(max(shown))
    assert all(after - before > 0 for before, after in pairwise(shown[: until + 1]))


def test_sound_that_is_muted_is_silent_from_there_to_where_it_is_heard_again(tmp_path: Path) -> None:
    with Armed(tmp_path) as armed:
        armed.session.start()
        armed.until(SessionState.LIVE)
        armed.wait(1.5)
        with pytest.raises(UsageError, match="mimbar"):
            armed.session.mute("mimbar", on=True)
        assert -50 < (armed.session.status().loudness.momentary_lufs or 0) < -5
        armed.session.mute(None, on=True)
        muted_s = armed.session.status().elapsed_s
        assert [(sound.name, sound.muted) for sound in armed.session.status().sounds] == [("synthetic sound", True)]
        armed.wait(muted_s + 1.5)
        loudness = armed.session.status().loudness
        assert loudness.momentary_lufs is None
        assert -50 < (loudness.integrated_lufs or 0) < -5
        armed.session.mute("synthetic sound", on=False)
        heard_s = armed.session.status().elapsed_s
        armed.wait(heard_s + 1.5)
        result = armed.end()
    assert result.degraded == []
    assert [kind for kind in armed.kinds if kind.startswith("sound-")] == ["sound-muted", "sound-unmuted"]
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", program(result), "-ac", "1", "-f", "s16le", "-"],
        capture_output=True,
        check=True,
    ).stdout
    samples = np.abs(np.frombuffer(raw, np.int16).astype(np.int32))

    def peak(begin_s: float, end_s: float) -> int:
        return int(samples[round(begin_s * 48_000) : round(end_s * 48_000)].max())

    assert peak(0.2, muted_s - 0.2) > 1000
    assert peak(muted_s + 0.4, heard_s - 0.4) < 20
    assert peak(heard_s + 0.4, heard_s + 1.3) > 1000


def test_how_loud_it_is_is_told_while_it_records_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_program, "SOUND_EVERY_S", 0.5)
    with Armed(tmp_path) as armed:
        wait_for(lambda: armed.session.status().pre_roll_s > 1)
        assert "sound-measured" not in [event.kind for event in armed.heard], "nothing is recorded yet"
        armed.session.start()
        armed.until(SessionState.LIVE)
        armed.wait(3)
        armed.end()
    told = [event.detail for event in armed.heard if event.kind in {"sound-measured", "session-ended"}]
    assert len(told) >= 3
    assert set(told[0]) >= {"loudness_lufs", "loudness_range_lu", "drift_ppm"}
    (package,) = armed.archive.list()
    assert package.recording
    assert package.recording.loudness_lufs == told[-1]["loudness_lufs"]
    assert isinstance(package.recording.loudness_lufs, float)

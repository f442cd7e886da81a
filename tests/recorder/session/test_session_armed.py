"""Sessions that are armed before they start, in this process and in real time."""

import threading
import time
from pathlib import Path

import av
import pytest

from capture.pacing import RealPace
from capture.source import VideoSource
from capture.sources.source_kind import ChosenSource
from capture.synthetic.video import SyntheticVideo
from config.errors import DeviceNotFound
from config.settings.schema import RecordingSettings
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.model.status import SessionState
from recorder.package.work_folder import WorkFolder
from recorder.session.session import FROM_THE_FIRST_PICTURE
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

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


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

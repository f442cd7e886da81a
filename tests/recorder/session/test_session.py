"""Whole sessions in this process, as fast as they go: how long they are, and what they hold."""

import subprocess
import threading
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame

from capture.pacing import Pace
from capture.source import AudioBlock, Frame, Size, VideoSource
from capture.sources.file import FileAudioSource, FileVideoSource
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.errors import DeviceError, LiputError, MediaError
from config.events import Event
from devices.health.faults import Fault, HealthTracker
from devices.health.log_line import discard_line
from devices.host.clock import NANOSECONDS, SystemClock
from devices.model.device import Device, DeviceKind
from recorder.model.packet import Track
from recorder.model.status import SessionState
from tests.support import markers, media
from tests.support.sessions import HEIGHT, RATE, WIDTH, MakeAudio, MakeVideo, Room, lengths, program

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def file_video(path: Path) -> MakeVideo:
    return lambda pace, _stop: FileVideoSource(path, pace, (WIDTH, HEIGHT))


def file_audio(path: Path) -> MakeAudio:
    return lambda pace, _stop: FileAudioSource(path, pace)


def make_file(path: Path, seconds: float, *, sound_s: float | None = None) -> Path:
    """Make a file of `seconds` of pictures at 15 a second and `sound_s` of tone."""
    words = ["-f", "lavfi", "-i", f"testsrc2=s={WIDTH}x{HEIGHT}:r={RATE}:d={seconds}"]
    if sound_s:
        words += ["-f", "lavfi", "-i", f"sine=440:r=48000:d={sound_s}", "-c:a", "pcm_s16le"]
    media.run("ffmpeg", "-v", "error", "-y", *words, "-c:v", "libx264", "-preset", "ultrafast", path)
    return path


def test_a_minute_is_900_frames_in_both_senses(tmp_path: Path) -> None:
    room = Room(tmp_path, duration_s=60)
    result = room.run()
    assert (result.frames, result.duration_s, result.degraded) == (900, 60.0, [])
    frames, video_s, audio_s = lengths(program(result))
    assert frames == 900
    assert video_s == pytest.approx(60, abs=0.001)
    assert audio_s == pytest.approx(60, abs=0.025)
    assert room.kinds == ["session-live", "session-ended"]


@pytest.mark.parametrize("live", [False, True])
def test_a_file_of_pictures_ends_the_session_and_its_endless_sound(tmp_path: Path, live: bool) -> None:
    path = make_file(tmp_path / "film.mkv", 2)
    room = Room(tmp_path, file_video(path), ends=(Track.VIDEO,), live=live)
    result = room.run()
    assert (result.frames, result.degraded) == (30, [])
    frames, video_s, audio_s = lengths(program(result))
    assert frames == 30
    assert video_s == pytest.approx(2, abs=0.002)
    assert audio_s == pytest.approx(2, abs=0.025)
    assert room.session.status().repeated == 0


def test_a_file_of_sound_ends_the_session_and_its_endless_pictures(tmp_path: Path) -> None:
    path = make_file(tmp_path / "film.mkv", 1, sound_s=2)
    result = Room(tmp_path, audio=file_audio(path), ends=(Track.AUDIO,)).run()
    frames, _, audio_s = lengths(program(result))
    assert frames == pytest.approx(30, abs=1)
    assert audio_s == pytest.approx(2, abs=0.025)
    assert result.degraded == []


@pytest.mark.parametrize(("picture_s", "sound_s"), [(1, 2), (2, 1)])
@pytest.mark.parametrize("live", [False, True])
def test_the_longer_track_of_a_file_is_kept_whole(tmp_path: Path, picture_s: int, sound_s: int, live: bool) -> None:
    path = make_file(tmp_path / "film.mkv", picture_s, sound_s=sound_s)
    room = Room(tmp_path, file_video(path), file_audio(path), ends=tuple(Track), live=live)
    result = room.run()
    frames, video_s, audio_s = lengths(program(result))
    assert frames == 30
    assert video_s == pytest.approx(2, abs=0.002)
    assert audio_s == pytest.approx(2, abs=0.025)
    assert room.session.status().repeated == (15 if picture_s == 1 else 0)
    assert result.degraded == []


@pytest.mark.parametrize("live", [False, True])
def test_pictures_and_sound_of_a_file_stay_together(tmp_path: Path, live: bool) -> None:
    made = program(Room(tmp_path / "made", duration_s=3).run())
    result = Room(tmp_path / "copied", file_video(made), file_audio(made), ends=tuple(Track), live=live).run()
    copy = program(result)
    planes = np.frombuffer(media.luma(copy, WIDTH, HEIGHT), np.uint8).reshape(-1, HEIGHT, WIDTH)
    assert [markers.frame_number(plane) for plane in planes] == list(range(45))
    pcm = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(copy), "-f", "s16le", "-ac", "1", "-ar", "48000", "-"],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    beeps = markers.beep_times(np.frombuffer(pcm, np.int16))
    assert beeps == [pytest.approx(second, abs=0.005) for second in range(3)]


class Unplugged(SyntheticVideo):
    """A camera that is pulled after a second."""

    def __init__(self, pace: Pace, stop: threading.Event) -> None:
        super().__init__(WIDTH, HEIGHT, RATE, pace, stop)
        self.pace = pace

    def read(self, timeout_s: float) -> Frame | None:
        frame = super().read(timeout_s)
        if frame is not None and frame.timestamp_ns - self.pace.start_ns() >= NANOSECONDS:
            self.pace.finish("video")
            raise DeviceError("the synthetic picture is gone", why="lost")
        return frame


class Hanging(SyntheticAudio):
    """A microphone that gives nothing more after half a second."""

    def __init__(self, pace: Pace, stop: threading.Event) -> None:
        super().__init__(pace, stop)
        self.pace, self.stop = pace, stop
        self.given_ns = 0

    def read(self, timeout_s: float) -> AudioBlock | None:
        if self.given_ns >= NANOSECONDS // 2:
            self.pace.finish("audio")
            self.stop.wait(timeout_s)
            return None
        block = super().read(timeout_s)
        if block is not None:
            self.given_ns = block.timestamp_ns - self.pace.start_ns()
        return block


def test_a_camera_that_is_unplugged_costs_its_picture_and_nothing_else(tmp_path: Path) -> None:
    room = Room(tmp_path, Unplugged, duration_s=3)
    result = room.run()
    assert (result.frames, result.state) == (45, SessionState.SEALED)
    assert room.session.status().repeated == 30
    assert result.degraded == ["source-lost: synthetic picture"]
    frames, video_s, audio_s = lengths(program(result))
    assert frames == 45
    assert video_s == pytest.approx(3, abs=0.002)
    assert audio_s == pytest.approx(3, abs=0.025)


@pytest.mark.parametrize("live", [False, True])
def test_a_source_that_hangs_from_the_middle_on_is_filled_up(tmp_path: Path, live: bool) -> None:
    room = Room(tmp_path, audio=Hanging, duration_s=1.5, live=live)
    stopper = threading.Timer(2, room.session.stop)
    stopper.start()
    result = room.run()
    stopper.cancel()
    stopper.join()
    frames, _, audio_s = lengths(program(result))
    assert frames == pytest.approx(22, abs=1)
    assert audio_s == pytest.approx(1.5, abs=0.025)


def test_what_comes_long_after_the_end_is_not_taken_from_a_pc_that_is_still_busy_with_what_came_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SystemClock()
    monkeypatch.setattr("recorder.session.session.LET_GO_NS", 200_000_000)
    monkeypatch.setattr("recorder.session.inputs.LIVE_QUEUE_S", 4.0)  # nothing is dropped before the end
    read_ns: list[int] = []

    class Slow(SyntheticVideo):
        def read(self, timeout_s: float) -> Frame | None:
            read_ns.append(clock.now_ns())
            return super().read(timeout_s)

        def decode(self, frame: Frame, within: Size | None = None) -> VideoFrame:
            time.sleep(0.25)
            return super().decode(frame, within)

    room = Room(tmp_path, lambda pace, stop: Slow(WIDTH, HEIGHT, RATE, pace, stop), live=True, duration_s=1.0)
    result = room.run()
    took_s, read_s = ((until - read_ns[0]) / NANOSECONDS for until in (clock.now_ns(), read_ns[-1]))
    assert result.frames == RATE
    assert took_s > 3.0
    assert read_s < 2.5, "its pictures only kept those from their turn that were captured before"
    assert not room.session.status().dropped


def test_a_broken_file_ends_the_session_where_it_breaks(tmp_path: Path) -> None:
    path = make_file(tmp_path / "film.mkv", 3)

    class Breaking(FileVideoSource):
        count = 0

        def read(self, timeout_s: float) -> Frame | None:
            Breaking.count += 1
            if Breaking.count > 30:
                raise MediaError("film.mkv cannot be read further")
            return super().read(timeout_s)

    room = Room(tmp_path, lambda pace, _: Breaking(path, pace), ends=(Track.VIDEO,))
    result = room.run()
    assert result.state is SessionState.SEALED
    assert 10 < result.frames <= 30
    assert result.degraded == ["file-broken: film.mkv"]


def test_a_session_without_sound(tmp_path: Path) -> None:
    result = Room(tmp_path, audio=None, duration_s=2).run()
    assert result.frames == 30
    assert media.run("ffprobe", "-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0",
                     program(result)).split() == ["video"]  # fmt: skip


def nothing_is_left(room: Room) -> bool:
    return not room.archive.root.exists() or not list(room.archive.root.iterdir())


class Silent(SyntheticVideo):
    """A camera that opens and gives nothing, or is lost before its first picture."""

    lost = False

    def read(self, timeout_s: float) -> None:
        if self.lost:
            raise DeviceError("the camera was unplugged", hint="plug it in again")
        threading.Event().wait(timeout_s)


def test_stopped_before_the_first_picture_nothing_is_left(tmp_path: Path) -> None:
    room = Room(tmp_path, lambda pace, stop: Silent(WIDTH, HEIGHT, RATE, pace, stop), live=True)
    threading.Timer(0.2, room.session.stop).start()
    result = room.run()
    assert (result.state, result.package, room.session.status().state) == ("idle", None, "idle")
    assert nothing_is_left(room)


def test_lost_before_the_first_picture_it_says_what_the_device_said(tmp_path: Path) -> None:
    class Lost(Silent):
        lost = True

    room = Room(tmp_path, lambda pace, stop: Lost(WIDTH, HEIGHT, RATE, pace, stop), live=True)
    with pytest.raises(DeviceError, match="unplugged"):
        room.run()
    assert nothing_is_left(room)


def test_stopped_while_the_first_picture_comes_nothing_is_left(tmp_path: Path) -> None:
    class Stopping(SyntheticVideo):
        def read(self, timeout_s: float) -> Frame | None:
            room.session.stop()
            return super().read(timeout_s)

    room = Room(tmp_path, lambda pace, stop: Stopping(WIDTH, HEIGHT, RATE, pace, stop), live=True)
    with suppress(LiputError):  # where the picture was there first, and was not encoded any more
        assert room.run().state == "idle"
    assert nothing_is_left(room)


def test_stopped_as_it_becomes_live_it_holds_its_first_picture(tmp_path: Path) -> None:
    room = Room(tmp_path, live=True)
    room.on_event = lambda event: room.session.stop() if event.kind == "session-live" else None
    result = room.run()
    assert 1 <= result.frames < 10
    assert media.decoded(program(result), "v").frames == result.frames


class Damaged(SyntheticVideo):
    """A camera whose pictures cannot be decoded."""

    def decode(self, frame: Frame, within: Size | None = None) -> VideoFrame:
        raise MediaError("not a picture")


def damaged(pace: Pace, stop: threading.Event) -> VideoSource:
    return Damaged(WIDTH, HEIGHT, RATE, pace, stop)


def test_pictures_that_cannot_be_decoded_leave_nothing(tmp_path: Path) -> None:
    room = Room(tmp_path, damaged, audio=None, duration_s=1)
    with pytest.raises(LiputError, match="nothing was recorded"):
        room.run()
    assert nothing_is_left(room)


def test_sound_is_kept_also_where_no_picture_could_be_decoded(tmp_path: Path) -> None:
    result = Room(tmp_path, damaged, duration_s=1).run()
    assert (result.state, result.frames) == (SessionState.SEALED, 0)
    assert "picture-damaged: synthetic picture" in result.degraded
    assert media.decoded(program(result), "a").end_s == pytest.approx(1, abs=0.025)


def test_the_time_shown_stops_with_the_session(tmp_path: Path) -> None:
    room = Room(tmp_path, duration_s=1.0, live=True)
    room.run()
    status = room.session.status()
    assert status.elapsed_s == 1.0
    assert status.state is SessionState.SEALED


def test_fast_and_live_tell_the_same_story(tmp_path: Path) -> None:
    fast = Room(tmp_path / "fast", duration_s=1.0).run()
    live = Room(tmp_path / "live", duration_s=1.0, live=True).run()
    assert (fast.frames, fast.duration_s) == (live.frames, live.duration_s) == (round(RATE), 1.0)
    assert Fraction(RATE) == 15


def test_what_a_watch_finds_is_an_event_and_in_the_status_and_degrades_if_the_recording_loses_by_it(
    tmp_path: Path,
) -> None:
    room = Room(tmp_path, duration_s=2)
    stick = Device(id="534d:2109@1-2", kind=DeviceKind.CAPTURE_CARD, name="Stick", role="slides")
    room.board.add(stick)
    watch = HealthTracker(stick.id, stick.name, record=discard_line, clock=SystemClock(), on_change=room.board)

    def find(event: Event) -> None:
        if event.kind == "session-live":
            watch.find(Fault.HUM, "the microphone hums")
            watch.find(Fault.NO_DATA, "nothing comes")  # the tracks tell of this themselves
            watch.clear(Fault.NO_DATA)
            watch.find(Fault.FROZEN, "the picture stands still")
            (source,) = room.session.status().sources
            assert (source.id, source.role, source.health.fault) == (stick.id, "slides", Fault.FROZEN)
            watch.clear(Fault.FROZEN)

    room.on_event = find
    result = room.run()
    told = [(event.kind, event.message, event.detail) for event in room.events if event.subject == "Stick"]
    device = {"device": stick.id}
    assert told == [
        ("source-hum", "the microphone hums", {**device, "fault": "hum", "state": "degraded"}),
        ("source-frozen", "the picture stands still", {**device, "fault": "frozen", "state": "frozen"}),
        (
            "source-recovered", "Stick is well again; it was: the picture stands still",
            {**device, "fault": "frozen", "state": "degraded"},
        ),
    ]  # fmt: skip
    assert result.degraded == ["source-frozen: Stick"]

"""Whole sessions in this process: how long they are, what they hold, and what an unforeseen error costs them."""

import gc
import json
import re
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import count
from pathlib import Path
from typing import Never

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from capture.pacing import Pace
from capture.source import ColorMatrix, Frame, Size, VideoFormat
from capture.sources.file import FileAudioSource, FileVideoSource
from capture.sources.source_kind import ChosenSource
from capture.synthetic.video import SyntheticVideo
from config.errors import DeviceError, LiputError, MediaError, UsageError
from config.events import Event
from config.settings.schema import BUILT_IN_PROFILES
from config.settings.secrets import Secret, StreamTarget
from devices.health.faults import Fault, HealthTracker
from devices.health.log_line import discard_line
from devices.host.clock import NANOSECONDS, SystemClock
from devices.model.device import Device, DeviceKind
from recorder.encode.encoder import Encoder
from recorder.model.packet import Track
from recorder.model.status import SessionState
from recorder.program.timeline import SleepWatch
from recorder.session.session import Session, encoder_settings
from recorder.session.session_program import SessionProgram
from tests.support import markers, media
from tests.support.sessions import HEIGHT, RATE, WIDTH, MakeAudio, MakeVideo, Room, lengths, program
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.alone("sessions in real time", lane="sessions"), pytest.mark.usefixtures("no_thread_is_left")]


def file_video(path: Path) -> MakeVideo:
    return lambda pace, _stop: FileVideoSource(path, pace, (WIDTH, HEIGHT))


def file_audio(path: Path) -> MakeAudio:
    return lambda pace, _stop: FileAudioSource(path, pace)


def make_file(path: Path, seconds: float, sound_s: float) -> Path:
    """Make a file of `seconds` of pictures at 15 a second and `sound_s` of tone."""
    words = ["-f", "lavfi", "-i", f"testsrc2=s={WIDTH}x{HEIGHT}:r={RATE}:d={seconds}"]
    words += ["-f", "lavfi", "-i", f"sine=440:r=48000:d={sound_s}", "-c:a", "pcm_s16le"]
    media.run("ffmpeg", "-v", "error", "-y", *words, "-c:v", "libx264", "-preset", "ultrafast", path)
    return path


def test_ten_seconds_are_150_frames_in_both_senses(tmp_path: Path) -> None:
    room = Room(tmp_path, duration_s=10)
    result = room.run()
    assert (result.frames, result.duration_s, result.degraded) == (150, 10.0, [])
    frames, video_s, audio_s = lengths(program(result))
    assert frames == 150
    assert video_s == pytest.approx(10, abs=0.001)
    assert audio_s == pytest.approx(10, abs=0.025)
    assert room.kinds == ["session-live", "session-ended"]


@pytest.mark.parametrize(
    ("picture_s", "sound_s", "ends"), [(2, 3, [Track.VIDEO]), (3, 2, [Track.AUDIO]), (1, 2, Track), (2, 1, Track)]
)
def test_a_file_ends_the_session_with_its_longest_track_that_is_to_end_it(
    tmp_path: Path, picture_s: int, sound_s: int, ends: Sequence[Track]
) -> None:
    path = make_file(tmp_path / "film.mkv", picture_s, sound_s)
    room = Room(tmp_path, file_video(path), file_audio(path), ends=tuple(ends))
    result = room.run()
    frames, _, audio_s = lengths(program(result))
    assert frames == pytest.approx(30, abs=Track.VIDEO not in ends)
    assert audio_s == pytest.approx(2, abs=0.025)
    assert room.session.status().repeated == (15 if picture_s == 1 else 0)
    assert result.degraded == []


def test_pictures_and_sound_of_a_file_stay_together(tmp_path: Path) -> None:
    made = program(Room(tmp_path / "made", duration_s=2).run())
    copy = program(Room(tmp_path / "copied", file_video(made), file_audio(made), ends=tuple(Track)).run())
    planes = np.frombuffer(media.luma(copy, WIDTH, HEIGHT), np.uint8).reshape(-1, HEIGHT, WIDTH)
    assert [markers.frame_number(plane) for plane in planes] == list(range(30))
    pcm = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(copy), "-f", "s16le", "-ac", "1", "-ar", "48000", "-"],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    beeps = markers.beep_times(np.frombuffer(pcm, np.int16))
    assert beeps == [pytest.approx(second, abs=0.005) for second in range(2)]


@pytest.mark.parametrize(("live", "told"), [(False, ["source-lost"]), (True, ["source-lost", "source-missing"])])
def test_a_camera_that_is_unplugged_costs_its_picture_and_nothing_else(
    tmp_path: Path, live: bool, told: list[str]
) -> None:
    class Unplugged(SyntheticVideo):
        def read(self, timeout_s: float) -> Frame | None:
            frame = super().read(timeout_s)
            if frame is not None and frame.timestamp_ns - room.plan.pace.start_ns() >= NANOSECONDS:
                room.plan.pace.finish("video")
                raise DeviceError("the synthetic picture is gone", why="lost")
            return frame

    room = Room(tmp_path, lambda pace, stop: Unplugged(WIDTH, HEIGHT, RATE, pace, stop), duration_s=2, live=live)
    result = room.run()
    assert (result.frames, result.state) == (30, SessionState.SEALED)
    assert room.session.status().repeated == 15
    assert result.degraded == [f"{kind}: synthetic picture" for kind in told]
    frames, video_s, audio_s = lengths(program(result))
    assert frames == 30
    assert video_s == pytest.approx(2, abs=0.002)
    assert audio_s == pytest.approx(2, abs=0.025)
    log = [json.loads(line) for line in (program(result).parents[2] / "metadata/events.jsonl").read_text().splitlines()]
    assert [event["kind"] for event in log if event["subject"] == "synthetic picture"] == told


def test_a_broken_file_ends_the_session_where_it_breaks(tmp_path: Path) -> None:
    path = make_file(tmp_path / "film.mkv", 3, 1)

    class Breaking(FileVideoSource):
        count = 0

        def read(self, timeout_s: float) -> Frame | None:
            Breaking.count += 1
            if Breaking.count > 30:
                raise MediaError("film.mkv cannot be read further")
            return super().read(timeout_s)

    result = Room(tmp_path, lambda pace, _: Breaking(path, pace), ends=(Track.VIDEO,)).run()
    assert result.state is SessionState.SEALED
    assert 10 < result.frames <= 30
    assert result.degraded == ["file-broken: film.mkv"]


def test_stopped_before_the_first_picture_nothing_is_left(tmp_path: Path) -> None:
    class Silent(SyntheticVideo):
        def read(self, timeout_s: float) -> None:
            room.session.stop()

    room = Room(tmp_path, lambda pace, stop: Silent(WIDTH, HEIGHT, RATE, pace, stop), live=True)
    result = room.run()
    assert (result.state, result.package, room.session.status().state) == ("idle", None, "idle")
    assert not any(tmp_path.glob("arsip/*"))


def test_stopped_as_it_becomes_live_it_holds_its_first_picture(tmp_path: Path) -> None:
    room = Room(tmp_path, live=True)
    room.on_event = lambda event: room.session.stop() if event.kind == "session-live" else None
    result = room.run()
    assert 1 <= result.frames < 10
    assert media.decoded(program(result), "v").frames == result.frames


def test_sound_is_kept_also_where_no_picture_could_be_decoded(tmp_path: Path) -> None:
    class Damaged(SyntheticVideo):
        def decode(self, frame: Frame, within: Size | None = None) -> VideoFrame:
            raise MediaError("not a picture")

    result = Room(tmp_path, lambda pace, stop: Damaged(WIDTH, HEIGHT, RATE, pace, stop), duration_s=1).run()
    assert (result.state, result.frames) == (SessionState.SEALED, 0)
    assert "picture-damaged: synthetic picture" in result.degraded
    assert media.decoded(program(result), "a").end_s == pytest.approx(1, abs=0.025)


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


class Source(SyntheticVideo):
    """Pictures that take `read_s` each to be read, with the times of those that were decoded."""

    def __init__(self, rate: int, read_s: float, pace: Pace, stop: threading.Event) -> None:
        super().__init__(WIDTH, HEIGHT, Fraction(rate), pace, stop)
        self.name = f"camera of {rate} in {read_s}"
        self.decoded_ns: list[int] = []
        self._read_s = read_s

    def read(self, timeout_s: float) -> Frame | None:
        frame = super().read(timeout_s)
        time.sleep(self._read_s)
        return frame

    def decode(self, frame: Frame, within: Size | None = None) -> VideoFrame:
        self.decoded_ns.append(frame.timestamp_ns)
        return super().decode(frame, within)


def test_each_shows_its_newest_picture_whatever_its_rate_and_one_that_is_slow_to_read_is_waited_for(
    tmp_path: Path,
) -> None:
    plan = Room(tmp_path, duration_s=2).plan
    sources = [
        Source(rate, read_s, plan.pace, plan.stop) for rate, read_s in ((15, 0), (15, 0.02), (2, 0.02), (60, 0.001))
    ]
    pictures = [ChosenSource(source.name, source) for source in sources]
    session = Session(replace(plan, pictures=pictures, layout="side-by-side"), clock=SystemClock())
    session.start()
    result = session.run()
    assert (result.frames, result.degraded) == (30, [])
    driver, alike, slow, fast = sources
    assert len(driver.decoded_ns) == 30
    assert alike.decoded_ns == driver.decoded_ns
    assert slow.decoded_ns == [round(number * NANOSECONDS / 2) for number in range(4)]
    assert len(fast.decoded_ns) == len(driver.decoded_ns)
    apart_ns = [ours - theirs for ours, theirs in zip(driver.decoded_ns, fast.decoded_ns, strict=True)]
    assert all(0 <= one_ns < NANOSECONDS / 60 for one_ns in apart_ns)


@pytest.mark.parametrize(("name", "is_low"), [("1080p30-low-latency", True), ("1080p30", False)])
def test_a_low_latency_is_asked_of_the_encoder(tmp_path: Path, name: str, is_low: bool) -> None:
    plan = replace(Room(tmp_path).plan, profile=BUILT_IN_PROFILES[name])
    assert encoder_settings(plan, VideoFormat(1920, 1080, RATE, ColorMatrix.BT709))[0].low_latency is is_low


def encoders() -> int:
    """Return how many encoders of pictures are open in this process."""
    return sum(
        isinstance(one, av.CodecContext) and one.is_encoder and one.is_open and one.name == "libx264"
        for one in gc.get_objects()
    )


def test_the_encoder_is_gone_when_its_recording_is_sealed_also_where_it_was_streamed(tmp_path: Path) -> None:
    room = Room(tmp_path, duration_s=1)
    nowhere = StreamTarget("nowhere", Secret("rtmp://127.0.0.1:1/live/key"))
    gc.collect()
    before, during = encoders(), []
    session = Session(
        replace(room.plan, targets=[nowhere]),
        clock=SystemClock(),
        listener=lambda event: during.append(encoders()) if event.kind == "session-live" else None,
        progress=lambda done, total: during.append(encoders()),
    )
    session.start()
    assert session.run().state == "sealed"
    assert during[0] > before
    assert set(during[1:]) == {before}


def test_the_planned_end_moves_until_just_before_it(tmp_path: Path) -> None:
    room = Room(tmp_path, duration_s=60, live=True)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(room.run)
        wait_for(lambda: room.session.status().elapsed_s > 0.5)
        room.session.end_in(2.5)
        wait_for(lambda: (room.session.status().ends_in_s or 0) < 1)
        with pytest.raises(UsageError, match="ends in a moment"):
            room.session.end_in(60)
    assert 3 <= run.result().duration_s < 5


def test_a_recording_with_a_sleep_in_it_is_no_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = count(step=1200 * NANOSECONDS)
    monkeypatch.setattr("recorder.session.session.SleepWatch", partial(SleepWatch, slept=lambda: next(slept)))
    room = Room(tmp_path, duration_s=1, live=True)
    result = room.run()
    assert "pc-slept: session" in result.degraded
    told = next(event for event in room.events if event.kind == "pc-slept")
    assert told.message == "This PC was asleep for 1200 s; nothing was recorded meanwhile"
    assert 0 <= float(str(told.detail["media_s"])) <= 1.0
    assert Room(tmp_path / "fast", duration_s=1).run().degraded == [], "which has no clock"


# What an error that nobody has foreseen costs: nothing of what was recorded until then, and it is told.

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


@pytest.mark.parametrize(("track", "call", "live"), [(Track.VIDEO, 20, True), (Track.AUDIO, 60, False)])
def test_a_track_that_fails_ends_the_session_and_what_it_has_recorded_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, track: Track, call: int, live: bool
) -> None:
    fail_at(monkeypatch, track, call)
    room = Room(tmp_path, duration_s=60, live=live)
    result = room.run()
    video, audio = (media.decoded(program(result), stream).end_s for stream in "va")
    failed, other = (audio, video) if track is Track.AUDIO else (video, audio)
    # 19 pictures of 1/15 s, or 59 blocks of 1024 samples; but for 0.5 s that the encoder has looked ahead at.
    assert 0.76 <= failed <= 1.27
    assert 1.2 < other < 30, "of the 60 s that were asked for: the other track runs ahead for as long as threads wait"
    (failed_by,) = [event.message for event in room.events if event.kind == "session-failed"]
    assert re.fullmatch(f"the {track} track failed: {WORDS}", failed_by)
    assert "session-failed: session" in result.degraded
    assert result.broke_off


@pytest.mark.parametrize("of_track", [False, True])
def test_a_mistake_before_the_start_ends_what_is_armed_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, of_track: bool
) -> None:
    def failing(_program: SessionProgram, *, final: bool = False) -> Never:
        raise ZeroDivisionError("a bug")

    if of_track:
        fail_at(monkeypatch, Track.VIDEO, 5)
    else:
        monkeypatch.setattr(SessionProgram, "report_losses", failing)
    room = Room(tmp_path, live=True)
    with pytest.raises(LiputError if of_track else ZeroDivisionError, match="a bug"):
        room.session.run()
    assert room.session.status().state is SessionState.FAILED
    assert ("session-failed" in room.kinds) is of_track
    assert not any(tmp_path.glob("arsip/*"))


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_mistake_beside_the_tracks_ends_the_session_and_breaks_it_off_unless_people_have_stopped_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_stopped: bool
) -> None:
    """A planned session is begun again where it broke off, and never where people have ended it."""

    def failing(_program: SessionProgram, *, final: bool = False) -> None:
        if room.session.status().elapsed_s > 1:  # also when its end is told
            if is_stopped:
                room.session.stop()
            raise ZeroDivisionError("a bug")

    monkeypatch.setattr(SessionProgram, "report_losses", failing)
    room = Room(tmp_path, duration_s=60, live=True)
    result = room.run()
    assert 1 < result.duration_s < 10
    assert media.decoded(program(result), "v").end_s == pytest.approx(result.duration_s, abs=0.5)
    failed = [event.message for event in room.events if event.kind == "session-failed"]
    assert len(failed) == 2
    assert all(re.fullmatch(WORDS, message) for message in failed)
    assert "session-failed: session" in result.degraded
    assert result.broke_off is not is_stopped


@pytest.mark.parametrize("is_armed", [False, True])
def test_a_mistake_as_it_begins_to_record_ends_it_and_what_there_is_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_armed: bool
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

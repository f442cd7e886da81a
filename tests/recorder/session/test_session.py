"""Whole sessions in this process, as fast as they go: how long they are, and what they hold."""

import gc
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from functools import partial
from itertools import count
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
from av.video.frame import VideoFrame

from capture.pacing import FastPace, Pace
from capture.source import AudioBlock, Frame, Size, VideoSource
from capture.sources.file import FileAudioSource, FileVideoSource
from capture.sources.source_kind import ChosenSource
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.errors import DeviceError, LiputError, MediaError
from config.events import Event
from config.settings.layouts import LayoutSettings
from config.settings.schema import BUILT_IN_PROFILES, Settings, VideoDefaults
from config.settings.secrets import Secret, StreamTarget
from devices.health.faults import Fault, HealthTracker
from devices.health.log_line import discard_line
from devices.host.clock import NANOSECONDS, SystemClock
from devices.model.device import Device, DeviceKind
from recorder.archive.archive import Archive
from recorder.encode.x264 import VideoSettings
from recorder.live_encode.live_encoder import live_settings
from recorder.model.packet import Track
from recorder.model.status import SessionState
from recorder.program.mixer import SoundInput
from recorder.program.timeline import SleepWatch
from recorder.session.planning import plan_session
from recorder.session.request import SessionRequest
from recorder.session.session import Session, encoder_settings
from tests.bench.peers import x264_options
from tests.support import markers, media
from tests.support.plans import session_plan
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
    result = room.run()
    status = room.session.status()
    assert (result.frames, result.duration_s, status.elapsed_s) == (round(RATE), 1.0, 1.0)
    assert status.state is SessionState.SEALED


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


PROFILE = BUILT_IN_PROFILES["240p15"]
SECONDS = 2


class Source(SyntheticVideo):
    """Pictures that take `read_s` each to be read, with the times of those that were decoded."""

    def __init__(self, name: str, rate: int, read_s: float, pace: Pace, stop: threading.Event) -> None:
        super().__init__(PROFILE.width, PROFILE.height, Fraction(rate), pace, stop)
        self.name = name
        self.decoded_ns: list[int] = []
        self._read_s = read_s

    def read(self, timeout_s: float) -> Frame | None:
        frame = super().read(timeout_s)
        time.sleep(self._read_s)
        return frame

    def decode(self, frame: Frame, within: Size | None = None) -> VideoFrame:
        self.decoded_ns.append(frame.timestamp_ns)
        return super().decode(frame, within)


ALL = LayoutSettings(kind="side-by-side")


def recorded(
    folder: Path,
    *,
    rates: Sequence[int],
    read_s: Sequence[float],
    has_sound: bool = True,
    layout: LayoutSettings = ALL,
) -> list[Source]:
    """Return the sources of a session of SECONDS that showed them as `layout` does."""
    clock, stop = SystemClock(), threading.Event()
    pace = FastPace(("video", "audio") if has_sound else ("video",))
    made = zip(rates, read_s, strict=True)
    sources = [Source(f"camera {number}", *asked, pace, stop) for number, asked in enumerate(made)]
    sound = SyntheticAudio(pace, stop)
    plan = session_plan(
        title="Seminar",
        profile=PROFILE,
        pictures=[ChosenSource(source.name, source) for source in sources],
        sounds=[SoundInput(sound.name, sound)] if has_sound else [],
        archives=[Archive(folder / "arsip", clock, reserve_bytes=1)],
        pace=pace,
        stop=stop,
        live=False,
        layout="asked",
        layouts={"asked": layout},
        duration_s=SECONDS,
    )
    session = Session(plan, clock=clock)
    session.start()
    result = session.run()
    assert (result.frames, result.degraded) == (int(PROFILE.fps) * SECONDS, [])
    return sources


@pytest.mark.parametrize("has_sound", [True, False])
def test_a_source_that_is_slow_to_read_is_waited_for(tmp_path: Path, has_sound: bool) -> None:
    sources = recorded(tmp_path, rates=(15, 15, 15), read_s=(0, 0.02, 0.005), has_sound=has_sound)
    first, *others = (source.decoded_ns for source in sources)
    assert len(first) == PROFILE.fps * SECONDS
    for decoded_ns in others:
        assert decoded_ns == first


def test_each_shows_its_newest_picture_whatever_its_rate(tmp_path: Path) -> None:
    driver, slow, fast = recorded(tmp_path, rates=(15, 2, 60), read_s=(0, 0.02, 0.001))
    assert slow.decoded_ns == [round(number * NANOSECONDS / 2) for number in range(2 * SECONDS)]
    assert len(fast.decoded_ns) == len(driver.decoded_ns)
    apart_ns = [ours - theirs for ours, theirs in zip(driver.decoded_ns, fast.decoded_ns, strict=True)]
    assert all(0 <= one_ns < NANOSECONDS / 60 for one_ns in apart_ns)


def test_one_that_is_not_shown_holds_up_nobody(tmp_path: Path) -> None:
    layout = LayoutSettings(kind="single", show=("camera 1",))
    hidden, shown = recorded(tmp_path, rates=(15, 15), read_s=(0.01, 0), layout=layout)
    assert len(shown.decoded_ns) == PROFILE.fps * SECONDS
    assert 1 <= len(hidden.decoded_ns) <= 2 * SECONDS  # its watch glances at it


NAME = "1080p30-low-latency"
SMALL = msgspec.structs.replace(BUILT_IN_PROFILES[NAME], width=320, height=240, video_bitrate=300_000)


def settings_of(profile: str, tmp_path: Path) -> VideoSettings:
    asked = SessionRequest(title="Rapat", videos=("synthetic",), profile=profile, archive=tmp_path / "arsip", reserve=1)
    plan = plan_session(asked, Settings(), SystemClock()).plan
    return encoder_settings(plan, plan.pictures[0].source.open())[0]


def test_the_profile_is_that_of_the_default_but_for_its_delay(tmp_path: Path) -> None:
    assert msgspec.structs.replace(BUILT_IN_PROFILES[NAME], low_latency=False) == Settings().profile()
    assert settings_of(NAME, tmp_path).low_latency
    assert not settings_of("1080p30", tmp_path).low_latency


def test_a_live_encode_of_its_own_has_no_delay_either(tmp_path: Path) -> None:
    assert live_settings(settings_of(NAME, tmp_path), 1_000_000).low_latency


@pytest.mark.parametrize("sound", ["synthetic", "none"])
def test_its_recording_is_whole_and_made_without_looking_ahead(tmp_path: Path, sound: str) -> None:
    settings = Settings(profiles={NAME: SMALL}, video=VideoDefaults(profile=NAME))
    asked = SessionRequest(
        title="Rapat", videos=("synthetic",), audios=(sound,), live=False, duration_s=10.0, archive=tmp_path / "arsip",
        reserve=1,
    )  # fmt: skip
    clock = SystemClock()
    planned = plan_session(asked, settings, clock)
    session = Session(planned.plan, clock=clock)
    session.start()
    result = session.run()
    assert (result.state, result.frames, result.degraded) == ("sealed", 300, [])
    assert result.package
    film = Path(result.package) / "data/media/program.mp4"
    media.decodes_cleanly(film)
    assert media.shown(film, "v") == pytest.approx([number / 30 for number in range(300)], abs=1e-4)
    assert media.decoded(film, "v").end_s == pytest.approx(10.0, abs=0.001)
    told = x264_options(film)
    assert [told[name] for name in ("rc_lookahead", "bframes", "sliced_threads", "mbtree")] == ["0", "0", "1", "0"]


def encoders() -> int:
    """Return how many encoders of pictures are open in this process."""
    return sum(
        isinstance(one, av.CodecContext) and one.is_encoder and one.is_open and one.name == "libx264"
        for one in gc.get_objects()
    )


@pytest.mark.parametrize("streams", [False, True])
def test_the_encoder_is_gone_when_its_recording_is_sealed(tmp_path: Path, *, streams: bool) -> None:
    clock, stop = SystemClock(), threading.Event()
    pace = FastPace(("video", "audio"))
    nowhere = StreamTarget("nowhere", Secret("rtmp://127.0.0.1:1/live/key"))
    plan = session_plan(
        title="Rapat",
        profile=PROFILE,
        pictures=[ChosenSource("Podium", SyntheticVideo(PROFILE.width, PROFILE.height, PROFILE.fps, pace, stop))],
        sounds=[SoundInput("Mikrofon", SyntheticAudio(pace, stop))],
        archives=[Archive(tmp_path / "arsip", clock, 0)],
        pace=pace,
        stop=stop,
        live=False,
        duration_s=1.0,
        targets=[nowhere] if streams else [],
    )
    gc.collect()
    before, during = encoders(), []
    session = Session(
        plan,
        clock=clock,
        listener=lambda event: during.append(encoders()) if event.kind == "session-live" else None,
        progress=lambda done, total: during.append(encoders()),
    )
    session.start()
    assert session.run().state == "sealed"
    assert during[0] > before
    assert set(during[1:]) == {before}


def test_a_recording_with_a_sleep_in_it_is_no_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(tmp_path, duration_s=2, live=True)

    asked: list[int] = []

    def slept() -> int:
        asked.append(3600 * NANOSECONDS if len(asked) > 3 else 0)
        return asked[-1]

    monkeypatch.setattr("recorder.session.session.SleepWatch", partial(SleepWatch, slept=slept))
    result = room.run()
    assert "pc-slept: session" in result.degraded
    (told,) = [event for event in room.events if event.kind == "pc-slept"]
    assert told.message == "This PC was asleep for 3600 s; nothing was recorded meanwhile"
    assert 0 < float(str(told.detail["media_s"])) <= 2.0


def test_what_runs_as_fast_as_it_can_misses_nothing_by_a_sleep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep = count(step=3600 * NANOSECONDS)
    monkeypatch.setattr("recorder.session.session.SleepWatch", partial(SleepWatch, slept=lambda: next(asleep)))
    assert Room(tmp_path, duration_s=2).run().degraded == []

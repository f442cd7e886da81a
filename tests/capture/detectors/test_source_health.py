"""Hysteresis, patience, and detectors with bugs: one costs no frame and no block, and is logged once."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from capture.detectors import audio_detectors
from capture.detectors.detector_factory import DetectorFactory
from capture.detectors.picture_measures import PictureDetector
from capture.detectors.source_health import FaultHysteresis, Patience, patience_for
from capture.detectors.video_detectors import DamageDetector, FreezeDetector, VideoDetectors
from capture.source import Frame
from config.errors import DeviceError, DeviceNotFound, LiputError, MediaError
from config.settings.schema import BUILT_IN_PATIENCE, Settings
from config.settings.schema import PatienceSettings as Setting
from devices.controls import presets
from devices.health.faults import Fault, HealthChange, HealthTracker
from devices.health.log_line import HealthLine, LogKind, LogLevel
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, DeviceKind, Health
from tests.capture.detectors.sounds import samples, speech
from tests.support import workers
from tests.support.health import Recorded
from tests.support.scenes import Shot, Watched, before, camera_pictures, live, paced
from tests.support.simulated import SimulatedClock
from tests.support.workers import WatchedInput, blocks


def at(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def make() -> tuple[FaultHysteresis, HealthTracker, Recorded]:
    clock = SimulatedClock()
    log = Recorded(clock)
    tracker = HealthTracker("id", "Podium", record=log, clock=clock)
    return FaultHysteresis(tracker, Fault.BLACK), tracker, log


def test_it_is_over_when_all_was_well_for_a_second_without_a_break() -> None:
    latch, tracker, log = make()
    latch.bad("black", began_ns=0)
    latch.good(at(1.0))
    latch.good(at(1.9))
    latch.bad("black", began_ns=0)
    latch.good(at(2.0))
    latch.good(at(2.8))
    latch.unsure()
    latch.good(at(3.0))
    latch.good(at(3.9))
    assert tracker.has(Fault.BLACK)
    latch.good(at(4.0))
    assert not tracker.has(Fault.BLACK)
    assert [line.kind for line in log.lines] == [LogKind.DEGRADED, LogKind.RECOVERED]


@pytest.mark.parametrize("takes_over", [True, False])
def test_a_fault_that_was_known_before_is_taken_over_by_a_watch_that_would_see_its_end(*, takes_over: bool) -> None:
    first, tracker, _ = make()
    first.bad("black", began_ns=0)
    second = FaultHysteresis(tracker, Fault.BLACK, takes_over=takes_over)
    second.good(at(5.0))
    second.good(at(6.0))
    assert tracker.has(Fault.BLACK) is not takes_over


def test_a_watch_ends_only_what_it_has_found() -> None:
    latch, tracker, _ = make()
    tracker.find(Fault.BLACK, "somebody else says so")
    latch.good(at(1.0))
    latch.good(at(9.0))
    latch.end()
    assert tracker.has(Fault.BLACK)


def test_what_comes_and_goes_for_hours_is_told_a_few_times() -> None:
    latch, tracker, log = make()
    for tenth in range(36_000):
        if tenth % 20 < 5:
            latch.bad("black", began_ns=at(tenth / 10))
        else:
            latch.good(at(tenth / 10))
    assert [line.kind for line in log.lines] == 2 * [LogKind.DEGRADED, LogKind.RECOVERED] + [LogKind.DEGRADED]
    for second in range(3):
        latch.good(at(3600 + second))
    assert not tracker.has(Fault.BLACK)


def test_what_comes_now_and_then_is_over_each_time() -> None:
    latch, tracker, log = make()
    for number in range(6):
        latch.bad("black", began_ns=at(40 * number))
        latch.good(at(40 * number + 1))
        latch.good(at(40 * number + 2))
        assert not tracker.has(Fault.BLACK)
    assert len(log.lines) == 12


def test_a_role_comes_before_the_kind_and_the_kind_before_what_is_built_in() -> None:
    settings = Settings(patience={"camera": Setting(frozen_s=7.0, black_s=8.0), "slides": Setting(frozen_s=60.0)})
    assert patience_for(settings, DeviceKind.CAMERA, "slides") == Patience(60.0, 8.0, 20.0)
    assert patience_for(settings, DeviceKind.CAMERA, "podium") == Patience(7.0, 8.0, 20.0)
    assert patience_for(settings, DeviceKind.CAPTURE_CARD, "slides") == Patience(60.0, 30.0, 20.0)


def test_microphone_is_a_role_and_a_kind() -> None:
    built_in = dict(BUILT_IN_PATIENCE)
    role = Settings(patience=built_in | {"capture-card": Setting(silence_s=300.0), "microphone": Setting(silence_s=60)})
    assert patience_for(role, DeviceKind.CAPTURE_CARD, "microphone").silence_s == 60
    assert patience_for(role, DeviceKind.CAPTURE_CARD, "interpreter").silence_s == 300
    assert patience_for(role, DeviceKind.MICROPHONE).silence_s == 60


type Break = Callable[..., None]


@pytest.fixture
def break_at(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Return a function that makes `name` of `owner` raise from its `nth` call on."""

    def spoil(owner: object, name: str, nth: int = 3, error: type[Exception] = ZeroDivisionError) -> None:
        calls = itertools.count(1)
        whole: Callable[..., Any] = getattr(owner, name)

        def spoilt(*args: Any, **kwargs: Any) -> Any:
            if next(calls) >= nth:
                raise error("a bug")
            return whole(*args, **kwargs)

        monkeypatch.setattr(owner, name, spoilt)

    return spoil


def told(log: Recorded) -> HealthLine:
    """Return the only log line of a failed detector."""
    (line,) = log.of(LogKind.WATCH_FAILED)
    assert line.level is LogLevel.WARN
    assert line.reason.endswith("please report this")
    return line


def eventful() -> itertools.chain[Shot]:
    """Show damage, a standstill and a pause."""
    pictures = camera_pictures()
    damaged = (picture[: len(picture) // 2] for picture in live())
    return itertools.chain(
        before(3.0, paced(live())),
        before(4.0, paced(damaged, from_s=3.0)),
        before(10.0, paced(itertools.repeat(pictures[0]), from_s=4.0)),
        before(16.0, paced(live(), from_s=12.0)),
    )


type Taken = tuple[list[Frame], int]


def taken(watched: Watched) -> Taken:
    """Read and decode everything; return the frames, and how many are damaged."""
    frames: list[Frame] = []
    damaged = 0
    watched.video.open()
    while watched.camera.seconds < 16:
        if (frame := watched.video.read(0.1)) is None:
            continue
        frames.append(frame)
        try:
            watched.video.decode(frame)
        except MediaError:
            damaged += 1
    watched.video.close()
    return frames, damaged


@pytest.fixture(scope="module")
def undisturbed() -> Taken:
    return taken(Watched(eventful()))


@pytest.mark.parametrize(
    ("owner", "name", "nth"),
    [
        (FreezeDetector, "arrived", 3),
        (PictureDetector, "see", 3),
        (workers, "VideoDetectors", 1),
        (VideoDetectors, "log_closed", 1),
    ],
)
def test_a_watch_of_pictures_that_fails_takes_no_picture_with_it(
    break_at: Break, undisturbed: Taken, owner: object, name: str, nth: int
) -> None:
    assert (len(undisturbed[0]) > 400, undisturbed[1]) == (True, 30)
    break_at(owner, name, nth)
    watched = Watched(eventful())
    assert taken(watched) == undisturbed
    assert told(watched.log).reason.startswith("a watch of Podium has failed and is switched off (")


def test_the_other_watches_of_a_source_go_on(break_at: Break) -> None:
    break_at(PictureDetector, "see")
    break_at(FreezeDetector, "arrived")
    break_at(DamageDetector, "whole")
    watched = Watched(eventful())
    taken(watched)
    assert [fault for _, kind, fault in watched.faults() if kind == "degraded"] == [Fault.NO_DATA]
    assert len(watched.log.of(LogKind.WATCH_FAILED)) == 3


def test_a_tracker_that_fails_hides_no_error_of_the_source(break_at: Break) -> None:
    break_at(HealthTracker, "find", 1)
    watched = Watched(before(2.0, paced(live())), lost_s=2.1)
    watched.run(5.0)
    assert watched.video.outage


def test_whoever_is_told_of_changes_may_fail_and_goes_on_being_told() -> None:
    changes: list[HealthChange] = []

    def fails(change: HealthChange) -> None:
        changes.append(change)
        raise KeyError("a bug")

    watched = Watched(eventful(), on_change=fails)
    frames, *_ = taken(watched)
    assert len(frames) > 400
    assert len(changes) == len(watched.faults()) == 6
    assert "(telling others of its health): KeyError('a bug')" in told(watched.log).reason


def test_a_log_that_fails_is_no_reason_either() -> None:
    def fails(*_args: object, **_detail: object) -> None:
        raise OSError("no disk")

    video = Watched(eventful(), record=fails)
    frames, *_ = taken(video)
    assert len(frames) > 400


# Sound


@pytest.mark.parametrize(
    ("owner", "name", "part"), [(audio_detectors, "measure", "sound"), (workers, "AudioDetectors", "everything")]
)
def test_a_watch_of_sound_that_fails_takes_no_block_with_it(
    break_at: Break, owner: object, name: str, part: str
) -> None:
    break_at(owner, name, 1 if part == "everything" else 3)
    sound = samples(speech(4))
    watched = WatchedInput([*blocks(sound), *blocks(sound, from_s=5.0)], Patience(3, 5, 20))
    count = 0
    while watched.input.seconds < 9.1:
        count += watched.audio.read(0.1) is not None
    watched.audio.close()
    assert count == 400
    assert told(watched.log).detail["part"] == part


# Refusals


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (DeviceError("used by pid 7 (arecord)", hint="Close it.", why="busy"), Fault.BUSY),
        (DeviceNotFound("not plugged in any more"), Fault.LOST),
        (MediaError("something else"), None),
    ],
)
def test_a_refusal_is_raised_again_logged_once_and_the_health_until_it_opens(
    error: LiputError, fault: Fault | None
) -> None:
    watched = Watched(paced(live()))
    watched.camera.refuses = error
    for _ in range(2):
        with pytest.raises(type(error)) as raised:
            watched.video.open()
        assert raised.value is error
    (refused,) = watched.log.of(LogKind.REFUSED)
    assert (refused.reason, refused.level, refused.detail["hint"]) == (error.message, LogLevel.WARN, error.hint)
    assert (watched.health.now.fault, watched.health.now.reason) == (fault, error.message if fault else None)
    watched.camera.refuses = DeviceError("another", why="busy")
    with pytest.raises(DeviceError):
        watched.video.open()
    assert (watched.health.now.fault, watched.log.of(LogKind.REFUSED)[1].reason) == (Fault.BUSY, "another")
    watched.camera.refuses = None
    watched.video.open()
    assert watched.health.now == Health()


# Controls


def test_controls_that_cannot_be_set_by_a_bug_keep_no_camera_from_opening(break_at: Break) -> None:
    clock = SimulatedClock()
    log = Recorded(clock)
    break_at(presets, "restore_preset", 1, ValueError)
    camera = Device(id="046d:0825:CAM0001", kind=DeviceKind.CAMERA, name="Podium", node="/dev/video0")
    DetectorFactory(Settings(), clock, log).prepare(camera)
    (line,) = log.lines
    assert (line.kind, line.level, line.device) == (LogKind.CONTROLS_APPLIED, LogLevel.WARN, camera.id)
    assert "ValueError('a bug')" in line.reason

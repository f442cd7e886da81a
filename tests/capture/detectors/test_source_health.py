"""Hysteresis, patience, and detectors with bugs: one costs no frame and no block, and is logged once."""

import itertools
import re
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from capture.detectors import audio_detectors, audio_measures
from capture.detectors.audio_detectors import SilenceDetector
from capture.detectors.audio_measures import HumMeter
from capture.detectors.detector_factory import DetectorFactory
from capture.detectors.picture_measures import PictureDetector
from capture.detectors.source_health import DetectorGuard, FaultHysteresis, Patience, patience_for
from capture.detectors.video_detectors import ArrivalDetector, DamageDetector, FreezeDetector, VideoDetectors
from capture.source import Frame
from config.errors import DeviceError, MediaError
from config.settings.schema import BUILT_IN_PATIENCE, Settings
from config.settings.schema import PatienceSettings as Setting
from devices.controls import presets
from devices.health.faults import Fault, HealthChange, HealthTracker
from devices.health.log_line import HealthLine, LogKind, LogLevel
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, DeviceKind, HealthState
from tests.capture.detectors.test_audio_detectors import Rig
from tests.support import workers
from tests.support.errors import because
from tests.support.health import Recorded
from tests.support.scenes import Shot, Watched, before, camera_pictures, jpeg, live, paced, plain
from tests.support.simulated import SimulatedClock


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


def test_a_fault_that_was_known_before_is_taken_over() -> None:
    first, tracker, log = make()
    first.bad("black", began_ns=0)
    second = FaultHysteresis(tracker, Fault.BLACK)
    second.good(at(5.0))
    second.good(at(6.0))
    assert not tracker.has(Fault.BLACK)
    assert [line.kind for line in log.lines] == [LogKind.DEGRADED, LogKind.RECOVERED]


def test_a_watch_ends_only_what_it_has_found() -> None:
    latch, tracker, _ = make()
    tracker.find(Fault.BLACK, "somebody else says so")
    latch.good(at(1.0))
    latch.good(at(9.0))
    latch.end()
    assert tracker.has(Fault.BLACK)


def test_what_another_watch_has_ended_is_found_again() -> None:
    latch, tracker, log = make()
    latch.bad("black", began_ns=0)
    tracker.clear(Fault.BLACK)
    latch.bad("black", began_ns=0)
    assert tracker.has(Fault.BLACK)
    assert len(log.of(LogKind.DEGRADED)) == 2


def test_a_watch_that_would_not_see_the_end_takes_nothing_over() -> None:
    first, tracker, _ = make()
    first.bad("black", began_ns=0)
    second = FaultHysteresis(tracker, Fault.BLACK, takes_over=False)
    second.good(at(5.0))
    second.good(at(9.0))
    assert tracker.has(Fault.BLACK)


def test_what_comes_and_goes_for_hours_is_told_a_few_times() -> None:
    latch, tracker, log = make()
    for tenth in range(8 * 36_000):
        if tenth % 20 < 5:
            latch.bad("black", began_ns=at(tenth / 10))
        else:
            latch.good(at(tenth / 10))
    assert [line.kind for line in log.lines] == 2 * [LogKind.DEGRADED, LogKind.RECOVERED] + [LogKind.DEGRADED]
    for second in range(3):
        latch.good(at(8 * 3600 + second))
    assert not tracker.has(Fault.BLACK)


def test_what_comes_now_and_then_is_over_each_time() -> None:
    latch, tracker, log = make()
    for number in range(20):
        latch.bad("black", began_ns=at(40 * number))
        latch.good(at(40 * number + 1))
        latch.good(at(40 * number + 2))
        assert not tracker.has(Fault.BLACK)
    assert len(log.lines) == 40


@pytest.mark.parametrize("kind", DeviceKind)
def test_every_kind_of_device_has_a_patience_of_its_own(kind: DeviceKind) -> None:
    built_in = BUILT_IN_PATIENCE[kind]
    assert patience_for(Settings(), kind) == Patience(
        built_in.frozen_s or 0, built_in.black_s or 0, built_in.silence_s or 0
    )


def test_a_role_comes_before_the_kind_and_the_kind_before_what_is_built_in() -> None:
    settings = Settings(patience={"camera": Setting(frozen_s=7.0, black_s=8.0), "slides": Setting(frozen_s=60.0)})
    assert patience_for(settings, DeviceKind.CAMERA, "slides") == Patience(60.0, 8.0, 20.0)
    assert patience_for(settings, DeviceKind.CAMERA, "podium") == Patience(7.0, 8.0, 20.0)
    assert patience_for(settings, DeviceKind.CAPTURE_CARD, "slides") == Patience(60.0, 30.0, 20.0)


def test_microphone_is_a_role_and_a_kind() -> None:
    """A person's setting counts for a capture card with the role `microphone`, whether for the role or for the kind."""
    built_in = dict(BUILT_IN_PATIENCE)
    card = Settings(patience=built_in | {"capture-card": Setting(silence_s=300.0)})
    assert patience_for(card, DeviceKind.CAPTURE_CARD, "microphone").silence_s == 300
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
        before(70.0, paced(live(), from_s=12.0)),
    )


def taken(watched: Watched) -> "Taken":
    """Read and decode everything; return the frames, and the counts of whole and damaged ones."""
    frames: list[Frame] = []
    whole = damaged = 0
    watched.video.open()
    while watched.camera.seconds < 70:
        frame = watched.video.read(0.1)
        if frame is None:
            continue
        frames.append(frame)
        try:
            assert (watched.video.decode(frame).width, frame.timestamp_ns) == (320, frames[-1].timestamp_ns)
            whole += 1
        except MediaError:
            damaged += 1
    watched.video.close()
    return frames, whole, damaged


type Taken = tuple[list[Frame], int, int]


@pytest.fixture(scope="module")
def undisturbed() -> Taken:
    return taken(Watched(eventful()))


@pytest.mark.parametrize(
    ("owner", "name", "part"),
    [
        (ArrivalDetector, "arrived", "arrival of frames"),
        (ArrivalDetector, "is_overdue", "arrival of frames"),
        (ArrivalDetector, "no_frame_came", "arrival of frames"),
        (ArrivalDetector, "_intervals", "arrival of frames"),
        (FreezeDetector, "arrived", "standstill"),
        (VideoDetectors, "_check_signal", "the driver's signal"),
        (DamageDetector, "whole", "damaged frames"),
        (DamageDetector, "damaged", "damaged frames"),
        (VideoDetectors, "_count_given_up", "damaged frames"),
        (PictureDetector, "see", "content of frames"),
        (cv2, "resize", "content of frames"),
        (cv2, "absdiff", "content of frames"),
    ],
)
def test_a_watch_of_pictures_that_fails_takes_no_picture_with_it(
    break_at: Break, undisturbed: Taken, owner: object, name: str, part: str
) -> None:
    assert (undisturbed[1] > 1900, undisturbed[2]) == (True, 30)
    break_at(owner, name)
    watched = Watched(eventful())
    assert taken(watched) == undisturbed
    line = told(watched.log)
    assert line.reason.startswith(f"a watch of Podium has failed and is switched off ({part}): ZeroDivisionError(")
    assert (line.device, line.name, line.detail["part"]) == ("046d:0825:CAM0001", "Podium", part)
    assert watched.log.of(LogKind.CLOSED)[0].detail["frames"] == len(undisturbed[0])


def test_the_other_watches_of_a_source_go_on(break_at: Break) -> None:
    break_at(PictureDetector, "see")
    break_at(FreezeDetector, "arrived")
    break_at(DamageDetector, "whole")
    watched = Watched(eventful())
    taken(watched)
    assert [fault for _, kind, fault in watched.faults() if kind == "degraded"] == [Fault.NO_DATA]
    assert len(watched.log.of(LogKind.WATCH_FAILED)) == 3


def test_a_picture_that_is_not_looked_at_any_more_explains_no_standstill(break_at: Break) -> None:
    black, frozen = jpeg(plain(0, 0, 0)), camera_pictures()[0]
    shots = itertools.chain(
        before(6.0, paced(itertools.repeat(black))), before(20.0, paced(itertools.repeat(frozen), from_s=6.0))
    )
    break_at(PictureDetector, "see", 170)
    watched = Watched(shots)
    watched.run(20.0)
    assert [fault for _, kind, fault in watched.faults() if kind == "degraded"] == [Fault.BLACK, Fault.FROZEN]


@pytest.mark.parametrize(("owner", "name"), [(workers, "VideoDetectors"), (VideoDetectors, "log_closed")])
def test_watches_of_pictures_that_cannot_even_begin_or_end(
    break_at: Break, undisturbed: Taken, owner: object, name: str
) -> None:
    break_at(owner, name, 1)
    watched = Watched(eventful())
    assert taken(watched) == undisturbed
    told(watched.log)


def test_a_loss_is_told_where_nothing_else_is_watched(break_at: Break) -> None:
    break_at(workers, "VideoDetectors", 1)
    watched = Watched(before(2.0, paced(live())), lost_s=2.1)
    watched.run(5.0)
    assert watched.video.outage
    assert watched.health.now.state is HealthState.LOST


def test_a_tracker_that_fails_hides_no_error_of_the_source(break_at: Break) -> None:
    break_at(HealthTracker, "find", 1)
    watched = Watched(before(2.0, paced(live())), lost_s=2.1)
    watched.run(5.0)
    assert watched.video.outage
    refused = Watched([])
    refused.camera.refuses = DeviceError("Podium is used by pid 7 (vlc)", why="busy")
    with pytest.raises(DeviceError, check=because("busy")):
        refused.video.open()
    heard = Rig()
    heard.source.refusals.append(DeviceError("used by pid 7", why="busy"))
    with pytest.raises(DeviceError, check=because("busy")):
        heard.worker.open()
    heard.worker.open()
    heard.source.is_lost = True
    assert heard.worker.read(0.1) is None
    assert heard.worker.outage


def test_whoever_is_told_of_changes_may_fail_and_goes_on_being_told() -> None:
    changes: list[HealthChange] = []

    def fails(change: HealthChange) -> None:
        changes.append(change)
        raise KeyError("a bug")

    watched = Watched(eventful(), on_change=fails)
    frames, *_ = taken(watched)
    assert len(frames) > 1900
    assert len(changes) == len(watched.faults()) == 6
    assert "(telling others of its health): KeyError('a bug')" in told(watched.log).reason


def test_a_log_that_fails_is_no_reason_either() -> None:
    def fails(*_args: object, **_detail: object) -> None:
        raise OSError("no disk")

    tracker = HealthTracker("id", "Podium", record=fails, clock=SimulatedClock())
    DetectorGuard(tracker)("part", lambda: 1 / 0)
    video = Watched(eventful(), record=fails)
    frames, *_ = taken(video)
    assert len(frames) > 1900


# Sound


@pytest.mark.parametrize(
    ("owner", "name", "part"),
    [
        (audio_detectors, "measure", "sound"),
        (audio_detectors.AudioDetectors, "_judge_waiting", "sound"),
        (audio_measures.HalfSecond, "sustained_dbfs", "sound"),
        (audio_detectors.SoundStatistics, "lose", "sound"),
        (SilenceDetector, "judge", "silence"),
        (audio_detectors._DeadChannel, "judge", "a dead channel"),
        (audio_detectors.AudioDetectors, "_judge_clipping", "clipping"),
        (HumMeter, "hear", "hum"),
        (FaultHysteresis, "good", "no data"),
        (FaultHysteresis, "bad", "no data"),
        (audio_detectors.SoundStatistics, "add", "samples"),
        (audio_detectors.SoundStatistics, "totals", "closing"),
        (workers, "AudioDetectors", "everything"),
    ],
)
def test_a_watch_of_sound_that_fails_takes_no_block_with_it(
    break_at: Break, owner: object, name: str, part: str
) -> None:
    break_at(owner, name, 1 if part in {"everything", "closing"} or name in {"lose", "bad"} else 3)
    rig = Rig()
    rig.worker.open()
    count = 0
    for number in range(2000):
        rig.source.is_giving = not 500 < number < 510
        rig.source.loses = number == 490
        block = rig.worker.read(0.1)
        assert (block is not None) is rig.source.is_giving
        if block is not None:
            count += 1
            assert np.shares_memory(block.samples, rig.source.parts)
    rig.worker.close()
    assert (count, rig.source.closed) == (1991, 1)
    assert told(rig.recorded).detail["part"] == part


def test_a_sum_that_is_not_told_any_more_does_not_grow(break_at: Break) -> None:
    break_at(audio_detectors.SoundStatistics, "detail", 1)
    rig = Rig()
    rig.worker.open()
    rig.read(70)
    assert isinstance(rig.health.detectors, audio_detectors.AudioDetectors)
    sample = rig.health.detectors.sample
    held = sample.pieces
    rig.read(20)
    assert sample.pieces == held <= 122
    told(rig.recorded)


# Controls


def test_controls_that_cannot_be_set_by_a_bug_keep_no_camera_from_opening(break_at: Break) -> None:
    clock = SimulatedClock()
    log = Recorded(clock)
    break_at(presets, "restore_preset", 1, ValueError)
    camera = Device(id="046d:0825:CAM0001", kind=DeviceKind.CAMERA, name="Podium", node="/dev/video0")
    DetectorFactory(Settings(), clock, log).prepare(camera)
    (line,) = log.lines
    assert (line.kind, line.level, line.device) == (LogKind.CONTROLS_APPLIED, LogLevel.WARN, camera.id)
    place = r"capture/detectors/detector_factory\.py:\d+"
    said = rf"its controls could not be set: ValueError\('a bug'\) at {place}; please report this"
    assert re.fullmatch(said, line.reason)

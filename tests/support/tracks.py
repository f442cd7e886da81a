"""What tests of the program's tracks share: a source, an encoder that only takes notes, and a track ready to run."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import cast

import av
import numpy as np

from capture.media.pictures import tag_frame
from capture.source import (
    SAMPLE_RATE,
    AudioBlock,
    AudioSource,
    ColorMatrix,
    Frame,
    Samples,
    Size,
    VideoFormat,
    VideoSource,
)
from capture.sources.source_queue import SourceQueue
from capture.sources.worker import AudioWorker, OutageKind, SourceWorker, VideoWorker
from config.errors import MediaError
from config.events import Emit
from config.settings.layouts import BUILT_IN_LAYOUTS, SINGLE, LayoutSettings, ProgramSettings, Shape
from devices.host.clock import NANOSECONDS, Clock
from recorder.encode.encoder import Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.model.packet import EncodedPacket, Track
from recorder.program.mixer import SoundInput
from recorder.program.program_audio import MixBus, ProgramAudio
from recorder.program.scene import Appearance, Scene, SceneRenderer
from recorder.program.timeline import RunContext, Timeline
from recorder.program.video_input import VideoInput
from recorder.program.video_track import ChooseSpacing, StaticFrameSkipper, VideoTrack
from tests.support.simulated import EventList, ScriptedQueue, SimulatedClock

DAMAGED = b"damaged"
BREAKS = b"breaks"
CAMERA_SIZE = 16, 16


def numbered(number: int) -> av.VideoFrame:
    """Return a picture that says which one it is."""
    picture = tag_frame(av.VideoFrame(*CAMERA_SIZE, "yuv420p"), ColorMatrix.BT709)
    picture.opaque = number
    return picture


class Camera(VideoSource):
    """A source whose frames hold their number; DAMAGED ones cannot be decoded."""

    name = "podium"

    def open(self) -> VideoFormat:
        raise NotImplementedError

    def read(self, timeout_s: float) -> Frame | None:
        raise NotImplementedError

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        if frame.payload == DAMAGED:
            raise MediaError("a damaged picture")
        if frame.payload == BREAKS:
            raise MemoryError("cannot start a decoder")
        assert isinstance(frame.payload, bytes)
        return numbered(int.from_bytes(frame.payload))

    def close(self) -> None:
        pass


class StillCamera(Camera):
    """A Camera that decodes as JPEGs are: what is the picture before once more is the same object."""

    def __init__(self) -> None:
        self._last: tuple[object, av.VideoFrame] | None = None

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        if self._last is None or self._last[0] != frame.payload:
            self._last = frame.payload, super().decode(frame, within)
        return self._last[1]


SLATE = 1_000_000
"""The number of the picture that stands for a missing source."""


class NumberedStage(SceneRenderer):
    """Has slates that are told from pictures by their number."""

    def __init__(self, inputs: Sequence[VideoInput], form: VideoFormat, appearance: Appearance) -> None:
        super().__init__(inputs, form, appearance)
        self._numbered = numbered(SLATE)

    def slate(self, name: str, kind: OutageKind, size: Shape) -> av.VideoFrame:
        assert size == CAMERA_SIZE
        return self._numbered


class NotingEncoder(Encoder):
    """Takes note of what it is given; `on_picture` and `on_sound` are told the media time in seconds."""

    is_external = False

    def __init__(self) -> None:
        self.on_picture: Callable[[float], None] | None = None
        self.on_sound: Callable[[float], None] | None = None
        self.unnumbered: int | None = None
        """The number of pictures that have none, such as cards."""
        self.pictures: list[tuple[int, int]] = []
        """(time in ns, number of the picture) of everything encoded."""
        self.pieces: list[Samples] = []
        self.pts: list[int] = []
        self.own: dict[str, list[tuple[int, Samples]]] = {}
        """(first sample, samples) of each track that an input has of its own."""
        self.flushed: list[str] = []
        self.asked: list[VideoSettings] = []
        """What it was to encode with from some picture on."""
        self.keyframes: list[Fraction] = []
        """When one is due, in seconds of media; the first is left once a picture is there."""

    def change_video(self, settings: VideoSettings) -> None:
        self.asked.append(settings)

    def keyframe_is_due(self, pts: int) -> bool:
        return bool(self.keyframes) and pts * VIDEO_TIME_BASE >= self.keyframes[0]

    def encode_video(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        while self.keyframe_is_due(pts):
            del self.keyframes[0]
        number = picture.opaque if picture.opaque is not None else self.unnumbered
        assert isinstance(number, int)
        self.pictures.append((round(pts * VIDEO_TIME_BASE * NANOSECONDS), number))
        if self.on_picture:
            self.on_picture(float(pts * VIDEO_TIME_BASE))
        return []

    def encode_audio(self, samples: Samples, pts: int, track: str = Track.AUDIO) -> list[EncodedPacket]:
        assert samples.dtype == np.int16
        if track != Track.AUDIO:
            self.own.setdefault(track, []).append((pts, samples.copy()))
            return []
        self.pieces.append(samples.copy())
        self.pts.append(pts)
        if self.on_sound:
            self.on_sound(pts / SAMPLE_RATE)
        return []

    def flush(self, track: str) -> list[EncodedPacket]:
        self.flushed.append(track)
        return []

    @property
    def samples(self) -> Samples:
        """Everything that was heard, shape (samples, channels)."""
        return np.concatenate(self.pieces)

    @property
    def times_s(self) -> list[float]:
        return [time_ns / NANOSECONDS for time_ns, _ in self.pictures]

    @property
    def numbers(self) -> list[int]:
        return [number for _, number in self.pictures]


@dataclass
class Rig:
    """A clock, a timeline that began at the clock's time and ends at `end_s` of it, and what came out."""

    live: bool = True
    tracks: tuple[Track, ...] = (Track.VIDEO, Track.AUDIO)
    ending: tuple[Track, ...] = ()
    end_s: float | None = None
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    encoder: NotingEncoder = field(default_factory=NotingEncoder)
    events: EventList = field(default_factory=EventList)
    released: Callable[[str], None] = lambda _: None
    """Hears which tracks' sources have ended, as the pace does."""

    def __post_init__(self) -> None:
        self.zero_ns = self.clock.now_ns()
        self.timeline = Timeline(
            self.clock, live=self.live, tracks=self.tracks, ending=self.ending, release=lambda one: self.released(one)
        )
        self.timeline.start(self.zero_ns)
        if self.end_s is not None:
            self.timeline.end_at(round(self.end_s * NANOSECONDS))
        self.run = RunContext(self.timeline, self.clock, self.events)

    def at(self, seconds: float | Fraction) -> int:
        return self.zero_ns + round(seconds * NANOSECONDS)

    def frame(self, seconds: float | Fraction, number: int, payload: bytes | None = None) -> Frame:
        return Frame(self.at(seconds), number.to_bytes(4) if payload is None else payload)

    def video(
        self,
        frames: Iterable[tuple[int, Frame]],
        *,
        rate: Fraction,
        source_rate: Fraction | None = None,
        name: str = "podium",
        camera: VideoSource | None = None,
        **script: bool,
    ) -> VideoInput:
        """Return an input of pictures, whose frames are (when they arrive, frame)."""
        queue = cast("SourceQueue[Frame]", ScriptedQueue(self.clock, frames, **script))
        worker = VideoWorker(camera or Camera(), self.clock, queue=queue)
        return VideoInput(name, worker, self.run, rate=source_rate or rate, program_rate=rate)

    def track(
        self,
        *inputs: VideoInput,
        rate: Fraction,
        spacing: ChooseSpacing = lambda *_: 1,
        stillness: StaticFrameSkipper | None = None,
        also: Callable[[av.VideoFrame, int], object] = lambda *_: None,
    ) -> VideoTrack:
        form = VideoFormat(*CAMERA_SIZE, rate, ColorMatrix.BT709)
        layouts = {**BUILT_IN_LAYOUTS} | {one: LayoutSettings(kind=SINGLE, show=(one,)) for one in ("1", "2")}
        stage = NumberedStage(inputs, form, Appearance(layouts, ProgramSettings(), "Rapat", "id"))
        self.scene = Scene(inputs, stage, SINGLE, run=self.run, offer=lambda *_: None)
        self.scene.begin()
        return VideoTrack(
            self.scene, self.encoder, self.run, put=lambda _: None, spacing=spacing, stillness=stillness, also=also
        )

    def audio(self, blocks: Iterable[tuple[int, AudioBlock]], *, channels: int = 1, **script: bool) -> ProgramAudio:
        return self.sound([(microphone("mimbar"), self.reader(blocks, **script))], channels=channels)

    def reader(self, blocks: Iterable[tuple[int, AudioBlock]], **script: bool) -> ScriptedQueue[AudioBlock]:
        """Return a reader of blocks, which are (when they arrive, block)."""
        return ScriptedQueue(self.clock, blocks, **script)

    def sound(
        self,
        inputs: Iterable[tuple[SoundInput, ScriptedQueue[AudioBlock]]],
        *,
        channels: int = 1,
        bus: MixBus | None = None,
    ) -> ProgramAudio:
        return ProgramAudio(
            [(sound_input, audio_worker(queue, self.clock)) for sound_input, queue in inputs],
            self.encoder,
            self.run,
            channels=channels,
            put=lambda _: None,
            bus=bus,
        )


def run_context(clock: Clock, emit: Emit) -> RunContext:
    """Return what parts of a run share that look at no time of the program."""
    return RunContext(Timeline(clock, live=True, tracks=Track, ending=()), clock, emit)


class Silent(AudioSource):
    """A source of sound that is never opened: its queue is made apart."""

    name = "mimbar"
    channels = 1

    def open(self) -> None:
        raise NotImplementedError

    def read(self, timeout_s: float) -> AudioBlock | None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def audio_worker(queue: ScriptedQueue[AudioBlock], clock: Clock) -> AudioWorker:
    """Return a worker that never starts, and whose queue is scripted."""
    return SourceWorker(Silent(), clock, queue=cast("SourceQueue[AudioBlock]", queue))


def microphone(name: str, *, gain_db: float = 0.0, own_track: bool = False) -> SoundInput:
    return SoundInput(name, Silent(), gain_db=gain_db, own_track=own_track)


def in_time(run: Callable[[], None], timeout_s: float = 120.0) -> None:
    """Run something that must come to its end; fail, and leave its thread, when it does not."""
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout_s)
    assert not thread.is_alive(), "it does not come to its end"

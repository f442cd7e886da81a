"""Sessions in this process, started at once or armed first, and the packages that they leave."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
import simplejpeg  # type: ignore[import-untyped] # has a stub, but no py.typed to say so

from capture.media.jpeg import JpegDecoder
from capture.pacing import FastPace, Pace, RealPace
from capture.source import AudioSource, CodedFormat, Frame, Size, VideoSource
from capture.sources.source_kind import ChosenSource
from capture.sources.worker import DeviceLocator, DeviceSupervision, LocatedDevice
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.errors import DeviceError, LiputError
from config.events import Event
from config.settings.layouts import SINGLE, LayoutSettings
from config.settings.schema import BUILT_IN_PROFILES
from devices.health.faults import SessionDeviceHealth
from devices.host.clock import SystemClock
from devices.model.device import Device, DeviceKind
from recorder.archive.archive import Archive
from recorder.model.packet import Track
from recorder.model.status import SessionResult, SessionState
from recorder.program.mixer import SoundInput
from recorder.session.hooks import SessionHook, SessionHooks
from recorder.session.session import Session
from tests.support import markers, media
from tests.support.plans import session_plan
from tests.support.waiting import PATIENCE_S, wait_for

PROFILE = BUILT_IN_PROFILES["240p15"]
WIDTH, HEIGHT, RATE = PROFILE.width, PROFILE.height, PROFILE.fps

type MakeVideo = Callable[[Pace, threading.Event], VideoSource]
synthetic_video: MakeVideo = partial(SyntheticVideo, WIDTH, HEIGHT, RATE)
type MakeAudio = Callable[[Pace, threading.Event], AudioSource]


class Room:
    """A session that can be run, in an archive of its own."""

    def __init__(
        self,
        folder: Path,
        video: MakeVideo = synthetic_video,
        audio: MakeAudio | None = SyntheticAudio,
        *,
        ends: Sequence[Track] = (),
        live: bool = False,
        duration_s: float | None = None,
    ) -> None:
        clock, stop = SystemClock(), threading.Event()
        tracks = ("video", "audio") if audio else ("video",)
        pace = RealPace(clock, stop) if live else FastPace(tracks)
        pictures, sound = video(pace, stop), audio(pace, stop) if audio else None
        self.archive = Archive(folder / "arsip", clock, reserve_bytes=1)
        self.events: list[Event] = []
        self.on_event: Callable[[Event], None] | None = None
        self.board = SessionDeviceHealth()
        self.plan = session_plan(
            title="Rapat Senat",
            profile=PROFILE,
            pictures=[ChosenSource(pictures.name, pictures)],
            sounds=[SoundInput(sound.name, sound)] if sound else [],
            archives=[self.archive],
            pace=pace,
            stop=stop,
            live=live,
            ends=frozenset(ends),
            duration_s=duration_s,
            board=self.board,
        )
        self.session = Session(self.plan, clock=clock, listener=self._listen)

    def use(self, *hooks: SessionHook) -> None:
        """Make the session again, with these hooks."""
        plan = replace(self.plan, hooks=SessionHooks(hooks))
        self.session = Session(plan, clock=SystemClock(), listener=self._listen)

    def _listen(self, event: Event) -> None:
        self.events.append(event)
        if self.on_event:
            self.on_event(event)

    def run(self) -> SessionResult:
        self.session.start()
        return self.session.run()

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


def program(result: SessionResult) -> Path:
    assert result.state is SessionState.SEALED
    assert result.package
    return Path(result.package) / "data/media/program.mp4"


def faults(result: SessionResult | Mapping[str, Any]) -> list[str]:
    """Return why a recording is degraded, without the frames that a busy PC drops."""
    degraded = result.degraded if isinstance(result, SessionResult) else result["degraded"]
    return [why for why in degraded if not why.startswith(("frames-dropped: ", "stream-encode-late: "))]


def lengths(path: Path) -> tuple[int, float, float]:
    """Return the pictures of a recording, and where its pictures and its sound end, as ffmpeg decodes them."""
    video, audio = media.decoded(path, "v"), media.decoded(path, "a")
    return video.frames, video.end_s, audio.end_s


LAYOUTS = {one: LayoutSettings(kind=SINGLE, show=(one,)) for one in ("1", "2")}


class Armed:
    """A session that runs on a thread of its own."""

    def __init__(
        self,
        folder: Path,
        *pictures: VideoSource | ChosenSource[VideoSource],
        sounds: bool | Sequence[SoundInput] = True,
        may_miss: bool = False,
        further: Sequence[Archive] = (),
        **plan: object,
    ) -> None:
        """Make one that begins without those of its devices that are not there, where they `may_miss`."""
        clock, self.stopped = SystemClock(), threading.Event()
        self.pace: Pace = RealPace(clock, self.stopped)
        self.heard: list[Event] = []
        self.archive = Archive(folder / "arsip", clock, reserve_bytes=1)
        given = [
            replace(picture, name=f"source {number}")
            if isinstance(picture, ChosenSource)
            else ChosenSource(f"source {number}", picture)
            for number, picture in enumerate(
                pictures or (SyntheticVideo(WIDTH, HEIGHT, RATE, self.pace, self.stopped),), 1
            )
        ]
        if isinstance(sounds, bool):
            sound = SyntheticAudio(self.pace, self.stopped)
            sounds = [SoundInput(sound.name, sound)] if sounds else []
        supervisions = [one.supervision for one in given] + [one.supervision for one in sounds]
        for supervision in filter(None, supervisions):
            supervision.may_miss = may_miss
        self.session = Session(
            session_plan(
                title="Rapat Senat",
                profile=PROFILE,
                pictures=given,
                sounds=sounds,
                archives=[self.archive, *further],
                pace=self.pace,
                stop=self.stopped,
                live=True,
                **plan,
            ),
            clock=clock,
            listener=self.heard.append,
        )
        self.result: SessionResult | None = None
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.result = self.session.run()
        except LiputError as error:
            self.error = error

    def __enter__(self) -> Self:
        self._thread.start()
        self.until(SessionState.ARMED, SessionState.LIVE, SessionState.DEGRADED)  # armed for a moment, if at once
        return self

    def __exit__(self, *exc: object) -> None:
        self.session.stop()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def until(self, *states: SessionState) -> None:
        wait_for(lambda: self.session.status().state in states or not self._thread.is_alive(), what=str(states))

    def wait(self, elapsed_s: float) -> None:
        wait_for(lambda: self.session.status().elapsed_s >= elapsed_s)

    def end(self) -> SessionResult:
        self.session.stop()
        self._thread.join(PATIENCE_S)
        assert self.result, self.error
        return self.result

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(event.kind, event.subject) for event in self.heard]

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


def picture_numbers(path: Path) -> list[int]:
    """Return the numbers in a recording's pictures, -1 for those without."""
    raw = np.frombuffer(media.luma(path, WIDTH, HEIGHT), np.uint8).reshape(-1, HEIGHT, WIDTH)
    return [-1 if (number := markers.frame_number(picture)) is None else number for picture in raw]


def supervised(
    source: VideoSource, locator: DeviceLocator, missing: DeviceError | None = None
) -> ChosenSource[VideoSource]:
    """Return an input whose device may go and come back."""
    return ChosenSource(source.name, source, supervision=DeviceSupervision(locator, missing=missing))


class NeverThere(DeviceLocator):
    """Locates what is not plugged in before it is told so."""

    def __init__(self) -> None:
        self.is_there = False

    def find(self) -> LocatedDevice | None:
        return LocatedDevice(Device(id="x", kind=DeviceKind.CAMERA, name="Podium")) if self.is_there else None


class JpegCamera(SyntheticVideo):
    """A camera that sends JPEG: `coded` says so, `sent` is what it gave."""

    coded = CodedFormat("mjpeg", WIDTH, HEIGHT)

    def __init__(self, pace: Pace, stop: threading.Event) -> None:
        super().__init__(WIDTH, HEIGHT, RATE, pace, stop)
        self.sent: list[bytes] = []
        self._decoder = JpegDecoder((WIDTH, HEIGHT))

    def read(self, timeout_s: float) -> Frame | None:
        frame = super().read(timeout_s)
        if frame is None:
            return None
        rgb = super().decode(frame).to_ndarray(format="rgb24")
        self.sent.append(bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), quality=80)))
        return Frame(frame.timestamp_ns, self.sent[-1])

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        assert isinstance(frame.payload, bytes)
        return self._decoder.decode(frame.payload)

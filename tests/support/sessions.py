"""Whole sessions that run in this process, each in an archive of its own, and how to look into what came out."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from capture.pacing import FastPace, Pace, RealPace
from capture.source import AudioSource, VideoSource
from capture.sources.source_kind import ChosenSource
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.events import Event
from config.settings.schema import BUILT_IN_PROFILES
from devices.health.faults import SessionDeviceHealth
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.model.packet import Track
from recorder.model.status import SessionResult, SessionState
from recorder.program.mixer import SoundInput
from recorder.session.hooks import SessionHook, SessionHooks
from recorder.session.session import Session
from tests.support import media
from tests.support.plans import session_plan

PROFILE = BUILT_IN_PROFILES["240p15"]
WIDTH, HEIGHT, RATE = PROFILE.width, PROFILE.height, PROFILE.fps

type MakeVideo = Callable[[Pace, threading.Event], VideoSource]
type MakeAudio = Callable[[Pace, threading.Event], AudioSource]


def synthetic_video(pace: Pace, stop: threading.Event) -> VideoSource:
    return SyntheticVideo(WIDTH, HEIGHT, RATE, pace, stop)


def synthetic_audio(pace: Pace, stop: threading.Event) -> AudioSource:
    return SyntheticAudio(pace, stop)


class Room:
    """A session that can be run, in an archive of its own."""

    def __init__(
        self,
        folder: Path,
        video: MakeVideo = synthetic_video,
        audio: MakeAudio | None = synthetic_audio,
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


def lengths(path: Path) -> tuple[int, float, float]:
    """Return the pictures of a recording, and where its pictures and its sound end, as ffmpeg decodes them."""
    video, audio = media.decoded(path, "v"), media.decoded(path, "a")
    return video.frames, video.end_s, audio.end_s

"""A session that streams beside its recording, on a thread of its own."""

import threading
from pathlib import Path

from capture.pacing import RealPace
from capture.sources.source_kind import ChosenSource
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.events import Event
from config.settings.schema import BUILT_IN_PROFILES
from config.settings.secrets import Secret, StreamTarget
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.live_encode.headroom import StreamPlan
from recorder.model.status import SessionResult
from recorder.program.mixer import SoundInput
from recorder.session.hooks import SessionHooks
from recorder.session.session import Session
from tests.support.nginx_rtmp import NginxRtmp
from tests.support.plans import session_plan
from tests.support.waiting import wait_for

PROFILE = BUILT_IN_PROFILES["240p15"]
SEPARATE = StreamPlan("separate", 60_000, 120_000, PROFILE.audio_bitrate)


class Streamed:
    """A session that runs on a thread until `end`."""

    def __init__(
        self,
        folder: Path,
        server: NginxRtmp | None,
        stream: StreamPlan = SEPARATE,
        hooks: SessionHooks | None = None,
    ) -> None:
        clock, stop = SystemClock(), threading.Event()
        pace = RealPace(clock, stop)
        picture = SyntheticVideo(PROFILE.width, PROFILE.height, PROFILE.fps, pace, stop)
        sound = SyntheticAudio(pace, stop)
        self.events: list[Event] = []
        url = server.url("good-key") if server else ""
        plan = session_plan(
            title="Rapat Senat",
            profile=PROFILE,
            pictures=[ChosenSource(picture.name, picture)],
            sounds=[SoundInput(sound.name, sound)],
            archives=[Archive(folder / "arsip", clock, reserve_bytes=1)],
            pace=pace,
            stop=stop,
            live=True,
            stream=stream,
            hooks=hooks or SessionHooks(),
            targets=[StreamTarget("kampus", Secret(url))] if server else [],
        )
        self.session = Session(plan, clock=clock, listener=self.events.append)
        self._results: list[SessionResult] = []
        self._thread = threading.Thread(target=lambda: self._results.append(self.session.run()))

    def start(self, *, at_once: bool = True) -> None:
        if at_once:
            self.session.start()
        self._thread.start()

    def until(self, kind: str, times: int = 1, timeout_s: float = 30.0) -> Event:
        def seen() -> list[Event]:
            return [event for event in self.events if event.kind == kind][times - 1 :]

        return wait_for(seen, timeout_s, kind)[0]

    def until_frames(self, count: int) -> None:
        wait_for(lambda: self.session.status().frames >= count)

    def end(self) -> SessionResult:
        self.session.stop()
        self._thread.join(60)
        (result,) = self._results
        return result

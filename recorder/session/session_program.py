"""The program of a session: from its sources' frames and blocks to packets, one thread per track."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from capture.cpu_stages import CpuStage
from config.errors import UsageError
from devices.host.clock import NANOSECONDS, seconds_now
from recorder.encode.encoder import Encoder
from recorder.model.eventlog import LossReporter
from recorder.model.packet import Track
from recorder.program.frame_fanout import FrameFanout
from recorder.program.preroll import PreRoll
from recorder.program.program_audio import ProgramAudio
from recorder.program.scene import Scene, SceneRenderer
from recorder.program.timeline import RunContext
from recorder.program.video_input import VideoInput
from recorder.program.video_track import FrameCounts, StaticFrameSkipper, VideoTrack
from recorder.session.inputs import FirstFrame, SessionInputs
from recorder.session.plan import SessionPlan

SOUND_EVERY_S = 60.0  # interval of the events about loudness and drift

RATE_S = 3.0  # period of the frame rate


class SessionProgram:
    """Both tracks until the timeline's end; owned by the session's thread."""

    def __init__(
        self,
        plan: SessionPlan,
        inputs: SessionInputs,
        encoder: Encoder,
        pre_roll: PreRoll,
        run: RunContext,
        *,
        viewers: FrameFanout,
    ) -> None:
        shown = run.timing(CpuStage.PREVIEWS, viewers.offer)
        self._sources = inputs
        self._clock = run.clock
        self._emit = run.emit
        self.fps = 0.0  # program frames a second over the last RATE_S, encoded or not
        self._readings: list[tuple[float, int]] = []  # time and number of frames
        self._before = FrameCounts()
        self.encoder = encoder
        self._pre_roll = pre_roll
        self._sound_ns = run.clock.now_ns()
        rate = min(plan.profile.fps, inputs.form.rate)
        for picture, _, worker in inputs.pictures:
            worker.picture_listeners.append(partial(shown, picture.name))
        self.inputs = [
            VideoInput(
                picture.name, worker, run, rate=form.rate, program_rate=rate, is_late=picture.name in inputs.late
            )
            for picture, form, worker in inputs.pictures
        ]
        stage = SceneRenderer(self.inputs, replace(inputs.form, rate=rate), plan.appearance)
        self.scene = Scene(self.inputs, stage, plan.layout, run=run, offer=shown)
        self._video = VideoTrack(
            self.scene,
            encoder,
            run,
            put=pre_roll.put,
            also=run.timing(CpuStage.LIVE_ENCODE, viewers.offer_live),
            spacing=plan.hooks.spacing,
            stillness=StaticFrameSkipper() if plan.adaptive_rate else None,
        )
        self.sound: ProgramAudio | None = None
        if inputs.sounds:
            self.sound = ProgramAudio(
                inputs.sounds, encoder, run, channels=plan.profile.audio_channels, put=pre_roll.put, bus=plan.hooks.bus
            )
        self._card_mutes = plan.appearance.program.card_mutes
        self._cover(None, was_card=False)
        self._pictures_lost = LossReporter(
            "frames-dropped",
            plan.pictures[0].name,
            "{count} frames of {name} are missing: they came too late, or this PC did not keep up",
            emit=run.emit,
            clock=run.clock,
        )

    def start(self, first: FirstFrame | None) -> Mapping[Track, Callable[[], None]]:
        """Report missing sources; return each track's work on a thread. `first` is a frame with its input's index."""
        begin = (self.inputs[first[0]], first[1]) if first else None
        self.scene.begin()
        tracks: dict[Track, Callable[[], None]] = {Track.VIDEO: lambda: self._video.run(begin)}
        if self.sound:
            self.sound.report_missing(self._sources.late_sounds)
            tracks[Track.AUDIO] = self.sound.run
        return tracks

    def update(self) -> None:
        """Update the rate, and report losses, loudness and drift."""
        counts = self._video.counts  # static frames count as shown
        at_s, count = seconds_now(self._clock), counts.frames + counts.still
        self._readings = [*(reading for reading in self._readings if reading[0] > at_s - RATE_S), (at_s, count)]
        first_s, first = self._readings[0]
        self.fps = (count - first) / (at_s - first_s) if at_s > first_s else 0.0
        self.report_losses()
        # Loudness and drift now and then: a killed recorder cannot report them at its end.
        now_ns = self._clock.now_ns()
        if self.sound and self._pre_roll.is_open and now_ns >= self._sound_ns + SOUND_EVERY_S * NANOSECONDS:
            self._sound_ns = now_ns
            self._emit("sound-measured", "program", "How loud the sound was so far", **self.sound.facts())

    def begin(self, skipped: int = 0) -> None:
        """Restart the counts: the recording begins, after `skipped` encoded frames."""
        counts = self._counts()
        self._before = replace(counts, frames=skipped)
        self._pictures_lost.begin(counts.dropped)
        self._sound_ns = self._clock.now_ns()
        if self.sound:
            self.sound.begin()

    def show(self, layout: str, media_s: float | None) -> None:
        """Show the layout or card called `layout` from the next frame on, and report it. Raises UsageError."""
        before, was_card = self.scene.layout, self.scene.shows_card
        self.scene.switch(layout)
        self._emit("layout-changed", layout, f"Layout: {layout}", before=before, media_s=media_s)
        self._cover(media_s, was_card=was_card)

    def _cover(self, media_s: float | None, *, was_card: bool) -> None:
        """Mute all inputs with a card, and unmute them with the next layout."""
        if self.sound and self._card_mutes and (on := self.scene.shows_card) != was_card:
            self.sound.cover(on=on)
            self._report_mute("all sound", "is muted with the card" if on else "is heard again", media_s, on=on)

    def mute(self, name: str | None, media_s: float | None, *, on: bool) -> None:
        """Mute or unmute one audio input, or all, and report it. Raises UsageError."""
        if self.sound is None:
            raise UsageError("this session has no sound to mute")
        self.sound.mute(name, on=on)
        self._report_mute(name or "all sound", "is muted" if on else "is heard again", media_s, on=on)

    def _report_mute(self, subject: str, says: str, media_s: float | None, *, on: bool) -> None:
        """Report a mute with the inputs that people have muted."""
        muted = sorted(self.sound.muted) if self.sound else []
        kind = "sound-muted" if on else "sound-unmuted"
        self._emit(kind, subject, f"{subject} {says}", media_s=media_s, muted=muted)

    @property
    def counts(self) -> FrameCounts:
        """Counts since the recording began."""
        return self._counts().since(self._before)

    def _counts(self) -> FrameCounts:
        return replace(self._video.counts, not_taken=self._sources.dropped)

    def report_losses(self, *, final: bool = False) -> None:
        """Report frames and audio lost before the encoder since the last call."""
        counts = self._counts()
        self._pictures_lost.update(
            counts.dropped, final=final, late_in_all=counts.late, not_taken_in_all=counts.not_taken
        )
        if self.sound:
            self.sound.report_losses(final=final)

"""One session from the first picture to the sealed package.

    sources --reader threads--> queues --track threads--> encoder --packets--> recording (writer, syncer)
                                                                         +---> live destinations

`run` does it all on the calling thread's watch; `stop` and `status` may be called from any other. Nothing is
written to the archive before the first picture has come.
"""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime

from capture.reader import Reader
from capture.source import AudioBlock, Frame, VideoFormat
from config.errors import DeviceError, LiputError, MediaError, StorageError
from devices.clock import NANOSECONDS, Clock
from recorder.archive.archive import Archive
from recorder.archive.model import RecordingFacts
from recorder.archive.work import WorkFolder
from recorder.encoder import Encoder
from recorder.eventlog import EventLog, Listener
from recorder.faults import FaultReporter
from recorder.losses import LossReporter
from recorder.outputs import Outputs
from recorder.packet import Track
from recorder.plan import SessionPlan, encoder_settings, live_facts
from recorder.recording import OnDisk
from recorder.sound.inputs import SoundInput
from recorder.sound.program import ProgramSound
from recorder.status import RateMeter, SessionResult, SessionState, SessionStatus, source_lines
from recorder.storage import room_left_s
from recorder.timeline import Timeline
from recorder.video_track import VideoTrack

FIRST_PICTURE_S = 10.0
"""How long a source may take to its first picture: a USB camera needs up to 5 s to say that it will not."""
LIVE_QUEUE_S = 1.0
"""How much of a live source may wait before its oldest is dropped."""
FAST_QUEUE = 8
AUDIO_QUEUE = 256
WATCH_S = 0.2
LET_GO_NS = 3 * NANOSECONDS
"""How long after a stop a source may take to give what was captured before it."""

type Progress = Callable[[int, int], None]


class Session:
    """A session that is run once."""

    def __init__(
        self,
        plan: SessionPlan,
        archive: Archive,
        *,
        clock: Clock,
        stop: threading.Event,
        listener: Listener | None = None,
        progress: Progress | None = None,
    ) -> None:
        """`stop` is the event that the plan's sources wait on; it is set when the tracks have ended."""
        self._plan = plan
        self._archive = archive
        self._clock = clock
        self._stop_sources = stop
        self._progress = progress
        self.emit = EventLog(clock, listener)
        plan.board.listen(FaultReporter(self.emit))
        self._state = SessionState.IDLE
        self._stopping = threading.Event()
        self._stopped_ns = 0
        self._failure: LiputError | None = None
        self._losses: dict[str, LiputError] = {}
        tracks = [Track.VIDEO] + ([Track.AUDIO] if plan.inputs else [])
        self._timeline = Timeline(
            clock, live=plan.live, tracks=tracks, ending=plan.ends & set(tracks), release=plan.pace.finish
        )
        self._video: VideoTrack | None = None
        self._sound: ProgramSound | None = None
        self._video_reader: Reader[Frame] | None = None
        self._outputs: Outputs | None = None
        self._work: WorkFolder | None = None
        self._rate = RateMeter()
        self._pictures_lost = LossReporter(
            "frames-dropped",
            plan.video.name,
            "{count} pictures of {name} are missing: they came too late, or this PC did not keep up",
            emit=self.emit,
            clock=clock,
        )

    # What others ask of it

    def stop(self) -> None:
        """End the session here; returns at once. Asking again changes nothing."""
        if not self._stopping.is_set():
            self._stopped_ns = self._clock.now_ns()
            self._timeline.end_at(self._timeline.now_ns())
            self._stopping.set()

    def status(self) -> SessionStatus:
        """Return what is true now; bytes and media time are those found on disk."""
        on_disk = self._outputs.on_disk if self._outputs else OnDisk()
        frames = self._video.counts.frames if self._video else 0
        return SessionStatus(
            state=self._shown_state(),
            elapsed_s=round(self._elapsed_ns() / NANOSECONDS, 3),
            media_time_s=round(on_disk.media_time_s, 3),
            bytes=on_disk.bytes,
            frames=frames,
            dropped=self._dropped(),
            repeated=self._video.counts.repeated if self._video else 0,
            fps=round(self._rate.per_second, 2),
            levels_dbfs=[round(level, 1) for level in self._sound.levels_dbfs] if self._sound else [],
            disk_left_s=self._disk_left_s(on_disk),
            destinations=self._outputs.destination_lines() if self._outputs else [],
            sources=source_lines(self._plan.board),
        )

    def _shown_state(self) -> SessionState:
        if self._state is SessionState.LIVE and self.emit.degraded:
            return SessionState.DEGRADED
        return self._state

    def _elapsed_ns(self) -> int:
        now_ns, end_ns = self._timeline.now_ns(), self._timeline.end_ns
        return now_ns if end_ns is None else min(now_ns, end_ns)

    def _dropped(self) -> int:
        late = self._video.counts.late if self._video else 0
        return late + (self._video_reader.dropped if self._video_reader else 0)

    def _disk_left_s(self, on_disk: OnDisk) -> float | None:
        """Seconds until the disk is down to the archive's reserve, at the rate of this recording."""
        if self._work is None:
            return None
        profile = self._plan.profile
        rate = (profile.video_bitrate + profile.audio_bitrate) / 8
        if on_disk.media_time_s > 10:
            rate = on_disk.bytes / on_disk.media_time_s
        return room_left_s(self._archive.root, self._archive.reserve_bytes, rate)

    # The run

    def run(self) -> SessionResult:
        """Record until the end, then seal. Raises a LiputError when nothing could be recorded at all."""
        self._archive.check()
        with ExitStack() as stack:
            stack.callback(self._stop_sources.set)
            video_format = self._open_sources(stack)
            encoder = self._open_encoder(stack, video_format)
            video, sounds = self._start_readers(stack, video_format)
            self._state = SessionState.ARMED
            first = self._first_picture(video)
            started_at = self._clock.now()
            work, outputs = self._begin(stack, started_at, encoder)
            self._timeline.start(first.timestamp_ns)
            self._end_by_duration()
            self._state = SessionState.LIVE
            self.emit(
                "session-live",
                work.name,
                "Recording.",
                clock_ns=first.timestamp_ns,
                **live_facts(self._plan, video_format),
            )
            self._run_tracks(encoder, outputs, video_format, video, sounds, first)
            self._state = SessionState.SEALING
        self.emit.close()
        if not (self._video and self._video.counts.frames) and self._discarded(work):
            raise self._failure or LiputError(f"{self._plan.video.name} gave no picture; nothing was recorded")
        return self._seal(work)

    def _discarded(self, work: WorkFolder) -> bool:
        """Remove a work folder without a picture in it, and return whether that was done: sound is kept."""
        try:
            self._archive.discard(work)
        except LiputError:
            return False
        return True

    def _open_sources(self, stack: ExitStack) -> VideoFormat:
        plan = self._plan
        # Sound first: it runs when the first picture comes, which is where the session begins.
        for sound in plan.inputs:
            stack.callback(sound.source.close)
            sound.source.open()
        stack.callback(plan.video.close)
        return plan.video.open()

    def _open_encoder(self, stack: ExitStack, video_format: VideoFormat) -> Encoder:
        encoder = Encoder(*encoder_settings(self._plan, video_format))
        stack.callback(encoder.close)
        return encoder

    def _start_readers(
        self, stack: ExitStack, video_format: VideoFormat
    ) -> tuple[Reader[Frame], list[tuple[SoundInput, Reader[AudioBlock]]]]:
        plan = self._plan
        bound = max(FAST_QUEUE, round(video_format.rate * LIVE_QUEUE_S)) if plan.live else FAST_QUEUE
        video = Reader(plan.video, bound=bound, waits=not plan.live, on_lost=self._lost(plan.video.name))
        sounds = [
            (sound, Reader(sound.source, bound=AUDIO_QUEUE, waits=not plan.live, on_lost=self._lost(sound.name)))
            for sound in plan.inputs
        ]
        plan.pace.begin()
        readers: list[Reader[Frame] | Reader[AudioBlock]] = [video, *(reader for _, reader in sounds)]
        for reader in readers:
            stack.callback(reader.stop)
            reader.start()
        # Unwound before the readers are stopped: it wakes them.
        stack.callback(self._stop_sources.set)
        self._video_reader = video
        return video, sounds

    def _lost(self, name: str) -> Callable[[LiputError], None]:
        def on_lost(error: LiputError) -> None:
            self._losses[name] = error
            self.emit("source-lost", name, error.message, hint=error.hint)

        return on_lost

    def _first_picture(self, reader: Reader[Frame]) -> Frame:
        deadline_ns = self._clock.now_ns() + int(FIRST_PICTURE_S * NANOSECONDS)
        name = self._plan.video.name
        while self._clock.now_ns() < deadline_ns and not self._stopping.is_set():
            if first := reader.get(WATCH_S):
                return first
            if reader.at_end:
                raise MediaError(f"{name} holds no pictures", hint="choose a file with video in it")
            if reader.is_over:
                break
        if self._stopping.is_set():
            raise LiputError("stopped before the first picture came; nothing was recorded")
        if reader.is_over and name in self._losses:
            raise self._losses[name]
        raise DeviceError(f"{name} gives no picture", hint="check its cable and that it is switched on, then try again")

    def _begin(self, stack: ExitStack, started_at: datetime, encoder: Encoder) -> tuple[WorkFolder, Outputs]:
        """Make the work folder and start what writes: the event log, the recording, the destinations."""
        plan = self._plan
        work = self._work = self._archive.begin(plan.title, started_at, plan.context)
        try:
            self.emit.open(work.events)
            stack.callback(self.emit.close)
            outputs = self._outputs = Outputs(
                work.program,
                encoder.templates,
                clock=self._clock,
                emit=self.emit,
                on_failure=self._fail,
                settings=plan.recording,
                targets=plan.targets,
                more=plan.sinks,
                live=plan.live,
            )
        except (LiputError, OSError):
            self._archive.discard(work)
            raise
        stack.callback(outputs.close)
        return work, outputs

    def _end_by_duration(self) -> None:
        if self._plan.duration_s is not None:
            self._timeline.end_at(round(self._plan.duration_s * NANOSECONDS))

    def _run_tracks(
        self,
        encoder: Encoder,
        outputs: Outputs,
        video_format: VideoFormat,
        video: Reader[Frame],
        sounds: list[tuple[SoundInput, Reader[AudioBlock]]],
        first: Frame,
    ) -> None:
        """Run both tracks to their end, watching over them meanwhile."""
        plan = self._plan
        self._video = VideoTrack(
            plan.video,
            video,
            encoder,
            self._timeline,
            source_rate=video_format.rate,
            program_rate=min(plan.profile.fps, video_format.rate),
            put=outputs.put,
            emit=self.emit,
        )
        runs: list[tuple[Track, Callable[[], None]]] = [(Track.VIDEO, lambda: self._run_video(first))]
        if sounds:
            self._sound = ProgramSound(
                sounds,
                encoder,
                self._timeline,
                channels=plan.profile.audio_channels,
                clock=self._clock,
                put=outputs.put,
                emit=self.emit,
            )
            runs.append((Track.AUDIO, self._sound.run))
        threads = [
            threading.Thread(target=self._guarded, args=(track, run), name=f"track-{track}") for track, run in runs
        ]
        readers: list[Reader[Frame] | Reader[AudioBlock]] = [video, *(reader for _, reader in sounds)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(WATCH_S / len(threads))
            self._rate.update(self._clock.now_ns() / NANOSECONDS, self._video.counts.frames)
            self._report_losses()
            if self._stopping.is_set() and self._clock.now_ns() > self._stopped_ns + LET_GO_NS:
                for reader in readers:  # one hangs, and a session without a clock cannot tell
                    reader.stop(0.0)
        # Nobody takes from the readers any more: what they drop from here on is not missing.
        self._stop_sources.set()
        for reader in readers:
            reader.stop()
        self._report_losses(final=True)
        self.emit(
            "session-ended",
            plan.title,
            "The recording has ended.",
            media_time_s=round(self._timeline.position_ns() / NANOSECONDS, 3),
            frames=self._video.counts.frames,
        )

    def _run_video(self, first: Frame) -> None:
        if self._video:
            self._video.run(first)

    def _guarded(self, track: Track, run: Callable[[], None]) -> None:
        """Run a track; whatever stops it early ends the session in order, with what was recorded."""
        try:
            run()
        except LiputError as error:
            self._fail(error)
        except Exception as error:
            self._fail(LiputError(f"the {track} track failed: {error!r}", hint="please report this"))
        finally:
            self._plan.pace.finish(str(track))

    def _report_losses(self, *, final: bool = False) -> None:
        """Tell of what was lost between the sources and the encoder since the last time."""
        late = self._video.counts.late if self._video else 0
        dropped = self._dropped()
        self._pictures_lost.update(dropped, final=final, late_in_all=late, not_taken_in_all=dropped - late)
        if self._sound:
            self._sound.report_losses(final=final)

    def _fail(self, error: LiputError) -> None:
        """Take note of what went wrong for good, and end the session in order."""
        self._failure = self._failure or error
        kind = "recording-failed" if isinstance(error, StorageError) else "session-failed"
        self.emit(kind, "session", error.message, hint=error.hint)
        self.stop()

    def _seal(self, work: WorkFolder) -> SessionResult:
        """Turn the work folder into a package; what cannot be sealed stays where it is, with the reason."""
        facts = RecordingFacts(
            ended_at=self._clock.now(),
            dropped=self._dropped(),
            repeated=self._video.counts.repeated if self._video else 0,
            degraded=tuple(self.emit.degraded),
        )
        try:
            package = self._archive.seal(work, facts, progress=self._progress)
        except Exception as error:  # of whatever kind: people must hear where the recording is
            self._state = SessionState.FAILED
            told = error if isinstance(error, LiputError) else LiputError(repr(error), hint="please report this")
            self.emit("sealing-failed", work.name, told.message, hint=told.hint)
            return SessionResult(
                state=self._state,
                package=str(work.path),
                duration_s=round(self._timeline.position_ns() / NANOSECONDS, 3),
                frames=self._video.counts.frames if self._video else 0,
                degraded=self.emit.degraded,
            )
        self._state = SessionState.SEALED
        # What sealing itself found wrong with the media stands in the package only.
        sealed = package.recording
        return SessionResult(
            state=self._state,
            package=package.path,
            duration_s=package.duration_s,
            frames=sealed.frames if sealed else 0,
            degraded=list(sealed.degraded) if sealed else self.emit.degraded,
        )

"""One session, from opening devices to the sealed package; recorder/model/status.py has its states.

    sources --workers--> queues --track threads--> encoder --packets--> pre-roll --> recording (writer, syncer)
                                                                                      +---> live destinations

`run` blocks. All other methods are thread-safe and return at once. Nothing is written before the start.
"""

import math
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

import msgspec

from capture.source import VideoFormat
from config.errors import LiputError, StorageError, UsageError, as_liput_error
from config.events import Event
from devices.host.clock import NANOSECONDS, Clock
from devices.host.deadline import count_hung_closings
from devices.host.priority import raise_thread_priority
from devices.host.threads import start_thread
from recorder.archive.seal_step import seal_steps
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.session_encoder import SessionEncoder
from recorder.encode.x264 import STILL_RATE, VideoSettings, video_settings
from recorder.live.destinations import Destinations
from recorder.live_encode.live_encode_control import LiveEncodeControl
from recorder.model.eventlog import EventLog, Listener, fault_reporter
from recorder.model.marks import Mark, Marks
from recorder.model.names import one_line
from recorder.model.packet import DiskProgress, Track
from recorder.model.session_faults import ActiveFaults
from recorder.model.status import (
    STATES_BEFORE,
    STATES_RECORDING,
    Loudness,
    SessionResult,
    SessionState,
    SessionStatus,
    StateMachine,
    source_lines,
)
from recorder.package.fixity import Progress
from recorder.package.metadata import RecordingFacts, length_s
from recorder.program.armed_program import ArmedProgram
from recorder.program.frame_fanout import FrameFanout
from recorder.program.preroll import PreRoll
from recorder.program.scene import OfferPreview
from recorder.program.timeline import RunContext, SleepWatch, Timeline
from recorder.program.video_track import FrameCounts
from recorder.recording.failover import Failover
from recorder.recording.replica_opener import StorageRequirements, StreamFormat, check_archives
from recorder.session.inputs import FirstFrame, SessionInputs
from recorder.session.outputs import SessionOutputs
from recorder.session.plan import SessionPlan
from recorder.session.session_program import SessionProgram

WATCH_S = 0.2
LET_GO_NS = 3 * NANOSECONDS  # wait after the end for earlier frames of a source
FROM_THE_FIRST_PICTURE = math.inf


class Session:
    """One session; run it once."""

    def __init__(
        self,
        plan: SessionPlan,
        *,
        clock: Clock,
        listener: Listener | None = None,
        progress: Progress | None = None,
        offer: OfferPreview = lambda *_: False,
    ) -> None:
        """`progress` gets the progress of sealing; `offer` takes frames for previews."""
        self._plan = plan
        self._clock = clock
        self._listener = listener
        self._progress = progress
        self._offer = offer
        self._troubles = ActiveFaults(clock)
        self.emit = EventLog(clock, self._on_event)
        plan.board.listen(fault_reporter(self.emit))
        self.destinations = Destinations(plan.targets, clock=clock, emit=self.emit)
        self._machine = StateMachine()
        self._requested_pre_roll_s: float | None = None  # seconds of pre-roll of a requested start
        self._stopping = threading.Event()
        self._stopped_ns = 0
        self._failure: LiputError | None = None
        self._broke_off = False
        self._marks = Marks(clock, self.emit)
        self._title = plan.title
        tracks = [Track.VIDEO] + ([Track.AUDIO] if plan.sounds else [])
        self._timeline = Timeline(
            clock, live=plan.live, tracks=tracks, ending=plan.ends & set(tracks), release=plan.pace.finish
        )
        self._context = RunContext(self._timeline, clock, self.emit, plan.hooks.timing)
        self._pre_roll = PreRoll(plan.recording.pre_roll_s)
        self._inputs = SessionInputs(plan, clock=clock, emit=self.emit)
        self._picture_encoder = SessionEncoder(plan.encoder, clock=clock, emit=self.emit)
        self._live = LiveEncodeControl(plan.stream, self.destinations, clock=clock, emit=self.emit)
        self._program: SessionProgram | None = None  # None until armed
        self._tracks: list[threading.Thread] = []
        self._changed = threading.Event()  # whether a track has ended, or a start or stop is requested
        self._writing = ExitStack()  # ends what the recording began, after the tracks and before the encoder
        self._recording: Failover | None = None

    def _on_event(self, event: Event) -> None:
        self._troubles(event)
        if self._listener:
            self._listener(event)
        self._plan.hooks.tell(lambda hook: hook.hear(event))

    # Requests and status

    def start(self, pre_roll_s: float = 0.0) -> None:
        """Begin to record once armed, at the keyframe `pre_roll_s` seconds ago. Raises LiputError after the end."""
        if self._stopping.is_set():
            raise LiputError("the session has ended", hint="arm another one", why="ended")
        if self._requested_pre_roll_s is None:
            self._requested_pre_roll_s = max(0.0, pre_roll_s)
        self._changed.set()

    def stop(self) -> None:
        """End or disarm the session; returns at once. A second call changes nothing."""
        if not self._stopping.is_set():
            self._stopped_ns = self._clock.now_ns()
            self._end_now()
            self.destinations.ending()
            self._stop_hooks()
            if self._recording is not None:  # so recovery does not resume it after a kill
                self.emit("session-stopping", self._recording.work.name, "Ending.")
            self._stopping.set()
        self._changed.set()

    def mark(self, text: str) -> Mark:
        """Add a chapter mark at this moment. Raises UsageError for an empty text, and unless it records."""
        if self._machine.state not in STATES_RECORDING:
            raise UsageError(
                "nothing is being recorded, so there is nothing to mark",
                hint="liput start begins it",
                why="not-recording",
            )
        return self._marks.add(text, self._media_s() or 0.0)

    def rename(self, title: str) -> None:
        """Give the session another title. Raises UsageError for an empty one."""
        if not (title := one_line(title)):
            raise UsageError("the title is empty", hint="name the session", why="no-title")
        self._title = title
        self.emit("title-changed", title, f"The title is now: {title}", media_s=self._media_s())

    def end_in(self, seconds: float) -> None:
        """Move the planned end of a recording. Raises UsageError if it has none, or ends in a moment."""
        media_s = self._media_s()
        end_ns = self._timeline.now_ns() + round(seconds * NANOSECONDS)
        if self._recording is None or media_s is None or not self._timeline.move_end(end_ns):
            raise UsageError(
                "this recording has no planned end, or ends in a moment", hint="stop ends it", why="no-end"
            )
        self._recording.planned_s = duration_s = media_s + seconds
        text = f"The recording now ends in {round(seconds / 60)} min."
        self.emit("end-moved", self._title, text, media_s=media_s, duration_s=duration_s)

    def layout(self, name: str) -> None:
        """Show the layout or card called `name` from the next frame on. Raises LiputErrors, also before armed."""
        self._armed_program().show(name, self._media_s())

    def mute(self, name: str | None, *, on: bool) -> None:
        """Mute or unmute the audio input called `name`, None for all. Raises LiputErrors, also before armed."""
        self._armed_program().mute(name, self._media_s(), on=on)

    def _armed_program(self) -> SessionProgram:
        if self._program is None:
            raise LiputError("the session is not armed yet", hint="wait until its devices are open", why="not-ready")
        return self._program

    def _media_s(self) -> float | None:
        return round(max(0, self._timeline.media_now_ns()) / NANOSECONDS, 3) if self._recording else None

    def status(self) -> SessionStatus:
        """Return the current status; bytes and media time are measured on disk."""
        on_disk = self._recording.on_disk if self._recording else DiskProgress()
        program, troubles = self._program, self._troubles.now
        sound = program.sound if program else None
        counts = program.counts if program else FrameCounts()
        status = SessionStatus(
            state=self._machine.judge(is_troubled=bool(troubles)),
            elapsed_s=round(self._marks.offset_s + (self._media_s() or 0.0), 3),
            ends_in_s=self._timeline.ends_in_s() if self._recording else None,
            media_time_s=round(self._marks.offset_s + on_disk.media_time_s, 3),
            bytes=on_disk.bytes,
            frames=counts.frames,
            dropped=counts.dropped,
            repeated=counts.repeated,
            fps=round(program.fps, 2) if program else 0.0,
            levels_dbfs=[round(level, 1) for level in sound.levels_dbfs] if sound else [],
            disk_left_s=self._recording.left_s if self._recording else None,
            destinations=self.destinations.lines(),
            sources=source_lines(self._plan.board),
            pre_roll_s=round(self._pre_roll.seconds, 3),
            troubles=troubles,
            layout=program.scene.layout if program else self._plan.layout,
            abandoned=count_hung_closings(),
            sounds=sound.lines() if sound else [],
            loudness=sound.loudness if sound else Loudness(),
            stream=self._live.line(),
            marks=self._marks.lines(),
            encoder=self._picture_encoder.line(),
            still=counts.still,
        )
        return self._plan.hooks.describe(status)

    # The session's thread

    def run(self) -> SessionResult:
        """Arm, record from start to end, and seal. Raises a LiputError if nothing could be recorded."""
        result: SessionResult | None = None
        self._plan.hooks.tell(lambda hook: hook.attach(self.emit))
        try:
            result = self._run_to_end()
            return result
        finally:
            self._plan.hooks.tell(lambda hook: hook.end(result))

    def _run_to_end(self) -> SessionResult:
        try:
            with ExitStack() as stack:
                self._run(stack)
            self.emit.close()
        except BaseException as error:
            if self._stopping.is_set() and self._machine.state is SessionState.IDLE and isinstance(error, LiputError):
                return self._without_package()  # stopped while its devices opened
            if self._machine.state in STATES_BEFORE:
                self._machine.to(SessionState.FAILED)
            raise
        recording, program = self._recording, self._program
        if recording is None or program is None:
            if self._failure:
                self._machine.to(SessionState.FAILED)
                raise self._failure
            self._machine.to(SessionState.IDLE)
            return self._without_package()
        is_new = self._plan.resume is None  # a resumed session has earlier recordings
        if is_new and not program.counts.frames and _is_discarded(recording):
            raise self._failure or LiputError(f"{self._plan.pictures[0].name} gave no picture; nothing was recorded")
        return self._seal(recording, program)

    def _run(self, stack: ExitStack) -> None:
        check_archives(self._plan.archives, self._plan.storage, self._clock)
        program, first = self._arm(stack)
        at_once = self._requested_pre_roll_s is not None
        if at_once and not self._plan.live:  # a fast session would run ahead of its recording
            self._begin(program)
        stack.callback(self._stop_hooks)
        stack.callback(self._join_tracks)
        stack.callback(self._end_now)  # any error from here on ends both tracks
        for track, work in program.start(first).items():
            self._tracks.append(start_thread(self._run_track, track, work, name=f"track-{track}", daemon=False))
        self._plan.hooks.tell(lambda hook: hook.start())
        if not at_once:
            self._live.look_up(measures=True)
            facts = live_facts(self._plan, self._inputs.form, self._title) | self._picture_encoder.facts()
            self.emit("session-armed", self._title, "Armed.", **facts)
        try:
            if at_once and self._plan.live:  # memory holds the packets while the disk opens
                self._requested_pre_roll_s = FROM_THE_FIRST_PICTURE
                self._begin(program)
            self._watch(program)
        except Exception as error:
            if self._recording is None:
                raise
            # A bug of ours: the recording so far is sealed.
            self._fail(as_liput_error(error))
            self._inputs.stop(0.0)
            self._join_tracks()
        # Nothing reads the queues any more: later drops are no losses.
        self._plan.stop.set()
        self._inputs.stop()
        if self._recording is not None:
            self._report_end(program)

    def _arm(self, stack: ExitStack) -> tuple[SessionProgram, FirstFrame | None]:
        """Open sources and encoder; return the first frame, if any, with its input's index."""
        plan, inputs, live = self._plan, self._inputs, self._live
        stack.callback(plan.stop.set)
        live.look_up(measures=False)
        stack.callback(live.free)
        inputs.open(stack, self._stopping)
        settings = encoder_settings(plan, inputs.form)
        encoder = self._picture_encoder.open(*settings)
        stack.callback(encoder.close)
        inputs.start()
        stack.callback(plan.stop.set)  # runs before the workers stop: it wakes them
        first = inputs.first(self._stopping)
        viewers = FrameFanout(self._offer, live.offer, self._clock, live.simplify)
        program = SessionProgram(plan, inputs, encoder, self._pre_roll, self._context, viewers=viewers)
        armed_program = ArmedProgram(
            video=settings[0],
            channels=plan.profile.audio_channels,
            encoder=encoder,
            viewers=viewers,
            inputs=program.inputs,
            sounds=[sound.name for sound in plan.sounds],
            appearance=plan.appearance,
            shows=lambda: program.scene.layout,
            counts=lambda: program.counts,
            run=self._context,
        )
        plan.hooks.tell(lambda hook: hook.arm(armed_program))
        self._timeline.start(first[1].timestamp_ns if first else self._clock.now_ns())
        program.begin()
        self._troubles.begin()
        stack.callback(plan.hooks.tell, lambda hook: hook.close())
        stack.enter_context(self._writing)
        self._program = program
        self._machine.to(SessionState.ARMED)
        return program, first

    def _watch(self, program: SessionProgram) -> None:
        """Begin the recording on request, and judge the session until its tracks end."""
        asleep = SleepWatch(self.emit, self._clock)
        while any(track.is_alive() for track in self._tracks):
            self._changed.wait(WATCH_S)
            self._changed.clear()
            program.update()
            if self._plan.live:  # a fast session has no clock
                asleep.update(self._media_s())
            if self._requested_pre_roll_s is not None and self._recording is None and not self._stopping.is_set():
                self._begin_or_report(program)
            self._machine.judge(is_troubled=bool(self._troubles.now))
            if self._is_long_over():
                self._inputs.stop(0.0)  # a source hangs, or this PC is too slow for it

    def _is_long_over(self) -> bool:
        """Return whether the last frames have had time to come; in a fast session, after a stop only."""
        if self._stopping.is_set() and self._clock.now_ns() > self._stopped_ns + LET_GO_NS:
            return True
        end_ns = self._timeline.end_ns
        return self._plan.live and end_ns is not None and self._timeline.now_ns() > end_ns + LET_GO_NS

    def _run_track(self, track: Track, work: Callable[[], None]) -> None:
        try:
            if track is Track.AUDIO:
                raise_thread_priority()  # before the video track, which may step down
            work()
        except Exception as error:
            self._fail(as_liput_error(error, what=f"the {track} track failed"))
        finally:
            self._plan.pace.finish(str(track))
            self._changed.set()

    def _join_tracks(self) -> None:
        for track in self._tracks:
            track.join()

    def _stop_hooks(self) -> None:
        self._plan.hooks.tell(lambda hook: hook.stop())

    def _end_now(self) -> None:
        self._timeline.end_at(self._timeline.now_ns())

    def _begin_or_report(self, program: SessionProgram) -> None:
        """Begin, or stay armed and report the reason: the operator may free space and start again."""
        try:
            self._begin(program, counts_anew=True)
        except LiputError as error:
            self._requested_pre_roll_s = None
            self._pre_roll.holds = False
            detail = {"hint": error.hint, "why": error.why, "about": error.about}
            self.emit("start-failed", self._title, error.message, **detail)

    def _begin(self, program: SessionProgram, *, counts_anew: bool = False) -> None:
        plan, live, writing = self._plan, self._live, self._writing
        self._pre_roll.holds = True
        wanted_ns = (
            self._timeline.now_ns() - min(self._requested_pre_roll_s or 0.0, self._pre_roll.keep_s) * NANOSECONDS
        )
        began_ns = self._timeline.zero_ns + round(max(0.0, wanted_ns))
        task = storage_task(plan, self._title, began_ns, self._clock, self.destinations.names)
        recording, outputs = self._open_recording(program.encoder, task)
        self._marks.offset_s = task.offset_s
        writing.callback(self.emit.close)
        writing.callback(lambda: outputs.close(self._marks.all, self._title))
        writing.callback(live.end)
        live.open(encoder_settings(plan, self._inputs.form)[0], connect=outputs.connect, share=outputs.share)
        origin_ns = self._pre_roll.open(outputs.put, round(wanted_ns))
        live.begin(self._pre_roll.in_media_time)
        self._timeline.origin_ns = origin_ns
        if counts_anew:
            program.begin(self._pre_roll.skipped)
            self._troubles.begin()
        if plan.duration_s is not None:
            self._timeline.end_at(origin_ns + round(plan.duration_s * NANOSECONDS))
        self._recording = recording
        self._machine.to(SessionState.LIVE)
        zero_ns = self._timeline.zero_ns + origin_ns
        for step in seal_steps():
            writing.callback(step.prepare(recording.work.path, plan.context, self._clock))
        facts = live_facts(plan, self._inputs.form, self._title) | live.facts() | self._picture_encoder.facts()
        facts["destinations"] = list(self.destinations.names)
        work = recording.work
        self.emit("session-live", work.name, "Recording.", clock_ns=zero_ns, folder=str(work.path), **facts)
        self._inputs.start_isos(writing, recording.beside, zero_ns)  # its events belong to the recording
        if self._stopping.is_set():  # stopped meanwhile, when no log was open
            self.emit("session-stopping", work.name, "Ending.")

    def _open_recording(self, encoder: Encoder, task: StorageRequirements) -> tuple[Failover, SessionOutputs]:
        """Make the work folder and start the writers; destinations connect later. Raises LiputErrors."""
        form, resume = self._pre_roll.form, self._plan.resume
        recording = Failover(
            task,
            StreamFormat(form, encoder.templates_of(form)),
            may_change=encoder.may_change_form,
            clock=self._clock,
            log=self.emit,
            on_failure=self._fail,
        )
        work = recording.begin()
        if resume is not None:
            self.emit(
                "session-resumed",
                work.name,
                f"Its recorder was killed; the session goes on as part {resume.part}",
                part=resume.part,
                offset_s=round(task.offset_s, 3),
                missing_s=round(task.offset_s - resume.end_s, 3),
            )
        return recording, SessionOutputs(recording, form, encoder.templates_of, live=self.destinations)

    def _fail(self, error: LiputError) -> None:
        self._failure = self._failure or error
        self._broke_off = self._broke_off or not self._stopping.is_set()
        kind = "recording-failed" if isinstance(error, StorageError) else "session-failed"
        self.emit(kind, "session", error.message, hint=error.hint)
        self.stop()

    # The end

    def _report_end(self, program: SessionProgram) -> None:
        try:
            program.report_losses(final=True)
            counts = program.counts
            self.emit(
                "session-ended",
                self._title,
                "The recording has ended.",
                media_time_s=self._encoded_s,
                frames=counts.frames,
                **({"still": counts.still} if self._plan.adaptive_rate else {}),
                **(program.sound.facts() if program.sound else {}),
            )
        except Exception as error:  # a bug of ours: the recording is sealed
            told = as_liput_error(error)
            self.emit("session-failed", "session", told.message, hint=told.hint)
        finally:
            self._machine.to(SessionState.SEALING)

    def _seal(self, recording: Failover, program: SessionProgram) -> SessionResult:
        try:
            packages = recording.seal(self._facts(program), self._progress)
        except Exception as error:  # any error: people must learn where the recording is
            told, work = as_liput_error(error), recording.joined or recording.work
            self.emit("sealing-failed", work.name, told.message, hint=told.hint)
            self._machine.to(SessionState.FAILED)
            return self._without_package(str(work.path), self._encoded_s, program.counts.frames)
        self._machine.to(SessionState.SEALED)
        # One copy with all its parts; only the packages tell media faults found by sealing.
        parts = [package for package in packages if package.copy == packages[0].copy]
        described = [package.recording for package in parts if package.recording]
        return SessionResult(
            state=SessionState.SEALED,
            package=parts[0].path,
            packages=[package.path for package in packages],
            duration_s=parts[0].duration_s if len(parts) == 1 else length_s(described),
            frames=described[0].frames if len(described) == 1 else program.counts.frames,
            degraded=list(dict.fromkeys(reason for one in described for reason in one.degraded))
            if described
            else self._troubles.all,
            broke_off=self._broke_off,
        )

    def _without_package(self, folder: str | None = None, duration_s: float = 0.0, frames: int = 0) -> SessionResult:
        return SessionResult(
            state=self._machine.state,
            package=folder,
            duration_s=duration_s,
            frames=frames,
            degraded=self._troubles.all,
            broke_off=self._broke_off,
        )

    @property
    def _encoded_s(self) -> float:
        return round(self._timeline.media_position_ns() / NANOSECONDS, 3)

    def _facts(self, program: SessionProgram) -> RecordingFacts:
        counts, loudness = program.counts, program.sound.loudness if program.sound else Loudness()
        return RecordingFacts(
            ended_at=self._clock.now(), dropped=counts.dropped, repeated=counts.repeated,
            degraded=tuple(self._troubles.all), marks=self._marks.all,
            loudness_lufs=loudness.integrated_lufs, loudness_range_lu=loudness.range_lu,
            destinations=self.destinations.all_names, title=self._title,
        )  # fmt: skip


def _is_discarded(recording: Failover) -> bool:
    """Remove work folders without a frame and return True; audio is kept."""
    try:
        recording.discard()
    except LiputError:
        return False
    return True


def encoder_settings(
    plan: SessionPlan, video: VideoFormat
) -> tuple[VideoSettings, AudioSettings | None, dict[str, AudioSettings]]:
    """Return the settings for video, the mix, and each input with its own track."""
    profile = plan.profile
    sound = AudioSettings(profile.audio_channels, profile.audio_bitrate)
    return (
        replace(
            video_settings(profile, video),
            slowest=STILL_RATE if plan.adaptive_rate else None,
            x264_params=plan.x264_params,
        ),
        sound if plan.sounds else None,
        {sound_input.name: sound for sound_input in plan.sounds if sound_input.own_track},
    )


def live_facts(plan: SessionPlan, video: VideoFormat, title: str) -> dict[str, object]:
    """Return the event log's fields for a session's beginning: sources, format and destinations."""
    return {
        "title": title,
        "picture": ", ".join(picture.name for picture in plan.pictures),
        "sound": ", ".join(sound.name for sound in plan.sounds) or None,
        "width": video.width,
        "height": video.height,
        "rate": float(video.rate),
        "still_rate": float(STILL_RATE) if plan.adaptive_rate else None,
        "matrix": video.matrix.name,
        "destinations": [target.name for target in plan.targets],
        "request": plan.context.request.request.uuid if plan.context.request else None,
    }


def storage_task(
    plan: SessionPlan, title: str, began_ns: int, clock: Clock, destinations: Sequence[str]
) -> StorageRequirements:
    """Return the storage task of a recording that began at `began_ns` on the session clock, or is resumed."""
    back_ns = clock.now_ns() - began_ns if plan.live else 0
    began = clock.now() - timedelta(seconds=back_ns / NANOSECONDS)
    task = StorageRequirements(
        archives=plan.archives,
        storage=plan.storage,
        recording=plan.recording,
        bytes_per_s=(plan.profile.video_bitrate + plan.profile.audio_bitrate) / 8,
        planned_s=plan.duration_s,
        waits=not plan.live,
        title=title,
        started_at=began,
        context=msgspec.structs.replace(plan.context, destinations=destinations),
    )
    if (resume := plan.resume) is None:
        return task
    return replace(
        task,
        title=resume.title,
        started_at=resume.started_at,
        uuid=resume.uuid,
        offset_s=resume.offset_s(began_ns, began),
        part=resume.part,
        earlier=resume.works,
    )

"""One session, from devices that are opened to the sealed package; recorder/states.py says which way it may go.

    sources --reader threads--> queues --track threads--> encoder --packets--> pre-roll --> recording (writer, syncer)
                                                                                      +---> live destinations

`run` does it all on the calling thread's watch; everything else may be called from any other thread, and returns at
once. Nothing is written to the archive before the start.
"""

import math
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

import msgspec

from capture.closing import abandoned
from capture.timing import Timing, untimed
from config.errors import LiputError, StorageError, UsageError
from config.events import Event
from devices.clock import NANOSECONDS, Clock
from recorder.archive.archive import Archive
from recorder.archive.model import Mark, RecordingFacts
from recorder.archive.work import WorkFolder
from recorder.dossier.carry import Carrying
from recorder.encoder import Encoder
from recorder.ending import Recorded, discarded, no_package, seal
from recorder.eventlog import EventLog, Listener
from recorder.faults import FaultReporter
from recorder.hardware.opening import PictureEncoder
from recorder.inputs import SessionInputs
from recorder.live.destinations import Destinations
from recorder.marks import Marks
from recorder.outputs import Outputs
from recorder.packet import Track
from recorder.plan import SessionPlan, encoder_settings, live_facts
from recorder.preroll import PreRoll
from recorder.program import Counts, Program
from recorder.recording import OnDisk
from recorder.scene import Offer
from recorder.states import StateMachine
from recorder.status import Loudness, SessionResult, SessionState, SessionStatus, source_lines
from recorder.storing.places import check_places
from recorder.storing.storage import Storage
from recorder.streaming.side import LiveSide
from recorder.timeline import Timeline
from recorder.troubles import Troubles

WATCH_S = 0.2
LET_GO_NS = 3 * NANOSECONDS
"""How long after a stop a source may take to give what was captured before it."""
FROM_THE_FIRST_PICTURE = math.inf

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
        offer: Offer | None = None,
        timing: Timing = untimed,
    ) -> None:
        """`stop` is the event that the plan's sources wait on; it is set when the tracks have ended.

        `offer` takes pictures for previews.
        """
        self._plan = plan
        self._archive = archive
        self._clock = clock
        self._stop_sources = stop
        self._progress = progress
        self._listener = listener
        self._offer, self._timing = offer, timing
        self._troubles = Troubles(clock)
        self.emit = EventLog(clock, self._hear)
        plan.board.listen(FaultReporter(self.emit))
        self.destinations = Destinations(plan.targets, clock=clock, emit=self.emit)
        self._machine = StateMachine()
        self._starting: float | None = None  # how many seconds of pre-roll were asked for
        self._stopping = threading.Event()
        self._stopped_ns = 0
        self._failure: LiputError | None = None
        self._marks = Marks(clock, self.emit)
        tracks = [Track.VIDEO] + ([Track.AUDIO] if plan.sounds else [])
        self._timeline = Timeline(
            clock, live=plan.live, tracks=tracks, ending=plan.ends & set(tracks), release=plan.pace.finish
        )
        self._gate = PreRoll(keep_s=plan.pre_roll_s)
        self._inputs = SessionInputs(plan, clock=clock, emit=self.emit)
        self._picture_encoder = PictureEncoder(plan.encoder, clock=clock, emit=self.emit)
        self._program: Program | None = None
        self._outputs: Outputs | None = None
        self._live: LiveSide | None = None
        self._work: WorkFolder | None = None
        self._storage: Storage | None = None

    def _hear(self, event: Event) -> None:
        self._troubles(event)
        if self._listener:
            self._listener(event)

    # What others ask

    def start(self, pre_roll_s: float = 0.0) -> None:
        """Begin to record, as soon as the session is armed, from `pre_roll_s` seconds ago; again changes nothing.

        FROM_THE_FIRST_PICTURE: with all that is kept. The recording begins at a keyframe, at or before the moment asked
        for. Raises LiputError when the session has ended.
        """
        if self._stopping.is_set():
            raise LiputError("the session has ended", hint="arm another one")
        if self._starting is None:
            self._starting = max(0.0, pre_roll_s)
        if self._program:
            self._program.wake()

    def stop(self) -> None:
        """End the session here, or disarm it; returns at once. Asking again changes nothing."""
        if not self._stopping.is_set():
            self._stopped_ns = self._clock.now_ns()
            self._end_now()
            self.destinations.ending()
            if self._program:
                self._program.stop_conference()
            if self._work is not None:  # so that nobody goes on with it if it is killed before its end
                self.emit("session-stopping", self._work.name, "Ending.")
            self._stopping.set()
        if self._program:
            self._program.wake()

    def mark(self, text: str) -> Mark:
        """Mark this moment: a chapter of the recording. Raises UsageError for an empty text, and unless it records."""
        if self._machine.state not in {SessionState.LIVE, SessionState.DEGRADED}:
            raise UsageError("nothing is being recorded, so there is nothing to mark", hint="liput start begins it")
        return self._marks.add(text, self._media_s() or 0.0)

    def layout(self, name: str) -> None:
        """Show the layout or card called `name` from the next picture on; raises UsageError where that cannot be."""
        self._armed().show(name, self._media_s())

    def mute(self, name: str | None, *, on: bool) -> None:
        """Mute the sound input called `name`, or all; or let it be heard again. Raises UsageError for a wrong name."""
        self._armed().mute(name, self._media_s(), on=on)

    def _armed(self) -> Program:
        if self._program is None:
            raise LiputError("the session is not armed yet", hint="wait until its devices are open")
        return self._program

    def _media_s(self) -> float | None:
        return round(max(0, self._timeline.media_now_ns()) / NANOSECONDS, 3) if self._work else None

    def status(self) -> SessionStatus:
        """Return what is true now; bytes and media time are those found on disk."""
        on_disk = self._outputs.on_disk if self._outputs else OnDisk()
        counts, program, troubles = self._counts, self._program, self._troubles.now
        return SessionStatus(
            state=self._machine.judge(is_troubled=bool(troubles)),
            elapsed_s=round(self._marks.offset_s + (self._media_s() or 0.0), 3),
            media_time_s=round(self._marks.offset_s + on_disk.media_time_s, 3),
            bytes=on_disk.bytes,
            frames=counts.frames,
            dropped=counts.dropped,
            repeated=counts.repeated,
            fps=round(program.fps, 2) if program else 0.0,
            levels_dbfs=[round(level, 1) for level in program.levels_dbfs] if program else [],
            disk_left_s=self._storage.left_s if self._storage else None,
            destinations=self.destinations.lines(),
            sources=source_lines(self._plan.board),
            pre_roll_s=round(self._gate.seconds, 3),
            troubles=troubles,
            layout=program.scene.layout if program else self._plan.layout,
            abandoned=abandoned(),
            sounds=program.sound_lines() if program else [],
            loudness=program.loudness if program else Loudness(),
            conference=program.conference if program else None,
            stream=self._live.line() if self._live else None,
            marks=self._marks.lines(),
            load=program.load if program else None,
            encoder=self._picture_encoder.line(),
            still=counts.still,
        )

    @property
    def _counts(self) -> Counts:
        return self._program.counts if self._program else Counts()

    # The run

    def run(self) -> SessionResult:
        """Arm, record from the start to the end, and seal. Raises a LiputError when nothing could be recorded."""
        try:
            with ExitStack() as stack:
                self._run(stack)
            self.emit.close()
        except BaseException as error:
            if self._stopping.is_set() and self._machine.state is SessionState.IDLE and isinstance(error, LiputError):
                return no_package(self._machine, self._troubles)  # ended while its devices were opened
            if self._machine.state in {SessionState.IDLE, SessionState.ARMED}:
                self._machine.to(SessionState.FAILED)
            raise
        if self._work is None or self._storage is None:
            if self._failure:
                self._machine.to(SessionState.FAILED)
                raise self._failure
            self._machine.to(SessionState.IDLE)
            return no_package(self._machine, self._troubles)
        if not self._counts.frames and discarded(self._storage):
            raise self._failure or LiputError(f"{self._plan.pictures[0].name} gave no picture; nothing was recorded")
        media_s = round(self._timeline.media_position_ns() / NANOSECONDS, 3)
        return seal(
            self._work,
            self._storage,
            self._facts(),
            Recorded(str(self._work.path), media_s, self._counts.frames),
            machine=self._machine,
            troubles=self._troubles,
            emit=self.emit,
            progress=self._progress,
        )

    def _run(self, stack: ExitStack) -> None:
        check_places([self._archive, *self._plan.further], self._plan.storage, self._clock)
        stack.callback(self._stop_sources.set)
        live = self._live = LiveSide(self._plan.stream, self.destinations, clock=self._clock, emit=self.emit)
        stack.callback(live.free)
        inputs = self._inputs
        inputs.open(stack, self._stopping)
        encoder = self._picture_encoder.open(*encoder_settings(self._plan, inputs.form))
        stack.callback(encoder.close)
        inputs.start()
        stack.callback(self._stop_sources.set)  # unwound before the readers are stopped: it wakes them
        first = inputs.first(self._stopping)
        program = self._program = Program(
            self._plan,
            inputs,
            encoder,
            self._timeline,
            self._gate,
            clock=self._clock,
            emit=self.emit,
            on_failure=self._fail,
            offer=self._offer,
            also=live.offer,
            simplify=live.simplify,
            timing=self._timing,
        )
        self._timeline.start(first[1].timestamp_ns if first else self._clock.now_ns())
        program.begin()
        self._troubles.begin()
        self._machine.to(SessionState.ARMED)
        stack.callback(program.close)
        writing, at_once = stack.enter_context(ExitStack()), self._starting is not None
        if at_once and not self._plan.live:  # what runs as fast as it can would run ahead of its recording
            self._begin(writing, encoder, live)
        stack.callback(program.join)
        stack.callback(self._end_now)  # whatever goes wrong from here on, both tracks end
        program.start(first)
        if not at_once:
            live.arm()
            facts = live_facts(self._plan, inputs.form) | self._picture_encoder.facts()
            self.emit("session-armed", self._plan.title, "Armed.", **facts)
        elif self._plan.live:  # what its disk takes to open is kept in memory meanwhile
            self._starting = FROM_THE_FIRST_PICTURE
            self._begin(writing, encoder, live)
        while program.is_running:
            program.wait(WATCH_S)
            if self._starting is not None and self._work is None and not self._stopping.is_set():
                self._try_to_begin(writing, program, encoder, live)
            self._machine.judge(is_troubled=bool(self._troubles.now))
            if self._stopping.is_set() and self._clock.now_ns() > self._stopped_ns + LET_GO_NS:
                inputs.stop(0.0)  # one hangs, and a session without a clock cannot tell
        # Nobody takes from the readers any more: what they drop from here on is not missing.
        self._stop_sources.set()
        inputs.stop()
        self._end(program)

    def _end_now(self) -> None:
        self._timeline.end_at(self._timeline.now_ns())

    def _try_to_begin(self, stack: ExitStack, program: Program, encoder: Encoder, live: LiveSide) -> None:
        """Begin, or stay armed and say why not: whoever frees some space can start again."""
        try:
            self._begin(stack, encoder, live, program)
        except LiputError as error:
            self._starting = None
            self._gate.holds = False
            self.emit("start-failed", self._plan.title, error.message, hint=error.hint)

    def _begin(self, stack: ExitStack, encoder: Encoder, live: LiveSide, counted_anew: Program | None = None) -> None:
        """Make the work folder, start what writes, and let the packets through to it."""
        plan = self._plan
        self._gate.holds = True
        wanted_ns = self._timeline.now_ns() - min(self._starting or 0.0, self._gate.keep_s) * NANOSECONDS
        storage = Storage(
            [self._archive, *plan.further],
            plan.storage,
            clock=self._clock,
            log=self.emit,
            on_failure=self._fail,
            recording=plan.recording,
            bytes_per_s=(plan.profile.video_bitrate + plan.profile.audio_bitrate) / 8,
            planned_s=plan.duration_s,
            waits=not plan.live,
        )
        form = self._gate.form  # what is of another one by then begins further parts
        work = self._begin_files(storage, encoder, wanted_ns, form)
        try:
            outputs = Outputs(
                storage,
                encoder.templates_of(form),
                emit=self.emit,
                live=self.destinations,
                more=plan.sinks,
                form=form,
                templates_of=encoder.templates_of,
            )
        except (LiputError, OSError):
            storage.close()
            self.emit.close()
            storage.discard()
            raise
        stack.callback(self.emit.close)
        stack.callback(lambda: outputs.close(self._marks.all, plan.title))
        stack.callback(live.end)
        live.open(outputs, encoder_settings(plan, self._inputs.form)[0])
        origin_ns = self._gate.open(outputs.put, round(wanted_ns))
        live.begin(outputs, self._gate.in_media_time)
        self._timeline.begin(origin_ns)
        if counted_anew:
            counted_anew.begin(self._gate.skipped)
            self._troubles.begin()
        if plan.duration_s is not None:
            self._timeline.end_at(origin_ns + round(plan.duration_s * NANOSECONDS))
        self._work, self._outputs, self._storage = work, outputs, storage
        zero_ns = self._timeline.zero_ns + origin_ns
        self._inputs.isolate(stack, storage.beside, zero_ns)
        if plan.context.request:
            stack.callback(Carrying(work.path, plan.context.request, self._clock).end)
        self._machine.to(SessionState.LIVE)
        facts = live_facts(plan, self._inputs.form) | {"destinations": list(self.destinations.names)} | live.facts()
        facts |= self._picture_encoder.facts()
        self.emit("session-live", work.name, "Recording.", clock_ns=zero_ns, folder=str(work.path), **facts)
        if self._stopping.is_set():  # meanwhile, when there was no log to say so in
            self.emit("session-stopping", work.name, "Ending.")

    def _begin_files(self, storage: Storage, encoder: Encoder, wanted_ns: float, form: int) -> WorkFolder:
        """Make the work folder: that of a new session, or of the next part of one that is gone on with."""
        plan, resume = self._plan, self._plan.resume
        back_ns = self._timeline.now_ns() - max(0.0, wanted_ns) if plan.live else 0.0
        began = self._clock.now() - timedelta(seconds=back_ns / NANOSECONDS)
        context = msgspec.structs.replace(plan.context, destinations=self.destinations.names)
        templates_of = encoder.templates_of if encoder.may_change_form else None
        if resume is None:
            return storage.begin(
                plan.title, began, context, encoder.templates_of(form), form=form, templates_of=templates_of
            )
        offset_s = self._marks.offset_s = resume.offset_s(self._timeline.zero_ns + round(max(0.0, wanted_ns)), began)
        work = storage.begin(
            resume.title,
            resume.started_at,
            context,
            encoder.templates_of(form),
            form=form,
            templates_of=templates_of,
            uuid=resume.uuid,
            part=resume.part,
            offset_s=offset_s,
            earlier=resume.works,
        )
        self.emit(
            "session-resumed",
            work.name,
            f"Its recorder was killed; the session goes on as part {resume.part}",
            part=resume.part,
            offset_s=round(offset_s, 3),
            missing_s=round(offset_s - resume.end_s, 3),
        )
        return work

    def _end(self, program: Program) -> None:
        """Say how the recording has ended; there may have been none."""
        if self._work is None:
            return
        program.report_losses(final=True)
        self.emit(
            "session-ended",
            self._plan.title,
            "The recording has ended.",
            media_time_s=round(self._timeline.media_position_ns() / NANOSECONDS, 3),
            frames=self._counts.frames,
            **({"still": self._counts.still} if self._plan.adaptive_rate else {}),
            **(program.sound.summary().facts() if program.sound else {}),
        )
        self._machine.to(SessionState.SEALING)

    def _fail(self, error: LiputError) -> None:
        """Take note of what went wrong for good, and end the session in order."""
        self._failure = self._failure or error
        kind = "recording-failed" if isinstance(error, StorageError) else "session-failed"
        self.emit(kind, "session", error.message, hint=error.hint)
        self.stop()

    def _facts(self) -> RecordingFacts:
        """Return what is known when it is sealed."""
        counts, loudness = self._counts, self._program.loudness if self._program else Loudness()
        return RecordingFacts(
            ended_at=self._clock.now(), dropped=counts.dropped, repeated=counts.repeated,
            degraded=tuple(self._troubles.all), marks=self._marks.all,
            loudness_lufs=loudness.integrated_lufs, loudness_range_lu=loudness.range_lu,
            destinations=self.destinations.all_names,
        )  # fmt: skip

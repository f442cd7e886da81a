"""How a session ends: what is told of it, and what it becomes: a package, or none."""

from config.errors import as_ours
from devices.clock import NANOSECONDS
from recorder.archive.fixity import Progress
from recorder.archive.model import RecordingFacts, length_s
from recorder.files import SessionFiles
from recorder.live.destinations import Destinations
from recorder.marks import Marks
from recorder.plan import SessionPlan
from recorder.program import Program
from recorder.states import StateMachine
from recorder.status import SessionResult, SessionState
from recorder.timeline import RunContext
from recorder.troubles import Troubles


class Ending:
    """Tells of one session's end, and has it sealed; used by the session's thread."""

    def __init__(
        self,
        plan: SessionPlan,
        run: RunContext,
        *,
        marks: Marks,
        destinations: Destinations,
        machine: StateMachine,
        troubles: Troubles,
        progress: Progress | None,
    ) -> None:
        """`progress` is told how far sealing is; see Archive.seal."""
        self._plan = plan
        self._timeline = run.timeline
        self._marks = marks
        self._destinations = destinations
        self._machine = machine
        self._troubles = troubles
        self._clock = run.clock
        self._emit = run.emit
        self._progress = progress

    def tell(self, program: Program) -> None:
        """Say how the recording has ended; it is to be sealed then."""
        try:
            program.report_losses(final=True)
            counts = program.counts
            self._emit(
                "session-ended",
                self._plan.title,
                "The recording has ended.",
                media_time_s=self._media_s,
                frames=counts.frames,
                **({"still": counts.still} if self._plan.adaptive_rate else {}),
                **(program.sound.facts() if program.sound else {}),
            )
        except Exception as error:  # a mistake of ours: it is sealed all the same
            told = as_ours(error)
            self._emit("session-failed", "session", told.message, hint=told.hint)
        finally:
            self._machine.to(SessionState.SEALING)

    def seal(self, files: SessionFiles, program: Program) -> SessionResult:
        """Turn the work folder into a package; what cannot be sealed stays where it is, with the reason."""
        try:
            packages = files.storage.seal(self._facts(program), self._progress)
        except Exception as error:  # of whatever kind: people must hear where the recording is
            told, work = as_ours(error), files.storage.joined or files.work
            self._emit("sealing-failed", work.name, told.message, hint=told.hint)
            self._machine.to(SessionState.FAILED)
            return self.without_package(str(work.path), self._media_s, program.counts.frames)
        self._machine.to(SessionState.SEALED)
        # One copy, in all its parts; what sealing itself found wrong with the media stands in the packages only.
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
        )

    def without_package(self, folder: str | None = None, duration_s: float = 0.0, frames: int = 0) -> SessionResult:
        """Return how a session ended that has no package: where what was recorded is, its length and pictures."""
        return SessionResult(
            state=self._machine.state,
            package=folder,
            duration_s=duration_s,
            frames=frames,
            degraded=self._troubles.all,
        )

    @property
    def _media_s(self) -> float:
        return round(self._timeline.media_position_ns() / NANOSECONDS, 3)

    def _facts(self, program: Program) -> RecordingFacts:
        """Return what is known of the recording when it is sealed."""
        counts, loudness = program.counts, program.loudness
        return RecordingFacts(
            ended_at=self._clock.now(), dropped=counts.dropped, repeated=counts.repeated,
            degraded=tuple(self._troubles.all), marks=self._marks.all,
            loudness_lufs=loudness.integrated_lufs, loudness_range_lu=loudness.range_lu,
            destinations=self._destinations.all_names,
        )  # fmt: skip

"""The contract of a feature that takes part in sealing, and the steps in `recorder/composition.py`.

A step's module is loaded when the recorder starts. It imports libraries only in its methods.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import import_module
from pathlib import Path

from config.errors import as_liput_error
from config.settings.schema import Settings
from devices.host import threads
from devices.host.clock import Clock
from devices.host.priority import ensure_niceness
from recorder.composition import SEAL_STEPS
from recorder.disk.durable import TEMPORARY_FILES, DurableFiles
from recorder.model.names import one_line
from recorder.package.fixity import Progress
from recorder.package.metadata import DerivedRecord, Recording, SealOptions, SessionContext
from recorder.package.work_folder import WorkFolder

STEPS_SHARE = 0.6
"""The share of the progress of sealing for the steps, if there are options for them; the rest is for hashing."""
_NICE = 10


def progress_part(progress: Progress | None, begin: float, end: float) -> Progress | None:
    """Return a Progress for a piece of work from `begin` to `end` (0 to 1) of the whole."""
    if progress is None:
        return None
    return lambda done, total: progress(round((begin + (end - begin) * done / max(1, total)) * total), total)


@dataclass(frozen=True, slots=True)
class Seal:
    """One sealing: `target` is the package's later path, `now` the local time, `problems` the failed attempts."""

    work: WorkFolder
    target: Path
    now: datetime
    disk: DurableFiles
    progress: Progress | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def options(self) -> SealOptions:
        return self.work.begun.context.wishes or SealOptions()

    def attempt[Made](self, name: str, make: Callable[[], Made]) -> Made | None:
        """Run `make` on a thread of low priority; return None, with a problem noted, if it fails."""
        made: list[Made] = []

        def run() -> None:
            ensure_niceness(_NICE)
            try:
                made.append(make())
            except Exception as error:  # any failure: the recording must be sealed
                self.problems.append(f"{name}: {as_liput_error(error).message}")

        threads.start_thread(run, name=f"derive-{name}").join()
        if made:
            return made[0]
        for half in self.work.path.rglob(TEMPORARY_FILES):
            half.unlink(missing_ok=True)
        return None

    def derived(self, recording: Recording) -> DerivedRecord:
        slides = [chapter for chapter in recording.chapters if chapter.source == "slide"]
        return DerivedRecord(
            slides=len(slides),
            slides_read=sum(bool(chapter.text) for chapter in slides),
            language=self.options.language,
            report=self.options.report,
            problems=tuple(map(one_line, self.problems)),
        )

    def advance(self, recording: Recording, begin: float, end: float) -> Callable[[float], None]:
        """Return a function that reports the share done, from 0 to 1, as progress from `begin` to `end`."""
        total = sum(media.bytes for media in recording.media)
        progress = progress_part(self.progress, begin, end)
        return lambda done: progress(round(min(1.0, done) * total), total) if progress else None


@dataclass(frozen=True, slots=True)
class PlannedProgram:
    """The video inputs of a session in order, its first layout, and the iso file of each input."""

    pictures: Sequence[str]
    layout: str
    iso_files: Mapping[str, str]


class SealStep:
    """A feature's part in sealing. A step overrides the methods that it needs.

    `describe`, `add_payload` and `add_tags` raise only OSError of the package's disk: a file that the package can do
    without is made in `Seal.attempt`. After a kill they run again, and find the files of the interrupted attempt.
    """

    def plan(self, options: SealOptions, settings: Settings, program: PlannedProgram) -> SealOptions:  # noqa: ARG002
        """Return `options` of a session with the step's own."""
        return options

    def prepare(self, work: Path, context: SessionContext, clock: Clock) -> Callable[[], None]:  # noqa: ARG002
        """Begin to gather files of slow disks while the session records into `work`.

        Returns a function that ends it in a bounded time. Raises nothing.
        """
        return lambda: None

    def describe(self, seal: Seal, recording: Recording) -> Recording:  # noqa: ARG002 - steps need it
        """Return `recording` with the step's facts. Media are synced; `metadata/recording.json` is written later."""
        return recording

    def add_payload(self, seal: Seal, recording: Recording) -> None:
        """Add files below `data/`, or those of METADATA_FILES. The description is written; hashing follows."""

    def add_tags(self, seal: Seal, recording: Recording) -> None:
        """Add files outside `data/`. The payload's manifest is written; the tag manifest follows."""

    def sealed(self, target: Path, recording: Recording, context: SessionContext, now: datetime) -> None:
        """Note the package, which is in the archive at `target` now. Raises nothing."""

    def corrected(self, folder: Path, changed: Mapping[str, bytes]) -> Mapping[str, bytes]:  # noqa: ARG002
        """Return the step's new tag files, by path, for a package at `folder` with `changed` files; write nothing.

        A LiputError leaves the package as it was.
        """
        return {}


@cache
def seal_steps() -> tuple[SealStep, ...]:
    return tuple(import_module(module).STEP for module in SEAL_STEPS)

"""Makes packages of a recording's parts, on disks that may have failed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

import recorder.archive.sealing  # noqa: F401 - loaded now: the disk with Liput may not answer at the end
from config.errors import ArchiveError, LiputError, as_liput_error
from config.events import Emit
from config.files import read_file
from devices.host.clock import NANOSECONDS, Clock
from devices.host.deadline import DeadlineTask
from devices.host.priority import ensure_niceness
from recorder.archive.archive import Archive
from recorder.disk.errors import ask_disk, disk_stalled, storage_error
from recorder.package.fixity import Progress
from recorder.package.metadata import Package, PartFacts, RecordingFacts
from recorder.package.work_folder import WorkFolder
from recorder.recording.replica import Replica
from recorder.recording.storage_events import report_part_left, report_parts_apart
from recorder.recovery.packaging import SessionPackager
from recorder.recovery.resume import playable_s

SEAL_S = 120.0  # sealing without progress for so long abandons its disk

NICE = 0  # recording has priority over other programs; sealing has none
TOLD_NS = NANOSECONDS // 10  # the interval of progress reports: parts are joined packet by packet


@dataclass(eq=False)
class PartSealer:
    """Seals the parts of a session's copies, one copy after the other."""

    clock: Clock
    emit: Emit
    facts: RecordingFacts
    progress: Progress | None
    error: LiputError | None = None  # the first error
    joined: WorkFolder | None = None
    """The first work folder of joined parts that could not be sealed; the parts are gone."""
    _step: int = 0
    _told_ns: int = -TOLD_NS
    _apart: Sequence[PartFacts] = ()
    _logs: Sequence[bytes] = ()
    _empty: set[int] = field(default_factory=set)  # numbers of parts without media, which are removed
    _has_more: bool = False  # whether anything was, or may have been, recorded after the killed recorder's parts

    def seal_all(self, copies: Mapping[int, Sequence[Replica]], earlier: Sequence[WorkFolder]) -> list[Package]:
        """Return the packages of all copies with their `earlier` parts; parts of other copies stay for recovery."""
        self.report_earlier([work for work in earlier if work.begun.copy not in copies])
        return [
            package
            for number, replicas in copies.items()
            for package in self.seal(replicas, [work for work in earlier if work.begun.copy == number])
        ]

    def seal(self, parts: Sequence[Replica], earlier: Sequence[WorkFolder] = ()) -> list[Package]:
        """Return the packages of a copy's parts and `earlier` ones of a killed recorder, longest first."""
        left = [part for part in parts if not part.answers]
        for part in left:
            self._report_left(part, disk_stalled(part.work.path, SEAL_S))
        self._empty.clear()
        kept = [part for part in parts if part.answers and self._holds_media(part)]
        self._has_more = self._has_more or bool(kept)
        is_one = bool(kept) and len(kept) + len(earlier) > 1
        is_all = bool(earlier) and not self._has_more
        if not left and (is_one or is_all) and (made := self._finish(kept, earlier)) is not None:
            return made
        self.report_earlier(earlier)
        if len(kept) + len(left) > 1:
            self._add_reason(report_parts_apart(self.emit, parts[-1].folder, len(kept) + len(left)))
        spans = {id(part): _span(part) for part in [*left, *kept]}
        before = list(filter(None, map(self._earlier_span, earlier)))
        packages: list[Package] = []
        for part in kept:
            self._apart = [*before, *(span for key, span in spans.items() if key != id(part))]
            works = [other.work for other in kept if other is not part]
            logs = (self._ask(partial(read_file, work.events), work, b"") for work in works)
            self._logs = [log for log in logs if log]  # none of a part that is in a package already
            packages += self._finish([part], is_last_try=True) or ()
        self._apart, self._logs = (), ()
        return sorted(packages, key=lambda package: package.duration_s, reverse=True)

    def _earlier_span(self, work: WorkFolder) -> PartFacts | None:
        """Return the media time span of a killed recorder's part, None if unknown."""
        length_s = self._ask(partial(playable_s, work), work, 0.0)
        span = PartFacts(part=work.begun.part, offset_s=work.begun.offset_s, duration_s=length_s)
        return span if length_s else None

    def _ask[T](self, act: Callable[[], T], work: WorkFolder, unknown: T) -> T:
        """Return the result of `act` on the disk of `work`; `unknown` if that fails, or the disk does not answer."""
        try:
            return ask_disk(act, work.path, self.clock)
        except (OSError, LiputError, RuntimeError):
            return unknown

    def report_earlier(self, earlier: Sequence[WorkFolder]) -> None:
        """Report a killed recorder's parts that stay for recovery."""
        for work in earlier:
            if self._ask(work.path.is_dir, work, unknown=True):  # else the event would name a missing folder
                apart = self.error or ArchiveError("it was not joined with the later parts")
                self._add_reason(report_part_left(self.emit, str(work.archive_root), work.path, apart))

    def _holds_media(self, part: Replica) -> bool:
        try:
            if not ask_disk(part.remove_if_empty, part.work.path, self.clock):
                return True
            self._empty.add(part.work.begun.part)
        except (OSError, LiputError, RuntimeError) as error:  # RuntimeError: no free thread
            self._report_left(part, _told(error, part.work.program))
        return False

    def _finish(
        self, parts: Sequence[Replica], earlier: Sequence[WorkFolder] = (), *, is_last_try: bool = False
    ) -> list[Package] | None:
        """Make one package of `parts`; None if that fails and they are unchanged, [] if they were joined before."""
        # Join on the newest disk: the others failed.
        archives = {part.archive.root: part.archive for part in reversed(parts)}
        for work in reversed(earlier):
            archives.setdefault(work.archive_root, Archive(work.archive_root, self.clock))
        finisher = SessionPackager(
            list(archives.values()), clock=self.clock, progress=self.advance, apart=self._apart, logs=self._logs,
            empty=self._empty,
        )  # fmt: skip
        works: list[WorkFolder] = [*earlier, *(part.work for part in parts)]
        facts = self.facts if parts else None  # without new parts the earlier ones' logs say more

        def finish() -> Package:
            ensure_niceness(NICE)
            return finisher.finish(works, facts)

        finishing = DeadlineTask(finish, "storage-seal", clock=self.clock)
        too_late = disk_stalled(works[-1].path, SEAL_S)
        try:
            return [finishing.get(SEAL_S, too_late, lambda: (self._step, finishing.moved_bytes))]
        except Exception as error:  # even after a bug the other parts are sealed
            told = _told(error, (finisher.joined or works[-1]).path)
        if (joined := finisher.joined) is not None:
            told = disk_stalled(joined.path, SEAL_S) if told is too_late else told
            self._add_reason(report_part_left(self.emit, str(joined.archive_root), joined.path, told))
            self.joined = self.joined or joined
        self.error = self.error or told
        if is_last_try:
            self._report_left(parts[0], told)
        return None if joined is None else []

    def advance(self, done: int, of: int) -> None:
        """Report progress: `done` bytes or packets of `of`."""
        self._step += 1
        now_ns = self.clock.now_ns()
        if self.progress and (now_ns >= self._told_ns + TOLD_NS or done >= of):
            self._told_ns = now_ns
            self.progress(done, of)

    def _report_left(self, part: Replica, error: LiputError) -> None:
        self._has_more = True
        self.error = self.error or error
        self._add_reason(report_part_left(self.emit, part.folder, part.work.path, error))

    def _add_reason(self, reason: str) -> None:
        if reason not in self.facts.degraded:
            self.facts = msgspec.structs.replace(self.facts, degraded=(*self.facts.degraded, reason))


def _span(part: Replica) -> PartFacts:
    begun = part.work.begun
    return PartFacts(part=begun.part, offset_s=begun.offset_s, duration_s=part.on_disk.media_time_s)


def _told(error: Exception, path: Path) -> LiputError:
    return storage_error(error, path) if isinstance(error, OSError) else as_liput_error(error)

"""From the parts of a recording to packages, on disks that may have failed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from config.errors import LiputError, StorageError
from devices.clock import Clock
from recorder.archive.fixity import Progress
from recorder.archive.media import holds_media
from recorder.archive.model import Package, RecordingFacts
from recorder.mending import mend
from recorder.storing.bounded import Bounded
from recorder.storing.faults import stalled

if TYPE_CHECKING:
    from recorder.storing.part import Part
    from recorder.storing.telling import Teller

SEAL_S = 120.0
"""How long sealing may stand still, before its disk is left to itself."""


class Sealer:
    """Seals the parts of a session's lanes, one lane after the other."""

    def __init__(self, clock: Clock, tell: "Teller", facts: RecordingFacts, progress: Progress | None) -> None:
        self._clock = clock
        self._tell = tell
        self._facts = facts
        self._progress = progress
        self._step = 0
        self.error: Exception | None = None
        """What came first of what went wrong."""

    def seal(self, parts: Sequence["Part"]) -> list[Package]:
        """Return the packages that were made of a lane's parts, the longest first."""
        left = [part for part in parts if not part.answers]
        for part in left:
            self._leave(part, stalled(part.work.path, SEAL_S))
        kept = [part for part in parts if part.answers and self._holds_media(part)]
        if len(parts) > 1 and (len(kept) > 1 or left):
            self._add(self._tell.kept_apart(parts[-1].place, len(kept) + len(left)))
        packages = [package for part in kept if (package := self._seal(part)) is not None]
        return sorted(packages, key=lambda package: package.duration_s, reverse=True)

    def _holds_media(self, part: "Part") -> bool:
        """Mend what a part has left, and remove a work folder with nothing in it."""
        try:
            if part.recording.failed:
                mend(part.work.program)
            if holds_media(part.work.program):
                return True
            part.archive.discard(part.work)
        except (LiputError, OSError) as error:
            self._leave(part, error)
        return False

    def _seal(self, part: "Part") -> Package | None:
        facts = self._facts
        sealing = Bounded(lambda: part.archive.seal(part.work, facts, progress=self._advance), "storage-seal")
        try:
            return sealing.get(self._clock, SEAL_S, stalled(part.work.path, SEAL_S), lambda: self._step)
        except Exception as error:  # of whatever kind: the other parts are sealed all the same
            self._leave(part, error)
            return None

    def _advance(self, done: int, of: int) -> None:
        self._step += 1
        if self._progress:
            self._progress(done, of)

    def _leave(self, part: "Part", error: Exception) -> None:
        self.error = self.error or error
        self._add(self._tell.left_behind(part, error if isinstance(error, LiputError) else StorageError(str(error))))

    def _add(self, reason: str) -> None:
        if reason not in self._facts.degraded:
            self._facts = msgspec.structs.replace(self._facts, degraded=(*self._facts.degraded, reason))

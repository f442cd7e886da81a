"""One of the files that a session is written to at once, through all the parts it has had."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from recorder.archive.archive import Archive
from recorder.storing.bounded import Bounded
from recorder.storing.part import Part


@dataclass(eq=False)
class Copy:
    """One of the files that are written at once: the parts it has had so far, the last of them open."""

    number: int
    parts: list[Part] = field(default_factory=list)
    is_moving: bool = False
    """Whether it looks for another disk; `move` is who does."""
    move: Bounded[None] | None = None
    refused: list[Archive] = field(default_factory=list)
    """The folders that took nothing while its own disk stood still; the Mover's."""
    former: Part | None = None
    """The part before it, where that still gets what came too late for it: the sound of its last pictures."""
    ended: bool = False
    """Whether it has no disk any more."""

    @property
    def part(self) -> Part:
        """The part that takes packets."""
        return self.parts[-1]

    def leave_former(self) -> None:
        """Close the part before it: all has come that belongs into it."""
        if self.former is not None:
            with suppress(RuntimeError):  # there are too many threads: it is closed at the end
                self.former.close()
                self.former = None

    @property
    def bytes(self) -> int:
        """How much of it was found on disk, in all its parts."""
        return sum(part.recording.on_disk.bytes for part in self.parts)

    @property
    def found_s(self) -> float:
        """Up to where it was found on disk, in seconds of media time."""
        return found_s(self.parts)


def found_s(parts: Sequence[Part]) -> float:
    """Return up to where `parts` were found on disk, in seconds of media time."""
    return max((part.found_s for part in parts), default=0.0)

"""Sessions that run or are armed: what they have open is asked of them, and is not opened beside them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from recorder.control.claims import claimed
from recorder.control.find import Running, running
from recorder.model.status import AFTER, SessionStatus


@dataclass(frozen=True, slots=True)
class Held:
    """A session that has something open: what it says of itself, None where its recorder does not answer."""

    title: str
    status: SessionStatus | None
    recorder: Running | None = None

    def has(self, device: str) -> bool:
        """Return whether it has the device of that id open; one that does not answer, whether it has claimed it."""
        if self.status is not None:
            return any(line.id == device for line in self.status.sources)
        claim = claimed(device)
        return claim is not None and self.recorder is not None and claim.id == self.recorder.info.id


def held_sessions() -> Sequence[Held]:
    """Return those of this PC."""
    return still_open(Held(one.info.title, one.status, one) for one in running())


def still_open(sessions: Iterable[Held]) -> Sequence[Held]:
    """Leave out those that are closed and being sealed."""
    return [one for one in sessions if one.status is None or one.status.state not in AFTER]

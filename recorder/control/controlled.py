"""What the control of a recorder needs of a session; recorder.session.Session is one."""

from typing import Protocol

from recorder.status import SessionResult, SessionStatus


class Controlled(Protocol):
    """A session that is run on one thread and told what to do from others.

    All but `run` return at once, from any thread; what cannot be done now is refused with a LiputError, a wrong name
    with a UsageError.
    """

    def run(self) -> SessionResult:
        """Arm, record once told to, seal; return what came of it. Raises what kept it from recording anything."""
        ...

    def start(self, pre_roll_s: float = 0.0) -> None:
        """Begin to record, `pre_roll_s` seconds back as far as they are kept; nothing new to one that records."""
        ...

    def stop(self) -> None:
        """End what is recorded, or disarm; asking again changes nothing."""
        ...

    def mark(self, text: str) -> object:
        """Mark this moment; return the mark."""
        ...

    def mute(self, name: str | None, *, on: bool) -> None:
        """Mute the sound input `name`, None for all, or let it be heard again."""
        ...

    def layout(self, name: str) -> None:
        """Show the layout or card `name`."""
        ...

    def status(self) -> SessionStatus:
        """Return what is true now."""
        ...

"""What a recorder tells, shown through a reporter."""

import select
from collections.abc import Callable

from agent.reporters import Reporter
from agent.signals import HEARD_AFTER_S
from config.events import Event
from recorder.control.client import Connection
from recorder.control.directory import RecorderFolder
from recorder.control.protocol import Failure, Note, Told, Watch, raised
from recorder.model.status import BEFORE, SessionResult, SessionState, SessionStatus

SEALED, FAILED, DEGRADED = 0, 1, 3
"""Exit statuses; docs/reference/cli.md."""

NOT_MEASURED = (
    "Live destinations get what is recorded, at a fixed bit rate: nobody has measured yet whether this PC can encode "
    "twice. Run liput headroom once, when nothing is recorded."
)


class Follower:
    """Shows what comes from one recorder, and keeps what it means."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.happened = 0
        """How many events and notes have come: the number of the next, for a second connection."""
        self.is_recording = False
        """Whether anything was recorded, as far as has been told: also by a recorder that was killed meanwhile."""
        self.result: SessionResult | None = None

    def take(self, told: Told) -> None:
        """Show a line; raises what it says of a session of which nothing was recorded."""
        if isinstance(told, Failure):
            raise raised(told)
        if isinstance(told, SessionResult):
            self.result = told
            return
        self._reporter.show(told)
        if isinstance(told, SessionStatus):
            self.is_recording |= told.state not in BEFORE
        if isinstance(told, Event | Note):
            self.happened += 1
        if isinstance(told, Event) and told.kind == "session-live":
            self.is_recording = True
            if told.detail.get("stream_why") == "not-measured" and told.detail.get("destinations"):
                self._reporter.note(NOT_MEASURED)


def follow(folder: RecorderFolder, follower: Follower, *, every_s: float, rung: int, heard: Callable[[], bool]) -> None:
    """Show what a recorder tells until its session is over, or `heard` says that it is enough.

    `heard` is called whenever the descriptor `rung` can be read. Raises Lost, and what kept it from recording anything.
    """
    with Connection(folder) as connection:
        connection.request(Watch(every_s=every_s, events_from=follower.happened))
        while True:
            while not follower.result and (told := connection.told(0)):
                follower.take(told)
            if heard() or follower.result:
                return
            select.select([connection.fileno(), rung], [], [], HEARD_AFTER_S)


def exit_status(result: SessionResult | None) -> int:
    """Return what a script is told: 0 sealed, 3 sealed but something was lost on the way, 1 failed."""
    if result is None or result.state is not SessionState.SEALED:
        return FAILED
    return DEGRADED if result.degraded else SEALED

"""The daemon's part `alarms`: watches every session that runs, keeps what is wrong, and tells people."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.alarms.alarm import Alarm
from agent.alarms.desktop import Desktop, NoDesktop
from agent.alarms.herald import Herald, Message
from agent.alarms.listening import Ears
from agent.alarms.notices import Notices
from agent.alarms.sender import Sender, Tell, Way
from agent.alarms.ways import ways_of
from config.errors import LiputError, SecretError
from config.schema import Settings
from devices.clock import Clock

LOOK_S = 0.5
END_S = 1.0
"""How long each way may take to end with the daemon."""


@dataclass(eq=False)
class Alarms:
    """Looks after alarms until it is told to stop; `present` may be asked from any thread."""

    ways: Sequence[Way]
    herald: Herald
    clock: Clock
    tell: Tell
    others: Sequence[Callable[[], Sequence[Alarm]]] = ()
    """Who knows of further troubles, of no session; they answer at once."""
    notices: Notices | None = None
    """What is said of planned sessions."""
    name: str = "alarms"
    _present: tuple[Alarm, ...] = ()
    _senders: list[Sender] = field(default_factory=list)
    _trouble: str = ""

    def present(self) -> tuple[Alarm, ...]:
        """Return what is wrong now with the sessions that run, the oldest of each first, and what else is wrong."""
        return self._present

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Watch and tell until `stop` is set."""
        self._senders = [Sender(way, self.clock, self.tell) for way in self.ways]
        ears = Ears(self.clock)
        try:
            for sender in self._senders:
                sender.start()
            while not stop.is_set():
                beat()
                self._look(ears)
                self.clock.wait(stop, LOOK_S)
        finally:
            ears.close()
            self._end()

    def _look(self, ears: Ears) -> None:
        try:
            ears.look()
            present = [*ears.present(), *(alarm for ask in self.others for alarm in ask())]
        except (LiputError, OSError) as error:
            self._say_once(f"the runtime directory cannot be read: {error}")
            return
        self._say_once("")
        self._present = tuple(present)
        message = self.herald.look(ears.begun(), present)
        if message is not None:
            self._give(message)
        if self.notices is not None and (noticed := self.notices.due(present)) is not None:
            self._give(noticed)

    def _give(self, message: Message) -> None:
        for sender in self._senders:
            if not message.closes or isinstance(sender.way, Desktop):
                sender.give(message)

    def _say_once(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            self.tell(trouble)
        self._trouble = trouble

    def _end(self) -> None:
        """End with what is shown: nobody would take it away any more."""
        for sender in self._senders:
            sender.stop(END_S)
            if isinstance(sender.way, Desktop):
                try:
                    sender.way.close()
                except NoDesktop:
                    continue


def alarms_of(
    settings: Settings, clock: Clock, tell: Tell, others: Sequence[Callable[[], Sequence[Alarm]]] = (),
    notices: Notices | None = None,
) -> Alarms:  # fmt: skip
    """Return the part as the settings have it; a file of keys that is wrong is told of, and leaves the desktop."""
    try:
        ways = ways_of(settings)
    except SecretError as error:
        tell(f"alarms go to the desktop only: {error.message}")
        desktop = Desktop(settings.general.room, settings.general.language)
        ways = [desktop] if settings.alarms.desktop else []
    return Alarms(
        ways, Herald(clock, settings.alarms.repeat_s, settings.alarms.most_per_hour), clock, tell, others, notices
    )

"""Listens to each recorder on a thread of its own, so that a hung one delays nobody."""

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from agent.health.alarm import (
    FAILED,
    KILLED,
    SILENT,
    Alarm,
    Key,
    before_recording,
    explains_less,
    explanation_rank,
    new_alarm,
)
from config.errors import LiputError
from config.events import Event
from devices.host import threads
from devices.host.background import BackgroundTask
from devices.host.clock import NANOSECONDS, Clock
from recorder.model.session_faults import SESSION_LIVE, ActiveFaults
from recorder.model.status import STATES_BEFORE, SessionResult, SessionStatus
from recorder.running import runtime_directory
from recorder.running.client import ControlClient, read_result
from recorder.running.protocol import RecorderFailure, RecorderMessage, RecorderNote, StatusCommand, WatchCommand
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo, ended_recorder_folder

STATUS_S = 5.0
SILENT_S = 15.0  # a recorder that is silent for so long hangs
_HEARD_S = 1.0
_AGAIN_S = 1.0


@dataclass(eq=False)
class RecorderListener:
    """The alarms of one session, from its recorder's messages; a new connection gets the missed ones. Thread-safe."""

    folder: RecorderFolder
    info: RecorderInfo
    clock: Clock
    is_over: bool = False
    _has_begun: bool = False
    _happened: int = 0  # number of the next event
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _shown: dict[Key, Alarm] = field(default_factory=dict)
    _begun: list[Alarm] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._faults = ActiveFaults(self.clock)
        self._heard_ns = self.clock.now_ns()
        self._task = BackgroundTask(f"part-alarms-{self.info.id}", self._hear, pause=_AGAIN_S, failed=_report)

    def start(self) -> None:
        self._task.start()

    def close(self) -> None:
        """Stop listening. A hung thread is abandoned."""
        self._task.stop()

    def take(self, told: RecorderMessage) -> None:
        with self._lock:
            if isinstance(told, Event):
                self._has_begun |= told.kind == SESSION_LIVE
                self._update()  # end faults that have expired
                self._faults(told)
                self._update()
            elif isinstance(told, SessionStatus):  # the recorder may have dropped the event
                self._has_begun |= told.state not in STATES_BEFORE
            elif isinstance(told, SessionResult | RecorderFailure):
                self.is_over = True

    def _update(self) -> None:
        """Update the alarms. A trouble begins and ends once, however many events it has."""
        there: dict[Key, Alarm] = {}
        for event in self._faults.events():
            alarm = self._new_alarm(event.kind, event.subject, event.at, event.message, event.detail.get("reason"))
            other = there.get(alarm.key)
            if other is None or explanation_rank(alarm.kind) < explanation_rank(other.kind):
                there[alarm.key] = alarm
        for key, alarm in there.items():
            before = self._shown.get(key)
            if before is None:
                self._begun.append(alarm)
            elif explains_less(alarm.kind, before.kind):
                there[key] = before
            else:
                there[key] = msgspec.structs.replace(alarm, since=before.since)
        self._shown = there

    def _new_alarm(self, kind: str, subject: str, at: datetime, message: str, reason: object = None) -> Alarm:
        return new_alarm(self.info.id, self.info.title, kind, subject, at, message, reason)

    def begun(self) -> list[Alarm]:
        """Return the alarms that began since the last call, ended ones too."""
        with self._lock:
            begun, self._begun = self._begun, []
            return self._worded(begun)

    def present(self) -> list[Alarm]:
        """Return the present alarms in order of beginning; none after the session."""
        with self._lock:
            if self.is_over:
                return []
            self._update()
            return self._worded(sorted(self._shown.values(), key=lambda alarm: alarm.since))

    def _worded(self, alarms: list[Alarm]) -> list[Alarm]:
        if self._has_begun:
            return alarms
        return [msgspec.structs.replace(alarm, text=before_recording(alarm.text)) for alarm in alarms]

    def silent(self) -> Alarm | None:
        """Return an alarm if the recorder has been silent for SILENT_S."""
        if self.is_over or self.clock.now_ns() - self._heard_ns < SILENT_S * NANOSECONDS:
            return None
        title = self.info.title
        return self._new_alarm(SILENT, title, self.clock.now(), f"the recorder of {title} does not answer")

    def _hear(self) -> bool:
        """Listen until the connection ends; return whether the session is over. Raises LiputError."""
        with ControlClient(self.folder) as connection:
            with suppress(LiputError):  # the first events of a long session may be dropped
                if (status := connection.request(StatusCommand()).status) is not None:
                    self.take(status)
            connection.request(WatchCommand(every_s=STATUS_S, events_from=self._happened))
            while not self._task.stopped.is_set() and not self.is_over:
                if (told := connection.told(_HEARD_S)) is None:
                    continue
                self._heard_ns = self.clock.now_ns()
                self._happened += isinstance(told, Event | RecorderNote)
                self.take(told)
        return self.is_over


def _report(error: Exception) -> None:
    if not isinstance(error, LiputError):  # a hung or dead recorder has alarms of its own
        threads.report_error()


@dataclass(eq=False)
class RecorderWatcher:
    """Listens to all recorders of this user. Not thread-safe."""

    clock: Clock
    _listeners: dict[str, RecorderListener] = field(default_factory=dict)
    _since: dict[tuple[str, str], Alarm] = field(default_factory=dict)
    _last: list[Alarm] = field(default_factory=list)
    _killed: dict[str, RecorderInfo] = field(default_factory=dict)

    def look(self) -> None:
        """Follow new recorders and drop ended ones. Raises LiputError, OSError."""
        self._notice_given_up()
        alive = {folder.id: (folder, info) for folder, info in runtime_directory.alive_recorders()}
        for gone in self._listeners.keys() - alive.keys():
            listener = self._listeners.pop(gone)
            listener.close()
            self._last += listener.begun()
        for new in alive.keys() - self._listeners.keys():
            self._listeners[new] = RecorderListener(*alive[new], self.clock)
            self._listeners[new].start()

    def _notice_given_up(self) -> None:
        """Add an alarm for each killed recorder that the daemon has given up."""
        killed = {folder.id: info for folder in runtime_directory.killed_recorders() if (info := folder.info())}
        for gone in self._killed.keys() - killed.keys():
            info, end = self._killed[gone], read_result(ended_recorder_folder(gone))
            if isinstance(end, RecorderFailure):
                now = self.clock.now()
                self._last.append(new_alarm(info.id, info.title, FAILED, "session", now, end.message))
        self._killed = killed

    def begun(self) -> list[Alarm]:
        """Return the alarms that began since the last call, ended ones too."""
        last, self._last = self._last, []
        return [*last, *(alarm for listener in self._listeners.values() for alarm in listener.begun())]

    def present(self) -> list[Alarm]:
        """Return all present alarms, also those about silent and killed recorders."""
        ours = [alarm for listener in self._listeners.values() if (alarm := listener.silent())]
        ours += [
            new_alarm(
                info.id, info.title, KILLED, info.title, self.clock.now(), f"the recorder of {info.title} was killed"
            )
            for info in self._killed.values()
        ]
        # Keep the time of the first finding.
        self._since = {alarm.key[:2]: self._since.get(alarm.key[:2], alarm) for alarm in ours}
        heard = [alarm for listener in self._listeners.values() for alarm in listener.present()]
        return [*self._since.values(), *heard]

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()

"""The daemon's work on archives between sessions, each in a child.

`liput archive copy --pending` makes copies; a session that begins ends it. `liput archive fixity`, of the daemon's part
`fixity`, reads a part of the archive each night.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import msgspec

from agent.daemon.command_child import PATIENCE_S, CommandChild, archive_options, start_command
from agent.daemon.parts import poll
from agent.health.alarm import DAMAGED, Alarm, new_alarm
from config.errors import LiputError
from config.settings.office import zone_of
from config.settings.schema import Settings
from config.state import StateFile, state_folder
from devices.host.clock import NANOSECONDS, Clock
from devices.host.throttle import LogOnChange
from recorder.archive.fixity_round import FixityEntry, FixityLog, RoundResult
from recorder.running.runtime_directory import is_session_running

EVERY_S = 60.0  # between two rounds of copying


@dataclass
class CopyRunner:
    """Works the queue of copies. `look` never blocks. `archive` None means those of the settings."""

    clock: Clock
    archive: Path | None = None
    config_file: Path | None = None
    is_wanted: Callable[[], bool] = lambda: True  # return whether the settings have a place for copies
    _child: CommandChild | None = None
    _next_ns: int = 0
    _beside_since_ns: int | None = None

    def look(self) -> None:
        """Start a round when it is due; kill one that goes on beside a session."""
        now_ns = self.clock.now_ns()
        if self._child is not None and self._child.status is not None:
            self._child.end()
            self._child = None
            self._next_ns = now_ns + int(EVERY_S * NANOSECONDS)
        if self._child is None and (now_ns < self._next_ns or not self.is_wanted()):
            return
        if not is_session_running():
            self._beside_since_ns = None
            if self._child is None:
                words = ["archive", "copy", "--pending", *archive_options(self.archive)]
                self._child = start_command(words, self.config_file)
        elif self._child is not None:
            since_ns = self._beside_since_ns = self._beside_since_ns or now_ns
            if now_ns - since_ns > PATIENCE_S * NANOSECONDS:
                self._child.kill()

    def close(self) -> None:
        """End the process; the next one continues its copy."""
        if self._child is not None:
            self._child.end()


FILE = "fixity-round.json"


class NightProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The last night done, and the bytes read of the next one."""

    done: datetime | None = None
    read: int = 0


def night_store() -> StateFile[NightProgress]:
    return StateFile(state_folder() / FILE, NightProgress, NightProgress())


def last_time_at(at: str, now: datetime, zone: tzinfo) -> datetime:
    """Return the last time that it was `at` (HH:MM) in `zone`, or nearly, when clocks change."""
    hours, minutes = map(int, at.split(":"))
    local = now.astimezone(zone)
    moment = local.replace(hour=hours, minute=minutes, second=0, microsecond=0)
    if moment > local:
        moment = (local - timedelta(days=1)).replace(hour=hours, minute=minutes, second=0, microsecond=0)
    return moment


LOOK_S = 5.0
QUIET_S = 300.0  # time without a session, and since the daemon's start, before the disk is read
RETRY_S = 1800.0  # after a failed round
TOLD_FOR = timedelta(days=30)  # an alarm ends when no round confirms the damage for so long: the package is gone
LEAST_BYTES = 1_000_000
FAILED = "the archive could not be read again, which is tried again later"


@dataclass(eq=False)
class FixityPart:
    """Starts rounds until it is stopped. `archive` None means those of the settings."""

    settings: Settings
    clock: Clock
    tell: Callable[[str], None]
    archive: Path | None = None
    config_file: Path | None = None
    log: FixityLog = field(default_factory=FixityLog)
    night: StateFile[NightProgress] = field(default_factory=night_store)
    name: str = "fixity"
    _round: CommandChild | None = None
    _not_before_ns: int = 0
    _seen: object = None
    _damaged: tuple[Alarm, ...] = ()
    _is_failing: bool = False

    def __post_init__(self) -> None:
        self._log_once = LogOnChange(self.tell)

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Look until `stop` is set."""
        self.rest(QUIET_S)
        try:
            poll(self._try_to_look, LOOK_S, self.clock, stop, beat)
        finally:
            if self._round is not None:
                self._round.end()
            self._round = None

    def _try_to_look(self) -> None:
        try:
            self.look()
            self._log_once("")
        except (LiputError, OSError) as error:
            self._log_once(f"the archive is not read again: {error}")

    def take(self, settings: Settings) -> None:
        """Use these settings from the next round on. Thread-safe."""
        self.settings = settings

    def damaged(self) -> tuple[Alarm, ...]:
        """Return an alarm for each damaged package until it is repaired. Thread-safe."""
        return self._damaged

    def look(self) -> None:
        """Start or finish a round if it is time. Raises LiputError, OSError."""
        self._find_damaged()
        if self._round is not None:
            if (status := self._round.status) is not None:
                self._take_round(_last_line(self._round.said()), status)
            return
        if is_session_running():
            self.rest(QUIET_S)
        elif self.settings.fixity.at and self.clock.now_ns() >= self._not_before_ns:
            self._begin_if_due()

    def _begin_if_due(self) -> None:
        now, due, night = self.clock.now(), self._last_due(), self.night.read()
        if night.done is None or night.done > now:  # a new PC begins tomorrow; a clock may have been wrong
            self.night.change(lambda _: NightProgress(done=due))
        elif night.done < due:
            left = max(LEAST_BYTES, self.settings.fixity.budget - night.read)
            words = ["archive", "fixity", "--json", "--budget", str(left), *archive_options(self.archive)]
            self._round = start_command(words, self.config_file)

    def _take_round(self, done: RoundResult | None, status: int) -> None:
        """Take the result of a round; a session may have ended it early."""
        self._round = None
        if done is None:
            self.rest(RETRY_S)
            if not self._is_failing:
                self.tell(f"{FAILED}: liput archive fixity has ended with status {status}")
            self._is_failing = True
            return
        self._is_failing = False
        if done.ended == "session":
            self.rest(QUIET_S)
            self.night.change(lambda night: NightProgress(done=night.done, read=night.read + done.bytes))
        else:
            self.night.change(lambda _: NightProgress(done=self._last_due()))
        if done.packages:
            named = f": {', '.join(done.damaged)}" if done.damaged else ""
            self.tell(f"the archive was read again: {done}{named}")

    def _last_due(self) -> datetime:
        return last_time_at(self.settings.fixity.at, self.clock.now(), zone_of(self.settings.office.time_zone))

    def _find_damaged(self) -> None:
        seen = self.log.stamp()
        if seen != self._seen:
            found = self.log.damaged(self.clock.now() - TOLD_FOR) if seen else []
            self._damaged = tuple(map(_alarm, found))
            self._seen = seen

    def rest(self, seconds: float) -> None:
        """Start no round for so long."""
        self._not_before_ns = self.clock.now_ns() + int(seconds * NANOSECONDS)


def _last_line(said: bytes) -> RoundResult | None:
    with suppress(msgspec.MsgspecError, IndexError):
        return msgspec.json.decode(said.splitlines()[-1], type=RoundResult)
    return None


def _alarm(entry: FixityEntry) -> Alarm:
    first = f"{entry.problems[0].file} {entry.problems[0].problem}" if entry.problems else "it is damaged"
    more = f", and {entry.found - 1} more" if entry.found > 1 else ""
    return new_alarm("", "Arsip", DAMAGED, entry.package, entry.at, f"{first}{more}")

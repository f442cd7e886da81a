"""The daemon's part `settings`: gives changed settings and keys to the other parts, once their files rest."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from agent.daemon.parts import poll
from config.errors import LiputError
from config.files import file_stamp
from config.settings.schema import CurrentSettings, Settings
from config.settings.secrets import keys_path
from devices.host.clock import Clock
from devices.host.throttle import LogOnChange

LOOK_S = 1.0
CHANGED = "the settings have changed, and hold from now on"
RESTART = (
    "[web] of the settings has changed: it holds once liput serve is restarted, which no session that runs notices"
)


@dataclass(eq=False)
class SettingsPart:
    """Looks for changes until it is stopped. `began` has the settings at the daemon's start."""

    in_force: CurrentSettings
    began: Settings
    clock: Clock
    tell: Callable[[str], None]
    takers: Sequence[Callable[[Settings], None]] = ()  # take new settings on the part's thread; return at once
    name: str = "settings"

    def __post_init__(self) -> None:
        self.now = self.began
        self._seen: object = None
        self._keys = file_stamp(keys_path(self.began))
        self._web = self.began.web
        self._is_due = False
        self._log_once = LogOnChange(self.tell)

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        poll(self.look, LOOK_S, self.clock, stop, beat)

    def look(self) -> None:
        """Take the settings if they changed at the last look and not since."""
        seen = self.in_force.stamp(), file_stamp(keys_path(self.now))
        if seen != self._seen:
            self._seen, self._is_due = seen, True
        elif self._is_due:
            self._is_due = False
            self._take()

    def _take(self) -> None:
        try:
            settings = self.in_force.read()
        except LiputError as error:
            self._hold("; ".join(error.message.splitlines()))
            return
        if settings.file is None and self.now.file is not None:
            self._hold(f"there is no settings file {self.now.file} any more")
            return
        self._log_once("")
        keys = file_stamp(keys_path(settings))
        if _values(settings) == _values(self.now) and keys == self._keys:
            return
        self.now, self._keys = settings, keys
        for take in self.takers:
            take(settings)
        self.tell(CHANGED)
        if settings.web not in (self._web, self.began.web):
            self.tell(RESTART)
        self._web = settings.web

    def _hold(self, why: str) -> None:
        self._log_once(f"{why}; the former settings stay in force")


def _values(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, text="", lines={})

"""The settings that are in force now: read again when their file has changed."""

import threading
from pathlib import Path
from typing import NamedTuple

from config.errors import SettingsError
from config.schema import Settings
from config.settings import find_file, load_with_text
from config.stamp import stamp


class Good(NamedTuple):
    """A file in which nothing was wrong, and what it said."""

    file: Path
    text: str


class SettingsInForce:
    """The settings; for any thread."""

    def __init__(self, file: Path | None) -> None:
        """`file`: the one that was asked for, None for that which is found."""
        self.file = file
        self._lock = threading.Lock()
        self._seen: object = None
        self._settings: Settings | SettingsError = Settings()
        self._good: Good | None = None

    def stamp(self) -> object:
        """Return what differs once they may be others; None where there is no file."""
        return stamp(find_file(self.file))

    def read(self) -> Settings:
        """Return the settings; raises SettingsError."""
        with self._lock:
            seen = self.stamp()
            if seen != self._seen or seen is None:
                self._settings = self._load()
                self._seen = seen
            if isinstance(self._settings, SettingsError):
                raise self._settings.with_traceback(None)  # else it would grow with each time
            return self._settings

    @property
    def good(self) -> Good | None:
        """The file, and what it said when nothing was wrong with it last; None where there has been none."""
        with self._lock:
            return self._good

    def _load(self) -> Settings | SettingsError:
        try:
            settings, text = load_with_text(self.file)
        except SettingsError as error:
            return error
        if settings.file is not None:
            self._good = Good(settings.file, text)
        return settings

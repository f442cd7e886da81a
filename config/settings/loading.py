"""Finds and loads the settings."""

import os
import threading
from pathlib import Path

import platformdirs

from config.errors import SettingsError
from config.files import file_stamp
from config.settings.office import use_time_zone
from config.settings.reader import read_planned, read_settings
from config.settings.schema import PlannedSession, Settings

CONFIG_VARIABLE = "LIPUT_CONFIG"
SYSTEM_FILE = Path("/etc/liput/liput.toml")


def user_file() -> Path:
    """Return the path of this user's settings, which may not exist."""
    return platformdirs.user_config_path("liput") / "liput.toml"


def candidates(path: Path | None = None) -> list[Path]:
    """Return the files that are tried, in order; a named one (argument, then environment) stands alone."""
    if path is not None:
        return [path]
    if named := os.environ.get(CONFIG_VARIABLE):
        return [Path(named)]
    return [user_file(), SYSTEM_FILE]


def find_file(path: Path | None = None) -> Path | None:
    """Return the file in force: a named one (`path`, LIPUT_CONFIG) even if missing, else the first that exists."""
    files = candidates(path)
    return files[0] if len(files) == 1 else next(filter(os.path.exists, files), None)  # Path.exists may raise


def load_settings(path: Path | None = None) -> Settings:
    """Return the settings of `path`, LIPUT_CONFIG, the user's file or /etc's, over the defaults.

    Only the first existing file counts. Afterwards this process's local time is in the office's time zone. Raises
    SettingsError for a missing named file, an unreadable one, and, all in one, for every mistake in it.
    """
    return load_with_text(path)[0]


def load_with_text(path: Path | None = None) -> tuple[Settings, str]:
    """Return the settings and the text of their file, "" where there is none. Raises as `load_settings`."""
    file = find_file(path)
    if file is not None:
        file = file.absolute()
    text = "" if file is None else _text(file, "settings file", "`liput config default` prints one to start from")
    return parse_settings(text, file), text


def parse_settings(text: str, file: Path | None) -> Settings:
    """Return the settings of `text`, the content of `file`, and switch local time to the office's zone."""
    settings = Settings() if file is None else read_settings(text, file)
    use_time_zone(settings.office.time_zone)
    return settings


def load_planned(path: Path) -> PlannedSession:
    """Return the session planned in the file `path`; raises SettingsError as `load_settings` does."""
    file = path.absolute()
    return read_planned(_text(file, "plan", "liput check --help shows an example"), file)


def _text(file: Path, what: str, hint: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is not UTF-8 text", hint="save it again as UTF-8") from None
    except FileNotFoundError:
        raise SettingsError(f"there is no {what} {file}", hint=hint) from None
    except OSError as error:
        raise SettingsError(f"cannot read the {what} {file}: {error.strerror}") from error


def default_text() -> str:
    """Return the commented reference file with all defaults."""
    from importlib import resources  # loads in 15 ms, for this command only

    return resources.files("config").joinpath("default.toml").read_text(encoding="utf-8")


class CurrentSettings:
    """The settings, read again when their file changes. Thread-safe."""

    def __init__(self, file: Path | None) -> None:
        """`file` is the named one, or None for the default search."""
        self.file = file
        self._lock = threading.Lock()
        self._seen: object = None
        self._settings: Settings | SettingsError = Settings()
        self._good: tuple[Path, str] | None = None

    def stamp(self) -> object:
        """Return a value that changes with the file; None where there is none."""
        return file_stamp(find_file(self.file))

    def read(self) -> Settings:
        """Return the settings; raises SettingsError."""
        with self._lock:
            seen = self.stamp()
            if seen != self._seen or seen is None:
                self._settings = self._load()
                self._seen = seen
            if isinstance(self._settings, SettingsError):
                raise self._settings.with_traceback(None)  # else it grows with each raise
            return self._settings

    @property
    def good(self) -> tuple[Path, str] | None:
        """The file and its text when it was last valid; None before that."""
        with self._lock:
            return self._good

    def _load(self) -> Settings | SettingsError:
        try:
            settings, text = load_with_text(self.file)
        except SettingsError as error:
            return error
        if settings.file is not None:
            self._good = settings.file, text
        return settings

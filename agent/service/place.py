"""What a service is made for: whose it is, which program it runs, which folders it may write to."""

import grp
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from config.addresses import folder_of
from config.errors import UsageError
from config.schema import Settings
from config.settings import SYSTEM_FILE
from devices.host.child import HOME

USER = "liput"
STATE = Path("/var/lib/liput")
DEVICE_GROUPS = ("video", "audio", "render")
KEYS = Path("/etc/liput/keys.toml")
CLOSED = (Path("/home"), Path("/root"), Path("/run/user"))
"""What is hidden from a system service, unless an archive is in it."""
EMPTIED = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))  # noqa: S108 - where nothing is to be kept
"""Where a system service has folders of its own."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """What the units are made from.

    `operators` is the group whose members may talk to recorders; `groups` those through which devices are opened;
    `writable` the folders of the settings; `keys` the file of keys that is handed to the service.
    """

    is_system: bool
    program: Sequence[str]
    python_path: Path | None
    config: Path | None = None
    operators: str = USER
    groups: Sequence[str] = ()
    writable: Sequence[Path] = ()
    keys: Path | None = None

    def run(self, module: str, *words: str) -> Sequence[str]:
        """Return the words that run a module of ours."""
        return (*self.program, "-P", "-m", module, *words)


def system_place(
    settings: Settings, *, operators: str = USER, python: str = sys.executable, home: Path = HOME
) -> Place:
    """Return what a system service is made for; raises UsageError where it could not work."""
    for path in (Path(python), home):
        if _is_in(path, (*CLOSED, *EMPTIED)):
            raise UsageError(
                f"{path} is where a system service cannot read it",
                hint="install Liput where every user may read it, as /opt/liput; or leave out --system",
            )
    writable = folders(settings)
    for folder in writable:
        if _is_in(folder, EMPTIED):
            raise UsageError(
                f"{folder} is a folder for temporary files, of which a system service has its own",
                hint="name another folder in the settings, as /srv/liput",
            )
    keys = settings.keys_file or KEYS
    return Place(
        is_system=True,
        program=(python,),
        python_path=_python_path(home),
        config=settings.file if settings.file and settings.file != SYSTEM_FILE else None,
        operators=operators,
        groups=[name for name in DEVICE_GROUPS if _is_group(name)],
        writable=writable,
        keys=keys if keys.is_file() else None,
    )


def user_place(settings: Settings, *, config: Path | None = None) -> Place:
    """Return what a user's service is made for: `config` is the settings file that was named."""
    return Place(
        is_system=False,
        program=(sys.executable,),
        python_path=_python_path(HOME),
        config=config.absolute() if config else None,
        writable=folders(settings),
    )


def folders(settings: Settings) -> list[Path]:
    """Return the folders that recordings, copies, streams and papers go to, as the settings name them."""
    named = [settings.archive.path] if ("archive", "path") in settings.lines else []
    named += settings.storage.paths
    named += [settings.request.path] if settings.request.path else []
    named += [folder_of(target.url) for target in settings.copies.values() if target.scheme == "file"]
    named += [folder_of(target.url) for target in settings.destinations.values() if target.scheme == "file"]
    return list(dict.fromkeys(Path(os.path.normpath(path)) for path in named))


def is_closed(folder: Path) -> bool:
    """Return whether a folder is where a system service sees nothing."""
    return _is_in(folder, CLOSED)


def _python_path(home: Path) -> Path | None:
    """Return where our packages are, unless Python finds them by itself."""
    return None if home.is_relative_to(sys.prefix) and home.name == "site-packages" else home


def _is_in(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _is_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True

"""The desktop of whoever runs a command: whether there is one, and what is opened there."""

import os
import shutil
import subprocess

OPENER = "xdg-open"
"""Every desktop's own program that opens an address or a path with whatever is meant for it."""
_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")


def has_desktop() -> bool:
    """Return whether this command runs on one."""
    return any(os.environ.get(name) for name in _SCREENS)


def open_there(what: str, *programs: str) -> bool:
    """Open it with the first of `programs` that is installed, if any; it goes on when we and our terminal are gone."""
    program = next(filter(None, map(shutil.which, programs)), None)
    if program is None:
        return False
    quiet = subprocess.DEVNULL
    subprocess.Popen([program, what], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    return True

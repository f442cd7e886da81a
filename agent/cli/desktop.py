"""The desktop of this user: whether there is one, and opening things there."""

import os
import shutil
import subprocess

OPENER = "xdg-open"  # each desktop's program that opens an address or a path with its default program


def has_desktop() -> bool:
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def open_there(what: str, *programs: str) -> bool:
    """Open it with the first installed program of `programs`; that one outlives us. Return False without any."""
    program = next(filter(None, map(shutil.which, programs)), None)
    if program is None:
        return False
    quiet = subprocess.DEVNULL
    subprocess.Popen([program, what], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    return True

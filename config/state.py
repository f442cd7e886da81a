"""Where Liput keeps what it has learned on this PC: roles, control presets, the health log."""

import os
from pathlib import Path

import platformdirs

VARIABLE = "LIPUT_STATE"


def state_folder() -> Path:
    """Return the folder, whether or not it exists: LIPUT_STATE, else `~/.local/state/liput`."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    return platformdirs.user_state_path("liput")

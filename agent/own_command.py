"""Liput's own code as processes of their own: what they load and wait for is nobody else's."""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from config.settings import VARIABLE

PATIENCE_S = 5.0
"""How long one may take to end when it was asked to, before it is killed."""

_HOME = Path(__file__).resolve().parents[1]


def command_line(*words: str) -> list[str]:
    """Return the command `liput WORDS`."""
    return [sys.executable, "-P", "-m", "agent.cli", *words]


def of_archive(folder: Path | None) -> list[str]:
    """Return the words that name an archive; none for that of the settings."""
    return [] if folder is None else ["--archive", str(folder)]


def environment(config_file: Path | None = None) -> dict[str, str]:
    """Return that in which such a process finds this very code, and these settings (None: those that are found)."""
    path = os.pathsep.join(filter(None, (str(_HOME), os.environ.get("PYTHONPATH"))))
    settings = {VARIABLE: str(config_file.absolute())} if config_file else {}
    return os.environ | {"PYTHONPATH": path} | settings


def start_command(
    words: Sequence[str], config_file: Path | None, output: "int | IO[bytes]" = subprocess.DEVNULL
) -> "subprocess.Popen[bytes]":
    """Start `liput WORDS` with these settings (None: those that are found); raises OSError."""
    return subprocess.Popen(
        command_line(*words),
        stdin=subprocess.DEVNULL, stdout=output,
        stderr=subprocess.DEVNULL if sys.stderr.isatty() else None,  # the journal keeps what it says
        env=environment(config_file),
    )  # fmt: skip


def end_command(child: "subprocess.Popen[bytes]") -> None:
    """End one: what it was doing is gone on with by the next one."""
    child.terminate()
    try:
        child.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        with suppress(subprocess.TimeoutExpired):  # it may hang in a share that does not answer
            child.wait(PATIENCE_S)

"""What a command uses, told by a small process that starts it.

Linux counts the memory of whoever starts a process as that process's own peak: pytest's, after thousands of tests.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_STARTER = """
import json, os, subprocess, sys
told, *words = sys.argv[1:]
started = subprocess.Popen(words)
_, status, used = os.wait4(started.pid, 0)
with open(told, "w") as file:
    json.dump([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss * 1024], file)
"""


@dataclass(frozen=True, slots=True)
class Used:
    """Its exit status, the CPU seconds and the most bytes of memory that it and those it waited for have used."""

    status: int
    cpu_s: float
    peak_bytes: int


def measured(command: Sequence[str], told: Path) -> list[str]:
    """Return the words that run `command` and leave in the file `told` what it has used."""
    return [sys.executable, "-I", "-S", "-c", _STARTER, str(told), *command]


def used(told: Path) -> Used:
    """Return what is in the file."""
    return Used(*json.loads(told.read_text()))
